"""Bodies of many records: pieces of bytes in, rows out as soon as they are whole, each of them valid or refused.

Validating a chunk as one array is several times faster than row by row, so that is tried first. Where anything is wrong
with it, its rows are taken one by one, so that the good ones are kept and each bad one gets its reasons.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.chassis.bodies import DECODER, Parser, Refused, decoded
from services.chassis.errors import BodyTooLarge, MalformedBody
from services.chassis.store import Record

# What is validated in one go: of much more, the rows would leave the processor's cache before they are stored, and
# other requests would wait for it.
CHUNK_BYTES = 64 * 1024
# To say why a row is refused takes many times as long as to take it: where a chunk would have more such rows, the next
# one is smaller, so that other requests need not wait.
_MOST_REFUSED = 256
_SMALLER = 32
_SEPARATOR_BYTES = len(b"\r\n")


@dataclass(frozen=True, slots=True)
class Rows:
    """The next rows of a body: the valid ones in their order, and the others by their position among all of these."""

    records: Sequence[Record]
    refused: Mapping[int, Refused]

    @property
    def received(self) -> int:
        """How many there are."""
        return len(self.records) + len(self.refused)


def sorted_out(rows: Sequence[Record | Refused]) -> Rows:
    """Tell valid rows and refused ones apart."""
    return Rows(
        [row for row in rows if not isinstance(row, Refused)],
        {position: row for position, row in enumerate(rows) if isinstance(row, Refused)},
    )


_SPACE = re.compile(r"[ \t\r\n]*")


class Format(Protocol):
    """One way to write many records in one body; an instance reads one body, from its start."""

    def take(self, data: bytes, *, final: bool) -> tuple[Rows, bytes]:
        """Return the rows that are whole, and the bytes that are not yet; after `final` data none will come.

        Raises:
            MalformedBody: what follows the rows that were returned so far can't be read.
            InvalidRecord: no row of this body can be valid.
        """


async def rows_of(
    body: AsyncIterator[bytes], form: Format, max_row_bytes: int, room: asyncio.Semaphore
) -> AsyncIterator[Rows]:
    """Yield the rows of a body while it arrives; no more of it is held than a chunk and a row.

    Each chunk takes a place of the room before it is parsed, and whoever gets it gives the place back.

    Raises:
        BodyTooLarge: a row is longer than `max_row_bytes`.
        MalformedBody, InvalidRecord: see `Format.take`. The rows before have been yielded, whatever is raised.
    """
    # With what parts it from the next; nothing longer is looked at, so no longer row is ever whole.
    longest = max_row_bytes + _SEPARATOR_BYTES
    data, wanted = b"", min(CHUNK_BYTES, longest)
    async for piece in body:
        data += piece
        while len(data) >= wanted:
            rows, rest = await _taken(form, data[:wanted], room, final=False)
            yield rows
            if len(rest) > max_row_bytes:
                raise too_large(max_row_bytes)
            crowded = len(rows.refused) * CHUNK_BYTES > _MOST_REFUSED * wanted
            next_bytes = len(rest) + (CHUNK_BYTES // _SMALLER if crowded else CHUNK_BYTES)
            data, wanted = rest + data[wanted:], min(next_bytes, longest)
    rows, data = await _taken(form, data, room, final=True)
    yield rows
    # Says so where something is left that can't be read.
    form.take(data, final=True)


def too_large(max_row_bytes: int) -> BodyTooLarge:
    """Return the refusal of a row that is longer."""
    return BodyTooLarge(f"A row may have at most {max_row_bytes} bytes.")


async def _taken(form: Format, data: bytes, room: asyncio.Semaphore, *, final: bool) -> tuple[Rows, bytes]:
    await room.acquire()
    try:
        return form.take(data, final=final)
    except BaseException:
        room.release()
        raise


class Ndjson:
    """One JSON object on each line; empty lines are passed over."""

    def __init__(self, parser: Parser[Record]) -> None:
        """Take what reads one record."""
        self._parser = parser

    def take(self, data: bytes, *, final: bool) -> tuple[Rows, bytes]:
        """Return the rows of the whole lines, and the line that is not whole yet."""
        end = len(data) if final else data.rfind(b"\n") + 1
        lines, rest = data[:end], data[end:]
        if b"\r" in lines:
            lines = lines.replace(b"\r\n", b"\n")
        lines = lines.strip(b"\n")
        breaks = lines.count(b"\n")
        # Where every line begins and ends with a brace, and there is no other, the lines joined by commas are an array
        # of just these rows.
        if lines.count(b"}\n{") == breaks and lines.count(b"{") == breaks + bool(lines):
            rows = self._parser.from_array(b"[%b]" % lines.replace(b"\n", b","))
            if rows is not None and len(rows) == breaks + bool(lines):
                return Rows(rows, {}), rest
        return sorted_out([self._row(line) for line in lines.split(b"\n") if line.strip()]), rest

    def _row(self, line: bytes) -> Record | Refused:
        try:
            return self._parser.one_of_many(decoded(line))
        except MalformedBody as error:
            return Refused(None, error)


class JsonArray:
    """One JSON array of objects."""

    def __init__(self, parser: Parser[Record]) -> None:
        """Take what reads one record."""
        self._parser = parser
        self._begun = False
        self._closed = False
        # Before the first item the array may end; after a comma it may not.
        self._may_end = True

    def take(self, data: bytes, *, final: bool) -> tuple[Rows, bytes]:
        """Return the rows of the whole items, and the item that is not whole yet."""
        data = data.lstrip()
        if not self._begun and data:
            if not data.startswith(b"["):
                raise MalformedBody("The body is not a JSON array.")
            self._begun, data = True, data[1:]
        if self._closed:
            if data:
                raise MalformedBody("Something follows the array.")
            return Rows([], {}), b""
        # Half an item would be no JSON, so what is an array up to here was cut where an item ends.
        end = len(data) if final else data.rfind(b"},") + 1
        rows = self._parser.from_array(b"[%b%b" % (data[:end], b"" if final else b"]")) if end else None
        if rows:
            self._closed, self._may_end = final, False
            return Rows(rows, {}), data[end + 1 :]
        return self._one_by_one(data.decode("utf-8", "surrogateescape"), final=final)

    def _one_by_one(self, text: str, *, final: bool) -> tuple[Rows, bytes]:
        rows: list[Record | Refused] = []
        at = _skip_space(text, 0)
        while at < len(text) and not self._closed:
            if self._may_end and text[at] == "]":
                self._closed, at = True, at + 1
                break
            try:
                value, end = DECODER.raw_decode(text, at)
            except (ValueError, RecursionError):
                break
            end = _skip_space(text, end)
            if text[end : end + 1] not in {",", "]"}:
                break
            rows.append(self._parser.one_of_many(value))
            self._closed, self._may_end = text[end] == "]", False
            at = _skip_space(text, end + 1)
        if final and not rows and not self._closed:
            raise MalformedBody("From here on the body is not JSON in UTF-8.")
        return sorted_out(rows), text[at:].encode("utf-8", "surrogateescape")


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
