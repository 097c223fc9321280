"""SQLite's result codes (sqlite.org/rescode.html) to this service's errors."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from services.chassis.errors import StorageFull, StoreUnavailable

# A file that has reached a limit can't be written either, and can again when the limit is gone; nor can the index of
# the write-ahead log grow where there is no room.
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
_BEYOND_REPAIR = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def refusal_of(error: sqlite3.Error) -> StorageFull | StoreUnavailable:
    """Return what a caller is told."""
    if _code(error) in _NO_ROOM:
        return StorageFull("There is no room left to store records.")
    return StoreUnavailable("The database can't be used just now.")


@contextmanager
def answerable() -> Iterator[None]:
    """Raise what a caller is told in place of SQLite's errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise refusal_of(error) from error


def is_beyond_repair(error: sqlite3.Error) -> bool:
    """Tell whether nobody knows any more what a write has left on the disk."""
    # The low byte is the primary code; what lies above it says more of the cause.
    return _code(error) not in _NO_ROOM and _code(error) & 0xFF in _BEYOND_REPAIR


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
