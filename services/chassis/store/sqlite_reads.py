"""What is read from a SQLite file: it is opened read-only, anew for every read, on threads of their own."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from services.chassis.store import MAX_ID, Row
from services.chassis.store.blocks import BLOCK_ROWS, read_on
from services.chassis.store.decision import as_stored
from services.chassis.store.sqlite_errors import answerable
from services.chassis.store.sqlite_files import connect

READER_THREADS = 4


class SqliteReads:
    """The reads of one table; each sees the newest commit."""

    def __init__(self, path: str, table: str, columns: Mapping[str, type]) -> None:
        """Describe the table; nothing is opened yet. Table and columns are the service's own, never input."""
        # One name for each file, whatever links lead to it, so that it has one lock.
        self._path = Path(path).resolve()
        self._table = table
        self._columns = columns
        self._select_sql = f"SELECT {', '.join(columns)} FROM {table}"
        # Amounts are kept as text and given as numbers, exactly as they are kept.
        members = ", ".join(f"'{name}', {f'json({name})' if columns[name] is Decimal else name}" for name in columns)
        # One row with everything, so that Python's global lock is taken back once and not for each record.
        self._lines = f"CAST(group_concat(json_object({members}) || char(10), '') AS BLOB)"
        # A cross join keeps the order of its left side (sqlite.org/optoverview.html, "Manual control of query plans").
        self._ndjson_sql = (
            f"SELECT {self._lines} FROM (SELECT {table}.* FROM json_each(?) AS wanted"
            f" CROSS JOIN {table} ON {table}.id = wanted.value)"
        )
        self._reader_threads = ThreadPoolExecutor(READER_THREADS, thread_name_prefix=f"{table}-reader")

    async def get(self, record_id: int) -> Row | None:
        """Return the record with that id."""
        rows = await self._fetch(f"{self._select_sql} WHERE id = ?", (record_id,))
        return self._row(rows[0]) if rows else None

    async def page(self, after: int, limit: int, equal: Mapping[str, Any]) -> list[Row]:
        """Return up to `limit` records with an id above `after` and those values, by id."""
        rows = await self._fetch(
            f"{self._select_sql} {_page_of(equal)}", {**as_stored(equal), "after": after, "limit": limit}
        )
        return [self._row(values) for values in rows]

    async def ndjson(self, ids: Sequence[int]) -> bytes:
        """Return the records with those ids, each a line of JSON, by id, each once."""
        ((lines,),) = await self._fetch(self._ndjson_sql, (to_json(sorted(set(ids))).decode(),))
        return bytes(lines or b"")

    def export(self, after: int, limit: int | None, equal: Mapping[str, Any]) -> AsyncGenerator[bytes]:
        """Yield the records that `page` would return as lines of JSON, in blocks; see `Store.export`."""
        return read_on(self._reader_threads, self._blocks(after, MAX_ID if limit is None else limit, equal))

    def _blocks(self, after: int, limit: int, equal: Mapping[str, Any]) -> Generator[bytes]:
        sql = f"SELECT {self._lines}, max(id), count(*) FROM ({self._select_sql} {_page_of(equal)})"
        with answerable(), closing(connect(self._path, "ro")) as db:
            # One transaction sees one snapshot, from its first read to its end (sqlite.org/isolation.html).
            db.execute("BEGIN")
            while limit:
                values = {**as_stored(equal), "after": after, "limit": min(limit, BLOCK_ROWS)}
                lines, after, count = db.execute(sql, values).fetchone()
                if not count:
                    return
                yield lines
                limit -= count

    async def missing(self, ids: Sequence[int]) -> list[int]:
        """Return those of the ids that no record has, ascending, each once."""
        sql = (
            f"SELECT DISTINCT value FROM json_each(?) WHERE value NOT IN (SELECT id FROM {self._table}) ORDER BY value"
        )
        return [row_id for (row_id,) in await self._fetch(sql, (to_json(list(ids)).decode(),))]

    async def count(self) -> int:
        """Return how many records there are."""
        ((count,),) = await self._fetch(f"SELECT count(*) FROM {self._table}", ())
        return int(count)

    def _row(self, values: Sequence[Any]) -> Row:
        return dict(zip(self._columns, values, strict=True))

    async def _fetch(self, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        def fetch() -> list[tuple[Any, ...]]:
            # A connection for each read: no state to share between threads, and a read always sees the newest commit.
            with answerable(), closing(connect(self._path, "ro")) as db:
                return db.execute(sql, values).fetchall()

        return await asyncio.get_running_loop().run_in_executor(self._reader_threads, fetch)


def _page_of(equal: Mapping[str, Any]) -> str:
    conditions = "".join(f" AND {name} = :{name}" for name in equal)
    return f"WHERE id > :after{conditions} ORDER BY id LIMIT :limit"
