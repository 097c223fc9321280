"""Where services keep their records, by engine, and what lies there, read past the service."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ENGINES = ["sqlite", "postgresql"]


class Database(Protocol):
    """One service's."""

    @property
    def url(self) -> str:
        """The address, as `DATABASE_URL` has it."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what is committed."""

    def change(self, sql: str) -> None:
        """Do what the service would not."""

    def indexes(self, table: str) -> list[bool]:
        """Return of each index of the table, but that of its ids, whether it refuses anything by itself."""

    def locked(self) -> AbstractContextManager[None]:
        """Hold a lock, so that inserts wait: for two seconds, and no longer."""

    def raise_if_unsound(self) -> None:
        """Fail where the engine finds fault with what it holds."""


class Databases(Protocol):
    """A place for several; the same name leads to the same again."""

    def of(self, name: str) -> Database:
        """Return the service's."""

    def fresh(self) -> "Databases":
        """Return another place, an empty one."""


@dataclass(frozen=True)
class SqliteDatabase:
    """A file."""

    path: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as db:
            return db.execute(sql).fetchall()

    def change(self, sql: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            db.execute(sql)

    def indexes(self, table: str) -> list[bool]:
        return [bool(is_unique) for _, _, is_unique, *_ in self.rows(f"PRAGMA index_list({table})")]

    @contextmanager
    def locked(self) -> Iterator[None]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            yield
            db.execute("ROLLBACK")

    def raise_if_unsound(self) -> None:
        assert self.rows("PRAGMA integrity_check") == [("ok",)]


@dataclass(frozen=True)
class Folder:
    """A folder of files."""

    path: Path

    def of(self, name: str) -> SqliteDatabase:
        return SqliteDatabase(self.path / f"{name}.db")

    def fresh(self) -> "Folder":
        return Folder(Path(tempfile.mkdtemp(dir=self.path)))
