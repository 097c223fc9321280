"""Several addresses for a service: what becomes of records when one refuses, hangs, is busy, talks nonsense or dies.

All of them lead to one process, as replicas lead to one database.
"""

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.processes import RunningService, all_running, run_client, url_options
from tests.proxy import between
from tests.system.test_lies import KEPT, check_batches, check_sample, write_batches
from tests.upstream import answer, forward, listening

PROBLEM = b'{"type": "/problems/overloaded", "title": "", "status": 503, "detail": "busy"}'
# An address that is not well, by the service that it might lead to.
Fault = Callable[[str], AbstractContextManager[str]]


@contextmanager
def refusing(_: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    yield url


@contextmanager
def silent(service: str) -> Iterator[str]:
    with between(service, lambda _: "held") as proxy:
        yield proxy.url


@contextmanager
def silent_once_it_has_stored(service: str) -> Iterator[str]:
    with between(service, lambda line: "held" if line.startswith("POST") else None) as proxy:
        yield proxy.url


@contextmanager
def stopping(service: str) -> Iterator[str]:
    with between(service, lambda _: "503") as proxy:
        yield proxy.url


@contextmanager
def busy_for_long(service: str) -> Iterator[str]:
    busy = answer("503 Service Unavailable", PROBLEM, "application/problem+json", **{"retry-after": "60"})

    def behave(connection: socket.socket, request: bytes) -> None:
        (busy if request.startswith(b"POST") else forward(service))(connection, request)

    with listening(behave) as server:
        yield server.url


@contextmanager
def talking_nonsense(service: str) -> Iterator[str]:
    with between(service, lambda line: "garbage" if line.startswith("POST") else None) as proxy:
        yield proxy.url


@contextmanager
def dying(service: str) -> Iterator[str]:
    """Yield an address that dies when it is sent to for the third time: that is stored, and nobody hears of it."""
    posts = count(1)

    def choose(line: str) -> None:
        if line.startswith("POST") and next(posts) == 3:
            proxy.die()

    with between(service, choose) as proxy:
        yield proxy.url


FAULTS = [refusing, silent, silent_once_it_has_stored, stopping, busy_for_long, talking_nonsense, dying]


@contextmanager
def beside(services: Mapping[str, RunningService], *faults: Fault) -> Iterator[dict[str, str]]:
    """Yield each service's addresses: those that are not well, and then the service itself."""
    with ExitStack() as stack:
        yield {
            name: ",".join([*(stack.enter_context(fault(service.url)) for fault in faults), service.url])
            for name, service in services.items()
        }


def sent(urls: Mapping[str, str], *options: str) -> tuple[int, dict[str, Any], str]:
    """Run the client; return its exit status, its merged result and what it says on standard error."""
    addresses = [part for name, url in urls.items() for part in (f"--{name}-url", url)]
    run = run_client(*addresses, "--json", "-", *options)
    return run.returncode, json.loads(run.stdout), run.stderr


@pytest.fixture(scope="module")
def sample_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningService]]:
    """Three services that are sent nothing but the sample."""
    with all_running(tmp_path_factory.mktemp("sample")) as services:
        yield services


@pytest.fixture(scope="module")
def batch_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningService]]:
    """Three services that are sent nothing but the batches."""
    with all_running(tmp_path_factory.mktemp("batches")) as services:
        yield services


@pytest.mark.parametrize("fault", FAULTS)
def test_the_sample_ends_as_it_must_beside_an_address_that_is_not_well(
    sample_services: dict[str, RunningService], fault: Fault
) -> None:
    with beside(sample_services, fault) as urls:
        status, result, stderr = sent(urls, "--give-up-after", "6")
    check_sample(sample_services, status, result)
    assert stderr == ""


@pytest.mark.parametrize("fault", FAULTS)
def test_batches_end_as_they_must_beside_an_address_that_is_not_well(
    batch_services: dict[str, RunningService], tmp_path: Path, fault: Fault
) -> None:
    write_batches(tmp_path / "data")
    with beside(batch_services, fault) as urls:
        # Much less than an answer to a batch may take by itself.
        options = ["--data", str(tmp_path / "data"), "--batch", "200", "--give-up-after", "6"]
        status, result, stderr = sent(urls, *options)
    check_batches(batch_services, status, result)
    assert stderr == ""


def test_one_well_address_among_several_is_enough(sample_services: dict[str, RunningService]) -> None:
    with beside(sample_services, refusing, stopping, talking_nonsense, dying) as urls:
        status, result, _ = sent(urls)
    check_sample(sample_services, status, result)


@pytest.mark.parametrize("fault", [refusing, silent])
def test_all_is_verified_beside_an_address_that_is_not_well(
    sample_services: dict[str, RunningService], fault: Fault
) -> None:
    with beside(sample_services, fault) as urls:
        sent(urls)
        addresses = [part for name, url in urls.items() for part in (f"--{name}-url", url)]
        run = run_client(*addresses, "--verify")
    assert (run.returncode, run.stderr) == (0, "")


def test_each_address_is_sent_its_part(sample_services: dict[str, RunningService]) -> None:
    users = sample_services["users"].url
    with between(users, lambda _: None) as one, between(users, lambda _: None) as other:
        urls = {name: service.url for name, service in sample_services.items()}
        status, result, _ = sent({**urls, "users": f"{one.url}, {other.url}"})
    check_sample(sample_services, status, result)
    for proxy in (one, other):
        assert sum(line.startswith("POST /users ") for line in proxy.requests) == 5


def test_where_no_address_answers_it_says_so_and_the_others_complete(
    sample_services: dict[str, RunningService],
) -> None:
    with refusing("") as one, refusing("") as other:
        urls = {name: service.url for name, service in sample_services.items()}
        status, result, stderr = sent({**urls, "orders": f"{one},{other}"})
    assert status == 1
    assert f"orders does not answer at {one} or {other}." in stderr
    assert {name: result["summary"][name]["undelivered"] for name in KEPT} == {"users": 0, "products": 0, "orders": 10}


def test_where_all_addresses_die_records_are_undelivered(sample_services: dict[str, RunningService]) -> None:
    urls = {name: service.url for name, service in sample_services.items()}
    with dying(urls["users"]) as one, dying(urls["users"]) as other:
        status, result, _ = sent({**urls, "users": f"{one},{other}"}, "--give-up-after", "1")
    assert status == 1
    assert result["summary"]["users"]["undelivered"] > 0
    assert result["differences"]


@contextmanager
def slow(service: str) -> Iterator[str]:
    """Yield an address that takes a second for each user."""

    def behave(connection: socket.socket, request: bytes) -> None:
        if request.startswith(b"POST /users "):
            Event().wait(1)
        forward(service)(connection, request)

    with listening(behave) as server:
        yield server.url


def test_what_a_single_address_would_have_answered_in_time_several_do_as_well(
    sample_services: dict[str, RunningService],
) -> None:
    urls = {name: service.url for name, service in sample_services.items()}
    with slow(urls["users"]) as one, slow(urls["users"]) as other:
        for addresses in (one, f"{one},{other}"):
            # Of which the first of two may take half.
            status, result, _ = sent({**urls, "users": addresses}, "--give-up-after", "1.2")
            check_sample(sample_services, status, result)


@pytest.mark.parametrize("urls", ["http://a,", "http://a,b", ","])
def test_each_address_must_be_one(sample_services: dict[str, RunningService], urls: str) -> None:
    run = run_client(*url_options(sample_services), "--users-url", urls)
    assert run.returncode == 2
    assert "the address of users must be like http://host:port" in run.stderr
