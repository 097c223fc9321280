"""A PostgreSQL server of the tests' own: on a free port, in a temporary folder, from what is installed here."""

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.processes import eventually

PASSWORD = "not-for-any-log"
# Debian keeps them out of the way of others; the newest is the last.
_DEBIAN = Path("/usr/lib/postgresql")
_MAX_CONNECTIONS = 200


@dataclass(eq=False)
class PostgresServer:
    """One server and its folder."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @cached_property
    def port(self) -> int:
        """A port that was free a moment ago; the same after a restart."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            return int(free.getsockname()[1])

    def start(self) -> None:
        """Start it, and return when it takes connections; it is well to do so while remains of a killed one end."""
        eventually(self._started)

    def _started(self) -> bool:
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": str(_MAX_CONNECTIONS),
            **self.settings,
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [_binary("postgres"), "-D", str(self.data), *arguments],
                stdout=log,
                stderr=log,
                **_unprivileged(),
            )
        eventually(lambda: self.process.poll() is not None or self.is_up())
        return self.process.poll() is None

    def is_up(self) -> bool:
        """Tell whether it takes connections."""
        try:
            self.query("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def end(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends it well, SIGQUIT and SIGKILL as a crash does."""
        self.process.send_signal(how)
        self.process.wait(timeout=30)

    def end_all(self) -> None:
        """End it as SIGKILL does, and each process of its own as well, so that nothing of it does anything any more."""
        pids = [pid for (pid,) in self.query("SELECT pid FROM pg_stat_activity")]
        self.end(signal.SIGKILL)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def promote(self) -> None:
        """Have a standby take writes; it does when this returns."""
        _run(self.folder, "pg_ctl", "promote", "-D", self.data)

    def demote(self, primary: "PostgresServer") -> None:
        """Have a server that is down be a standby of that one, once it is started."""
        _run(self.folder, "pg_rewind", "-D", self.data, "--source-server", primary.url(), "-R", "--no-sync")

    def url(self, database: str = "postgres", port: int | None = None, user: str = "postgres") -> str:
        """Return a database's address, on another port if something stands before the server."""
        return f"postgresql://{user}:{PASSWORD}@127.0.0.1:{port or self.port}/{database}"

    def query(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Return what a statement gives."""
        with psycopg.connect(self.url(database), autocommit=True) as db:
            found = db.execute(sql)
            return found.fetchall() if found.description else []

    def databases(self) -> "PostgresDatabases":
        """Return a place with no databases yet."""
        return PostgresDatabases(self, f"place_{next(_numbers)}")

    def log(self) -> str:
        """Return what the server has said."""
        return (self.folder / "log").read_text()


@dataclass(frozen=True)
class PostgresDatabase:
    """A database on a server."""

    server: PostgresServer
    name: str
    table: str

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.server.query(sql, self.name)

    def change(self, sql: str) -> None:
        self.rows(sql)

    def indexes(self, table: str) -> list[bool]:
        sql = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        return [" UNIQUE " in definition for name, definition in self.rows(sql) if name != f"{table}_pkey"]

    @contextmanager
    def locked(self) -> Iterator[None]:
        with psycopg.connect(self.url) as db:
            # Reads go on.
            db.execute(f"LOCK TABLE {self.table} IN EXCLUSIVE MODE")
            yield
            db.rollback()

    def raise_if_unsound(self) -> None:
        assert self.rows(f"SELECT count(*) - count(DISTINCT id) FROM {self.table}") == [(0,)]


@dataclass(frozen=True)
class PostgresDatabases:
    """Databases with a common beginning of their names."""

    server: PostgresServer
    prefix: str
    made: set[str] = field(default_factory=set)

    def of(self, name: str) -> PostgresDatabase:
        database = PostgresDatabase(self.server, f"{self.prefix}_{name}", name)
        if name not in self.made:
            self.server.query(f"CREATE DATABASE {database.name} TEMPLATE template0")
            self.made.add(name)
        return database

    def fresh(self) -> "PostgresDatabases":
        return self.server.databases()


_numbers = itertools.count()


@contextmanager
def postgres_running(**settings: str) -> Iterator[PostgresServer]:
    """Yield a server with those settings; skip the test where none is installed."""
    with _in_a_new_folder(settings) as server:
        _make_cluster(server.folder)
        server.start()
        yield server


@contextmanager
def standby_running(primary: PostgresServer) -> Iterator[PostgresServer]:
    """Yield a standby of that server: a copy of it, which takes no writes and is sent all that is written there."""
    with _in_a_new_folder({}) as standby:
        _run(standby.folder, "pg_basebackup", "-d", primary.url(), "-D", standby.data, "-R", "-c", "fast", "--no-sync")
        standby.start()
        yield standby


@contextmanager
def _in_a_new_folder(settings: dict[str, str]) -> Iterator[PostgresServer]:
    if not _binary("initdb"):
        pytest.skip("needs a PostgreSQL server (Debian's package: postgresql)")
    # Not in pytest's own folder, into which no other user may look.
    folder = Path(tempfile.mkdtemp(prefix="parallel-insert-postgres-"))
    server = PostgresServer(folder, settings)
    if user := _unprivileged():
        shutil.chown(folder, user["user"])
    try:
        yield server
    finally:
        if hasattr(server, "process") and server.process.poll() is None:
            # Not well, but quickly.
            server.end(signal.SIGQUIT)
        shutil.rmtree(folder)


def _make_cluster(folder: Path) -> None:
    (folder / "password").write_text(PASSWORD)
    if user := _unprivileged():
        shutil.chown(folder / "password", user["user"])
    who: list[str | Path] = ["-U", "postgres", "--pwfile", folder / "password", "-A", "scram-sha-256"]
    # -k: checksums, without which pg_rewind refuses to make a standby of a server.
    _run(folder, "initdb", "-D", folder / "data", *who, "-E", "UTF8", "--locale", "C", "--no-sync", "-k")


def _run(folder: Path, program: str, *arguments: str | Path) -> None:
    command = [_binary(program), *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False, **_unprivileged()
    )
    assert done.returncode == 0, done.stderr


def _binary(name: str) -> str:
    """Return its path, or nothing where there is none."""
    newest = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    return str(newest[-1]) if newest else shutil.which(name) or ""


def _unprivileged() -> dict[str, Any]:
    """Return what makes a process one of a user without rights: the server refuses to be run by root."""
    if os.geteuid():
        return {}
    users = {user.pw_name for user in pwd.getpwall()}
    return {"user": "postgres" if "postgres" in users else "nobody", "extra_groups": []}
