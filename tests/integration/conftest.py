"""What the tests of the contract share: each of the three services in turn, and whether it is well afterwards."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.processes import RunningService
from tests.resource import RECORDS, Resource, client


@pytest.fixture(scope="session")
def resources(services: dict[str, RunningService]) -> Iterator[dict[str, Resource]]:
    """The three services; what an order refers to exists."""
    with ExitStack() as stack:
        found = {
            name: Resource(name, stack.enter_context(client(service)), service.database)
            for name, service in services.items()
        }
        for name in ("users", "products"):
            # Whatever another test has stored under this id does as well.
            assert found[name].post(found[name].record(1)).status_code in {200, 201, 409}
        yield found


@pytest.fixture(params=RECORDS)
def resource(request: pytest.FixtureRequest, resources: dict[str, Resource]) -> Resource:
    return resources[request.param]


@pytest.fixture
def unharmed(resource: Resource) -> Iterator[None]:
    """After the test the service is alive, stores the next record, and its file is sound."""
    yield
    assert resource.http.get("/livez").status_code == 200
    assert resource.post(resource.record()).status_code == 201
    with closing(sqlite3.connect(f"{resource.database.as_uri()}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
