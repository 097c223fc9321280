"""Which records hold the values that no other may: found by an index, which by itself refuses nothing."""

import sqlite3
from collections.abc import Sequence
from operator import itemgetter

from pydantic_core import from_json, to_json

from services.chassis.store import Record
from services.chassis.store.decision import Values


class SqliteHolders:
    """The columns of one table whose values, taken together, may be held once; most often there are none."""

    def __init__(self, table: str, unique: Sequence[str]) -> None:
        """Take the columns; they are the service's own, never input."""
        self._table = table
        self._unique = unique
        self._getters = [itemgetter(name) for name in unique]
        self._prefix = f"{table}_by_"
        self._index = self._prefix + "_".join(unique)
        same = " AND ".join(f"{name} = wanted.value ->> {place}" for place, name in enumerate(unique))
        # One row with everything, and one statement for all, so that Python's global lock is taken back once.
        self._sql = (
            "SELECT json_group_array(json_array(place, holder)) FROM (SELECT wanted.key AS place,"
            f" (SELECT min(id) FROM {table} WHERE {same}) AS holder FROM json_each(?) AS wanted) WHERE holder NOTNULL"
        )

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._unique)

    def prepare(self, db: sqlite3.Connection) -> None:
        """Make the index where it is missing, and drop one that is of no use any more: each insert would write it."""
        found = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")}
        for name in found - {self._index}:
            if name.startswith(self._prefix):
                db.execute(f"DROP INDEX {name}")
        if self._unique and self._index not in found:
            # Not UNIQUE: all validation is the application's.
            db.execute(f"CREATE INDEX {self._index} ON {self._table} ({', '.join(self._unique)})")

    def values_of(self, records: Sequence[Record]) -> list[Values]:
        """Return each record's values, in the order of the records."""
        if not self._unique:
            return [()] * len(records)
        return list(zip(*(map(getter, records) for getter in self._getters), strict=True))

    def find(self, db: sqlite3.Connection, values: Sequence[Values]) -> dict[Values, int]:
        """Return who holds those of the values that are held."""
        if not self._unique:
            return {}
        # Decimals are text in JSON, as they are in the table.
        (found,) = db.execute(self._sql, (to_json(values).decode(),)).fetchone()
        return {values[place]: holder for place, holder in from_json(found)}
