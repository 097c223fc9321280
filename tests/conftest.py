"""What many tests share: the three services, running and wired, with databases of their own."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.databases import ENGINES, Databases, Folder
from tests.postgres import PostgresServer, postgres_running
from tests.processes import RunningService, all_running
from tests.rounds import Cite, rounds

_FIGURES = "figures"
# Each starts services and a database server for itself.
_MOST_WORKERS = 4


# Tests that are started in the background ignore Ctrl-C, and so would every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes run tests: one more than there are cores, since much of a test is waiting."""
    return min((os.cpu_count() or 1) + 1, _MOST_WORKERS)


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningService]]:
    """Three services for all tests that leave them running; user 1 and product 1 exist."""
    with all_running(tmp_path_factory.mktemp("databases")) as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests that leave it running."""
    with postgres_running() as server:
        yield server


@pytest.fixture(scope="session")
def services_on_postgres(postgres: PostgresServer) -> Iterator[dict[str, RunningService]]:
    """The three services once more, on PostgreSQL."""
    with all_running(postgres.databases()) as running:
        yield running


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Run the test on each engine in turn."""
    return str(request.param)


@pytest.fixture
def databases(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    """Return an empty place for databases of the engine."""
    if engine == "sqlite":
        return Folder(tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.databases()


@pytest.fixture
def new_id() -> int:
    """Return an id that no other test uses: neither another of these, nor one that a service assigns.

    Browsers read numbers as doubles, so it leaves room below 2**53 for the ids that services assign after it.
    """
    return random.randrange(10**6, 2**52)


@pytest.fixture
def cite(record_property: Callable[[str, object], None]) -> Cite:
    """Return what takes figures: one of several processes that run tests can't show them itself."""
    return partial(record_property, _FIGURES)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was measured, where it is a long run that was asked for."""
    for report in terminalreporter.getreports("passed") if rounds(few=0, many=1) else []:
        for name, figures in report.user_properties:
            if name == _FIGURES:
                terminalreporter.write_line(figures)
