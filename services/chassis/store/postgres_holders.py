"""Which records of a table in PostgreSQL hold the values that no other may: found by an index that refuses nothing."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from services.chassis.store import Record
from services.chassis.store.decision import Values
from services.chassis.store.postgres_connection import Connection
from services.chassis.store.postgres_errors import MADE_MEANWHILE
from services.chassis.store.postgres_table import SQL_ARRAYS, column_getter

_INDEXES_SQL = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = %s"


class PostgresHolders:
    """The columns of one table whose values, taken together, may be held once; most often there are none."""

    def __init__(self, table: str, columns: Mapping[str, type], unique: Sequence[str]) -> None:
        """Take the columns; they are the service's own, never input."""
        self._table = table
        self._unique = unique
        self._getters = [column_getter(name, columns[name]) for name in unique]
        self._prefix = f"{table}_by_"
        self._index = self._prefix + "_".join(unique)
        # Not UNIQUE: all validation is the application's. With the id in it, the lowest is found without looking on.
        self._index_sql = f"CREATE INDEX {self._index} ON {table} ({', '.join([*unique, 'id'])})"
        arrays = ", ".join(f"%b::{SQL_ARRAYS[columns[name]]}" for name in unique)
        wanted = ", ".join(f"wanted_{name}" for name in unique)
        same = " AND ".join(f"{name} = wanted_{name}" for name in unique)
        self._sql = (
            f"SELECT place, (SELECT id FROM {table} WHERE {same} ORDER BY id LIMIT 1)"
            f" FROM unnest({arrays}) WITH ORDINALITY AS wanted({wanted}, place)"
        )

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._unique)

    def prepare(self, db: Connection) -> None:
        """Make the index where it is missing, and drop one that is of no use any more: each insert would write it."""
        found = {name for (name,) in db.execute(_INDEXES_SQL, (self._table,))}
        for name in found - {self._index}:
            if name.startswith(self._prefix):
                db.execute(f"DROP INDEX IF EXISTS {name}")
        if self._unique and self._index not in found:
            with suppress(*MADE_MEANWHILE):
                db.execute(self._index_sql)

    def values_of(self, records: Sequence[Record]) -> list[Values]:
        """Return each record's values, in the order of the records."""
        if not self._unique:
            return [()] * len(records)
        return list(zip(*(values_of(records) for values_of in self._getters), strict=True))

    def find(self, db: Connection, values: Sequence[Values]) -> dict[Values, int]:
        """Return who holds those of the values that are held."""
        if not (self._unique and values):
            return {}
        columns = [list(column) for column in zip(*values, strict=True)]
        return {values[place - 1]: holder for place, holder in db.execute(self._sql, columns, binary=True) if holder}
