"""The read-back: what the services now really hold, compared with what they acknowledged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from client.records import Result
from client.services import Service, Unreadable

# The most records that the services give in one page.
_PAGE = 1_000


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
    try:
        stored = {row["id"]: row for row in _rows(service, sorted(acknowledged))}
        count = service.count()
    except Unreadable as error:
        return Held(service.name, None, [str(error)])
    differences = [
        f"{service.name} {record_id} was acknowledged, but is {'stored otherwise' if record_id in stored else 'gone'}"
        for record_id, record in acknowledged.items()
        if stored.get(record_id) != record
    ]
    return Held(service.name, count, differences)


def _rows(service: Service, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield the stored records from the first to the last of the ids, leaping over long stretches between them."""
    at = 0
    while at < len(ids):
        page = service.page(after=ids[at] - 1, limit=min(_PAGE, len(ids) - at))
        yield from page
        reached = page[-1]["id"] if page else ids[-1]
        while at < len(ids) and ids[at] <= reached:
            at += 1
