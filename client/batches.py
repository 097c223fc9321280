"""Large input files to batches: read while they are sent, never held as a whole, and judged by the services alone."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

from client.inputs import NUMBER, NUMERIC, InputError
from client.json_items import LineError, json_items

_BLOCK_BYTES = 1 << 20
# Longer lines are no records, and would be held as a whole.
_LONGEST_LINE_BYTES = 1 << 24
# The id of a record that begins with it, as nearly all do.
_LEADING_ID = re.compile(rb'(?m)^\{"id": ?([0-9]{1,18})[,}]')

# A row as it is sent, and the line that it stands on.
_Numbered = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file, each a line of JSON, with the lines they stand on and their ids where they have one."""

    service: str
    file: str
    lines: Sequence[int]
    rows: Sequence[bytes]
    ids: Sequence[int | None]

    def only(self, places: Sequence[int]) -> "Batch":
        """Return the batch with the rows at those places alone."""
        return Batch(
            self.service,
            self.file,
            [self.lines[place] for place in places],
            [self.rows[place] for place in places],
            [self.ids[place] for place in places],
        )

    def parted(self, first: int) -> tuple["Batch", "Batch"]:
        """Return the first so many rows, and the others."""
        if first == len(self.rows):
            return self, self.only([])
        return self.only(range(first)), self.only(range(first, len(self.rows)))


def batches_of(file: Path, service: str, size: int) -> Iterator[Batch]:
    """Yield the file's rows, `size` at a time and the rest at the end.

    What can't be right is sent as it stands, so that its service says what is wrong with it.

    Raises:
        InputError: the file can't be read, or not any further; what came before has been yielded.
    """
    try:
        for numbered in _in_portions(_READERS[file.suffix](file), size):
            rows = [row for _, row in numbered]
            yield Batch(service, file.name, [line for line, _ in numbered], rows, _ids_of(rows))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text.") from error
    except LineError as error:
        raise InputError(f"{file}:{error.line}: {error}.") from error


def _in_portions(blocks: Iterator[list[_Numbered]], size: int) -> Iterator[list[_Numbered]]:
    waiting: list[_Numbered] = []
    for block in blocks:
        waiting += block
        while len(waiting) >= size:
            yield waiting[:size]
            del waiting[:size]
    if waiting:
        yield waiting


def _ids_of(rows: Sequence[bytes]) -> Sequence[int | None]:
    found = _LEADING_ID.findall(b"".join(rows))
    return list(map(int, found)) if len(found) == len(rows) else list(map(_id_of, rows))


def _id_of(row: bytes) -> int | None:
    try:
        record = json.loads(row)
    except (ValueError, RecursionError):
        return None
    found = record.get("id") if isinstance(record, dict) else None
    return found if type(found) is int else None


def _ndjson_rows(file: Path) -> Iterator[list[_Numbered]]:
    with file.open("rb") as source:
        rest, number = source.read(3).removeprefix(b"\xef\xbb\xbf"), 0
        while block := source.read(_BLOCK_BYTES):
            *lines, rest = (rest + block).split(b"\n")
            yield [(place, line + b"\n") for place, line in enumerate(lines, number + 1) if line and not line.isspace()]
            number += len(lines)
            if len(rest) > _LONGEST_LINE_BYTES:
                raise LineError(number + 1, "the line is too long to be a record")
        if rest.strip():
            yield [(number + 1, rest + b"\n")]


def _json_rows(file: Path) -> Iterator[list[_Numbered]]:
    with file.open(encoding="utf-8-sig") as source:
        items = json_items(source)
        while block := list(islice(items, 1_000)):
            # Line breaks stand between values alone, where they mean as much as spaces.
            yield [(line, text.replace("\n", " ").replace("\r", " ").encode() + b"\n") for line, text in block]


def _csv_rows(file: Path) -> Iterator[list[_Numbered]]:
    with file.open(encoding="utf-8-sig", newline="") as source:
        rows = csv.reader(source, strict=True)
        try:
            columns = next(rows, [])
            while block := [(rows.line_num, row) for row in islice(rows, 1_000)]:
                numbered = [(line, row) for line, row in block if row]
                texts = _all_at_once(columns, [row for _, row in numbered])
                if texts is None:
                    texts = [_as_json(columns, row) for _, row in numbered]
                yield [(line, text.encode()) for (line, _), text in zip(numbered, texts, strict=True)]
        except csv.Error as error:
            raise LineError(rows.line_num, str(error)) from error


def _all_at_once(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str] | None:
    """Return the rows as lines of JSON, or None where one of them needs to be looked at by itself."""
    if set(map(len, rows)) != {len(columns)}:
        return None
    literals: list[Sequence[str]] = []
    for name, cells in zip(columns, zip(*rows, strict=True), strict=True):
        if name not in NUMERIC:
            literals.append(list(map(encode_basestring, cells)))
        elif _NUMBERS.fullmatch("\n".join(cells)):
            literals.append(cells)
        else:
            return None
    template = "{" + ",".join(f"{json.dumps(name).replace('%', '%%')}:%s" for name in columns) + "}\n"
    return [template % values for values in zip(*literals, strict=True)]


_NUMBERS = re.compile(rf"(?:{NUMBER.pattern})(?:\n(?:{NUMBER.pattern}))*")


def _as_json(columns: Sequence[str], row: Sequence[str]) -> str:
    """Return the row as a line of JSON: what is too much has a name that no field has, and an empty id is none."""
    names = [*columns, *(f"column {place + 1}" for place in range(len(columns), len(row)))]
    cells = [(name, cell) for name, cell in zip(names, row, strict=False) if cell or name != "id"]
    members = (
        f"{json.dumps(name)}:{cell if name in NUMERIC and NUMBER.fullmatch(cell) else encode_basestring(cell)}"
        for name, cell in cells
    )
    return "{" + ",".join(members) + "}\n"


_READERS: dict[str, Callable[[Path], Iterator[list[Any]]]] = {
    ".csv": _csv_rows,
    ".json": _json_rows,
    ".ndjson": _ndjson_rows,
}
