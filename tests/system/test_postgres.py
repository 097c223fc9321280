"""A PostgreSQL server that dies, stops or may only be read, and replicas that share it: nothing lost, nothing twice."""

import itertools
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from client.fan_out import FanOut
from client.records import Record
from client.services import Service, connect
from tests.databases import Database
from tests.postgres import PASSWORD, PostgresDatabase, PostgresDatabases, PostgresServer, postgres_running
from tests.processes import RunningService, eventually, post, running, settings_for, spawn
from tests.rounds import Cite, rounds
from tests.severed import severed
from tests.workload import Workload, check, more_is_acknowledged, nothing_more_is_acknowledged

STOPPED_WITHIN_S = 10.0
USER = {"name": "Ada", "email": "ada@example.com"}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that tests may kill, as long as they start it again."""
    with postgres_running() as own:
        yield own


@pytest.fixture
def place(server: PostgresServer) -> PostgresDatabases:
    """Return an empty place, on a server that is up whatever the test before has left."""
    if not server.is_up():
        server.start()
    return server.databases()


def ready(service: RunningService) -> int:
    return httpx.get(f"{service.url}/readyz", trust_env=False, timeout=30).status_code


@pytest.mark.timeout(rounds(120, 900))
@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL])
def test_what_was_acknowledged_survives_a_servers_crashes_and_the_service_goes_on(
    server: PostgresServer, place: PostgresDatabases, how: signal.Signals, cite: Cite
) -> None:
    workload = Workload("users")
    crashes = rounds(few=2, many=20)
    # It says of each batch that it could not be written, and nobody reads that here.
    with running("users", place, LOG_LEVEL="error") as users, workload.sent_to(users):
        for _ in range(crashes):
            more_is_acknowledged(workload)
            server.end(how)
            nothing_more_is_acknowledged(workload)
            assert ready(users) == 503
            server.start()
            eventually(lambda: ready(users) == 200)
        more_is_acknowledged(workload)
    check(users.kept, workload)
    cite(f"{how.name}: {crashes} crashes of the server, {len(workload.acknowledged):,} acknowledged and checked")


def test_without_a_server_the_answer_comes_soon_and_says_when_to_come_back(
    server: PostgresServer, place: PostgresDatabases
) -> None:
    with running("users", place) as users:
        assert post(users, USER).status_code == 201
        server.end()
        for answer in (post(users, USER), httpx.get(f"{users.url}/users/1", trust_env=False)):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["type"].endswith("store-unavailable")
            assert answer.elapsed.total_seconds() < 5
        assert httpx.get(f"{users.url}/livez", trust_env=False).status_code == 200
        server.start()
        # Every connection that was there is dead, and nobody is told so.
        assert httpx.get(f"{users.url}/users/1", trust_env=False).status_code == 200
        assert post(users, {"id": 9, **USER}).status_code == 201


@dataclass(frozen=True)
class Severable:
    """A place behind a way that breaks."""

    place: PostgresDatabases
    port: int

    def of(self, name: str) -> Database:
        kept = self.place.of(name)
        return SeveredDatabase(kept.server, kept.name, kept.table, self.port)

    def fresh(self) -> "Severable":
        return Severable(self.place.fresh(), self.port)


@dataclass(frozen=True)
class SeveredDatabase(PostgresDatabase):
    """A database that the service reaches by such a way, and the test by another."""

    port: int

    @property
    def url(self) -> str:
        return self.server.url(self.name, self.port)


def test_commits_and_answers_that_are_lost_under_load_leave_nothing_twice_and_nothing_lost(
    server: PostgresServer, place: PostgresDatabases
) -> None:
    workload = Workload("users")
    with severed(server.port) as way:
        with running("users", Severable(place, way.port)) as users:
            assert users.url
            chance = random.Random(7)
            way.choose = lambda _: chance.choice(["before", "after"]) if chance.random() < 0.2 else None
            with workload.sent_to(users):
                more_is_acknowledged(workload, rounds(400, 20_000))
        assert way.broken > 5
    check(users.kept, workload)
    # All of them could be settled.
    assert not workload.refusals


def test_the_client_does_not_send_again_what_has_no_id_and_may_be_stored(
    server: PostgresServer, place: PostgresDatabases
) -> None:
    with severed(server.port) as way, running("users", Severable(place, way.port)) as users, connect(users.url) as http:
        way.choose = lambda _: "after" if not way.broken else None
        record = Record("users", "users.csv:2", json.dumps(USER).encode(), None)
        sent = FanOut([Service("users", users.url, http)], threads=1, give_up_after_s=5).send([record])
        assert (way.broken, users.kept.rows("SELECT count(*) FROM users")) == (1, [(1,)])
    (result,) = sent.results
    assert (result.outcome, result.status, result.attempts) == ("undelivered", 503, 1)
    assert result.reasons == ("The answer to a commit was lost; a record without an id may be stored.",)


@contextmanager
def replicas(place: PostgresDatabases, **settings: str) -> Iterator[list[RunningService]]:
    with ExitStack() as stack:
        services = [stack.enter_context(running("users", place, **settings)) for _ in range(2)]
        assert all(service.url for service in services)
        yield services


def test_replicas_under_load_agree_on_every_record(place: PostgresDatabases) -> None:
    workload = Workload("users")
    with replicas(place) as (one, other), workload.sent_to(one), workload.sent_to(other):
        more_is_acknowledged(workload, 1_000)
    check(one.kept, workload)
    assert not workload.refusals


def test_replicas_that_refuse_duplicates_under_load_agree_too(place: PostgresDatabases) -> None:
    workload = Workload("users", duplicates=True)
    with replicas(place, UNIQUE="email") as (one, other), workload.sent_to(one), workload.sent_to(other):
        more_is_acknowledged(workload, 500)
    check(one.kept, workload)
    assert one.kept.rows("SELECT count(*) - count(DISTINCT email) FROM users") == [(0,)]


def sent_to_both(services: list[RunningService], bodies: list[Any]) -> list[httpx.Response]:
    """Send each body to each of the services, in no order, from many threads."""
    calls = list(itertools.product(services, bodies))
    random.shuffle(calls)

    def send(call: tuple[RunningService, Any]) -> httpx.Response:
        service, body = call
        path = "users/batch?results=all" if isinstance(body, list) else "users"
        return httpx.post(f"{service.url}/{path}", json=body, trust_env=False, verify=False, timeout=30)

    with ThreadPoolExecutor(16) as threads:
        return list(threads.map(send, calls))


def test_of_what_both_replicas_are_sent_at_once_each_is_created_once(place: PostgresDatabases) -> None:
    with replicas(place) as services:
        records = [{"id": record_id, **USER} for record_id in range(1, 61)]
        batches = [random.sample(records, len(records)) for _ in range(4)]
        found: Counter[str] = Counter()
        for answer in sent_to_both(services, [*batches, *records]):
            rows = answer.json().get("results")
            found.update(row["outcome"] for row in rows) if rows else found.update([str(answer.status_code)])
        assert found["created"] + found["201"] == len(records)
        assert found["unchanged"] + found["200"] == 2 * 5 * len(records) - len(records)
        assert services[0].kept.rows("SELECT count(*) FROM users") == [(len(records),)]


def test_of_many_contents_under_one_id_one_wins_whichever_replica_was_asked(place: PostgresDatabases) -> None:
    with replicas(place) as services:
        bodies = [{"id": 1, "name": f"n{number}", "email": "a@b"} for number in range(30)]
        answers = sent_to_both(services, bodies)
        found = Counter(answer.status_code for answer in answers)
        assert (found[201], found[200], found[409]) == (1, 1, 58)
        (winner,) = [answer.json() for answer in answers if answer.status_code == 201]
        assert [httpx.get(f"{each.url}/users/1", trust_env=False).json() for each in services] == [winner] * 2


def test_replicas_give_records_without_an_id_different_ones(place: PostgresDatabases) -> None:
    with replicas(place) as services:
        answers = sent_to_both(services, [USER] * 100)
        assert {answer.status_code for answer in answers} == {201}
        assert sorted(answer.json()["id"] for answer in answers) == list(range(1, 201))


def test_of_what_is_unique_one_wins_whichever_replica_was_asked(place: PostgresDatabases) -> None:
    with replicas(place, UNIQUE="email") as services:
        answers = sent_to_both(services, [{"id": number, **USER} for number in range(1, 41)])
        # Both replicas were sent each of them.
        assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 1, 409: 78}
        assert services[0].kept.rows("SELECT count(*) FROM users") == [(1,)]


def test_a_server_that_stops_answering_is_given_up_within_seconds_and_found_again(
    server: PostgresServer, place: PostgresDatabases
) -> None:
    with running("users", place) as users:
        assert post(users, USER).status_code == 201
        sql = f"SELECT pid FROM pg_stat_activity WHERE datname = '{users.kept.name}'"  # type: ignore[attr-defined]
        pids = [pid for (pid,) in server.query(sql)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            answer = httpx.post(f"{users.url}/users", json=USER, trust_env=False, timeout=30)
            assert answer.status_code == 503
            assert answer.elapsed.total_seconds() < 10
            # Another connection is another process of the server, and that one is well.
            assert httpx.post(f"{users.url}/users", json=USER, trust_env=False, timeout=30).status_code == 201
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


def test_a_service_is_stopped_soon_whatever_its_server_does_not_answer(
    server: PostgresServer, place: PostgresDatabases
) -> None:
    with running("users", place) as users, ThreadPoolExecutor() as threads:
        assert post(users, USER).status_code == 201
        assert httpx.get(f"{users.url}/users/1", trust_env=False).status_code == 200
        sql = f"SELECT pid FROM pg_stat_activity WHERE datname = '{users.kept.name}'"  # type: ignore[attr-defined]
        pids = [pid for (pid,) in server.query(sql)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            asked = [
                threads.submit(httpx.get, f"{users.url}/users/1", trust_env=False, timeout=60),
                threads.submit(httpx.post, f"{users.url}/users", json=USER, trust_env=False, timeout=60),
            ]
            eventually(lambda: "in_flight 1" in httpx.get(f"{users.url}/metrics", trust_env=False).text)
            users.process.terminate()
            users.process.communicate(timeout=STOPPED_WITHIN_S)
            assert users.process.returncode == 0
            assert [answer.result().status_code for answer in asked] == [503, 503]
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


def test_a_server_that_may_only_be_read_is_left_and_found_again(
    server: PostgresServer, place: PostgresDatabases
) -> None:
    with running("users", place) as users:
        assert post(users, USER).status_code == 201
        name = users.kept.name  # type: ignore[attr-defined]
        server.query(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        server.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        assert post(users, USER).status_code == 503
        assert ready(users) == 503
        server.query(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        assert post(users, USER).status_code == 201


def test_a_server_that_syncs_nothing_is_refused_at_the_start_and_while_running(
    server: PostgresServer, place: PostgresDatabases
) -> None:
    with running("users", place) as users:
        assert post(users, USER).status_code == 201
        server.query("ALTER SYSTEM SET fsync = off")
        try:
            server.end()
            server.start()
            assert post(users, USER).status_code == 503
            process = spawn("users", settings_for(users.kept))
            out, err = process.communicate(timeout=30)
            assert (process.returncode != 0, out) == (True, "")
            assert "fsync" in err
        finally:
            server.query("ALTER SYSTEM RESET fsync")
            server.end()
            server.start()
        assert post(users, USER).status_code == 201


def test_no_log_and_no_message_holds_the_password(server: PostgresServer, place: PostgresDatabases) -> None:
    with running("users", place, LOG_LEVEL="debug") as users:
        assert post(users, USER).status_code == 201
        server.end()
        assert post(users, USER).status_code == 503
        users.process.terminate()
        out, err = users.process.communicate(timeout=30)
        failed = spawn("users", settings_for(users.kept, LOG_LEVEL="debug"))
        failed_out, failed_err = failed.communicate(timeout=30)
        server.start()
    assert failed.returncode not in {0, None}
    assert "The database can't be used" in failed_err
    assert "nothing was acknowledged" in err
    assert PASSWORD not in out + err + failed_out + failed_err
