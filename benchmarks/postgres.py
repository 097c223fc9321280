"""PostgreSQL: single inserts against SQLite, by one process and by two, and a file against psql's own way."""

import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from benchmarks.commands import client_command, run
from benchmarks.report import table
from benchmarks.results import Part, Values
from benchmarks.rows import folder_of, users_csv, users_ndjson
from benchmarks.servers import Server, fresh_folder, service
from benchmarks.settings import WORK, Settings
from benchmarks.wrk import Posts, drive

SQLITE, ONE, TWO = "SQLite", "PostgreSQL, one process", "PostgreSQL, two processes"
COPY, NDJSON, CSV = "psql \\copy", "client, users as NDJSON", "client, users as CSV"
_CONNECTIONS = 64
# With ids, as the client sends them: replicas that assign them write one after the other.
_USERS = Posts("/users", '{"id": %d, "name": "Ada Lovelace", "email": "ada%d@example.com"}')
# Far enough apart that no process sends an id of another's, or of the warming up.
_APART = 10**9
_TABLE = "CREATE TABLE users (id bigint PRIMARY KEY, name text, email text)"


def measure(settings: Settings, part: Part) -> None:
    """Drive each way once a turn, on the server that POSTGRES_URL names."""
    url = os.environ.get("POSTGRES_URL", "")
    if not url or not shutil.which("psql"):
        print("  left out: POSTGRES_URL names no server, or psql is not installed")
        return
    csv = folder_of("users", "csv", users_csv(settings.rows), settings.rows)
    ndjson = folder_of("users", "ndjson", users_ndjson(settings.rows), settings.rows)
    for _ in range(settings.turns):
        with fresh_folder() as folder, service("users", folder) as server:
            turn = {SQLITE: _single(SQLITE, [server], settings.seconds, part)}
        for name, processes in {ONE: 1, TWO: 2}.items():
            with _on_postgres(url, processes) as servers:
                turn[name] = _single(name, servers, settings.seconds, part)
        turn[COPY] = _copy(url, csv, settings.rows, part)
        for name, data in {NDJSON: ndjson, CSV: csv}.items():
            turn[name] = _client(name, url, data, settings.rows, part)
        part.turns.append(turn)


@contextmanager
def _database(url: str) -> Iterator[str]:
    """Yield the address of an empty database; it goes on leaving."""
    os.sync()
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS benchmark WITH (FORCE)")
        server.execute("CREATE DATABASE benchmark TEMPLATE template0")
        # What was written before is not paid for by whoever is next.
        server.execute("CHECKPOINT")
        yield urlsplit(url)._replace(path="/benchmark").geturl()
        server.execute("DROP DATABASE benchmark WITH (FORCE)")


@contextmanager
def _on_postgres(url: str, processes: int) -> Iterator[list[Server]]:
    with _database(url) as own, ExitStack() as stack:
        yield [stack.enter_context(service("users", WORK, DATABASE_URL=own)) for _ in range(processes)]


def _single(name: str, servers: Sequence[Server], seconds: int, part: Part) -> Values:
    """Send to all at once; the connections are shared out among them."""
    connections = _CONNECTIONS // len(servers)

    def drive_one(place: int, first: int, how_long: int) -> Values:
        return drive([servers[place]], replace(_USERS, first=first + place * _APART), connections, how_long)

    with ThreadPoolExecutor(len(servers)) as threads:
        places = range(len(servers))
        list(threads.map(lambda place: drive_one(place, 10 * _APART, 1), places))
        found = list(threads.map(lambda place: drive_one(place, 1, seconds), places))
    part.expect(not sum(one["errors"] for one in found), f"{name}: requests failed")
    stored = servers[0].count("users")
    part.expect(stored >= sum(one["requests"] for one in found), f"{name}: {stored:,} rows are fewer than was answered")
    values = {"rate": sum(one["rate"] for one in found), "p99_ms": max(one["p99_ms"] for one in found)}
    print(f"  {name}: {values['rate']:,.0f}/s", flush=True)
    return values


def _copy(url: str, data: Path, rows: int, part: Part) -> Values:
    with _database(url) as own:
        with psycopg.connect(own, autocommit=True) as database:
            database.execute(_TABLE)
        found = run(["psql", own, "--quiet", "--command", f"\\copy users FROM '{data / 'users.csv'}' CSV HEADER"])
        part.expect(not found["status"], "psql failed")
    print(f"  {COPY}: {rows / found['seconds']:,.0f} rows/s", flush=True)
    return {"rate": rows / found["seconds"], "p99_ms": 0.0}


def _client(name: str, url: str, data: Path, rows: int, part: Part) -> Values:
    with _on_postgres(url, 1) as (users,), fresh_folder() as folder, ExitStack() as stack:
        others = {other: stack.enter_context(service(other, folder)) for other in ("products", "orders")}
        found = run(client_command({"users": users, **others}, data))
        part.expect(not found["status"] and users.count("users") == rows, "the client did not store the file")
    print(f"  {name}: {rows / found['seconds']:,.0f} rows/s", flush=True)
    return {"rate": rows / found["seconds"], "p99_ms": 0.0}


def blocks(part: Part) -> dict[str, str]:
    """Return the tables by name."""
    single = [
        [
            name,
            f"{part.median(name, 'rate'):,.0f}",
            part.ratio(name, SQLITE, "rate"),
            f"{part.median(name, 'p99_ms'):.1f} ms",
        ]
        for name in (SQLITE, ONE, TWO)
    ]
    bulk = [[name, f"{part.median(name, 'rate'):,.0f}", part.ratio(name, COPY, "rate")] for name in (COPY, NDJSON, CSV)]
    return {
        "postgres-single": table([f"connections: {_CONNECTIONS}", "requests/s", f"ratio to {SQLITE}", "p99"], single),
        "postgres-bulk": table(["", "rows/s", f"ratio to {COPY}"], bulk),
    }
