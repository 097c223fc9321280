"""Two replicas of each service on one PostgreSQL server, to which clients send at once, and of which one is killed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import PostgresDatabases, PostgresServer
from tests.processes import RunningService, eventually, run_client, running
from tests.system.test_lies import IDS, KEPT, write_batches

Replicas = Mapping[str, Sequence[RunningService]]


# What the sample holds twice: user 8 is user 1 once more, and product 7 product 1.
UNIQUE = {"users": "email", "products": "name,price"}


@contextmanager
def replicas_on(place: PostgresDatabases, unique: Mapping[str, str]) -> Iterator[Replicas]:
    """Yield two of each service; those of orders ask both of users and of products."""
    with ExitStack() as stack:

        def two(name: str, **settings: str) -> list[RunningService]:
            return [stack.enter_context(running(name, place, **settings)) for _ in range(2)]

        found = {name: two(name, UNIQUE=unique.get(name, "")) for name in ("users", "products")}
        urls = {f"{name.upper()}_URL": addresses(services) for name, services in found.items()}
        yield {**found, "orders": two("orders", **urls)}


@pytest.fixture
def replicas(postgres: PostgresServer) -> Iterator[Replicas]:
    """Two of each service."""
    with replicas_on(postgres.databases(), {}) as found:
        yield found


def addresses(services: Sequence[RunningService]) -> str:
    return ",".join(service.url for service in services)


def sent(replicas: Replicas, *options: str) -> tuple[int, dict[str, Any]]:
    """Run the client; return its exit status and the merged result."""
    urls = [part for name, services in replicas.items() for part in (f"--{name}-url", addresses(services))]
    run = run_client(*urls, "--json", "-", *options)
    assert run.stderr == ""
    return run.returncode, json.loads(run.stdout)


def check(replicas: Replicas, runs: Sequence[tuple[int, dict[str, Any]]], kept: Mapping[str, Sequence[int]]) -> None:
    """Check that these are stored, each once, and that every run knows it."""
    for status, result in runs:
        assert (status, result["differences"]) == (0, [])
    for name, ids in kept.items():
        summaries = [result["summary"][name] for _, result in runs]
        assert {summary["created"] + summary["unchanged"] for summary in summaries} == {len(ids)}
        assert {summary["undelivered"] for summary in summaries} == {0}
        assert ids_in(replicas[name][0], name) == list(ids)


def ids_in(service: RunningService, name: str) -> list[int]:
    return [record_id for (record_id,) in service.kept.rows(f"SELECT id FROM {name} ORDER BY id")]


def has_some(service: RunningService, name: str) -> bool:
    return bool(service.kept.rows(f"SELECT 1 FROM {name} LIMIT 1"))


def test_two_clients_that_send_the_sample_at_once_to_two_replicas_store_it_once(replicas: Replicas) -> None:
    with ThreadPoolExecutor(2) as clients:
        runs = list(clients.map(lambda _: sent(replicas), range(2)))
    check(replicas, runs, {name: range(1, count + 1) for name, count in KEPT.items()})
    for name, count in KEPT.items():
        assert sum(result["summary"][name]["created"] for _, result in runs) == count


def test_two_clients_that_send_the_samples_duplicates_to_two_replicas_store_none(postgres: PostgresServer) -> None:
    with replicas_on(postgres.databases(), UNIQUE) as replicas:
        with ThreadPoolExecutor(2) as clients:
            runs = list(clients.map(lambda _: sent(replicas), range(2)))
        stored = {name: ids_in(services[0], name) for name, services in replicas.items()}
        check(replicas, runs, stored)
        # Whichever of the two came first.
        assert (set(stored["users"]), set(stored["products"])) in [
            ({*range(1, 10)} - {user}, {*range(1, 10)} - {product}) for user in (1, 8) for product in (1, 7)
        ]
        outcomes = [
            {(each["service"], each["id"]): each["outcome"] for each in result["results"]} for _, result in runs
        ]
        refused = [{key for key, outcome in one.items() if outcome == "rejected"} for one in outcomes]
        assert refused[0] == refused[1]


def test_a_replica_of_each_service_that_is_killed_under_load_takes_nothing_with_it(
    replicas: Replicas, tmp_path: Path
) -> None:
    write_batches(tmp_path / "data")
    options = ["--data", str(tmp_path / "data"), "--batch", "20"]
    with ThreadPoolExecutor(1) as client:
        run = client.submit(sent, replicas, *options)
        for name, (one, _) in replicas.items():
            eventually(partial(has_some, one, name))
            one.process.kill()
            assert not run.done()
        good = [number for number in IDS if number % 100]
        check(replicas, [run.result()], {"users": good, "products": IDS, "orders": good})
