"""The read-back: what the services now really hold, compared with what they acknowledged."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from client.records import Result
from client.services import Service, Unreadable

_COLON = re.compile(rb'(?<=\w)": ')
# The most records that are asked for at once.
_SHARE = 1_000


@dataclass(frozen=True, slots=True)
class Held:
    """What one service holds: how many records (None where it did not say), and what is not as acknowledged."""

    service: str
    count: int | None
    differences: list[str]


def read_back(service: Service, results: Sequence[Result]) -> Held:
    """Compare what the service acknowledged with what it gives now; every difference names its record."""
    records = [r.acknowledged for r in results if r.acknowledged and r.record.service == service.name]
    acknowledged: dict[int, dict[str, Any]] = {record["id"]: record for record in records}
    ids = sorted(acknowledged)
    stored: dict[int, Any] = {}
    try:
        for first in range(0, len(ids), _SHARE):
            stored |= _by_id(service, service.records(ids[first : first + _SHARE]))
        count = service.count()
    except Unreadable as error:
        return Held(service.name, None, [str(error)])
    return Held(service.name, count, list(_differences(service.name, acknowledged, stored)))


def compare_batch(service: Service, client: httpx.Client, sent: Mapping[int, bytes]) -> list[str]:
    """Compare records as they were sent, by id, with what the service gives now; every difference names its record.

    Raises `Unreadable`.
    """
    stored = service.records(list(sent), client)
    # The same bytes in the same order are the same records, and most often they are the same bytes.
    written = b"".join(sent.values())
    if stored == written or stored == _without_spaces(written):
        return []
    acknowledged = {record_id: _normal(record_id, line) for record_id, line in sent.items()}
    return list(_differences(service.name, acknowledged, _by_id(service, stored)))


def _without_spaces(lines: bytes) -> bytes:
    """Return JSON without the spaces that are often written after its colons and commas, where that is certain."""
    # Without a backslash no string holds a quotation mark. So what follows a word and a mark is a field's colon, and
    # what precedes a mark is a comma between fields, or the end of a text, which is trimmed anyway.
    if b"\\" in lines:
        return lines
    return _COLON.sub(b'":', lines).replace(b', "', b',"')


def _normal(record_id: int, line: bytes) -> dict[str, Any] | None:
    """Return the record as a service keeps it: text is trimmed. What is none can't have been stored."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    trimmed = {name: value.strip() if isinstance(value, str) else value for name, value in record.items()}
    return {**trimmed, "id": record_id}


def _by_id(service: Service, lines: bytes) -> dict[int, Any]:
    try:
        return {record["id"]: record for record in map(json.loads, lines.splitlines())}
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise Unreadable(f"{service.name} can't be read back: it gives no records by id") from error


def _differences(service: str, acknowledged: Mapping[int, Any], stored: Mapping[int, Any]) -> Iterator[str]:
    for record_id, record in acknowledged.items():
        if record is None or stored.get(record_id) != record:
            state = "stored otherwise" if record_id in stored else "gone"
            yield f"{service} {record_id} was acknowledged, but is {state}"
