"""Many records in one request: stored while they arrive, each with its own outcome, and an answer that stays short."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Any

from services.chassis import problems
from services.chassis.bodies import Refused
from services.chassis.errors import BodyTooLarge, InvalidRecord, MalformedBody
from services.chassis.rows import Row
from services.chassis.service import Service
from services.chassis.store import Stored

# The most rows that an answer lists; it says how many more there are.
MOST_LISTED = 1_000

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

    def __init__(self, *, list_all: bool) -> None:
        """Start with nothing received; every row is to be listed, or only those that are not stored."""
        self._list_all = list_all
        self._counts: Counter[str] = Counter()
        self._results: list[dict[str, Any]] = []
        self._omitted = 0
        self.received = 0

    def add(self, outcomes: Sequence[Stored | Refused]) -> None:
        """Add what became of the next rows of the body."""
        first, self.received = self.received, self.received + len(outcomes)
        self._counts.update(
            outcome.outcome.value if isinstance(outcome, Stored) else "rejected" for outcome in outcomes
        )
        for index, outcome in enumerate(outcomes, start=first):
            if self._list_all or isinstance(outcome, Refused):
                self._list(index, outcome)

    def _list(self, index: int, outcome: Stored | Refused) -> None:
        if len(self._results) >= MOST_LISTED:
            self._omitted += 1
            return
        self._results.append({"index": index, "id": outcome.id, **_told(outcome)})

    def answer(self) -> tuple[HTTPStatus, dict[str, Any]]:
        """Return the status and the body of the answer."""
        counts = {name: self._counts[name] for name in ("created", "unchanged", "rejected")}
        if counts["rejected"]:
            status = HTTPStatus.MULTI_STATUS
        else:
            status = HTTPStatus.CREATED if counts["created"] == self.received > 0 else HTTPStatus.OK
        return status, {
            "received": self.received,
            **counts,
            "results": self._results,
            "results_omitted": self._omitted,
        }


def _told(outcome: Stored | Refused) -> dict[str, Any]:
    if isinstance(outcome, Refused):
        return {"outcome": "rejected", "problem": problems.described(outcome.error)}
    return {"outcome": outcome.outcome.value, "problem": None}


async def store_all(chunks: AsyncIterator[list[Row]], service: Service, report: Report) -> None:
    """Store the rows while they arrive: one chunk is committed while the next is read and validated.

    Where the body can't be read to its end, what came before is stored all the same, and the report says from where on.

    Raises:
        MalformedBody, InvalidRecord, BodyTooLarge: nothing of the body could be read.
        Unavailable, StorageFull: not all could be stored; what was, is.
    """
    committing: asyncio.Task[None] | None = None
    try:
        async for rows in chunks:
            if committing:
                await committing
            committing = asyncio.create_task(_store(rows, service, report))
    except (MalformedBody, InvalidRecord, BodyTooLarge) as error:
        if committing:
            await committing
        if not report.received:
            raise
        report.add([Refused(None, error)])
    finally:
        # What is being committed when the sender goes away is committed all the same.
        if committing:
            await committing


async def _store(rows: list[Row], service: Service, report: Report) -> None:
    report.add(await service.insert_many(rows))
