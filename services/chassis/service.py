"""One service: what it is made of, and what it does with a record."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext

from services.chassis.batcher import Batcher
from services.chassis.bodies import Parser, Refused
from services.chassis.errors import IdTaken, NoIdLeft, Reason, UnknownReference
from services.chassis.metrics import Metrics
from services.chassis.resource import Check, Resource
from services.chassis.settings import Settings
from services.chassis.store import Outcome, Record, Stored, make_store


class Service:
    """The parts of one service; they are opened and closed together by `running`."""

    def __init__(self, resource: Resource, settings: Settings) -> None:
        """Put the parts together; nothing is opened or started."""
        self.resource = resource
        self.settings = settings
        self.metrics = Metrics()
        self.parser: Parser[Record] = Parser(resource.record)
        self.stored_example = {"id": 1, **resource.example}
        # Whole numbers are kept as such, everything else as text: nothing is rounded.
        columns = {name: int if field["type"] == "integer" else str for name, field in self.parser.fields.items()}
        self.store = make_store(settings.database_url, resource.name, columns)
        # One writer for each database: concurrent inserts share its transactions (group commit).
        self.inserts: Batcher[Record, Stored] = Batcher(
            self.store.insert, max_batch=settings.max_batch, max_waiting=settings.max_waiting
        )
        self._check: Check = _nothing_to_check

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open everything; on leaving, finish what was begun and close it.

        Raises:
            CannotStart: the database can't be used.
        """
        await self.store.open()
        try:
            open_check = self.resource.open_check or _no_check
            async with open_check() as self._check:
                yield
        finally:
            await self.inserts.close()
            await self.store.close()

    async def insert(self, record: Record) -> Stored:
        """Return CREATED or UNCHANGED, and the id, once the record is on disk.

        Raises:
            UnknownReference: what it refers to does not exist; carries every reason.
            IdTaken, NoIdLeft: there is no place for it.
            Unavailable, StorageFull: it could not be checked or stored.
        """
        (reasons,) = await self._check([record])
        if reasons:
            raise _unknown(reasons)
        stored = await self.inserts.submit(record)
        if refusal := _refusal(stored):
            raise refusal
        return stored

    async def insert_many(self, rows: Sequence[Record | Refused]) -> list[Stored | Refused]:
        """Return what became of each row, in order, once those that are stored are on disk; the refused ones stay so.

        Raises:
            Unavailable, StorageFull: they could not all be checked, or not be stored; none of them is stored.
        """
        checked = await self._without_unknown_references(rows)
        records = [row for row in checked if not isinstance(row, Refused)]
        # They are a batch already, and take their turn with the batches of single inserts.
        stored = iter(await self.store.insert(records) if records else [])
        outcomes = [row if isinstance(row, Refused) else next(stored) for row in checked]
        return [outcome if isinstance(outcome, Refused) else _refused_or_stored(outcome) for outcome in outcomes]

    async def _without_unknown_references(self, rows: Sequence[Record | Refused]) -> Sequence[Record | Refused]:
        """Return the rows with those refused whose references do not exist."""
        records = [row for row in rows if not isinstance(row, Refused)]
        reasons = iter(await self._check(records) if records else [])
        checked: list[Record | Refused] = []
        for row in rows:
            unknown = [] if isinstance(row, Refused) else next(reasons)
            checked.append(Refused(row.get("id"), _unknown(unknown)) if unknown else row)  # type: ignore[union-attr]
        return checked


def _unknown(reasons: Sequence[Reason]) -> UnknownReference:
    return UnknownReference("What the record refers to does not exist.", reasons)


def _refusal(stored: Stored) -> IdTaken | NoIdLeft | None:
    """Return why the store did not take a record, or None where it did."""
    if stored.outcome is Outcome.CONFLICT:
        return IdTaken("Another record is stored under this id.", [Reason("id", "id is taken by another record")])
    if stored.outcome is Outcome.NO_ID_LEFT:
        return NoIdLeft("The greatest id is taken; send the record with an id of its own.")
    return None


def _refused_or_stored(stored: Stored) -> Stored | Refused:
    refusal = _refusal(stored)
    return Refused(stored.id, refusal) if refusal else stored


def _no_check() -> nullcontext[Check]:
    return nullcontext(_nothing_to_check)


async def _nothing_to_check(records: Sequence[Record]) -> list[list[Reason]]:
    return [[] for _ in records]
