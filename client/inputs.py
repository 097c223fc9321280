"""Input files to records: what a file says is what is sent, and the services judge it."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from client.json_items import Line, LineError, json_items
from client.records import SERVICES, Record

# The columns that hold numbers. Their cells are sent as JSON numbers exactly as they are written, if they are numbers.
NUMERIC = {"id", "user_id", "product_id", "quantity", "price"}
# RFC 8259, section 6.
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# Beyond these are no ids, and no integers that a database holds; the service says what is wrong with them.
_IDS = range(-(2**63), 2**63)
# More digits than any id has.
_LONGEST_ID = 30

# A record: its line, its JSON, and its id where it has one.
Body = tuple[Line, str, int | None]


class _Digits(str):
    """A whole number as it is written; Python refuses to read very long ones."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_int=_Digits)


class InputError(Exception):
    """The input can't be read; the message names the file, and the line where there is one."""


def files_in(folder: Path) -> dict[str, Path]:
    """Return the services' files, in the order of the services; raise `InputError` where there are none."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.")
    files = {service: file for service in SERVICES if (file := _file_of(folder, service))}
    if not files:
        raise InputError(f"{folder} holds none of users.*, products.* and orders.* (csv, json or ndjson).")
    return files


def read_all(files: Mapping[str, Path]) -> list[Record]:
    """Return all records, in the order of the services and of the files' lines.

    Raises:
        InputError: a file can't be read to its end.
    """
    return [record for service, file in files.items() for record in _read(file, service)]


def _file_of(folder: Path, service: str) -> Path | None:
    found = [file for suffix in _READERS if (file := folder / f"{service}{suffix}").exists()]
    if len(found) > 1:
        raise InputError(f"{folder} holds {' and '.join(file.name for file in found)}; which is meant?")
    return found[0] if found else None


def _read(file: Path, service: str) -> list[Record]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text.") from error
    if not text.strip():
        raise InputError(f"{file} is empty.")
    records = []
    try:
        for line, body, record_id in _READERS[file.suffix](text):
            records.append(Record(service, f"{file.name}:{line}", body.encode(), record_id))
    except LineError as error:
        raise InputError(f"{file}:{error.line}: {error}.") from error
    return records


def _csv_bodies(text: str) -> Iterator[Body]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = next(rows)
        for row in rows:
            if not row:
                continue
            if len(row) != len(columns):
                found = f"{len(row)} {'cell' if len(row) == 1 else 'cells'}"
                raise LineError(rows.line_num, f"{found} under a header of {len(columns)}")
            # An empty id is one that the service is to assign.
            cells = [(name, cell) for name, cell in zip(columns, row, strict=True) if cell or name != "id"]
            body = "{" + ", ".join(f"{json.dumps(name)}: {_cell(name, cell)}" for name, cell in cells) + "}"
            yield rows.line_num, body, _decode(body, rows.line_num)[1]
    except csv.Error as error:
        raise LineError(rows.line_num, str(error)) from error


def _cell(name: str, cell: str) -> str:
    return cell if name in NUMERIC and NUMBER.fullmatch(cell) else json.dumps(cell)


def _ndjson_bodies(text: str) -> Iterator[Body]:
    for line, body in enumerate(text.split("\n"), start=1):
        if stripped := body.strip():
            end, record_id = _decode(stripped, line)
            if end != len(stripped):
                raise LineError(line, "more than one JSON value")
            yield line, stripped, record_id


def _json_bodies(text: str) -> Iterator[Body]:
    for line, item in json_items(io.StringIO(text)):
        yield line, item, _decode(item, line)[1]


def _decode(text: str, line: Line) -> tuple[int, int | None]:
    """Return where the JSON value ends, and its id where it has one."""
    try:
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise LineError(line, "not JSON") from error
    return end, _id_in(value)


def id_of(row: bytes) -> int | None:
    """Return the id of a record, where it is one and has one."""
    try:
        return _id_in(_DECODER.decode(row.decode()))
    except (ValueError, RecursionError):
        return None


def _id_in(value: object) -> int | None:
    found = value.get("id") if isinstance(value, dict) else None
    if not isinstance(found, _Digits) or len(found) > _LONGEST_ID:
        return None
    return int(found) if int(found) in _IDS else None


_READERS: dict[str, Callable[[str], Iterator[Body]]] = {
    ".csv": _csv_bodies,
    ".json": _json_bodies,
    ".ndjson": _ndjson_bodies,
}
