"""The SQLite store: one connection writes, on a thread of its own; readers open the file read-only."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import from_json, to_json

from services.chassis.errors import CannotStart, StorageFull, StoreUnavailable
from services.chassis.store import MAX_ID, Outcome, Record, Row, Stored
from services.chassis.store.sqlite_schema import prepare

Answer = TypeVar("Answer")

# How long a statement waits for a lock that another process holds before it gives up.
BUSY_TIMEOUT_S = 2.0
READER_THREADS = 4
# A file that has reached a limit can't be written either, and can again when the limit is gone.
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}
_BEYOND_REPAIR = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class SqliteStore:
    """One table in one SQLite file, which this process alone may write."""

    def __init__(self, path: str, table: str, columns: Mapping[str, type]) -> None:
        """Describe the store; nothing is opened before `open`. Table and columns are the service's own, never input."""
        # One name for each file, whatever links lead to it, so that it has one lock.
        self._path = Path(path).resolve()
        self._table = table
        self._columns = columns
        self._names = ", ".join(columns)
        # Rows as arrays: SQLite finds a value by its position in half the time that it takes to find it by its name.
        self._values_of = itemgetter(*columns)
        values = ", ".join(f"value ->> {position}" for position in range(len(columns)))
        # One statement for a whole batch, and no row comes back from any: Python's global lock is let go and taken back
        # once, and not once for each row, while the event loop wants it too.
        # WHERE true keeps SQLite from reading ON CONFLICT as part of a join (sqlite.org/lang_upsert.html, 2.2).
        self._insert_sql = (
            f"INSERT INTO {table} ({self._names}) SELECT {values} FROM json_each(?) WHERE true"
            " ON CONFLICT (id) DO NOTHING"
        )
        self._held_sql = (
            f"SELECT json_group_array(json_array({self._names})) FROM {table}"
            " WHERE id IN (SELECT value FROM json_each(?))"
        )
        self._select_sql = f"SELECT {self._names} FROM {table}"
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix=f"{table}-writer")
        self._reader_threads = ThreadPoolExecutor(READER_THREADS, thread_name_prefix=f"{table}-reader")
        self._broken = ""
        self._files: dict[str, int] = {}

    async def open(self) -> None:
        """Make or open the file; raise `CannotStart` where it is not ours, not sound, or in use."""
        await self._on(self._writer_thread, self._open)

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self._take_ownership()
            self._writer = self._connect("rwc")
            prepare(self._writer, self._table, self._columns)
            self._try_to_write()
            self._raise_if_files_changed()
        except (OSError, sqlite3.Error) as error:
            raise CannotStart(f"{self._path} can't be used: {error}.") from error

    def _take_ownership(self) -> sqlite3.Connection:
        """Lock a file beside the database for as long as this process lives, so that no second owner starts."""
        lock = sqlite3.connect(
            f"{self._path}.lock", timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            lock.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise CannotStart(f"{self._path} belongs to another running service.") from error
        return lock

    def _connect(self, mode: str) -> sqlite3.Connection:
        db = sqlite3.connect(
            f"{self._path.as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        # What a large statement may have to take back is kept in memory: there may be no folder for temporary files
        # that can be written, and one that is full is no reason to call the database's own disk full.
        db.execute("PRAGMA temp_store = MEMORY")
        return db

    async def close(self) -> None:
        """Finish what was begun, and let the file go."""
        await asyncio.to_thread(self._reader_threads.shutdown)
        await self._on(self._writer_thread, self._close)
        self._writer_thread.shutdown()

    def _close(self) -> None:
        self._writer.close()
        self._lock.close()

    async def insert(self, records: Sequence[Record]) -> list[Stored]:
        """Insert all records in one transaction; see `Store.insert`."""
        return await self._on(self._writer_thread, lambda: self._insert(records))

    def _insert(self, records: Sequence[Record]) -> list[Stored]:
        self._raise_if_broken()
        with self._transaction() as db:
            rows = self._with_ids(db, records)
            if self._add(db, rows) == len(rows):
                return [Stored(Outcome.CREATED, row["id"]) for row in rows]
            # Some were there before, so which they are has to be known before anything is added.
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            outcomes = self._outcomes(rows, self._held(db, rows))
            self._add(
                db, [row for row, stored in zip(rows, outcomes, strict=True) if stored.outcome is Outcome.CREATED]
            )
            return outcomes

    def _add(self, db: sqlite3.Connection, rows: Sequence[Record]) -> int:
        """Insert the rows whose ids are free, and return how many those were."""
        storable = [self._values_of(row) for row in rows if row["id"] <= MAX_ID]
        return db.execute(self._insert_sql, (to_json(storable).decode(),)).rowcount

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit on leaving; the commit has been synced to the disk when it returns (synchronous=FULL)."""
        with self._translated(writing=True):
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
                self._raise_if_files_changed()
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def _raise_if_files_changed(self) -> None:
        """Refuse to acknowledge what went into a file that nobody will find again, since its name is gone."""
        for suffix in ("", "-wal", ".lock"):
            try:
                inode = Path(f"{self._path}{suffix}").stat().st_ino
            except FileNotFoundError:
                inode = 0
            if not inode or self._files.setdefault(suffix, inode) != inode:
                self._broken = "The database's files were taken away; the service must be restarted."
                raise StoreUnavailable(self._broken)

    def _with_ids(self, db: sqlite3.Connection, records: Sequence[Record]) -> list[Record]:
        """Give the next ids to the records that have none; the result may pass MAX_ID."""
        if all("id" in record for record in records):
            return list(records)
        (greatest,) = db.execute(f"SELECT coalesce(max(id), 0) FROM {self._table}").fetchone()
        greatest = max(greatest, *(record.get("id", 0) for record in records), 0)
        rows: list[Record] = []
        for record in records:
            if "id" not in record:
                greatest += 1
                record = {"id": greatest, **record}  # noqa: PLW2901 - the record as it is stored
            rows.append(record)
        return rows

    def _held(self, db: sqlite3.Connection, rows: Sequence[Record]) -> dict[int, Row]:
        """Return the stored records that have the ids of these."""
        ids = to_json([row["id"] for row in rows if row["id"] <= MAX_ID]).decode()
        (held,) = db.execute(self._held_sql, (ids,)).fetchone()
        return {values[0]: self._row(values) for values in from_json(held)}

    def _outcomes(self, rows: Sequence[Record], held: dict[int, Row]) -> list[Stored]:
        """Tell the rows apart; of those that share an id in one batch, the first is the one that is created."""
        outcomes = []
        for row in rows:
            if row["id"] > MAX_ID:
                outcome = Outcome.NO_ID_LEFT
            elif row["id"] not in held:
                held[row["id"]] = _as_stored(row)
                outcome = Outcome.CREATED
            else:
                outcome = Outcome.UNCHANGED if _as_stored(row) == held[row["id"]] else Outcome.CONFLICT
            outcomes.append(Stored(outcome, row["id"]))
        return outcomes

    async def get(self, record_id: int) -> Row | None:
        """Return the record with that id."""
        rows = await self._read(f"{self._select_sql} WHERE id = ?", (record_id,))
        return self._row(rows[0]) if rows else None

    async def page(self, after: int, limit: int, equal: Mapping[str, Any]) -> list[Row]:
        """Return up to `limit` records with an id above `after` and those values, by id."""
        conditions = "".join(f" AND {name} = :{name}" for name in equal)
        rows = await self._read(
            f"{self._select_sql} WHERE id > :after{conditions} ORDER BY id LIMIT :limit",
            {**_as_stored(equal), "after": after, "limit": limit},
        )
        return [self._row(values) for values in rows]

    async def missing(self, ids: Sequence[int]) -> list[int]:
        """Return those of the ids that no record has, ascending, each once."""
        sql = (
            f"SELECT DISTINCT value FROM json_each(?) WHERE value NOT IN (SELECT id FROM {self._table}) ORDER BY value"
        )
        return [row_id for (row_id,) in await self._read(sql, (to_json(list(ids)).decode(),))]

    async def count(self) -> int:
        """Return how many records there are."""
        ((count,),) = await self._read(f"SELECT count(*) FROM {self._table}", ())
        return int(count)

    async def check(self) -> None:
        """Raise `StoreUnavailable` where records could not be stored now."""
        await self._on(self._writer_thread, self._try_to_write)

    def _try_to_write(self) -> None:
        self._raise_if_broken()
        with self._translated(writing=True):
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.execute("ROLLBACK")

    async def _read(self, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return await self._on(self._reader_threads, lambda: self._fetch(sql, values))

    def _fetch(self, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        # A connection for each read: no state to share between threads, and a read always sees the newest commit.
        with self._translated(writing=False), closing(self._connect("ro")) as db:
            return db.execute(sql, values).fetchall()

    def _row(self, values: Sequence[Any]) -> Row:
        return dict(zip(self._columns, values, strict=True))

    def _raise_if_broken(self) -> None:
        if self._broken:
            raise StoreUnavailable(self._broken)

    @contextmanager
    def _translated(self, *, writing: bool) -> Iterator[None]:
        """Turn SQLite's result codes (sqlite.org/rescode.html) into this service's errors."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
            if code in _NO_ROOM:
                raise StorageFull("There is no room left to store records.") from error
            # The low byte is the primary code; what lies above it says more of the cause.
            if writing and code & 0xFF in _BEYOND_REPAIR:
                # After a failed sync nobody knows what is on the disk, so nothing is acknowledged until a restart.
                self._broken = "The database failed; the service must be restarted."
            raise StoreUnavailable(self._broken or "The database can't be used just now.") from error

    @staticmethod
    async def _on(threads: ThreadPoolExecutor, do: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(threads, do)


def _as_stored(record: Record) -> Row:
    """Return the record with the values that SQLite gives back: whole numbers, and text for everything else."""
    return {name: value if isinstance(value, int) else str(value) for name, value in record.items()}
