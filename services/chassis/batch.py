"""Many records in one request: stored while they arrive, each with its own outcome, and an answer that stays short."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Any

from services.chassis import problems
from services.chassis.bodies import Refused
from services.chassis.errors import BodyTooLarge, InvalidRecord, MalformedBody, ServiceError
from services.chassis.resource import Unknown
from services.chassis.rows import Rows
from services.chassis.service import Service, Stored, unknown_reference
from services.chassis.store import Inserted, Outcome

# What was refused of a chunk, by position, and what will have become of its other rows, which are let go.
_Begun = tuple[Mapping[int, Refused], "asyncio.Future[Stored]"]
# Why the store did not take a record, if it did not; the number is the id that holds the same values.
_RefusalOf = Callable[[Outcome, int | None], ServiceError | None]

# The most rows that an answer lists; it says how many more there are.
MOST_LISTED = 10_000

_COUNT = {"type": "integer", "minimum": 0}
REPORT_SCHEMA: dict[str, Any] = {
    "title": "Report",
    "type": "object",
    "required": ["received", "created", "unchanged", "rejected", "results", "results_omitted"],
    "properties": {
        **dict.fromkeys(("received", "created", "unchanged", "rejected"), _COUNT),
        "results": {
            "type": "array",
            "maxItems": MOST_LISTED,
            "items": {
                "type": "object",
                "required": ["index", "id", "outcome", "problem"],
                "properties": {
                    "index": {**_COUNT, "description": "The row's place in the body, from 0."},
                    "id": {"type": ["integer", "null"], "description": "Its id, where it has one."},
                    "outcome": {"enum": ["created", "unchanged", "rejected"]},
                    "problem": {"anyOf": [problems.SCHEMA, {"type": "null"}]},
                },
            },
        },
        "results_omitted": {**_COUNT, "description": "How many more rows would have been listed."},
    },
}


class Report:
    """What became of a batch so far."""

    def __init__(self, *, list_all: bool, refusals: Counter[str], refusal_of: _RefusalOf) -> None:
        """Start with nothing received; every row is to be listed, or only those that are not stored.

        Refusals are counted by the names of their problems; what the store did not take, `refusal_of` says why.
        """
        self._list_all = list_all
        self._refusals = refusals
        self._refusal_of = refusal_of
        self._unchanged = 0
        self._rejected = 0
        self._results: list[dict[str, Any]] = []
        self._omitted = 0
        self.received = 0

    def add(self, refused: Mapping[int, Refused], inserted: Inserted) -> None:
        """Add the next rows of the body: those that were refused, by position, and what became of the others."""
        first, received = self.received, len(refused) + len(inserted.ids)
        self.received += received
        if not (refused or inserted.others or self._list_all):
            return
        stored = enumerate(inserted.ids)
        for position in range(received):
            if row := refused.get(position):
                self._add_refused(first + position, row)
                continue
            place, record_id = next(stored)
            outcome = inserted.others.get(place, "created")
            if refusal := self._refusal_of(outcome, inserted.holders.get(place)):
                # One that it was not sent with, and that was not given, is none.
                self._add_refused(first + position, Refused(record_id or None, refusal))
                continue
            self._unchanged += outcome == "unchanged"
            if self._list_all:
                self._list(first + position, record_id, outcome, None)

    def _add_refused(self, index: int, refused: Refused) -> None:
        self._rejected += 1
        self._refusals[problems.kind_of(type(refused.error)).slug] += 1
        # What is not listed need not be described.
        problem = problems.described(refused.error) if len(self._results) < MOST_LISTED else None
        self._list(index, refused.id, "rejected", problem)

    def _list(self, index: int, record_id: int | None, outcome: str, problem: dict[str, Any] | None) -> None:
        if len(self._results) < MOST_LISTED:
            self._results.append({"index": index, "id": record_id, "outcome": outcome, "problem": problem})
        else:
            self._omitted += 1

    def answer(self) -> tuple[HTTPStatus, dict[str, Any]]:
        """Return the status and the body of the answer."""
        created = self.received - self._unchanged - self._rejected
        if self._rejected:
            status = HTTPStatus.MULTI_STATUS
        else:
            status = HTTPStatus.CREATED if created == self.received > 0 else HTTPStatus.OK
        return status, {
            "received": self.received,
            "created": created,
            "unchanged": self._unchanged,
            "rejected": self._rejected,
            "results": self._results,
            "results_omitted": self._omitted,
        }


async def store_all(chunks: AsyncIterator[Rows], service: Service, report: Report) -> None:
    """Store the rows while they arrive: some chunks are committed while the next is read and validated.

    Where the body can't be read to its end, what came before is stored all the same, and the report says from where on.

    Raises:
        MalformedBody, InvalidRecord, BodyTooLarge: nothing of the body could be read.
        Unavailable, StorageFull: not all could be stored; what was, is.
    """
    waiting: deque[_Begun] = deque()
    broken: Refused | None = None
    try:
        async for rows in chunks:
            waiting.append(await _begun(rows, service))
            # Other requests have their turn between two chunks.
            await asyncio.sleep(0)
            while waiting and waiting[0][1].done():
                _settle(waiting, report)
    except (MalformedBody, InvalidRecord, BodyTooLarge) as error:
        broken = Refused(None, error)
    finally:
        # What is being committed when the sender goes away is committed all the same.
        await asyncio.gather(*(inserted for _, inserted in waiting), return_exceptions=True)
    while waiting:
        _settle(waiting, report)
    if broken and not report.received:
        raise broken.error
    if broken:
        report.add({0: broken}, Inserted([], {}))


async def _begun(rows: Rows, service: Service) -> "_Begun":
    """Begin to store the rows whose references exist; return the others, and what will have become of these."""
    try:
        known = _without_unknown(rows, await service.check(rows.records))
        inserted = service.insert_many(known.records)
    except BaseException:
        service.room.release()
        raise
    inserted.add_done_callback(lambda _: service.room.release())
    return known.refused, inserted


def _settle(waiting: "deque[_Begun]", report: Report) -> None:
    refused, stored = waiting.popleft()
    report.add(refused, stored.result().inserted)


def _without_unknown(rows: Rows, unknown: Unknown) -> Rows:
    """Return the rows with those refused whose references do not exist."""
    if not unknown:
        return rows
    places = [place for place in range(rows.received) if place not in rows.refused]
    refused = {
        places[position]: Refused(rows.records[position].get("id"), unknown_reference(reasons))
        for position, reasons in unknown.items()
    }
    known = [record for position, record in enumerate(rows.records) if position not in unknown]
    return Rows(known, {**rows.refused, **refused})
