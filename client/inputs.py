"""Input files to records: what a file says is what is sent, and the services judge it."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from client.records import SERVICES, Record

# The columns that hold numbers. Their cells are sent as JSON numbers exactly as they are written, if they are numbers.
_NUMERIC = {"id", "user_id", "product_id", "quantity", "price"}
# RFC 8259, section 6.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SPACE = re.compile(r"[ \t\r\n]*")


class InputError(Exception):
    """The input can't be read; the message names the file, and the line where there is one."""


def read_folder(folder: Path) -> list[Record]:
    """Return all records, in the order of the services and of the files' lines.

    Raises:
        InputError: there is nothing to read, or a file can't be read to its end.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.")
    files = {service: file for service in SERVICES if (file := _file_of(folder, service))}
    if not files:
        raise InputError(f"{folder} holds none of users.*, products.* and orders.* (csv, json or ndjson).")
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
        for line, body in _READERS[file.suffix](text):
            records.append(Record(service, f"{file.name}:{line}", body.encode(), _id_of(body)))
    except _LineError as error:
        raise InputError(f"{file}:{error.line}: {error}.") from error
    return records


class _LineError(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _csv_bodies(text: str) -> Iterator[tuple[int, str]]:
    rows = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        columns = next(rows)
        for row in rows:
            if not row:
                continue
            if len(row) != len(columns):
                raise _LineError(rows.line_num, f"{len(row)} cells under a header of {len(columns)}")
            # An empty id is one that the service is to assign.
            cells = [(name, cell) for name, cell in zip(columns, row, strict=True) if cell or name != "id"]
            yield rows.line_num, "{" + ", ".join(f"{json.dumps(n)}: {_cell(n, cell)}" for n, cell in cells) + "}"
    except csv.Error as error:
        raise _LineError(rows.line_num, str(error)) from error


def _cell(name: str, cell: str) -> str:
    return cell if name in _NUMERIC and _NUMBER.fullmatch(cell) else json.dumps(cell)


def _ndjson_bodies(text: str) -> Iterator[tuple[int, str]]:
    for line, body in enumerate(text.split("\n"), start=1):
        if body.strip():
            _decode(body, line)
            yield line, body.strip()


def _json_bodies(text: str) -> Iterator[tuple[int, str]]:
    """Cut the array's items out of the text, so that they are sent as they are written."""
    at = _skip_space(text, 0)
    if text[at] != "[":
        raise _LineError(1, "not a JSON array")
    at, line, counted = _skip_space(text, at + 1), 1, 0
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        end = _decode(text, line, at)
        yield line, text[at:end]
        at = _skip_space(text, end)
        if text[at : at + 1] == ",":
            at = _skip_space(text, at + 1)
        elif text[at : at + 1] != "]":
            raise _LineError(line, "no comma and no end after this item of the array")
    if text[at + 1 :].strip():
        raise _LineError(line, "something follows the array")


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _decode(text: str, line: int, at: int = 0) -> int:
    """Return where the JSON value at `at` ends."""
    try:
        return json.JSONDecoder().raw_decode(text, _skip_space(text, at))[1]
    except (ValueError, RecursionError) as error:
        raise _LineError(line, "not JSON") from error


def _id_of(body: str) -> int | None:
    record = json.loads(body)
    found = record.get("id") if isinstance(record, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None


_READERS: dict[str, Callable[[str], Iterator[tuple[int, str]]]] = {
    ".csv": _csv_bodies,
    ".json": _json_bodies,
    ".ndjson": _ndjson_bodies,
}
