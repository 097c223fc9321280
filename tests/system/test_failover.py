"""A PostgreSQL primary that dies and the synchronous standby that takes over: nothing acknowledged is lost."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import httpx
import pytest

from tests.postgres import (
    PASSWORD,
    PostgresDatabase,
    PostgresDatabases,
    PostgresServer,
    postgres_running,
    standby_running,
)
from tests.processes import RunningService, eventually, post, running
from tests.rounds import Cite
from tests.workload import Workload, check, more_is_acknowledged

USER = {"id": 1, "name": "Ada", "email": "ada@example.com"}

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True)
class Pair:
    """A primary, and the standby that each of its commits waits for; a place for databases that lie on both."""

    primary: PostgresServer
    standby: PostgresServer

    @cached_property
    def databases(self) -> PostgresDatabases:
        return self.primary.databases()

    def of(self, name: str) -> "PairedDatabase":
        return PairedDatabase(self.primary, self.databases.of(name).name, name, self.standby)

    def fresh(self) -> "Pair":
        return Pair(self.primary, self.standby)

    def fail_over(self) -> None:
        """End the primary for good, and have the standby take its place."""
        self.primary.end_all()
        self.standby.promote()


@dataclass(frozen=True)
class PairedDatabase(PostgresDatabase):
    """A database on a primary and its standby."""

    standby: PostgresServer

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in (self.server, self.standby))
        return f"postgresql://postgres:{PASSWORD}@{hosts}/{self.name}"

    @property
    def on_the_standby(self) -> PostgresDatabase:
        return PostgresDatabase(self.standby, self.name, self.table)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with postgres_running(synchronous_standby_names="*") as primary, standby_running(primary) as standby:
        eventually(lambda: primary.query("SELECT sync_state FROM pg_stat_replication") == [("sync",)])
        yield Pair(primary, standby)


def kept(service: RunningService) -> PairedDatabase:
    assert isinstance(service.kept, PairedDatabase)
    return service.kept


def send(service: RunningService, record: object) -> int:
    """Send it and wait for the answer, which may take longer than most."""
    return httpx.post(f"{service.url}/users", json=record, trust_env=False, timeout=30).status_code


def have_it_connect_anew(service: RunningService, server: PostgresServer) -> None:
    server.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{kept(service).name}'")


def test_a_standby_takes_over_under_load_and_nothing_that_was_acknowledged_is_lost(pair: Pair, cite: Cite) -> None:
    workload = Workload("users")
    # It says of each batch that it could not be written, and nobody reads that here.
    with running("users", pair, LOG_LEVEL="error") as users:
        with workload.sent_to(users):
            more_is_acknowledged(workload, 1_000)
            began_s = time.monotonic()
            pair.fail_over()
            promoted_s = time.monotonic()
            more_is_acknowledged(workload, 1)
            again_s = time.monotonic()
            more_is_acknowledged(workload, 1_000)
        assert users.process.poll() is None
        check(kept(users).on_the_standby, workload)
    cite(
        f"failover: {len(workload.acknowledged):,} acknowledged and checked, {again_s - began_s:.2f} s without writes,"
        f" of which {promoted_s - began_s:.2f} s until the standby had been promoted",
    )


def test_a_primary_that_comes_back_as_a_standby_is_not_written(pair: Pair) -> None:
    with running("users", pair) as users:
        assert post(users, USER).status_code == 201
        pair.fail_over()
        pair.primary.demote(pair.standby)
        pair.primary.start()
        # Now the first address of the two is one that takes no writes.
        have_it_connect_anew(users, pair.standby)
        assert send(users, {**USER, "id": 2}) == 201
        assert httpx.get(f"{users.url}/users/2", trust_env=False).status_code == 200
        assert kept(users).on_the_standby.rows("SELECT id FROM users ORDER BY id") == [(1,), (2,)]


def test_a_primary_that_comes_back_as_one_acknowledges_nothing(pair: Pair) -> None:
    with running("users", pair) as users:
        assert post(users, USER).status_code == 201
        pair.fail_over()
        assert send(users, {**USER, "id": 2}) == 201
        pair.primary.start()
        have_it_connect_anew(users, pair.standby)
        # It takes writes, and waits for a standby that it has lost.
        assert [send(users, record) for record in ({**USER, "id": 3}, USER)] == [503, 503]
        pair.primary.end_all()
        assert send(users, {**USER, "id": 3}) == 201
        assert kept(users).on_the_standby.rows("SELECT id FROM users ORDER BY id") == [(1,), (2,), (3,)]


def test_a_wait_for_the_standby_that_someone_ends_is_no_acknowledgement(pair: Pair) -> None:
    with running("users", pair) as users, ThreadPoolExecutor() as threads:
        assert post(users, USER).status_code == 201
        pair.standby.end()
        answer = threads.submit(send, users, {**USER, "id": 2})
        ended = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        eventually(lambda: bool(pair.primary.query(ended)))
        assert answer.result() == 503
        pair.standby.start()
        eventually(lambda: send(users, {**USER, "id": 2}) == 200)


def test_what_a_primary_alone_has_is_not_acknowledged_until_the_standby_has_it_too(pair: Pair) -> None:
    with running("users", pair) as users:
        assert post(users, USER).status_code == 201
        pair.standby.end()
        late = {**USER, "id": 2}
        assert send(users, late) == 503
        # What has waited in vain is there after a restart, although no standby has it.
        pair.primary.end_all()
        pair.primary.start()
        assert kept(users).rows("SELECT id FROM users ORDER BY id") == [(1,), (2,)]
        assert send(users, late) == 503
        pair.standby.start()
        eventually(lambda: send(users, late) == 200)
        pair.fail_over()
        assert kept(users).on_the_standby.rows("SELECT id FROM users ORDER BY id") == [(1,), (2,)]
