"""The client, and orders, behind proxies that lie: what is stored is the same as if nobody had."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.liar import LIES, QUICK_LIES, Liar, Lie
from tests.processes import all_running, run_client, running, url_options
from tests.rounds import rounds
from tests.upstream import listening

RATE = 0.3
SERVICES = ("users", "products", "orders")
# Long enough for a record whose every other attempt is lied to.
PATIENCE = ("--give-up-after", "60")
Rows = dict[str, list[tuple[Any, ...]]]


def held_by(folder: Path) -> Rows:
    """Return what the three databases hold; each must be sound."""
    rows: Rows = {}
    for name in SERVICES:
        with closing(sqlite3.connect(folder / f"{name}.db")) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            rows[name] = db.execute(f"SELECT * FROM {name} ORDER BY id").fetchall()
    return rows


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What the databases hold after a run through nobody."""
    folder = tmp_path_factory.mktemp("truth")
    with all_running(folder) as services:
        assert run_client(*url_options(services)).returncode == 0
    return held_by(folder)


@dataclass(frozen=True)
class Scene:
    """The options that lead the client to the liars, and the liars."""

    options: list[str]
    liars: list[Liar]

    @property
    def told(self) -> Counter[str]:
        return sum((liar.told for liar in self.liars), Counter())


@contextmanager
def behind_liars(folder: Path, lies: Sequence[Lie], seed: int, *, orders_too: bool = False) -> Iterator[Scene]:
    """Yield three services that are reached through liars; orders reaches the other two through liars of its own."""
    with ExitStack() as stack:
        liars: list[Liar] = []

        def through_a_liar(url: str) -> str:
            liars.append(Liar(url, lies, RATE, seed + len(liars)))
            return stack.enter_context(listening(liars[-1])).url

        urls = {name: stack.enter_context(running(name, folder)).url for name in ("users", "products")}
        asked = {f"{name.upper()}_URL": through_a_liar(url) if orders_too else url for name, url in urls.items()}
        urls["orders"] = stack.enter_context(running("orders", folder, **asked, LOOKUP_TIMEOUT_S="1")).url
        options = [part for name in SERVICES for part in (f"--{name}-url", through_a_liar(urls[name]))]
        yield Scene(options, liars)


def outcomes(result: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Return how many records of each service are stored, rejected and undelivered."""
    parts = [result["summary"][name] for name in SERVICES]
    return [(part["created"] + part["unchanged"], part["rejected"], part["undelivered"]) for part in parts]


@pytest.mark.timeout(rounds(120, 300))
@pytest.mark.parametrize("seed", range(rounds(few=2, many=20)))
@pytest.mark.parametrize("orders_too", [False, True], ids=["the-client", "orders-too"])
def test_through_all_lies_the_sample_ends_as_it_must(
    tmp_path: Path, truth: Rows, seed: int, *, orders_too: bool
) -> None:
    with behind_liars(tmp_path, LIES, seed, orders_too=orders_too) as scene:
        run = run_client(*scene.options, *PATIENCE, "--json", "-", timeout=120)
        result = json.loads(run.stdout)
    assert scene.told.total() > 10
    assert (run.returncode, result["differences"]) == (0, []), scene.told
    assert outcomes(result) == [(9, 1, 0), (9, 1, 0), (7, 3, 0)]
    assert held_by(tmp_path) == truth


@pytest.mark.timeout(300)
@pytest.mark.parametrize("lie", LIES[: rounds(few=3, many=len(LIES))], ids=lambda lie: lie.__name__)
def test_through_one_lie_again_and_again_the_sample_ends_as_it_must(tmp_path: Path, truth: Rows, lie: Lie) -> None:
    with behind_liars(tmp_path, [lie], seed=0) as scene:
        run = run_client(*scene.options, *PATIENCE, "--json", "-", timeout=240)
        result = json.loads(run.stdout)
    assert scene.told.total() > 5
    assert (outcomes(result), result["differences"]) == ([(9, 1, 0), (9, 1, 0), (7, 3, 0)], [])
    assert held_by(tmp_path) == truth


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(rounds(few=1, many=10)))
def test_through_all_lies_batches_end_as_they_must(tmp_path: Path, seed: int) -> None:
    data = tmp_path / "data"
    data.mkdir()
    users = [{"id": n, "name": f"Ada {n}", "email": "a@b"} for n in range(1, 1_501)]
    products = [{"id": n, "name": f"Lamp {n}", "price": n} for n in range(1, 501)]
    orders = [{"id": n, "user_id": n, "product_id": 1 + n % 600, "quantity": 1} for n in range(1, 1_001)]
    for name, records in zip(SERVICES, (users, products, orders), strict=True):
        (data / f"{name}.json").write_text(json.dumps(records))
    bad = sum(order["product_id"] > 500 for order in orders)
    with behind_liars(tmp_path, QUICK_LIES, seed) as scene:
        run = run_client(*scene.options, *PATIENCE, "--data", str(data), "--batch", "50", "--json", "-", timeout=240)
        result = json.loads(run.stdout)
    assert scene.told.total() > 20
    assert (run.returncode, result["differences"]) == (0, []), scene.told
    assert outcomes(result) == [(1_500, 0, 0), (500, 0, 0), (1_000 - bad, bad, 0)]
    assert [len(rows) for rows in held_by(tmp_path).values()] == [1_500, 500, 1_000 - bad]
