"""The command that verifies, as people run it: the sample, orders of other users, services that can't be read."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.processes import PROJECT, RunningService, all_running, eventually, post, run_client, running, url_options
from tests.upstream import answer, listening

SAMPLE = str(PROJECT / "client" / "data")
REFUSED = [("users", 10), ("products", 10), ("orders", 8), ("orders", 9), ("orders", 10)]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningService]]:
    """Three services that were sent the sample."""
    with all_running(tmp_path_factory.mktemp("databases")) as services:
        assert run_client(*url_options(services)).returncode == 0
        yield services


def verified(services: Mapping[str, RunningService], *options: str) -> tuple[int, dict[str, Any]]:
    """Verify; return the exit status and the result."""
    done = run_client(*url_options(services), "--verify", "--json", "-", *options)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def change(service: RunningService, sql: str) -> None:
    with closing(sqlite3.connect(service.database, isolation_level=None)) as db:
        db.execute(sql)


def test_the_sample_is_sound_and_what_was_refused_is_not_stored(sample: dict[str, RunningService]) -> None:
    status, result = verified(sample)
    assert (status, result["differences"], result["unreadable"]) == (0, [], [])
    assert {name: summary["held"] for name, summary in result["summary"].items()} == {
        "users": 9,
        "products": 9,
        "orders": 7,
    }
    status, result = verified(sample, "--data", SAMPLE)
    assert status == 1
    found = [(each["service"], each["id"], each["difference"]) for each in result["differences"]]
    assert found == [(*record, "not-stored") for record in REFUSED]
    assert result["differences"][0]["origin"] == "users.csv:11"


def test_the_tables_say_it_in_words(sample: dict[str, RunningService]) -> None:
    run = run_client(*url_options(sample), "--verify")
    assert (run.returncode, run.stderr) == (0, "")
    assert "Every order's user and product exist." in run.stdout
    run = run_client(*url_options(sample), "--verify", "--data", SAMPLE)
    assert (run.returncode, run.stderr) == (1, "")
    lines = [line.split(maxsplit=2) for line in run.stdout.splitlines()]
    assert ["orders", "8", "not stored  orders.csv:9"] in lines
    assert ["orders", "7", "10           3                 0                 0         0"] in lines
    assert "5 differences." in run.stdout
    assert "a run without --verify says why" in run.stdout


def test_nothing_is_sent(tmp_path: Path) -> None:
    run = run_client("--local", "--db-dir", str(tmp_path), "--verify", "--data", SAMPLE)
    assert run.returncode == 1
    assert "30 differences." in run.stdout
    again = run_client("--local", "--db-dir", str(tmp_path), "--verify", "--json", str(tmp_path / "out.json"))
    assert again.returncode == 0
    summary = json.loads((tmp_path / "out.json").read_text())["summary"]
    assert [summary[name]["held"] for name in ("users", "products", "orders")] == [0, 0, 0]


def test_orders_of_other_users_are_orphaned(sample: dict[str, RunningService], tmp_path: Path) -> None:
    with running("users", tmp_path) as others:
        assert post(others, {"id": 3, "name": "Ada", "email": "a@b"}).status_code == 201
        run = run_client(*url_options(sample | {"users": others}), "--verify")
        assert run.returncode == 1
        assert "orders    1  orphaned    user 1 does not exist" in run.stdout
        assert run.stdout.count("does not exist") == 6
        assert "6 differences." in run.stdout


def test_every_kind_of_difference_is_found_and_no_other(tmp_path: Path) -> None:
    with all_running(tmp_path) as services:
        assert run_client(*url_options(services)).returncode == 0
        change(services["users"], "UPDATE users SET email = 'mallory@example.com' WHERE id = 2")
        change(services["users"], "DELETE FROM users WHERE id = 5")
        change(services["products"], "INSERT INTO products VALUES (77, 'Sofa', '1.00')")
        change(services["orders"], "UPDATE orders SET quantity = 3, product_id = 78 WHERE id = 7")
        status, result = verified(services, "--data", SAMPLE)
    assert status == 1
    found = [tuple(each.values()) for each in result["differences"] if (each["service"], each["id"]) not in REFUSED]
    assert found == [
        ("users", 2, "stored-otherwise", "users.csv:3", ["email"], []),
        ("users", 5, "not-stored", "users.csv:6", [], []),
        ("products", 77, "not-in-input", None, [], []),
        ("orders", 5, "orphaned", None, [], ["user 5"]),
        ("orders", 7, "stored-otherwise", "orders.csv:8", ["product_id", "quantity"], []),
        ("orders", 7, "orphaned", None, [], ["product 78"]),
    ]


def test_a_large_input_is_compared_the_table_is_capped_and_the_json_is_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rows = [f"{number},n{number},a{number}@example.com\n" for number in range(1, 30_001)]
    (data / "users.csv").write_text("".join(["id,name,email\n", *rows]))
    with all_running(tmp_path) as services:
        assert run_client(*url_options(services), "--data", str(data)).returncode == 0
        assert verified(services, "--data", str(data))[0] == 0
        (data / "users.csv").write_text("".join(["id,name,email\n", *rows[250:], "40000,n,a@b\n"]))
        status, result = verified(services, "--data", str(data))
        shown = run_client(*url_options(services), "--verify", "--data", str(data)).stdout
    assert status == 1
    assert [each["id"] for each in result["differences"]] == [*range(1, 251), 40_000]
    assert shown.count("users") == 101
    assert "... and 151 more; --json lists them all" in shown
    assert "251 differences." in shown


def test_a_service_that_is_not_there_is_named_and_the_others_are_read(sample: dict[str, RunningService]) -> None:
    with listening(answer("200 OK", b"")) as gone:
        url = gone.url
    run = run_client(*url_options(sample), "--users-url", url, "--verify", "--data", SAMPLE)
    assert (run.returncode, run.stderr) == (1, "")
    assert "users can't be read: " in run.stdout
    lines = [line.split() for line in run.stdout.splitlines()]
    assert ["products", "10", "not", "stored", "products.csv:11"] in lines
    # Whose users were not read are no orphans.
    assert "does not exist" not in run.stdout
    assert ["users", "-", "10", "0", "0", "0", "-"] in lines


def test_interrupted_it_ends_with_130(sample: dict[str, RunningService]) -> None:
    asked: list[bytes] = []

    def never_answer(connection: socket.socket, request: bytes) -> None:
        asked.append(request)
        connection.recv(1)

    with listening(never_answer) as silent:
        options = [*url_options(sample), "--users-url", silent.url, "--verify", "--answer-within", "60"]
        command = [sys.executable, str(PROJECT / "client" / "run.py"), *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
            eventually(lambda: bool(asked))
            client.send_signal(signal.SIGINT)
            assert client.communicate(timeout=30) == ("", "")
    assert client.returncode == 130
    assert asked[0].startswith(b"GET /users ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threads", "10"], "no use for --threads"),
        (["--batch", "5"], "no use for --threads"),
        (["--data", "/nowhere"], "/nowhere is not a folder"),
    ],
)
def test_what_makes_no_sense_is_refused(options: list[str], message: str) -> None:
    run = run_client("--verify", *options)
    assert (run.returncode, run.stdout) == (2, "")
    assert message in run.stderr


def test_an_input_that_cannot_be_read_is_bad_usage(sample: dict[str, RunningService], tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text("[1, ")
    run = run_client(*url_options(sample), "--verify", "--data", str(tmp_path))
    assert (run.returncode, run.stdout) == (2, "")
    assert "users.json:1" in run.stderr
