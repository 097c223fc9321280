"""What many tests share: the three services, running and wired, with databases of their own."""

import random
from collections.abc import Iterator

import pytest

from tests.processes import RunningService, all_running


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningService]]:
    """Three services for all tests that leave them running; user 1 and product 1 exist."""
    with all_running(tmp_path_factory.mktemp("databases")) as running:
        yield running


@pytest.fixture
def new_id() -> int:
    """Return an id that no other test uses: neither another of these, nor one that a service assigns.

    Browsers read numbers as doubles, so it leaves room below 2**53 for the ids that services assign after it.
    """
    return random.randrange(10**6, 2**52)
