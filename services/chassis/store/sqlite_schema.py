"""The SQLite file's schema: made at start-up, with a version, so that a later release can migrate it."""

import sqlite3
from collections.abc import Mapping
from decimal import Decimal

from services.chassis.errors import CannotStart
from services.chassis.store.sqlite_holders import SqliteHolders

# Marks a file as ours (sqlite.org/pragma.html#pragma_application_id): the letters "PINS" as a number.
APPLICATION_ID = 0x50494E53
SCHEMA_VERSION = 1

# Decimals are kept as text, so that nothing is rounded.
_SQL_TYPES = {int: "INTEGER", str: "TEXT", Decimal: "TEXT"}


def prepare(db: sqlite3.Connection, table: str, columns: Mapping[str, type], holders: SqliteHolders) -> None:
    """Make the schema in an empty file, or check that the file holds it; then set how the file is written.

    Raises:
        CannotStart: the file is someone else's, or a newer release's.
        sqlite3.Error: the file is no database, or can't be read or written.
    """
    # One transaction, so that being killed half-way leaves an empty file and not half a schema.
    db.execute("BEGIN IMMEDIATE")
    try:
        _make_or_check(db, table, columns)
        holders.prepare(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    # The write-ahead log lets readers go on while a batch is committed (sqlite.org/wal.html).
    db.execute("PRAGMA journal_mode = WAL")
    # FULL syncs the log at every commit: what is acknowledged survives a power cut. NORMAL would not.
    db.execute("PRAGMA synchronous = FULL")


def _make_or_check(db: sqlite3.Connection, table: str, columns: Mapping[str, type]) -> None:
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if not tables:
        # The columns and nothing else: all validation is the application's. The primary key is the row's address.
        definitions = ", ".join(
            "id INTEGER PRIMARY KEY" if name == "id" else f"{name} {_SQL_TYPES[kind]}" for name, kind in columns.items()
        )
        db.execute(f"CREATE TABLE {table} ({definitions})")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    elif application_id != APPLICATION_ID or [
        name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")
    ] != list(columns):
        raise CannotStart(f"The database was not made by {table}; it was left untouched.")
    elif version != SCHEMA_VERSION:
        raise CannotStart(f"The database has schema version {version}; this release knows {SCHEMA_VERSION}.")
