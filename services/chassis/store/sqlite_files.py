"""The files of one SQLite database: who owns them, and whether they are still there."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from services.chassis.errors import CannotStart, StoreUnavailable

# How long a statement waits for a lock that another process holds before it gives up.
BUSY_TIMEOUT_S = 2.0


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Return a connection in one of SQLite's URI modes (sqlite.org/uri.html); raise `sqlite3.Error`."""
    db = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    # What a large statement may have to take back is kept in memory: there may be no folder for temporary files that
    # can be written, and one that is full is no reason to call the database's own disk full.
    db.execute("PRAGMA temp_store = MEMORY")
    return db


class SqliteFiles:
    """The database, the write-ahead log beside it, and the lock that keeps a second service away."""

    def __init__(self, path: Path) -> None:
        """Take the database's path; nothing is opened yet."""
        self._database = path
        self._paths = [f"{path}{suffix}" for suffix in ("", "-wal", ".lock")]
        self._inodes: list[int] = []

    def take_ownership(self) -> None:
        """Lock a file beside the database for as long as this process lives, so that no second owner starts."""
        _make_folder(self._database.parent)
        self._raise_if_read_only()
        lock = sqlite3.connect(
            f"{self._database}.lock", timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            lock.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise CannotStart(f"{self._database} belongs to another running service.") from error
        self._lock = lock

    def _raise_if_read_only(self) -> None:
        """Raise `CannotStart` where a file may only be read: SQLite would open it, and its lock would not hold."""
        for path in self._paths:
            if Path(path).exists() and not os.access(path, os.W_OK):
                raise CannotStart(f"{path} can't be used: it may only be read.")

    def let_go(self) -> None:
        """Give the ownership up."""
        self._lock.close()

    def remember(self) -> None:
        """Take the files as they are now for the right ones; all of them must be there."""
        self._inodes = self._found()

    def raise_if_changed(self) -> None:
        """Raise `StoreUnavailable` where a file was taken away: what went into it nobody would find again."""
        try:
            changed = self._found() != self._inodes
        except OSError:
            changed = True
        if changed:
            raise StoreUnavailable("The database's files were taken away; the service must be restarted.")

    def _found(self) -> list[int]:
        return [os.stat(path).st_ino for path in self._paths]  # noqa: PTH116 - asked at every commit, in a fifth of the time


def _make_folder(folder: Path) -> None:
    """Make the folder, and those above it, for good: SQLite syncs the folder of its files, and none above it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    # Windows opens no folders. Where one can't be synced it is as safe as the system makes it; SQLite does the same.
    with suppress(OSError):
        above = os.open(folder.parent, os.O_RDONLY)
        try:
            os.fsync(above)
        finally:
            os.close(above)
