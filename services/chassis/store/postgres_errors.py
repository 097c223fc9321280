"""PostgreSQL's error codes (postgresql.org/docs/current/errcodes-appendix.html) to this service's errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.errors import DuplicateObject, DuplicateTable, UniqueViolation

from services.chassis.errors import CannotStart, StorageFull, StoreUnavailable

# What others have made between our look and our attempt; which of these it is depends on how far they had come.
MADE_MEANWHILE = (DuplicateObject, DuplicateTable, UniqueViolation)
_NO_ROOM = "53100"
# Of two transactions that were in each other's way, one has to begin again: serialization_failure, deadlock_detected.
_IN_THE_WAY = {"40001", "40P01"}
# connection_exception; shut down, crashed, starting up; silent for too long within a transaction; a standby, as servers
# become; and what CockroachDB says where it does not know what became of a commit.
_LOST = ("08", "57P", "25P03", "25006", "40003")


def refusal_of(error: psycopg.Error | StoreUnavailable | CannotStart) -> StorageFull | StoreUnavailable:
    """Return what a caller is told."""
    if isinstance(error, StoreUnavailable):
        return error
    if isinstance(error, CannotStart):
        # The server has come back with other settings.
        return StoreUnavailable(error.detail)
    if error.sqlstate == _NO_ROOM:
        return StorageFull("There is no room left to store records.")
    return StoreUnavailable("The database can't be used just now.")


@contextmanager
def answerable() -> Iterator[None]:
    """Raise what a caller is told in place of the driver's errors."""
    try:
        yield
    except (psycopg.Error, CannotStart) as error:
        raise refusal_of(error) from error


def is_lost(error: psycopg.Error) -> bool:
    """Tell whether the connection is of no more use, and what was sent over it may have been done or not."""
    if error.sqlstate is None:
        # Where the connection breaks nobody is left to give a code.
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith(_LOST)


def is_passing(error: psycopg.Error) -> bool:
    """Tell whether the same may well succeed when it is tried again at once."""
    return error.sqlstate in _IN_THE_WAY or is_lost(error)


def name_of(error: psycopg.Error) -> str:
    """Return what a log may say of the error; its message may repeat what was sent."""
    return error.sqlstate or type(error).__name__
