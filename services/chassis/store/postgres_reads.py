"""What is read from PostgreSQL: over sessions of their own, on a few threads."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from services.chassis.store import MAX_ID, Row
from services.chassis.store.blocks import BLOCK_ROWS, read_on
from services.chassis.store.decision import as_stored
from services.chassis.store.postgres_connection import READING, Connection, address_of
from services.chassis.store.postgres_errors import answerable
from services.chassis.store.postgres_session import Session
from services.chassis.store.postgres_table import bigint_array

Answer = TypeVar("Answer")

READER_THREADS = 4
# What reads much may take its time, as far as the server lets it; this is for one that does not answer.
_READ_PATIENCE_S = 35.0
_WATCH_EVERY_S = 1.0


class PostgresReads:
    """The reads of one table; each sees the newest commit."""

    def __init__(self, url: str, table: str, columns: Mapping[str, type]) -> None:
        """Describe the table; nothing is opened yet. Table and columns are the service's own, never input."""
        self._address = address_of(url)
        self._table = table
        self._columns = columns
        self._select_sql = f"SELECT {', '.join(columns)} FROM {table}"
        # The bytes that the SQLite store gives: no spaces, text escaped where it must be, amounts exactly as they are
        # kept. One row with everything, so that Python's global lock is taken back once and not for each record.
        members = " || ','".join(f" || '\"{name}\":' || {_json_of(name, kind)}" for name, kind in columns.items())
        self._line = f"'{{'{members} || E'}}\\n'"
        self._ndjson_sql = f"SELECT coalesce(string_agg({self._line}, '' ORDER BY id), '') FROM {table} WHERE id"
        self._reader_threads = ThreadPoolExecutor(READER_THREADS, thread_name_prefix=f"{table}-reader")
        self._sessions: list[Session] = []
        self._idle: list[Session] = []

    def _new_session(self, own: Mapping[str, str], patience_s: float) -> Session:
        session = Session(self._address, own, patience_s)
        self._sessions.append(session)
        return session

    def _start_watching(self) -> None:
        self._watch = asyncio.create_task(self._watch_sessions())

    async def _watch_sessions(self) -> None:
        """Cut what a server has left without an answer: it may have stopped, and the connection be well."""
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            for session in tuple(self._sessions):
                session.cut_if_stuck()

    async def _close_reads(self) -> None:
        # Nobody waits for what is still being read.
        for session in tuple(self._sessions):
            session.end()
        await asyncio.to_thread(self._reader_threads.shutdown)
        self._watch.cancel()
        for session in self._idle:
            session.close()

    async def get(self, record_id: int) -> Row | None:
        """Return the record with that id."""
        rows = await self._fetch(f"{self._select_sql} WHERE id = %b::bigint", (record_id,))
        return self._row(rows[0]) if rows else None

    async def page(self, after: int, limit: int, equal: Mapping[str, Any]) -> list[Row]:
        """Return up to `limit` records with an id above `after` and those values, by id."""
        sql = f"{self._select_sql} {_page_of(equal)}"
        return [self._row(values) for values in await self._fetch(sql, _values_of(after, limit, equal))]

    async def ndjson(self, ids: Sequence[int]) -> bytes:
        """Return the records with those ids, each a line of JSON, by id, each once."""
        wanted = sorted(set(ids))
        # Most often there is no gap between them: then the ends say as much, in less than two thirds of the time.
        if wanted and wanted[-1] - wanted[0] == len(wanted) - 1:
            found = self._fetch(f"{self._ndjson_sql} BETWEEN %b::bigint AND %b::bigint", (wanted[0], wanted[-1]))
        else:
            found = self._fetch(f"{self._ndjson_sql} = ANY(%t::bigint[])", (bigint_array(wanted),))
        ((lines,),) = await found
        return str(lines).encode()

    def export(self, after: int, limit: int | None, equal: Mapping[str, Any]) -> AsyncGenerator[bytes]:
        """Yield the records that `page` would return as lines of JSON, in blocks; see `Store.export`."""
        return read_on(self._reader_threads, self._blocks(after, MAX_ID if limit is None else limit, equal))

    def _blocks(self, after: int, limit: int, equal: Mapping[str, Any]) -> Generator[bytes]:
        sql = (
            f"SELECT string_agg({self._line}, '' ORDER BY id), max(id), count(*)"
            f" FROM ({self._select_sql} {_page_of(equal)}) AS page"
        )
        session = self._new_session(READING, _READ_PATIENCE_S)
        try:
            with answerable():
                # One transaction sees one snapshot, from its first read to its end.
                session.run(lambda db: db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
                while limit:
                    values = _values_of(after, min(limit, BLOCK_ROWS), equal)
                    ((lines, after, count),) = session.run_once(partial(_fetched, sql, values))
                    if not count:
                        return
                    yield lines.encode()
                    limit -= count
        finally:
            session.close()
            self._sessions.remove(session)

    async def missing(self, ids: Sequence[int]) -> list[int]:
        """Return those of the ids that no record has, ascending, each once."""
        sql = (
            f"SELECT DISTINCT wanted.id FROM unnest(%t::bigint[]) AS wanted(id)"
            f" WHERE NOT EXISTS (SELECT 1 FROM {self._table} WHERE {self._table}.id = wanted.id) ORDER BY wanted.id"
        )
        return [record_id for (record_id,) in await self._fetch(sql, (bigint_array(ids),))]

    async def count(self) -> int:
        """Return how many records there are."""
        ((count,),) = await self._fetch(f"SELECT count(*) FROM {self._table}", ())
        return int(count)

    def _row(self, values: Sequence[Any]) -> Row:
        return dict(zip(self._columns, values, strict=True))

    async def _fetch(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        def fetch() -> list[tuple[Any, ...]]:
            # Never more than there are threads.
            session = self._idle.pop() if self._idle else self._new_session(READING, _READ_PATIENCE_S)
            try:
                with answerable():
                    return session.run(partial(_fetched, sql, values))
            finally:
                self._idle.append(session)

        return await asyncio.get_running_loop().run_in_executor(self._reader_threads, fetch)


def _fetched(sql: str, values: Sequence[Any], db: Connection) -> list[tuple[Any, ...]]:
    return db.execute(sql, values, binary=True).fetchall()


def _json_of(name: str, kind: type) -> str:
    if kind is str:
        return f"CAST(to_json({name}) AS text)"
    return name if kind is Decimal else f"CAST({name} AS text)"


def _page_of(equal: Mapping[str, Any]) -> str:
    conditions = "".join(f" AND {name} = %b" for name in equal)
    return f"WHERE id > %b::bigint{conditions} ORDER BY id LIMIT %b::bigint"


def _values_of(after: int, limit: int, equal: Mapping[str, Any]) -> list[Any]:
    return [after, *as_stored(equal).values(), limit]
