"""Single durable inserts over HTTP: ours, the same app without a disk, and others."""

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.plot import bars
from benchmarks.report import table, us
from benchmarks.results import Part, Values
from benchmarks.servers import Server, free_port, fresh_folder, launched, service
from benchmarks.settings import RIVALS, WORK, Settings
from benchmarks.wrk import Posts, drive

CONNECTIONS = (64, 1)
OURS, CEILING = "ours", "ours without a disk"
_DATASETTE = WORK / "venv" / "bin" / "datasette"
_SOUL = WORK / "soul" / "node_modules" / ".bin" / "soul"
_USER = '{"name": "Ada Lovelace %d", "email": "ada%d@example.com"}'
USERS = Posts("/users", _USER)
_SOUL_USERS = Posts("/api/tables/users/rows", f'{{"fields": {_USER}}}')


@dataclass(frozen=True)
class Contestant:
    """Somebody who takes users by POST."""

    name: str
    start: Callable[[Path], AbstractContextManager[Server]]
    posts: Posts
    # The file without which it can't take part.
    needs: Path = Path(sys.executable)


def _ours(folder: Path) -> AbstractContextManager[Server]:
    return service("users", folder)


def _ceiling(folder: Path) -> AbstractContextManager[Server]:
    return service("users", folder, module="benchmarks.rivals.ceiling")


def _plain(folder: Path) -> AbstractContextManager[Server]:
    command = [sys.executable, "-m", "uvicorn", "benchmarks.rivals.plain:app", "--no-access-log"]
    return launched(command, {"DATABASE": str(_empty(folder))}, free_port())


def _datasette(folder: Path) -> AbstractContextManager[Server]:
    setting = ("--setting", "databases.users.permissions.insert-row", "true")
    return launched([str(_DATASETTE), str(_empty(folder)), *setting], {}, free_port())


def _soul(folder: Path) -> AbstractContextManager[Server]:
    return launched([str(_SOUL), f"--database={_empty(folder)}", f"--extensions={RIVALS / 'soul'}"], {}, free_port())


@contextmanager
def _durable_soul(folder: Path) -> Iterator[Server]:
    with _soul(folder) as server:
        if json.loads(server.get("/synchronous-full")) != {"asItCame": 1, "now": 2}:
            raise RuntimeError("soul's way of committing is not what the document says of it")
        yield server


CONTESTANTS = (
    Contestant(OURS, _ours, USERS),
    Contestant(CEILING, _ceiling, USERS),
    Contestant("FastAPI, a commit a request", _plain, USERS),
    Contestant("Datasette", _datasette, Posts("/users/users/-/insert", f'{{"rows": [{_USER}]}}'), needs=_DATASETTE),
    Contestant("soul, made durable", _durable_soul, _SOUL_USERS, needs=_SOUL),
    Contestant("soul as it comes, not durable", _soul, _SOUL_USERS, needs=_SOUL),
)


def measure(settings: Settings, part: Part) -> None:
    """Drive every contestant once a turn, at each number of connections."""
    if not shutil.which("wrk"):
        raise RuntimeError("wrk is not installed")
    part.left_out |= {one.name: "it is not installed" for one in CONTESTANTS if not one.needs.exists()}
    present = [one for one in CONTESTANTS if one.name not in part.left_out]
    for _ in range(settings.turns):
        part.turns.append({one.name: _one(one, settings.seconds, part) for one in present})


def _one(contestant: Contestant, seconds: int, part: Part) -> Values:
    values: Values = {}
    with fresh_folder() as folder:
        with contestant.start(folder) as server:
            answers = drive([server], contestant.posts, 64, 1)["requests"]
            for connections in CONNECTIONS:
                before = _inserts_and_commits(contestant, server)
                found = drive([server], contestant.posts, connections, seconds)
                inserts, commits = _inserts_and_commits(contestant, server)
                found["per_commit"] = (inserts - before[0]) / max(commits - before[1], 1)
                answers += found["requests"]
                part.expect(not found["errors"], f"{contestant.name}: {found['errors']:.0f} requests failed")
                values |= {f"{key}_{connections}": value for key, value in found.items()}
                print(f"  {contestant.name}, {connections} connections: {found['rate']:,.0f}/s", flush=True)
        # What was on its way when wrk stopped may be stored, but no answer was counted for it.
        least, most = (0, 0) if contestant.name == CEILING else (answers, answers + 64 + sum(CONNECTIONS))
        part.expect(least <= _rows(folder) <= most, f"{contestant.name}: the rows stored are not those answered")
    return values


def _inserts_and_commits(contestant: Contestant, server: Server) -> tuple[int, int]:
    if contestant.name != OURS:
        return 0, 0
    return (
        server.metric("parallel_insert_requests_total", 'method="POST",route="/users"'),
        server.metric("parallel_insert_batch_records_count"),
    )


def _empty(folder: Path) -> Path:
    """Return a database with an empty table, in WAL mode: the fastest one in which a commit can be durable."""
    with closing(sqlite3.connect(folder / "users.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT)")
    return folder / "users.db"


def _rows(folder: Path) -> int:
    if not (folder / "users.db").exists():
        return 0
    with closing(sqlite3.connect(folder / "users.db")) as db:
        return int(db.execute("SELECT count(*) FROM users").fetchone()[0])


def blocks(part: Part) -> dict[str, str]:
    """Return the tables by name; draw the plot."""
    rates = [(name, part.all(name, "rate_64")) for name in part.names()]
    bars("single", "Single inserts, 64 connections: requests a second", rates)
    return {f"single-{connections}": _table(part, connections) for connections in CONNECTIONS}


def _table(part: Part, n: int) -> str:
    def row(name: str) -> list[str]:
        return [
            name,
            f"{part.median(name, f'rate_{n}'):,.0f}",
            part.ratio(name, OURS, f"rate_{n}"),
            f"{part.median(name, f'p50_ms_{n}'):,.2f} ms",
            f"{part.median(name, f'p99_ms_{n}'):,.2f} ms",
            us(part.median(name, f"cpu_us_{n}")),
            f"{part.median(name, f'per_commit_{n}'):.1f}" if name == OURS else "" if name == CEILING else "1",
        ]

    heads = [f"connections: {n}", "requests/s", "ratio to ours", "p50", "p99", "CPU a request", "requests a commit"]
    share = part.ratio(OURS, CEILING, f"rate_{n}")
    return table(heads, map(row, part.names())) + f"\n\nOurs against ours without a disk: {share}"
