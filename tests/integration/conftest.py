"""What the tests of the contract share: the three services on each engine, and whether they are well afterwards."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import pytest

from tests.databases import Database
from tests.processes import RunningService
from tests.resource import RECORDS, Resource, client


@pytest.fixture(scope="session")
def resources(services: dict[str, RunningService]) -> Iterator[dict[str, Resource]]:
    """The three services; what an order refers to exists."""
    with all_reached(services) as found:
        yield found


@pytest.fixture(scope="session")
def resources_on_postgres(
    services_on_postgres: dict[str, RunningService], resources: dict[str, Resource]
) -> Iterator[dict[str, Resource]]:
    """The same on PostgreSQL; tests that start another service of orders refer it to the others."""
    with all_reached(services_on_postgres) as found:
        yield found


@contextmanager
def all_reached(services: Mapping[str, RunningService]) -> Iterator[dict[str, Resource]]:
    with ExitStack() as stack:
        found = {
            name: Resource(name, stack.enter_context(client(service)), service.kept)
            for name, service in services.items()
        }
        for name in ("users", "products"):
            # Whatever another test has stored under this id does as well.
            assert found[name].post(found[name].record(1)).status_code in {200, 201, 409}
        yield found


@pytest.fixture(params=RECORDS)
def resource(request: pytest.FixtureRequest, engine: str) -> Resource:
    found = request.getfixturevalue("resources" if engine == "sqlite" else "resources_on_postgres")
    return found[request.param]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def written() -> Iterator[set[Database]]:
    """Take the databases that a module's tests write: they are sound after all of them.

    Looking through one takes as long as it has grown, and what is unsound stays so.
    """
    databases: set[Database] = set()
    yield databases
    for database in databases:
        database.raise_if_unsound()


@pytest.fixture
def unharmed(resource: Resource, written: set[Database]) -> Iterator[None]:
    """After the test the service is alive and stores the next record; after the last, its database is sound."""
    yield
    written.add(resource.kept)
    assert resource.http.get("/livez").status_code == 200
    assert resource.post(resource.record()).status_code == 201
