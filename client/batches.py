"""Large input files to batches: read while they are sent, never held as a whole, and judged by the services alone."""

import csv
import json
import os
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, islice
from json.encoder import encode_basestring
from pathlib import Path
from typing import IO, Any, TypeVar

from client.inputs import NUMBER, NUMERIC, InputError, id_of
from client.json_items import Line, LineError, json_items

# Longer lines are no records, and would be held as a whole.
_LONGEST_LINE_BYTES = 1 << 24
# How nearly all records begin.
_LEADING_ID = re.compile(rb'\{"id": ?([0-9]{1,18})[,}]')
_BREAK = re.compile(r"\r\n|[\r\n]")
_NUMBERS = re.compile(rf"(?:{NUMBER.pattern})(?:\n(?:{NUMBER.pattern}))*")

Item = TypeVar("Item")
# The lines that rows stand on, the rows as they are sent, and how many bytes of the file have been read.
_Portion = tuple[Sequence[Line], list[bytes], int]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file, each a line of JSON, with the lines they stand on and their ids where they have one."""

    service: str
    file: str
    lines: Sequence[Line]
    rows: Sequence[bytes]
    ids: Sequence[int | None]
    # Which part of the file had been read when it was made, from 0 to 1; 0 where it was not made of the file.
    read_share: float = 0.0

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
        if not (file_bytes := file.stat().st_size):
            raise InputError(f"{file} is empty.")
        for lines, rows, read_bytes in _READERS[file.suffix](file, size):
            if rows:
                yield Batch(service, file.name, lines, rows, _ids_of(rows), read_bytes / file_bytes)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text.") from error
    except LineError as error:
        raise InputError(f"{file}:{error.line}: {error}.") from error


def _ids_of(rows: Sequence[bytes]) -> Sequence[int | None]:
    text = b"".join(rows)
    # Every row begins with an id, and no brace and no id is left that could stand anywhere else.
    if text.count(b'\n{"id":') + text.startswith(b'{"id":') == text.count(b"{") == text.count(b'"id"') == len(rows):
        found = list(map(int, _LEADING_ID.findall(text)))
        if len(found) == len(rows):
            return found
    return list(map(id_of, rows))


def _in_portions(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items, `size` at a time; what came before an error is yielded before it is raised."""
    while True:
        portion: list[Item] = []
        try:
            portion.extend(islice(items, size))
        except Exception:
            if portion:
                yield portion
            raise
        if not portion:
            return
        yield portion


def _read_of(source: IO[Any]) -> int:
    """Return how many bytes of the file have been read, those that are read ahead among them."""
    return os.lseek(source.fileno(), 0, os.SEEK_CUR)


def _ndjson_rows(file: Path, size: int) -> Iterator[_Portion]:
    with file.open("rb") as source:
        if source.read(len(BOM_UTF8)) != BOM_UTF8:
            source.seek(0)
        first = 1
        for rows in _in_portions(iter(partial(source.readline, _LONGEST_LINE_BYTES), b""), size):
            if max(map(len, rows)) == _LONGEST_LINE_BYTES:
                raise LineError(first, "from here on a line is too long to be a record")
            rows[-1] = rows[-1].removesuffix(b"\n") + b"\n"
            lines: Sequence[int] = range(first, first + len(rows))
            first += len(rows)
            if any(map(bytes.isspace, rows)):
                lines = [line for line, row in zip(lines, rows, strict=True) if not row.isspace()]
                yield lines, [row for row in rows if not row.isspace()], _read_of(source)
                continue
            yield lines, rows, _read_of(source)


def _json_rows(file: Path, size: int) -> Iterator[_Portion]:
    with file.open(encoding="utf-8-sig") as source:
        for portion in _in_portions(json_items(source), size):
            # Line breaks stand between values alone, where they mean as much as spaces.
            rows = [text.replace("\n", " ").replace("\r", " ").encode() + b"\n" for _, text in portion]
            yield [line for line, _ in portion], rows, _read_of(source)


def _csv_rows(file: Path, size: int) -> Iterator[_Portion]:
    with file.open(encoding="utf-8-sig", newline="") as source:
        rows = csv.reader(source, strict=True)
        try:
            columns = next(rows, [])
            last = rows.line_num
            for portion in _in_portions(rows, size):
                lines: Sequence[int] = range(last + 1, last + 1 + len(portion))
                if rows.line_num - last != len(portion):
                    lines = list(accumulate(map(_height, portion), initial=last))[1:]
                if not all(portion):
                    lines = [line for line, row in zip(lines, portion, strict=True) if row]
                last = rows.line_num
                cells = [row for row in portion if row]
                yield (
                    lines,
                    _all_at_once(columns, cells) or [_as_json(columns, row).encode() for row in cells],
                    _read_of(source),
                )
        except csv.Error as error:
            raise LineError(rows.line_num, str(error)) from error


def _height(row: Sequence[str]) -> int:
    """Return how many lines the row takes; its quotes may hold line breaks."""
    return 1 + sum(len(_BREAK.findall(cell)) for cell in row)


def _all_at_once(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[bytes] | None:
    """Return the rows as lines of JSON, or None where one of them needs to be looked at by itself."""
    if set(map(len, rows)) != {len(columns)}:
        return None
    literals: list[Sequence[str]] = []
    for name, cells in zip(columns, zip(*rows, strict=True), strict=True):
        if name not in NUMERIC:
            literals.append(list(map(encode_basestring, cells)))
        elif _NUMBERS.fullmatch("\n".join(cells)) and not any("\n" in cell for cell in cells):
            literals.append(cells)
        else:
            return None
    template = "{" + ",".join(f"{json.dumps(name).replace('%', '%%')}:%s" for name in columns) + "}\n"
    return [(template % values).encode() for values in zip(*literals, strict=True)]


def _as_json(columns: Sequence[str], row: Sequence[str]) -> str:
    """Return the row as a line of JSON: what is too much has a name that no field has, and an empty id is none."""
    names = [*columns, *(f"column {place + 1}" for place in range(len(columns), len(row)))]
    cells = [(name, cell) for name, cell in zip(names, row, strict=False) if cell or name != "id"]
    members = (
        f"{json.dumps(name)}:{cell if name in NUMERIC and NUMBER.fullmatch(cell) else encode_basestring(cell)}"
        for name, cell in cells
    )
    return "{" + ",".join(members) + "}\n"


_READERS: dict[str, Callable[[Path, int], Iterator[_Portion]]] = {
    ".csv": _csv_rows,
    ".json": _json_rows,
    ".ndjson": _ndjson_rows,
}
