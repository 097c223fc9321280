"""A JSON array's items, cut out of the text while it is read, so that they are sent as they are written."""

import json
import re
from collections.abc import Iterator
from typing import TextIO

_BLOCK = 1 << 20
# Longer items are no records, and would be held as a whole.
_LONGEST_ITEM = 1 << 24
_SPACE = re.compile(r"[ \t\r\n]*")
# Python refuses to read very long numbers; here they need only be passed.
_DECODER = json.JSONDecoder(parse_int=str)


# Where something stands in a file: its line; of an item of an array, with its place in that, counted from 0: `1[16]`.
Line = int | str


class LineError(Exception):
    """A line can't be read; the message says why."""

    def __init__(self, line: Line, message: str) -> None:
        super().__init__(message)
        self.line = line


def json_items(source: TextIO) -> Iterator[tuple[str, str]]:
    """Yield where each item stands, and the item; raise `LineError` where the text is no array of JSON."""
    window = _Window(source)
    if window.mark() != "[":
        raise LineError(window.line(), "not a JSON array")
    window.at += 1
    mark = "," if window.mark() != "]" else "]"
    window.at += mark == "]"
    place = 0
    while mark == ",":
        window.mark()
        line = f"{window.line()}[{place}]"
        item = window.item()
        if item is None:
            raise LineError(line, "not JSON")
        yield line, item
        place += 1
        mark = window.mark()
        if mark not in {",", "]"}:
            raise LineError(line, "no comma and no end after this item of the array")
        window.at += 1
    if window.mark():
        raise LineError(window.line(), "something follows the array")


class _Window:
    """The part of the text that is being looked at."""

    def __init__(self, source: TextIO) -> None:
        self._source = source
        self._text = ""
        self.at = 0
        # The lines that begin before this place of the text have been counted.
        self._counted = 0
        self._line = 1

    def line(self) -> int:
        """Return the number of the line."""
        self._line += self._text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def mark(self) -> str:
        """Pass over space; return the next character, or an empty text at the end."""
        while True:
            found = _SPACE.match(self._text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self._text) or not self._read_on():
                return self._text[self.at : self.at + 1]

    def item(self) -> str | None:
        """Pass over a JSON value, and return it; or nothing where there is none."""
        # What is cut off by the end of the text may look whole, as the first digits of a number do.
        while not self._is_whole() and len(self._text) - self.at < _LONGEST_ITEM and self._read_on():
            pass
        end = self._end()
        if end is None:
            return None
        start, self.at = self.at, end
        return self._text[start:end]

    def _is_whole(self) -> bool:
        end = self._end()
        found = _SPACE.match(self._text, end) if end is not None else None
        return found is not None and self._text[found.end() : found.end() + 1] in {",", "]"}

    def _end(self) -> int | None:
        try:
            return _DECODER.raw_decode(self._text, self.at)[1]
        except (ValueError, RecursionError):
            return None

    def _read_on(self) -> bool:
        block = self._source.read(_BLOCK)
        self.line()
        self._text, self.at, self._counted = self._text[self.at :] + block, 0, 0
        return bool(block)
