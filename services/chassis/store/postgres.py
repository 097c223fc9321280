"""The PostgreSQL store: one session writes, on a thread of its own; any number of replicas may do so."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import psycopg

from services.chassis.errors import CannotStart, OutcomeUnknown, StoreUnavailable
from services.chassis.store import Inserted, Record
from services.chassis.store.decision import Decided
from services.chassis.store.postgres_connection import WRITING, Connection
from services.chassis.store.postgres_errors import name_of, refusal_of
from services.chassis.store.postgres_holders import PostgresHolders
from services.chassis.store.postgres_insert import InDoubt, Insertion
from services.chassis.store.postgres_reads import PostgresReads
from services.chassis.store.postgres_schema import prepare
from services.chassis.store.postgres_table import PostgresTable
from services.chassis.store.worker import Worker

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)

# A server that has said nothing for so long is taken for gone.
_COMMIT_PATIENCE_S = 5.0
# How often a batch is begun anew after a commit that was not made; by then its senders have lost their patience.
_COMMITS = 5


class PostgresStore(PostgresReads):
    """One table in a database that others may write too: replicas of the same service."""

    def __init__(self, url: str, table: str, columns: Mapping[str, type], unique: Sequence[str] = ()) -> None:
        """Describe the store; nothing is opened before `open`. Table and columns are the service's own, never input."""
        super().__init__(url, table, columns)
        self._rows = PostgresTable(table, columns)
        self._holders = PostgresHolders(table, columns, unique)
        self._writer = self._new_session(WRITING, _COMMIT_PATIENCE_S)
        self._worker = Worker(f"{table}-writer")
        # Most often all ids of a batch are free, or it is one of many that are sent once more.
        self._ids_were_taken = False

    async def open(self) -> None:
        """Connect and make the table; raise `CannotStart` where that fails, or where the server may lose records."""
        self._worker.start()
        try:
            await self._worker.do(self._open)
        except BaseException:
            await self._close_writer()
            raise
        self._start_watching()

    def _open(self) -> None:
        try:
            self._writer.run(self._prepare)
        except (psycopg.Error, StoreUnavailable) as error:
            # What was not reached says why; no message of the driver's has the password.
            why = str(error.__cause__ or error).strip().replace("\n", " ")
            raise CannotStart(f"The database can't be used: {why}.") from error

    def _prepare(self, db: Connection) -> None:
        prepare(db, self._table, self._columns)
        self._holders.prepare(db)
        self._rows.add_nothing(db)

    async def close(self) -> None:
        """Finish what was begun, and let the server go."""
        await self._close_writer()
        await self._close_reads()

    async def _close_writer(self) -> None:
        await self._worker.do(self._writer.close)
        await self._worker.close()

    async def check(self) -> None:
        """Raise `StoreUnavailable` where records could not be stored now."""
        await self._worker.do(lambda: self._guarded(lambda: self._writer.run(self._rows.add_nothing)))

    async def insert(self, records: Sequence[Record]) -> Inserted:
        """Insert all records in one transaction; see `Store.insert`."""
        return await self._worker.do(lambda: self._guarded(lambda: self._insert(records)))

    def _insert(self, records: Sequence[Record]) -> Inserted:
        insertion = Insertion(self._rows, self._holders, records, looks_first=self._ids_were_taken)
        for _ in range(_COMMITS):
            try:
                inserted = self._writer.run(insertion.attempt)
            except InDoubt as doubt:
                if not self._was_committed(insertion, doubt.decided):
                    continue
                inserted = doubt.decided.inserted
            self._ids_were_taken = bool(inserted.others)
            return inserted
        raise StoreUnavailable("The database did not commit; nothing was stored.")

    def _was_committed(self, insertion: Insertion, decided: Decided) -> bool:
        """Tell what became of a commit that is in doubt; raise `OutcomeUnknown` where nobody can say."""
        try:
            was_committed = self._writer.run(partial(insertion.was_committed, decided=decided), patient=True)
        except (psycopg.Error, StoreUnavailable, CannotStart) as error:
            raise OutcomeUnknown("The answer to a commit was lost; the record may be stored.") from error
        if was_committed and insertion.chose_ids:
            raise OutcomeUnknown("The answer to a commit was lost; a record without an id may be stored.")
        return was_committed

    def _guarded(self, do: Callable[[], Answer]) -> Answer:
        try:
            return do()
        except (psycopg.Error, StoreUnavailable, CannotStart) as error:
            why = name_of(error) if isinstance(error, psycopg.Error) else error.detail
            _log.warning("nothing was acknowledged", extra={"fields": {"table": self._table, "why": why}})
            raise refusal_of(error) from error
