"""The table in PostgreSQL: made at start-up, also where several services do so at once."""

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal

from services.chassis.errors import CannotStart
from services.chassis.store.postgres_connection import Connection
from services.chassis.store.postgres_errors import MADE_MEANWHILE

# Decimals are kept as text, so that nothing is rounded and all engines give the same bytes.
_SQL_TYPES = {int: "bigint", str: "text", Decimal: "text"}
_COLUMNS_SQL = """SELECT column_name, data_type FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = %s ORDER BY ordinal_position"""


def prepare(db: Connection, table: str, columns: Mapping[str, type]) -> None:
    """Make the table, or check that it is the one that this service makes.

    Raises:
        CannotStart: it is someone else's.
        psycopg.Error: it can't be made or read.
    """
    wanted = [(name, _SQL_TYPES[kind]) for name, kind in columns.items()]
    if not _columns(db, table):
        # The columns and nothing else: all validation is the application's. The primary key is the row's address.
        definitions = ", ".join(f"{name} {kind}{' PRIMARY KEY' * (name == 'id')}" for name, kind in wanted)
        with suppress(*MADE_MEANWHILE):
            db.execute(f"CREATE TABLE {table} ({definitions})")
    if _columns(db, table) != wanted:
        raise CannotStart(f"The database has a table {table} that was not made by this service; it was left untouched.")


def _columns(db: Connection, table: str) -> list[tuple[str, str]]:
    return [(name, kind) for name, kind in db.execute(_COLUMNS_SQL, (table,))]
