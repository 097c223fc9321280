"""One service: what it is made of, and what it does with a record."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from decimal import Decimal
from itertools import accumulate, chain, count
from time import perf_counter
from typing import NamedTuple

from services.chassis import timing
from services.chassis.batcher import Batcher
from services.chassis.bodies import Parser
from services.chassis.errors import CannotStart, Duplicate, IdTaken, NoIdLeft, Reason, ServiceError, UnknownReference
from services.chassis.metrics import Metrics
from services.chassis.resource import Check, Resource, Unknown
from services.chassis.settings import Settings
from services.chassis.store import Inserted, Outcome, Record, make_store

# What is kept of a field, by its JSON type: nothing is rounded.
_KINDS = {"integer": int, "number": Decimal, "string": str}

# Of 64 requests at a time, some are parsed while most are committed. If all were committed together, neither
# the event loop nor the disk would have anything to do while the other is busy.
_ENOUGH_TO_COMMIT = 48
# Enough for the next batch to be parsed while one is committed, and little enough to leave memory as it is.
_CHUNKS_ON_THEIR_WAY = 64


class Stored(NamedTuple):
    """What became of what one request brought, and the transaction that it may have shared with others."""

    inserted: Inserted
    commit: timing.Commit


class Service:
    """The parts of one service; they are opened and closed together by `running`."""

    def __init__(self, resource: Resource, settings: Settings) -> None:
        """Put the parts together; nothing is opened or started. Raise `CannotStart` where a setting makes no sense."""
        self.resource = resource
        self.settings = settings
        self.metrics = Metrics()
        self.parser: Parser[Record] = Parser(resource.record)
        self.stored_example = {"id": 1, **resource.example}
        columns = {name: _KINDS[field["type"]] for name, field in self.parser.fields.items()}
        self.unique = _existing(settings.unique or (), columns)
        self.store = make_store(settings.database_url, resource.name, columns, self.unique)
        # One writer for each database: whatever is inserted at the same time shares its transactions (group commit).
        self.inserts: Batcher[Sequence[Record], Stored] = Batcher(
            self._insert_groups,
            max_batch=settings.max_batch,
            max_waiting=settings.max_waiting,
            enough=_ENOUGH_TO_COMMIT,
            size_of=len,
        )
        self._commits = count(1)
        # What bulk bodies may have on its way to the disk, all of them together: what comes in faster has to wait.
        self.room = asyncio.Semaphore(_CHUNKS_ON_THEIR_WAY)
        self.check: Check = _nothing_to_check

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open everything; on leaving, finish what was begun and close it.

        Raises:
            CannotStart: the database can't be used.
        """
        await self.store.open()
        try:
            open_check = self.resource.open_check or _no_check
            async with open_check(self.settings, self.metrics) as self.check:
                yield
        finally:
            await self.inserts.close()
            await self.store.close()

    async def insert(self, record: Record) -> tuple[Outcome, int]:
        """Return that it was created, or is unchanged, and its id, once the record is on disk.

        Raises:
            UnknownReference: what it refers to does not exist; carries every reason.
            IdTaken, Duplicate, NoIdLeft: there is no place for it.
            Unavailable, StorageFull: it could not be checked or stored.
        """
        began_s = perf_counter()
        unknown = await self.check([record])
        checked_s = perf_counter()
        if self.resource.open_check:
            timing.note_check(checked_s - began_s)
        if unknown:
            raise unknown_reference(unknown[0])
        ((record_id,), others, holders), commit = await self.insert_many([record])
        timing.note_commit(checked_s, commit)
        outcome = others.get(0, "created")
        if refusal := self.refusal_of(outcome, holders.get(0)):
            raise refusal
        return outcome, record_id

    def insert_many(self, records: Sequence[Record]) -> "asyncio.Future[Stored]":
        """Return what will have become of each of the records, whose references were checked, once it is on disk.

        They are stored in the order of these calls. Raises `Overloaded` at once, and later whatever the store does.
        """
        return self.inserts.submit(records)

    async def _insert_groups(self, groups: Sequence[Sequence[Record]]) -> list[Stored]:
        """Insert in one transaction what several requests have brought; return to each its own part."""
        began_s = perf_counter()
        inserted = await self.store.insert(list(chain.from_iterable(groups)))
        took_s = perf_counter() - began_s
        self._count(len(inserted.ids), inserted.others, took_s)
        commit = timing.committed(next(self._commits), began_s, took_s)
        ends = accumulate(map(len, groups))
        return [Stored(_part(inserted, end - len(group), end), commit) for group, end in zip(groups, ends, strict=True)]

    def refusal_of(self, outcome: Outcome, holder: int | None) -> ServiceError | None:
        """Return why the store did not take a record, or None where it did."""
        if outcome == "conflict":
            return IdTaken("Another record is stored under this id.", [Reason("id", "id is taken by another record")])
        if outcome == "duplicate":
            who = f"{self.resource.noun} {holder}"
            fields, verb = " and ".join(self.unique), "is" if len(self.unique) == 1 else "are"
            return Duplicate(
                f"{who} holds the same.".capitalize(), [Reason(self.unique[0], f"{fields} {verb} held by {who}")]
            )
        if outcome == "no-id-left":
            return NoIdLeft("The greatest id is taken; send the record with an id of its own.")
        return None

    def _count(self, received: int, others: Mapping[int, Outcome], took_s: float) -> None:
        self.metrics.commit_s.observe(took_s)
        self.metrics.batch_records.observe(received)
        self.metrics.records["created"] += received - len(others)
        self.metrics.records.update(others.values())


def _part(inserted: Inserted, start: int, end: int) -> Inserted:
    ids, others, holders = inserted
    if not others:
        return Inserted(ids[start:end], {})
    return Inserted(
        ids[start:end],
        {place - start: others[place] for place in range(start, end) if place in others},
        {place - start: holders[place] for place in range(start, end) if place in holders},
    )


def unknown_reference(reasons: Sequence[Reason]) -> UnknownReference:
    """Return the refusal of a record whose references do not exist."""
    return UnknownReference("What the record refers to does not exist.", reasons)


def _existing(unique: Sequence[str], columns: Mapping[str, type]) -> Sequence[str]:
    if wrong := [name for name in unique if name == "id" or name not in columns]:
        fields = ", ".join(name for name in columns if name != "id")
        raise CannotStart(f"UNIQUE can't have {', '.join(wrong)}; the record's fields are {fields}.")
    return unique


def _no_check(_: Settings, __: Metrics) -> nullcontext[Check]:
    return nullcontext(_nothing_to_check)


async def _nothing_to_check(_: Sequence[Record]) -> Unknown:
    return {}
