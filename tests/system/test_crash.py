"""A service that is killed, stopped or started wrongly: nothing acknowledged is lost, and it says what is wrong."""

import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.databases import Databases, SqliteDatabase
from tests.processes import RunningService, eventually, running, settings_for, spawn
from tests.resource import Resource, client
from tests.rounds import Cite, rounds
from tests.workload import Workload, check, known_pairs, more_is_acknowledged, urls


@pytest.mark.timeout(rounds(120, 900))
@pytest.mark.parametrize("name", ["users", "products", "orders"])
def test_what_was_acknowledged_survives_being_killed_under_load(
    name: str, services: dict[str, RunningService], databases: Databases, cite: Cite
) -> None:
    workload = Workload(name, known_pairs(services))
    kills = rounds(few=4, many=50)
    for _ in range(kills):
        with running(name, databases, **urls(services)) as service, workload.sent_to(service):
            more_is_acknowledged(workload)
            service.process.kill()
        check(service.kept, workload)
    with running(name, databases, **urls(services)) as service, workload.sent_to(service):
        more_is_acknowledged(workload)
    check(service.kept, workload)
    assert not workload.refusals
    cite(f"{name}: {kills} kills, {len(workload.acknowledged):,} records acknowledged and checked")


@pytest.mark.timeout(rounds(120, 900))
@pytest.mark.parametrize(("name", "unique"), [("users", "email"), ("products", "name,price")])
def test_what_is_unique_stays_so_through_kills_under_load(
    name: str, unique: str, databases: Databases, cite: Cite
) -> None:
    workload = Workload(name, duplicates=True)
    kills = rounds(few=4, many=50)
    for _ in range(kills):
        with running(name, databases, UNIQUE=unique) as service, workload.sent_to(service):
            more_is_acknowledged(workload)
            service.process.kill()
        # A duplicate that was stored would be one that nobody sent.
        check(service.kept, workload)
    with running(name, databases, UNIQUE=unique) as service, workload.sent_to(service):
        more_is_acknowledged(workload)
    check(service.kept, workload)
    cite(f"{name}, unique: {kills} kills, {len(workload.acknowledged):,} records acknowledged and checked")


@contextmanager
def half_sent(service: RunningService) -> Iterator[None]:
    """Hold a connection open whose body never comes."""
    address = urlsplit(service.url)
    with closing(socket.create_connection((address.hostname, address.port))) as connection:
        connection.sendall(
            b"POST /users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
        )
        yield


def test_sigterm_under_load_drains_and_ends_well(databases: Databases) -> None:
    workload = Workload("users")
    with running("users", databases) as users, half_sent(users), workload.sent_to(users):
        more_is_acknowledged(workload)
        users.process.terminate()
        assert users.process.wait(timeout=10) == 0
    if isinstance(users.kept, SqliteDatabase):
        assert not users.database.with_name("users.db-wal").exists()
    check(users.kept, workload)


def test_what_is_under_way_at_sigterm_is_finished_and_answered(databases: Databases) -> None:
    with running("users", databases) as users, client(users) as http, ThreadPoolExecutor(1) as threads:
        resource = Resource("users", http, users.kept)
        with resource.kept.locked():
            answer = threads.submit(resource.post, resource.record(1))
            eventually(lambda: resource.in_flight() == 1)
            users.process.terminate()
            eventually(lambda: not takes_connections(resource))
            with pytest.raises(TimeoutError):
                answer.result(timeout=0.5)
        assert answer.result().status_code == 201


def takes_connections(resource: Resource) -> bool:
    try:
        resource.connect().close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_service_stops_at_once_and_says_nothing(databases: Databases, number: signal.Signals) -> None:
    with running("users", databases) as users:
        assert httpx.get(f"{users.url}/livez", trust_env=False).status_code == 200
        users.process.send_signal(number)
        assert users.process.wait(timeout=3) == 0
        assert users.process.communicate() == ("", "")


def test_being_killed_during_the_first_start_does_no_harm(tmp_path: Path) -> None:
    for _ in range(5):
        process = spawn("users", settings_for(tmp_path / "users.db"))
        eventually(lambda process=process: process.poll() is not None or any(tmp_path.iterdir()))  # type: ignore[misc]
        process.kill()
        process.communicate()
    with running("users", tmp_path) as users:
        assert httpx.get(f"{users.url}/users/count", trust_env=False).json() == {"count": 0}
