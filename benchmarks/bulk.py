"""Many records from a file: our client and services, and what such files are usually loaded with."""

import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.commands import client_command, run
from benchmarks.plot import bars
from benchmarks.report import table, us
from benchmarks.results import Part, Values
from benchmarks.rows import chunks, folder_of, orders_ndjson, products_ndjson, users_csv, users_ndjson
from benchmarks.servers import fresh_folder, three_services
from benchmarks.settings import RIVALS, WORK, Settings

Way = Callable[[], Values]
SHELL, SQLITE_UTILS = "sqlite3 .import --csv", "sqlite-utils insert --csv"
_SHELL, _SQLITE_UTILS = "sqlite3", str(WORK / "venv" / "bin" / "sqlite-utils")
_TABLE = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT)"


def measure(settings: Settings, part: Part) -> None:
    """Load the same rows in each way once a turn."""
    rows, few = settings.rows, str(settings.slow_rows)
    ndjson = folder_of("users", "ndjson", users_ndjson(rows), rows)
    csv = folder_of("users", "csv", users_csv(rows), rows)
    orders = folder_of("orders", "ndjson", orders_ndjson(rows, 100_000, 1_000), rows)
    file = str(csv / "users.csv")
    ways: dict[str, Way] = {
        "client, users as NDJSON": lambda: _client("users", ndjson, rows, part),
        "client, users as CSV": lambda: _client("users", csv, rows, part),
        SHELL: lambda: _command(rows, part, _SHELL, "DB", _TABLE, f".import --csv --skip 1 '{file}' users"),
        SQLITE_UTILS: lambda: _command(rows, part, _SQLITE_UTILS, "insert", "DB", "users", file, "--csv", "--pk=id"),
        "ten threads and sqlite3": lambda: _command(
            settings.slow_rows, part, sys.executable, str(RIVALS / "threads.py"), "DB", file, few
        ),
        "client, orders as NDJSON": lambda: _client("orders", orders, rows, part),
    }
    for name, command in {SHELL: _SHELL, SQLITE_UTILS: _SQLITE_UTILS}.items():
        if not shutil.which(command):
            part.left_out[name] = "it is not installed"
            del ways[name]
    for _ in range(settings.turns):
        part.turns.append({name: _said(name, way()) for name, way in ways.items()})


def _client(kind: str, data: Path, rows: int, part: Part) -> Values:
    with fresh_folder() as folder, three_services(folder) as servers:
        if kind == "orders":
            servers["users"].load("users", chunks(users_ndjson(100_000)))
            servers["products"].load("products", chunks(products_ndjson(1_000)))
        before = sum(server.cpu_s() for server in servers.values())
        found = run(client_command(servers, data))
        found["services_cpu_s"] = sum(server.cpu_s() for server in servers.values()) - before
        return _checked(found, rows, servers[kind].count(kind), part)


def _command(rows: int, part: Part, *command: str) -> Values:
    with fresh_folder() as folder:
        file = str(folder / "users.db")
        found = run([file if word == "DB" else word for word in command]) | {"services_cpu_s": 0.0}
        with closing(sqlite3.connect(file)) as db:
            stored = int(db.execute("SELECT count(*) FROM users").fetchone()[0])
    return _checked(found, rows, stored, part)


def _checked(found: Values, rows: int, stored: int, part: Part) -> Values:
    part.expect(not found["status"], f"a command's exit status was {found['status']:.0f}")
    part.expect(stored == rows, f"{stored:,} rows were stored of {rows:,}")
    return found | {"rate": stored / found["seconds"], "rows": rows}


def _said(name: str, found: Values) -> Values:
    print(f"  {name}: {found['rate']:,.0f} rows/s", flush=True)
    return found


def blocks(part: Part) -> dict[str, str]:
    """Return the table by its name; draw the plot."""
    bars("bulk", "Loading a file: rows a second", [(name, part.all(name, "rate")) for name in part.names()])
    base = SHELL if SHELL in part.names() else part.names()[0]
    rows = [
        [
            name,
            f"{part.median(name, 'rows'):,.0f}",
            f"{part.median(name, 'seconds'):.1f} s",
            f"{part.median(name, 'rate'):,.0f}",
            part.ratio(name, base, "rate"),
            us(part.median(name, "cpu_s") * 1e6 / part.median(name, "rows")),
            us(part.median(name, "services_cpu_s") * 1e6 / part.median(name, "rows")) if "client" in name else "",
        ]
        for name in part.names()
    ]
    heads = ["", "rows", "time", "rows/s", f"ratio to {base}", "CPU a row", "of the services"]
    return {"bulk-rows": table(heads, rows)}
