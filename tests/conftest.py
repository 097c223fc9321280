"""What many tests share: the three services, running and wired, with databases of their own."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import ENGINES, Databases, Folder
from tests.postgres import PostgresServer, postgres_running
from tests.processes import RunningService, all_running


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
