"""CSV bodies (RFC 4180): a header line with the fields' names, then a record on each line."""

import csv
import re
from collections.abc import Iterator, Sequence
from json.encoder import encode_basestring

from services.chassis.bodies import NUMBER, Parser, Refused
from services.chassis.errors import InvalidRecord, MalformedBody, Reason
from services.chassis.rows import Rows, sorted_out
from services.chassis.store import Record

_NUMBERS = re.compile(rf"(?:{NUMBER.pattern}\n)*")

# A line ends with a line feed. The csv module would take a carriage return by itself for an end, or for an error; this
# control character is trimmed and refused where that one is.
_LONE_RETURN = re.compile(r"\r(?!\n)")
_LIKE_A_RETURN = "\x85"

Cells = list[str]


class Csv:
    """Reads one body. The cells of fields that hold numbers are numbers as JSON writes them; an empty id is none."""

    def __init__(self, parser: Parser[Record]) -> None:
        """Take what reads one record."""
        self._parser = parser
        self._columns: Cells = []
        self._failure: MalformedBody | None = None

    def take(self, data: bytes, *, final: bool) -> tuple[Rows, bytes]:
        """Return the rows of the whole lines, and the line that is not whole yet."""
        if self._failure:
            raise self._failure
        end = len(data) if final else data.rfind(b"\n") + 1
        lines, rest = self._cells(data[:end].decode("utf-8", "surrogateescape"), final=final)
        if not self._columns and lines:
            self._columns = self._header(lines.pop(0))
        if not self._columns and final:
            raise MalformedBody("The body has no header line.")
        rows = self._all_at_once(lines)
        rest_bytes = rest.encode("utf-8", "surrogateescape") + data[end:]
        return (sorted_out(list(map(self._row, lines))) if rows is None else Rows(rows, {})), rest_bytes

    def _cells(self, text: str, *, final: bool) -> tuple[list[Cells], str]:
        """Return the cells of the records that are whole, and the text of the one that is not."""
        if '"' in text:
            return self._quoted_cells(text, final=final)
        # Without quotes a line is its cells, and splitting it takes half the time of parsing it.
        return [line.split(",") for line in text.replace("\r\n", "\n").split("\n") if line], ""

    def _quoted_cells(self, text: str, *, final: bool) -> tuple[list[Cells], str]:
        lines = [f"{line}\n" for line in _LONE_RETURN.sub(_LIKE_A_RETURN, text).removesuffix("\n").split("\n")]
        source = _Lines(lines)
        records, read = list[Cells](), 0
        reader = csv.reader(source, strict=True)
        try:
            for cells in reader:
                records.append(cells)
                read = reader.line_num
        except csv.Error:
            # Where the lines have ended inside of quotes, more are to come.
            if final or not source.ended:
                self._failure = MalformedBody("From here on the body is not CSV.")
                return list(filter(None, records)), ""
        return list(filter(None, records)), "".join(lines[read:])

    def _header(self, columns: Cells) -> Cells:
        """Return the columns; refuse the whole body where none of its rows could be valid."""
        columns[0] = columns[0].removeprefix("\ufeff")
        fields, required = self._parser.fields, self._parser.schema["required"]
        reasons = [Reason(name, f"{name} is missing in the header") for name in required if name not in columns]
        if set(columns) - fields.keys():
            reasons.append(Reason("", f"the header has a column other than {', '.join(fields)}"))
        if len(set(columns)) < len(columns):
            reasons.append(Reason("", "the header has a column twice"))
        if reasons:
            raise InvalidRecord("The header was refused.", reasons)
        return columns

    def _all_at_once(self, lines: list[Cells]) -> Sequence[Record] | None:
        """Return the rows by way of one JSON array, or None where anything is wrong with any of them."""
        if not lines:
            return []
        if set(map(len, lines)) != {len(self._columns)}:
            return None
        literals: list[Cells] = []
        for name, cells in zip(self._columns, zip(*lines, strict=True), strict=True):
            if not self._parser.is_number(name):
                literals.append(list(map(encode_basestring, cells)))
            elif _NUMBERS.fullmatch("\n".join(cells) + "\n"):
                literals.append(list(cells))
            else:
                return None
        template = "{" + ",".join(f'"{name}":%s' for name in self._columns) + "}"
        array = "[" + ",".join([template % values for values in zip(*literals, strict=True)]) + "]"
        return self._parser.from_array(array.encode("utf-8", "surrogateescape"))

    def _row(self, cells: Cells) -> Record | Refused:
        if len(cells) != len(self._columns):
            found = f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'}"
            reason = Reason("", f"it has {found} under a header of {len(self._columns)}")
            return Refused(None, InvalidRecord("The row was refused.", [reason]))
        named = zip(self._columns, cells, strict=True)
        return self._parser.one_of_many(
            {name: self._parser.value_of(name, cell) for name, cell in named if cell or name != "id"}
        )


class _Lines:
    """Gives one line after another, and tells whether one was asked for when there was none any more."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = iter(lines)
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        yield from self._lines
        self.ended = True
