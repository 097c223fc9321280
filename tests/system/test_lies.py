"""A network that lies in every third answer: each record is stored once all the same, and the client knows it."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.processes import RunningService, all_running, run_client, running
from tests.proxy import LIES, Choice, Proxy, between, scripted, sometimes
from tests.rounds import rounds

RATE = 0.3
IDS = range(1, 2001)
KEPT = {"users": 9, "products": 9, "orders": 7}
OPTIONS = ["--answer-within", "0.5", "--give-up-after", "30", "--json", "-"]


@contextmanager
def lied_about(services: Mapping[str, RunningService], choose: Choice) -> Iterator[dict[str, Proxy]]:
    """Yield a proxy before each service, between it and the client."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(between(service.url, choose)) for name, service in services.items()}


def sent(proxies: Mapping[str, Proxy], *options: str) -> tuple[int, dict[str, Any]]:
    """Send records through the proxies; return the exit status and the merged result."""
    urls = [part for name, proxy in proxies.items() for part in (f"--{name}-url", proxy.url)]
    run = run_client(*urls, *OPTIONS, *options)
    assert run.stderr == ""
    return run.returncode, json.loads(run.stdout)


def stored(service: RunningService) -> list[Any]:
    """Return what lies in a sound file."""
    with closing(sqlite3.connect(f"{service.database.as_uri()}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return db.execute(f"SELECT * FROM {service.database.stem} ORDER BY id").fetchall()


def told(proxies: Mapping[str, Proxy]) -> Counter[str | None]:
    return sum((proxy.told for proxy in proxies.values()), Counter())


def check_sample(services: Mapping[str, RunningService], status: int, result: Mapping[str, Any]) -> None:
    """Check that the sample's records are stored once, its faulty ones refused, and the client knows it."""
    assert (status, result["differences"]) == (0, [])
    for name, kept in KEPT.items():
        summary = result["summary"][name]
        assert summary["created"] + summary["unchanged"] == summary["stored"] == kept
        assert (summary["rejected"], summary["undelivered"]) == (10 - kept, 0)
        assert [row[0] for row in stored(services[name])] == list(range(1, kept + 1))
    assert all(each["reasons"] for each in result["results"] if each["outcome"] == "rejected")


@pytest.mark.parametrize("seed", range(rounds(few=2, many=20)))
def test_the_sample_ends_as_it_must_through_all_lies_at_once(tmp_path: Path, seed: int) -> None:
    with all_running(tmp_path) as services, lied_about(services, sometimes(seed, RATE)) as proxies:
        check_sample(services, *sent(proxies))
        assert sum(told(proxies)[lie] for lie in LIES) > 5


# Each is asked of the same services in the short form: a record that is unchanged can be lied about as well.
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("seed", range(rounds(few=1, many=20)))
def test_the_sample_ends_as_it_must_through_one_kind_of_lie(
    sample_services: dict[str, RunningService], lie: str, seed: int
) -> None:
    with lied_about(sample_services, sometimes(seed, RATE, [lie])) as proxies:
        check_sample(sample_services, *sent(proxies))
        assert told(proxies)[lie] > 3


@pytest.fixture(scope="module")
def sample_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningService]]:
    """Three services of which nobody asks for anything but the sample's records."""
    with all_running(tmp_path_factory.mktemp("sample")) as services:
        yield services


def write_batches(folder: Path) -> None:
    """Write two thousand records of each kind; every hundredth user is refused, and with it the order."""
    folder.mkdir()
    users = "".join(f"{number},{'n' if number % 100 else ''},a@b\n" for number in IDS)
    (folder / "users.csv").write_text(f"id,name,email\n{users}")
    (folder / "products.csv").write_text("id,name,price\n" + "".join(f"{number},p,1.5\n" for number in IDS))
    orders = "".join(f"{number},{number},{number},1\n" for number in IDS)
    (folder / "orders.csv").write_text(f"id,user_id,product_id,quantity\n{orders}")


def check_batches(services: Mapping[str, RunningService], status: int, result: Mapping[str, Any]) -> None:
    """Check that those records are stored once, and the client knows it."""
    good = [number for number in IDS if number % 100]
    for name, kept in (("users", good), ("products", list(IDS)), ("orders", good)):
        summary = result["summary"][name]
        assert summary["created"] + summary["unchanged"] == summary["stored"] == len(kept)
        assert [row[0] for row in stored(services[name])] == kept
    assert (status, result["differences"]) == (0, [])


@pytest.mark.parametrize("seed", range(rounds(few=1, many=20)))
def test_batches_end_as_they_must_through_all_lies_at_once(tmp_path: Path, seed: int) -> None:
    write_batches(tmp_path / "data")
    with all_running(tmp_path) as services, lied_about(services, sometimes(seed, RATE)) as proxies:
        status, result = sent(proxies, "--data", str(tmp_path / "data"), "--batch", "200")
        assert sum(told(proxies)[lie] for lie in LIES) > 5
        check_batches(services, status, result)


@pytest.mark.parametrize("lie", ["reset after", "not HTTP", "held"])
def test_a_service_whose_first_answer_is_lost_is_not_taken_for_one_that_is_down(
    sample_services: dict[str, RunningService], lie: str
) -> None:
    with lied_about(sample_services, scripted([lie] * 3, "/livez")) as proxies:
        check_sample(sample_services, *sent(proxies))
        assert told(proxies)[lie] == 3


def test_a_refused_record_that_is_said_to_be_stored_is_found_by_the_read_back(
    sample_services: dict[str, RunningService],
) -> None:
    with lied_about(sample_services, lambda line: "credible" if line.startswith("POST /users ") else None) as proxies:
        status, result = sent(proxies)
    assert status == 1
    assert result["differences"] == ["users 10 was acknowledged, but is gone"]


def chaos_sent(services: Mapping[str, RunningService], seed: int) -> tuple[int, dict[str, Any]]:
    with lied_about(services, sometimes(seed, RATE)) as proxies:
        return sent(proxies)


@pytest.mark.parametrize("seed", range(rounds(few=1, many=20)))
def test_the_sample_ends_as_it_must_where_services_are_lied_to_as_well(tmp_path: Path, seed: int) -> None:
    """Orders asks users and products through liars, too."""
    with ExitStack() as stack:
        services = {name: stack.enter_context(running(name, tmp_path)) for name in ("users", "products")}
        liars = [stack.enter_context(between(one.url, sometimes(seed, RATE))) for one in services.values()]
        urls = {f"{name.upper()}_URL": liar.url for name, liar in zip(services, liars, strict=True)}
        services["orders"] = stack.enter_context(running("orders", tmp_path, LOOKUP_TIMEOUT_S="0.5", **urls))
        for turn in range(2):
            check_sample(services, *chaos_sent(services, 100 * seed + turn))
        assert all(liar.requests for liar in liars)
