"""The statements that write one table in PostgreSQL; each is one for a whole batch."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any

from psycopg.errors import UniqueViolation

from services.chassis.store import Record, Row
from services.chassis.store.postgres_connection import Connection
from services.chassis.store.postgres_copy import copy_text

# From so many rows on COPY takes less of both sides; with few it gains nothing, and the server logs each that fails.
_ENOUGH_TO_COPY = 250

SQL_ARRAYS = {int: "bigint[]", str: "text[]", Decimal: "text[]"}


class PostgresTable:
    """One table, by its columns."""

    def __init__(self, table: str, columns: Mapping[str, type]) -> None:
        """Describe the table; table and columns are the service's own, never input."""
        self._columns = columns
        self._getters = [column_getter(name, kind) for name, kind in columns.items()]
        names = ", ".join(columns)
        arrays = ", ".join(f"%b::{SQL_ARRAYS[kind]}" for kind in columns.values())
        # An id that is taken is left out; one that another transaction is about to take, once that one has ended.
        self._add_sql = f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) ON CONFLICT (id) DO NOTHING"
        self._copy_sql = f"COPY {table} ({names}) FROM STDIN"
        self._held_sql = f"SELECT {names} FROM {table} WHERE id = ANY(%t::bigint[])"
        self._hold_sql = f"SELECT id FROM {table} WHERE id = %b::bigint FOR KEY SHARE"
        # The greatest id that is taken, or 0.
        self.greatest_id_sql = f"SELECT coalesce(max(id), 0) FROM {table}"
        # Needs what an insert needs: a server that takes writes, the right to write, and no one who locks the table.
        self._nothing_sql = f"INSERT INTO {table} (id) SELECT id FROM {table} WHERE false"

    def add(self, db: Connection, rows: Sequence[Record], *, by_copy: bool) -> bool:
        """Add the rows, and tell whether all their ids were free; if not, the transaction can only be taken back.

        By COPY, where that is wanted and they are many.
        """
        if not by_copy or len(rows) < _ENOUGH_TO_COPY:
            return self.add_free(db, rows) == len(rows)
        try:
            with db.cursor() as cursor:
                with cursor.copy(self._copy_sql) as copy:
                    copy.write(copy_text(self._columns_of(rows)))
                # A trigger of someone else's may leave rows out.
                return cursor.rowcount == len(rows)
        except UniqueViolation:
            return False

    def add_free(self, db: Connection, rows: Sequence[Record]) -> int:
        """Add the rows whose ids are free; return how many."""
        return db.execute(self._add_sql, self._columns_of(rows), binary=True).rowcount if rows else 0

    def _columns_of(self, rows: Sequence[Record]) -> list[list[Any]]:
        # Every transaction takes its ids in the same order, so that no two wait for each other.
        ordered = sorted(rows, key=itemgetter("id"))
        return [values_of(ordered) for values_of in self._getters]

    def add_nothing(self, db: Connection) -> None:
        """Raise `psycopg.Error` where nothing could be added."""
        db.execute(self._nothing_sql)

    def held(self, db: Connection, ids: Sequence[int]) -> dict[int, Row]:
        """Return the stored records that have these ids."""
        found = db.execute(self._held_sql, (bigint_array(ids),), binary=True) if ids else ()
        return {values[0]: dict(zip(self._columns, values, strict=True)) for values in found}

    def hold(self, db: Connection, record_id: int) -> None:
        """Lock a stored record against what is never done to it: a write, so that the commit waits as for any other."""
        db.execute(self._hold_sql, (record_id,), binary=True)


def bigint_array(ids: Sequence[int]) -> str:
    """Return the ids as PostgreSQL writes them; the driver's way takes several times as long."""
    return f"{{{','.join(map(str, ids))}}}"


def column_getter(name: str, kind: type) -> Callable[[Sequence[Record]], list[Any]]:
    """Return what gives the values of a column, as PostgreSQL takes them: decimals are text."""
    value_of = itemgetter(name)
    if kind is Decimal:
        return lambda records: [str(value_of(record)) for record in records]
    return lambda records: list(map(value_of, records))
