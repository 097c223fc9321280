"""The client's command, run as people run it: the sample, their own data, and services that are not there."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.processes import PROJECT, RunningService, all_running, eventually, merged, run_client, running, url_options
from tests.upstream import answer, forward, listening

SAMPLE_REASONS = {
    ("users", 10): ["name is empty"],
    ("products", 10): ["price is not greater than 0"],
    ("orders", 8): ["quantity is not at least 1"],
    ("orders", 9): ["quantity is not at least 1"],
    ("orders", 10): ["user 10 does not exist", "product 11 does not exist"],
}
UNIQUE_REASONS = {
    **SAMPLE_REASONS,
    ("users", 8): ["email is held by user 1"],
    ("products", 7): ["name and price are held by product 1"],
    ("orders", 7): ["product 7 does not exist"],
}
CLIENT = str(PROJECT / "client" / "run.py")


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[dict[str, RunningService]]:
    """Three services with empty databases."""
    with all_running(tmp_path) as services:
        yield services


def check_sample(
    result: dict[str, Any], stored: str, reasons: Mapping[tuple[str, int], list[str]] = SAMPLE_REASONS
) -> None:
    """Check that each of the thirty has the outcome it must have; `stored` is created or unchanged."""
    for each in result["results"]:
        key = (each["service"], each["id"])
        expected = ("rejected", reasons[key]) if key in reasons else (stored, [])
        assert (each["outcome"], each["reasons"]) == expected, key
    order = [(each["service"], each["id"]) for each in result["results"]]
    assert order == [(service, number) for service in ("users", "products", "orders") for number in range(1, 11)]
    for service in ("users", "products", "orders"):
        kept = 10 - sum(key[0] == service for key in reasons)
        summary = result["summary"][service]
        assert (summary["sent"], summary[stored], summary["rejected"]) == (10, kept, 10 - kept)
        assert (summary["undelivered"], summary["stored"]) == (0, kept)
        assert summary["peak_in_flight"] >= 10


def test_the_sample_ends_as_it_must_and_again_unchanged(empty: dict[str, RunningService]) -> None:
    check_sample(merged(*url_options(empty)), "created")
    check_sample(merged(*url_options(empty)), "unchanged")


# SHUFFLED_RUNS=200 python -m pytest -k scheduling: as many runs as one likes.
@pytest.mark.parametrize("seed", range(int(os.environ.get("SHUFFLED_RUNS", "5"))))
def test_the_outcome_does_not_depend_on_the_threads_scheduling(tmp_path: Path, seed: int) -> None:
    command = [sys.executable, "-m", "tests.system.shuffled_client", str(seed), "--local", "--db-dir", str(tmp_path)]
    run = subprocess.run([*command, "--json", "-"], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60)
    check_sample(json.loads(run.stdout), "created")


@pytest.mark.parametrize("seed", range(int(os.environ.get("SHUFFLED_RUNS", "5"))))
def test_of_the_samples_duplicates_the_first_is_stored_whatever_the_scheduling(tmp_path: Path, seed: int) -> None:
    command = [sys.executable, "-m", "tests.system.shuffled_client", str(seed), "--local", "--unique", "--json", "-"]
    command += ["--db-dir", str(tmp_path)]
    for stored in ("created", "unchanged"):
        run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60)
        check_sample(json.loads(run.stdout), stored, UNIQUE_REASONS)


def test_of_the_samples_duplicates_the_first_in_the_file_is_stored(tmp_path: Path) -> None:
    for name in ("users", "products"):
        header, *rows = (PROJECT / "client" / "data" / f"{name}.csv").read_text().splitlines()
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *reversed(rows)]))
    options = ["--local", "--unique", "--db-dir", str(tmp_path), "--data", str(tmp_path)]
    refused = {tuple(each["reasons"]): each["id"] for each in merged(*options)["results"] if each["status"] == 409}
    assert refused == {("email is held by user 8",): 1, ("name and price are held by product 7",): 1}


def test_duplicates_in_batches_are_refused_and_read_back(tmp_path: Path) -> None:
    result = merged("--local", "--unique", "--db-dir", str(tmp_path), "--batch", "10")
    refused = {(each["service"], each["id"]): each["reasons"] for each in result["results"] if each["reasons"]}
    assert refused == UNIQUE_REASONS
    assert [result["summary"][name]["stored"] for name in ("users", "products", "orders")] == [8, 8, 6]
    assert result["differences"] == []


def test_unique_is_for_the_services_that_the_command_starts() -> None:
    run = run_client("--unique")
    assert (run.returncode, "UNIQUE" in run.stderr) == (2, True)


def test_the_table_says_what_became_of_each_record_and_why(empty: dict[str, RunningService]) -> None:
    run = run_client(*url_options(empty))
    lines = [line.split(maxsplit=3) for line in run.stdout.splitlines()]
    assert ["users", "1", "created"] in lines
    assert ["orders", "10", "rejected", "user 10 does not exist; product 11 does not exist"] in lines
    assert ["users", "10", "9", "0         1            0       9              10"] in lines
    assert "the services hold what they acknowledged" in run.stdout
    assert (run.returncode, run.stderr) == (0, "")
    assert "\x1b" not in run.stdout


def test_it_runs_from_any_folder_and_starts_its_own_services(tmp_path: Path) -> None:
    result = json.loads(run_client("--local", "--db-dir", "here", "--json", "-", cwd=tmp_path).stdout)
    check_sample(result, "created")
    assert {file.name for file in (tmp_path / "here").glob("*.db")} == {"users.db", "products.db", "orders.db"}


def test_its_services_end_with_it_even_if_it_is_killed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    # Orders that wait for a user who never comes keep the run going.
    rows = "".join(f"{number},{number},a@b\n" for number in range(1, 200_000))
    (tmp_path / "data" / "users.csv").write_text(f"id,name,email\n{rows}")
    options = ["--local", "--db-dir", str(tmp_path), "--data"]
    with subprocess.Popen([sys.executable, CLIENT, *options, str(tmp_path / "data")]) as client:
        eventually(lambda: _stored_in(tmp_path / "users.db") > 100)
        client.kill()
    # Were they still running, the databases would be theirs.
    run = run_client(*options, str(PROJECT / "client" / "data"))
    assert run.returncode == 0, run.stderr


def _stored_in(database: Path) -> int:
    if not database.exists():
        return 0
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as db:
        try:
            return int(db.execute("SELECT count(*) FROM users").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def test_own_data_of_every_format_is_sent_as_it_is_written(empty: dict[str, RunningService], tmp_path: Path) -> None:
    data = tmp_path / "mine"
    data.mkdir()
    (data / "users.ndjson").write_text('{"id": 1, "name": "Ada", "email": "a@b"}\n\n{"name": 7}\n')
    (data / "products.json").write_text(
        '[{"id": 1, "name": "A", "price": 0.10},\n {"id": 2, "name": "B", "price": "1"}]'
    )
    (data / "orders.csv").write_text("id,user_id,product_id,quantity\n5,1,1,1\n,1,1,x\n")
    run = run_client(*url_options(empty), "--data", str(data), "--json", str(tmp_path / "out.json"))
    assert run.returncode == 0
    results = json.loads((tmp_path / "out.json").read_text())["results"]
    assert [(each["origin"], each["outcome"], each["reasons"]) for each in results] == [
        ("users.ndjson:1", "created", []),
        ("users.ndjson:3", "rejected", ["name is not text", "email is missing"]),
        ("products.json:1[0]", "created", []),
        ("products.json:2[1]", "rejected", ["price is not a number"]),
        ("orders.csv:2", "created", []),
        ("orders.csv:3", "rejected", ["quantity is not a whole number"]),
    ]


def test_records_without_an_id_take_none_from_others_and_of_two_under_one_id_the_first_wins(
    empty: dict[str, RunningService], tmp_path: Path
) -> None:
    rows = "".join(f"{number},n,a@b\n,n,a@b\n" for number in range(1, 31))
    others = "".join(f"{number},m,a@b\n" for number in range(1, 31))
    (tmp_path / "users.csv").write_text(f"id,name,email\n{rows}{others}")
    result = merged(*url_options(empty), "--data", str(tmp_path))
    outcomes = {each["origin"]: (each["outcome"], each["reasons"]) for each in result["results"]}
    assert all(outcomes[f"users.csv:{line}"] == ("created", []) for line in range(2, 62))
    assert all(
        outcomes[f"users.csv:{line}"] == ("rejected", ["id is taken by another record"]) for line in range(62, 92)
    )


def test_a_service_that_dies_on_the_way_does_not_hold_up_the_run(tmp_path: Path) -> None:
    rows = "".join(f"{number},n,a@b\n" for number in range(1, 5001))
    (tmp_path / "users.csv").write_text(f"id,name,email\n{rows}")
    with running("users", tmp_path) as users:
        gone = free_url()
        urls = ["--users-url", users.url, "--products-url", gone, "--orders-url", gone]
        command = [sys.executable, CLIENT, *urls, "--data", str(tmp_path), "--give-up-after", "1", "--json", "-"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as client:
            eventually(lambda: _stored_in(users.database) > 100)
            users.process.kill()
            out, _ = client.communicate(timeout=30)
    summary = json.loads(out)["summary"]["users"]
    assert client.returncode == 1
    assert summary["created"] + summary["undelivered"] == summary["sent"] == 5000
    assert summary["created"] <= _stored_in(users.database)


def test_a_service_that_comes_back_in_time_gets_everything(tmp_path: Path) -> None:
    rows = "".join(f"{number},n,a@b\n" for number in range(1, 2001))
    (tmp_path / "users.csv").write_text(f"id,name,email\n{rows}")
    with running("users", tmp_path) as users:
        gone, port = free_url(), users.url.rpartition(":")[2]
        urls = ["--users-url", users.url, "--products-url", gone, "--orders-url", gone]
        command = [sys.executable, CLIENT, *urls, "--data", str(tmp_path), "--give-up-after", "20", "--json", "-"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as client:
            eventually(lambda: _stored_in(users.database) > 100)
            users.process.kill()
            users.process.wait()
            with running("users", tmp_path, PORT=port) as again:
                assert again.url == users.url
                out, _ = client.communicate(timeout=60)
    summary = json.loads(out)["summary"]["users"]
    assert client.returncode == 0
    assert summary["created"] + summary["unchanged"] == summary["stored"] == 2000


def test_more_records_than_threads_are_all_sent(empty: dict[str, RunningService], tmp_path: Path) -> None:
    rows = "".join(f"{number},n{number},a@b\n" for number in range(1, 301))
    (tmp_path / "users.csv").write_text(f"id,name,email\n{rows}")
    result = merged(*url_options(empty), "--data", str(tmp_path), "--threads", "12")
    assert result["summary"]["users"]["created"] == 300
    assert result["summary"]["users"]["peak_in_flight"] == 12


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds none of users.*"),
        ({"users.csv": ""}, "users.csv is empty"),
        ({"users.csv": "id,name\n1,a,b\n"}, "users.csv:2: 3 cells under a header of 2"),
        ({"users.csv": "id,name\n1\n"}, "users.csv:2: 1 cell under a header of 2"),
        ({"users.csv": 'id,name\n1,"a\n'}, "users.csv:2: unexpected end"),
        ({"users.ndjson": '{"id": 1}\n{"id"\n'}, "users.ndjson:2: not JSON"),
        ({"users.json": '{"id": 1}'}, "users.json:1: not a JSON array"),
        ({"users.json": '[{"id": 1}\n{"id": 2}]'}, "users.json:1[0]: no comma"),
        ({"users.json": '[{"id": 1},]'}, "users.json:1[1]: not JSON"),
        ({"users.json": "[" * 5000}, "users.json:1[0]: not JSON"),
        ({"users.ndjson": '{"id": 1} {"id": 2}'}, "users.ndjson:1: more than one"),
        ({"users.csv": "id\n1\n", "users.json": "[]"}, "which is meant?"),
    ],
)
def test_input_that_cannot_be_read_is_named_and_nothing_is_sent(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    run = run_client("--data", str(tmp_path))
    assert run.returncode == 2
    assert message in run.stderr
    assert run.stdout == ""


@pytest.mark.parametrize(
    "options", [["--threads", "9"], ["--threads", "257"], ["--users-url", "x"], ["--nonsense"], ["--data", "nowhere"]]
)
def test_bad_usage_is_status_2(options: list[str]) -> None:
    assert run_client(*options).returncode == 2


@pytest.mark.parametrize("other", ["run.out", "beside/../run.out", "link"])
def test_one_file_for_both_of_what_is_written_is_refused(tmp_path: Path, other: str) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "link").symlink_to("run.out")
    run = run_client("--json", "run.out", "--report", other, cwd=tmp_path)
    assert (run.returncode, "--json and --report name the same file" in run.stderr) == (2, True)


def free_url() -> str:
    """Return an address where nobody listens."""
    with listening(answer("200 OK", b"")) as gone:
        return gone.url


def test_with_no_service_up_it_says_how_to_start_them() -> None:
    options = [part for name in ("users", "products", "orders") for part in (f"--{name}-url", free_url())]
    run = run_client(*options)
    assert run.returncode == 1
    assert "docker compose up" in run.stderr
    assert "--local" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


def test_with_one_service_down_the_others_complete_and_a_second_run_completes_it(tmp_path: Path) -> None:
    with running("users", tmp_path) as users, running("products", tmp_path) as products:
        urls = ["--users-url", users.url, "--products-url", products.url]
        run = run_client(*urls, "--orders-url", free_url(), "--json", str(tmp_path / "out.json"))
        assert run.returncode == 1
        assert "orders does not answer at http://" in run.stderr
        assert "docker compose up" in run.stderr
        summary = json.loads((tmp_path / "out.json").read_text())["summary"]
        assert [summary[name]["created"] for name in ("users", "products", "orders")] == [9, 9, 0]
        assert summary["orders"]["undelivered"] == 10
        assert summary["orders"]["stored"] is None
        with running("orders", tmp_path, USERS_URL=users.url, PRODUCTS_URL=products.url) as orders:
            again = merged(*urls, "--orders-url", orders.url)
    assert again["summary"]["users"]["unchanged"] == 9
    assert again["summary"]["orders"]["created"] == 7


def test_orders_that_cannot_be_checked_are_undelivered_and_those_that_are_wrong_are_rejected(tmp_path: Path) -> None:
    with running("users", tmp_path) as users:
        gone = free_url()
        with running("orders", tmp_path, USERS_URL=users.url, PRODUCTS_URL=gone) as orders:
            urls = ["--users-url", users.url, "--products-url", gone, "--orders-url", orders.url]
            summary = merged(*urls, "--give-up-after", "0.5")["summary"]
    assert (summary["users"]["created"], summary["products"]["undelivered"]) == (9, 10)
    assert (summary["orders"]["undelivered"], summary["orders"]["rejected"]) == (8, 2)


def test_a_row_that_disappears_is_found_by_the_read_back(empty: dict[str, RunningService]) -> None:
    """Orders are held back until the row is gone, so that it goes between its acknowledgement and the read-back."""
    users, orders = empty["users"], empty["orders"]

    def forward_once_the_row_is_gone(connection: Any, request: bytes) -> None:
        if request.startswith(b"POST"):
            eventually(lambda: _stored_in(users.database) == 9)
            with closing(sqlite3.connect(users.database, isolation_level=None)) as db:
                db.execute("DELETE FROM users WHERE id = 5")
                db.execute("UPDATE users SET name = 'Mallory' WHERE id = 6")
                assert db.execute("SELECT count(*) FROM users").fetchone() == (8,)
        forward(orders.url)(connection, request)

    data = users.database.parent / "one-order"
    data.mkdir()
    (data / "users.csv").write_text((PROJECT / "client" / "data" / "users.csv").read_text())
    (data / "orders.csv").write_text("id,user_id,product_id,quantity\n1,1,1,0\n")
    with listening(forward_once_the_row_is_gone) as between:
        run = run_client(*url_options(empty), "--orders-url", between.url, "--data", str(data))
    assert run.returncode == 1
    assert "users 5 was acknowledged, but is gone" in run.stdout
    assert "users 6 was acknowledged, but is stored otherwise" in run.stdout
    assert "NOT ALL IS AS IT WAS" in run.stdout


def test_ctrl_c_prints_what_is_known(empty: dict[str, RunningService], tmp_path: Path) -> None:
    data = tmp_path / "many"
    data.mkdir()
    rows = "".join(f"{number},{number},a@b\n" for number in range(1, 100_001))
    (data / "users.csv").write_text(f"id,name,email\n{rows}")
    command = [sys.executable, CLIENT, *url_options(empty), "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
        eventually(lambda: _stored_in(empty["users"].database) > 100)
        client.send_signal(signal.SIGINT)
        out, err = client.communicate(timeout=30)
    assert client.returncode == 130
    assert "peak in flight" in out
    assert "the services hold what they acknowledged" in out
    assert err == ""


def test_its_help_names_every_setting_of_its_contract() -> None:
    text = run_client("--help", env={**os.environ, "COLUMNS": "100"}).stdout
    for option in ("--data", "--users-url", "--products-url", "--orders-url", "--local", "--db-dir", "--threads"):
        assert option in text
    assert "USERS_URL" in text
    assert "Exit status" in text
