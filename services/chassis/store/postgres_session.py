"""One session with a PostgreSQL server: opened when it is needed, anew when it was lost, never waited on for long."""

import random
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg

from services.chassis.errors import StoreUnavailable
from services.chassis.store.postgres_connection import Connection, set_up
from services.chassis.store.postgres_errors import is_lost, is_passing

Answer = TypeVar("Answer")

# After so long nothing is tried again: whoever waits is better off with an answer.
_RETRY_FOR_S = 2.0
_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.2


class Session:
    """A connection that is used by one thread at a time, and that any thread may cut."""

    def __init__(self, address: Mapping[str, Any], own: Mapping[str, str], patience_s: float) -> None:
        """Take the parts of the address, the settings for this session alone, and how long it waits for an answer.

        Nothing is opened yet.
        """
        self._address = address
        self._own = own
        self._patience_s = patience_s
        self._connection: Connection | None = None
        self._socket: socket.socket | None = None
        self._busy_since_s: float | None = None
        self._is_ending = False

    def run(self, do: Callable[[Connection], Answer], *, patient: bool = False) -> Answer:
        """Return what was done; it is done again where others were in its way, or where the connection was lost.

        A server that can't be reached is asked again only by who is patient.

        Raises:
            psycopg.Error: what came of the last try.
            StoreUnavailable: the server can't be reached, or does not keep what it acknowledges.
        """
        give_up_s = time.monotonic() + _RETRY_FOR_S
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return self.run_once(do)
            except (psycopg.Error, StoreUnavailable) as error:
                again = is_passing(error) if isinstance(error, psycopg.Error) else patient
                if not again or self._is_ending or time.monotonic() > give_up_s:
                    raise
            # By chance, so that two that were in each other's way are not again.
            time.sleep(random.uniform(0, pause_s))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def run_once(self, do: Callable[[Connection], Answer]) -> Answer:
        """Return what was done, once; raises as `run` does."""
        self._busy_since_s = time.monotonic()
        try:
            return do(self._connection or self._open())
        except psycopg.Error as error:
            if is_lost(error):
                self.close()
            raise
        except BaseException:
            # Nobody knows in what state it was left.
            self.close()
            raise
        finally:
            self._busy_since_s = None

    def _open(self) -> Connection:
        try:
            self._connection = connection = psycopg.connect(**self._address, autocommit=True)
            # A second handle, so that it can be cut while the driver uses the first, or closes it.
            self._socket = socket.socket(fileno=socket.dup(connection.fileno()))
            set_up(connection, self._own)
        except psycopg.Error as error:
            self.close()
            raise StoreUnavailable("The database can't be reached just now.") from error
        return connection

    def cut_if_stuck(self) -> None:
        """End the connection under whoever has waited too long for an answer; they are told that it was lost."""
        began_s = self._busy_since_s
        if began_s is not None and time.monotonic() - began_s > self._patience_s:
            self._cut()

    def end(self) -> None:
        """Cut whoever still waits for an answer, and try nothing again."""
        self._is_ending = True
        self._cut()

    def _cut(self) -> None:
        if (handle := self._socket) is not None:
            # It may have been closed meanwhile.
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let the connection go; the next who needs one opens it."""
        connection, handle = self._connection, self._socket
        self._connection = self._socket = None
        if handle is not None:
            handle.close()
        if connection is not None:
            connection.close()


@contextmanager
def transaction(db: Connection, kind: str, query: str) -> Iterator[tuple[Any, ...]]:
    """Begin a transaction of that kind and yield the row of its first query; take it back when left with an error.

    Both are one message: each answer of the server has to wait for its turn with Python's global lock.
    """
    try:
        begun = db.execute(f"BEGIN ISOLATION LEVEL {kind}; {query}", prepare=False)
        begun.nextset()
        yield begun.fetchall()[0]
    except BaseException:
        # Where the connection is lost, the server takes it back by itself.
        with suppress(psycopg.Error):
            db.execute("ROLLBACK", prepare=False)
        raise
