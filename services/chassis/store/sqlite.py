"""The SQLite store: one connection writes, on a thread of its own."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from decimal import Decimal
from itertools import chain
from operator import itemgetter
from typing import Any, TypeVar

from pydantic_core import from_json, to_json

from services.chassis.errors import CannotStart, OutcomeUnknown, StoreUnavailable
from services.chassis.store import MAX_ID, Inserted, Record, Row
from services.chassis.store.decision import Found, decide, with_ids
from services.chassis.store.sqlite_errors import is_beyond_repair, refusal_of
from services.chassis.store.sqlite_files import SqliteFiles, connect
from services.chassis.store.sqlite_holders import SqliteHolders
from services.chassis.store.sqlite_reads import SqliteReads
from services.chassis.store.sqlite_schema import prepare
from services.chassis.store.worker import Worker

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)

# How many rows of a large batch go into one statement: with four columns, SQLite takes no more than 8,191.
BLOCK = 1_000


class _Held(Exception):
    """A record of the batch has values that another holds, which may be one of the same batch."""


class SqliteStore(SqliteReads):
    """One table in one SQLite file, which this process alone may write."""

    def __init__(self, path: str, table: str, columns: Mapping[str, type], unique: Sequence[str] = ()) -> None:
        """Describe the store; nothing is opened before `open`. Table and columns are the service's own, never input."""
        super().__init__(path, table, columns)
        self._holders = SqliteHolders(table, unique)
        self._files = SqliteFiles(self._path)
        self._values_of = _values_getter(columns)
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        # A single row and a full block have a statement of their own, prepared once. A batch of any other size goes in
        # as JSON: that takes twice as long, but is one statement too. Python's global lock is let go and taken back
        # once for each statement, and the event loop wants it as well.
        self._values_sql = {
            rows: f"INSERT INTO {table} ({names}) VALUES {', '.join([f'({marks})'] * rows)}" for rows in (1, BLOCK)
        }
        # Rows as arrays: SQLite finds a value by its position in half the time that it takes to find it by its name.
        values = ", ".join(f"value ->> {position}" for position in range(len(columns)))
        self._json_sql = f"INSERT INTO {table} ({names}) SELECT {values} FROM json_each(?)"
        self._held_sql = (
            f"SELECT json_group_array(json_array({names})) FROM {table} WHERE id IN (SELECT value FROM json_each(?))"
        )
        self._greatest_sql = f"SELECT coalesce(max(id), 0) FROM {table}"
        self._greatest_id = 0
        self._worker = Worker(f"{table}-writer")
        self._broken = ""

    async def open(self) -> None:
        """Make or open the file; raise `CannotStart` where it is not ours, not sound, or in use."""
        self._worker.start()
        try:
            await self._worker.do(self._open)
        except BaseException:
            await self._worker.close()
            raise

    def _open(self) -> None:
        try:
            self._files.take_ownership()
            self._writer = connect(self._path, "rwc")
            prepare(self._writer, self._table, self._columns, self._holders)
            self._try_to_write()
            (self._greatest_id,) = self._writer.execute(self._greatest_sql).fetchone()
            self._files.remember()
        except (OSError, sqlite3.Error) as error:
            raise CannotStart(f"{self._path} can't be used: {error}.") from error

    async def close(self) -> None:
        """Finish what was begun, and let the file go."""
        await asyncio.to_thread(self._reader_threads.shutdown)
        await self._worker.do(self._writer.close)
        await self._worker.close()
        self._files.let_go()

    async def check(self) -> None:
        """Raise `StoreUnavailable` where records could not be stored now."""
        await self._write(self._try_to_write)

    def _try_to_write(self) -> None:
        with self._transaction():
            pass

    async def insert(self, records: Sequence[Record]) -> Inserted:
        """Insert all records in one transaction; see `Store.insert`."""
        return await self._write(lambda: self._insert(records))

    async def _write(self, do: Callable[[], Answer]) -> Answer:
        """Return what was done on the writer's thread, once it is certain that a restart would find it."""
        done = await self._worker.do(lambda: self._guarded(do))
        try:
            self._files.raise_if_changed()
        except StoreUnavailable as error:
            raise self._given_up(error.detail) from error
        return done

    def _guarded(self, do: Callable[[], Answer]) -> Answer:
        if self._broken:
            raise StoreUnavailable(self._broken)
        try:
            return do()
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorname", type(error).__name__)
            _log.warning("nothing was acknowledged", extra={"fields": {"table": self._table, "why": code}})
            if is_beyond_repair(error):
                # After a failed sync nobody knows what is on the disk, so nothing is acknowledged until a restart.
                raise self._given_up("The database failed; the service must be restarted.") from error
            raise refusal_of(error) from error

    def _given_up(self, why: str) -> OutcomeUnknown:
        """Write nothing from now on; return what those are told who had their records in the last transaction."""
        if not self._broken:
            _log.error("the store gave up", extra={"fields": {"table": self._table, "why": why}})
        self._broken = why
        return OutcomeUnknown(why)

    def _insert(self, records: Sequence[Record]) -> Inserted:
        rows, ids = with_ids(records, self._greatest_id)
        greatest = max(ids, default=0)
        if greatest <= MAX_ID:
            try:
                self._add_all_or_none(rows)
            except (sqlite3.IntegrityError, _Held):
                # An id is taken, or a value held, so nothing was added; which records are new has to be known first.
                pass
            else:
                self._greatest_id = max(self._greatest_id, greatest)
                return Inserted(ids, {})
        return self._insert_where_free(records)

    def _add_all_or_none(self, rows: Sequence[Record]) -> None:
        # A statement by itself is a transaction.
        with self._transaction() if len(rows) > BLOCK or self._holders else nullcontext():
            if self._holders:
                self._raise_if_held(rows)
            self._add(rows)

    def _raise_if_held(self, rows: Sequence[Record]) -> None:
        values = self._holders.values_of(rows)
        if len(set(values)) < len(values) or self._holders.find(self._writer, values):
            raise _Held

    def _insert_where_free(self, records: Sequence[Record]) -> Inserted:
        with self._transaction():
            (greatest,) = self._writer.execute(self._greatest_sql).fetchone()
            values = self._holders.values_of(records)
            held = self._held([record["id"] for record in records if "id" in record])
            free, inserted = decide(records, values, Found(greatest, held, self._holders.find(self._writer, values)))
            self._add(free)
        self._greatest_id = max(greatest, *(row["id"] for row in free), 0)
        return inserted

    def _add(self, rows: Sequence[Record]) -> None:
        """Insert rows whose ids are free; raise `sqlite3.IntegrityError` where one is not."""
        for first in range(0, len(rows), BLOCK):
            block = rows[first : first + BLOCK]
            values = map(self._values_of, block)
            if sql := self._values_sql.get(len(block)):
                self._writer.execute(sql, list(chain.from_iterable(values)))
            else:
                self._writer.execute(self._json_sql, (to_json(list(values)).decode(),))

    def _held(self, ids: Sequence[int]) -> dict[int, Row]:
        """Return the stored records that have these ids."""
        (held,) = self._writer.execute(self._held_sql, (to_json(ids).decode(),)).fetchone()
        return {values[0]: self._row(values) for values in from_json(held)}

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit on leaving; the commit has been synced to the disk when it returns (synchronous=FULL)."""
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise


def _values_getter(columns: Mapping[str, type]) -> Callable[[Record], Sequence[Any]]:
    """Return what gives a record's values in the order of the columns, as SQLite takes them."""
    values_of: Callable[[Record], Sequence[Any]] = itemgetter(*columns)
    if Decimal in columns.values():
        return lambda record: [str(value) if isinstance(value, Decimal) else value for value in values_of(record)]
    return values_of
