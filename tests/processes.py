"""Real processes for tests: services on free ports with databases of their own, and the client's command."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from tests.databases import Database, Databases, Folder, SqliteDatabase

PROJECT = Path(__file__).resolve().parents[1]
# Longer than the client sends a record again.
_DEADLINE_S = 60
# For so long the client says nothing where it can't draw, and then how far it is: client/progress.py.
_SILENT_S = 5
_PROGRESS = re.compile(r"^(one after another: )?(users|products|orders) [\d,]+ of .*\n", re.MULTILINE)


@dataclass(eq=False)
class RunningService:
    """A service's process, and where it keeps its records."""

    name: str
    process: subprocess.Popen[str]
    kept: Database

    @property
    def database(self) -> Path:
        """The file, where it is one."""
        assert isinstance(self.kept, SqliteDatabase)
        return self.kept.path

    @cached_property
    def url(self) -> str:
        """Where it listens; waits until it does."""
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        assert "on" in words, self.process.communicate()[1]
        return words[words.index("on") + 1].rstrip(",")


def settings_for(database: Path | Database, **settings: str) -> dict[str, str]:
    """Return the environment of a service with that database on a free port."""
    kept = SqliteDatabase(database) if isinstance(database, Path) else database
    return {**os.environ, "PORT": "0", "DATABASE_URL": kept.url, **settings}


def spawn(name: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a service's process and do not wait for anything."""
    return subprocess.Popen(
        [sys.executable, "-m", f"services.{name}"],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(name: str, place: Path | Databases, **settings: str) -> Iterator[RunningService]:
    """Yield a service that has been started, with its database in that place; end it, if the test has not."""
    kept = (Folder(place) if isinstance(place, Path) else place).of(name)
    process = spawn(name, settings_for(kept, **settings))
    try:
        yield RunningService(name, process, kept)
    finally:
        process.terminate()
        process.communicate(timeout=_DEADLINE_S)


@contextmanager
def all_running(place: Path | Databases) -> Iterator[dict[str, RunningService]]:
    """Yield the three services, wired."""
    with ExitStack() as stack:
        users = stack.enter_context(running("users", place))
        products = stack.enter_context(running("products", place))
        orders = stack.enter_context(running("orders", place, USERS_URL=users.url, PRODUCTS_URL=products.url))
        assert orders.url
        services = {"users": users, "products": products, "orders": orders}
        try:
            yield services
        finally:
            # At once, so that only one of them is waited for.
            for service in services.values():
                service.process.terminate()


def url_options(services: Mapping[str, RunningService]) -> list[str]:
    """Return the client's options that name the services' addresses."""
    return [part for name, service in services.items() for part in (f"--{name}-url", service.url)]


def run_client(*options: str, **keywords: Any) -> subprocess.CompletedProcess[str]:
    """Run the client's command to its end; how far it was is left out where the machine made it take long."""
    command = [sys.executable, str(PROJECT / "client" / "run.py"), *options]
    began_s = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE_S, check=False, **keywords)
    if time.monotonic() - began_s > _SILENT_S:
        done.stderr = without_progress(done.stderr)
    return done


def without_progress(stderr: str) -> str:
    """Return what else the client has said."""
    return _PROGRESS.sub("", stderr)


def merged(*options: str) -> dict[str, Any]:
    """Run the client's command and return its merged result."""
    result: dict[str, Any] = json.loads(run_client(*options, "--json", "-").stdout)
    return result


def eventually(condition: Callable[[], bool], within_s: float = _DEADLINE_S) -> None:
    """Return once the condition holds; fail where it does not in time."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)


def post(service: RunningService, record: object) -> httpx.Response:
    """Send one record."""
    return httpx.post(f"{service.url}/{service.name}", json=record, trust_env=False)
