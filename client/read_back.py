"""The read-back: what the services now really hold, compared with what they acknowledged."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import httpx

from client.records import Result
from client.services import Refused, Service, Unreadable

_COLON = re.compile(rb'(?<=\w)": ')
# The most records that are asked for at once.
_SHARE = 1_000
# Between two questions to a service that could not answer, or gave another answer than it should.
_PAUSE_S = 0.1
# What is not as it was acknowledged is looked at so often: an answer can be wrong, too.
_LOOKS = 10


@dataclass(frozen=True, slots=True)
class Held:
    """What one service holds: how many records (None where it did not say), and what is not as acknowledged."""

    service: str
    count: int | None
    differences: list[str]


def read_back(service: Service, results: Sequence[Result], give_up_after_s: float) -> Held:
    """Compare what the service acknowledged with what it gives now; every difference names its record."""
    records = [r.acknowledged for r in results if r.acknowledged and r.record.service == service.name]
    acknowledged: dict[int, dict[str, Any]] = {record["id"]: record for record in records}
    counts: list[int] = []

    def look() -> list[str]:
        differences = _look(service, acknowledged)
        counts.append(service.count())
        return differences

    differences = confirmed(look, give_up_after_s, Event())
    return Held(service.name, counts[-1] if counts else None, differences)


def confirmed(look: Callable[[], list[str]], give_up_after_s: float, stop: Event) -> list[str]:
    """Return the differences that `look` finds however often, or why it can't look for as long as that."""
    deadline_s = time.perf_counter() + give_up_after_s
    looks = 0
    while True:
        try:
            differences = look()
            looks += 1
        except Refused as error:
            return [str(error)]
        except Unreadable as error:
            differences = [str(error)]
            if time.perf_counter() > deadline_s:
                return differences
        if not differences or looks == _LOOKS or stop.wait(_PAUSE_S):
            return differences


def count_of(service: Service, give_up_after_s: float) -> tuple[int | None, list[str]]:
    """Return how many records the service holds, or nothing and why it does not say."""
    counts: list[int] = []

    def look() -> list[str]:
        counts.append(service.count())
        return []

    unreadable = confirmed(look, give_up_after_s, Event())
    return (counts[0] if counts else None), unreadable


def _look(service: Service, acknowledged: Mapping[int, dict[str, Any]]) -> list[str]:
    ids = sorted(acknowledged)
    stored: dict[int, Any] = {}
    for first in range(0, len(ids), _SHARE):
        stored |= _by_id(service, service.records(ids[first : first + _SHARE]))
    return list(_differences(service.name, acknowledged, stored))


def compare_batch(service: Service, client: httpx.Client, sent: Mapping[int, bytes]) -> list[str]:
    """Compare records as they were sent, by id, with what the service gives now; every difference names its record.

    Raises `Unreadable`.
    """
    ids = sorted(sent)
    stored = service.records(ids, client)
    # The same bytes in the same order are the same records, and most often they are the same bytes.
    written = b"".join(map(sent.__getitem__, ids))
    if stored == written or stored == _without_spaces(written):
        return []
    acknowledged = {record_id: normal(record_id, line) for record_id, line in sent.items()}
    return list(_differences(service.name, acknowledged, _by_id(service, stored)))


def _without_spaces(lines: bytes) -> bytes:
    """Return JSON without the spaces that are often written after its colons and commas, where that is certain."""
    # Without a backslash no string holds a quotation mark. So what follows a word and a mark is a field's colon, and
    # what precedes a mark is a comma between fields, or the end of a text, which is trimmed anyway.
    if b"\\" in lines:
        return lines
    return _COLON.sub(b'":', lines).replace(b', "', b',"')


def normal(record_id: int, line: bytes) -> dict[str, Any] | None:
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
