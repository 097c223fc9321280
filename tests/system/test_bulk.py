"""Large inputs: files to batches to three services, which are slow, killed and lied about on the way."""

import json
import os
import pty
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.processes import (
    PROJECT,
    RunningService,
    all_running,
    eventually,
    run_client,
    running,
    url_options,
    without_progress,
)
from tests.upstream import Behaviour, answer, forward, listening

CLIENT = str(PROJECT / "client" / "run.py")
PROBLEM = "application/problem+json"
SERVICES = ("users", "products", "orders")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return the folder for a run's files."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def run(services: Mapping[str, RunningService], data: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Run the client; return its exit status, its merged result and what it printed on standard error."""
    done = run_client(*url_options(services), "--data", str(data), "--json", "-", *options)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def counts(result: dict[str, Any], name: str = "users") -> tuple[int, int, int, int]:
    """Return how many were created, unchanged, rejected and undelivered."""
    summary = result["summary"][name]
    found = (summary["created"], summary["unchanged"], summary["rejected"], summary["undelivered"])
    assert sum(found) == summary["sent"]
    return found


def told(result: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return what the result says of each record that it lists."""
    return [
        (each["origin"], each["id"], each["outcome"], each["status"], tuple(each["reasons"]))
        for each in result["results"]
    ]


def stored_in(service: RunningService, columns: str = "*", where: str = "1") -> list[Any]:
    """Return what lies in the service's database, by id."""
    name = service.database.stem
    with closing(sqlite3.connect(f"{service.database.as_uri()}?mode=ro", uri=True)) as db:
        return db.execute(f"SELECT {columns} FROM {name} WHERE {where} ORDER BY id").fetchall()


def how_many(service: RunningService) -> int:
    """Return how many records lie in the service's database."""
    found = stored_in(service, "count(*)")[0][0]
    assert isinstance(found, int)
    return found


def write_users(data: Path, ids: Iterable[int]) -> None:
    """Write users with those ids."""
    rows = "".join(f"{number},n{number},a{number}@example.com\n" for number in ids)
    (data / "users.csv").write_text(f"id,name,email\n{rows}")


def write_ndjson(file: Path, records: Iterable[object]) -> None:
    file.write_text("".join(json.dumps(record) + "\n" for record in records))


def write_mixed_folder(data: Path) -> None:
    """Write users as CSV, products as JSON and orders as NDJSON, with every kind of fault that has an outcome."""
    users = ["id,name,email"]
    for number in range(1, 701):
        email = "nobody" if number % 97 == 0 else f"a{number}@b"
        users.append(f"{number},{' ' if number % 101 == 0 else f'n{number}'},{email}")
        if number % 40 == 0:
            # Of the same id: once more the same, and then another.
            users += [users[-1], f"{number},other {number},c@d"]
        if number % 70 == 0:
            users.append(f",without {number},e@f")
    (data / "users.csv").write_text("\n".join(users))
    products = [
        {"id": number, "name": f"p{number}", "price": -1 if number % 50 == 0 else number / 4}
        for number in range(150, 0, -1)
    ]
    (data / "products.json").write_text(json.dumps(products, indent=1))
    orders = [
        {
            "id": number * 3,
            "user_id": number if number <= 700 else 10**6,
            "product_id": 1 + number % 160,
            "quantity": number % 60,
        }
        for number in range(1, 801)
    ]
    write_ndjson(data / "orders.ndjson", orders)


def test_batches_end_as_the_same_records_sent_singly_do_and_again_unchanged(data: Path, tmp_path: Path) -> None:
    write_mixed_folder(data)
    outcomes, databases = [], []
    for size in ("1", "100"):
        folder = tmp_path / size
        folder.mkdir()
        with all_running(folder) as services:
            status, result, stderr = run(services, data, "--batch", size)
            assert (status, result["differences"], stderr) == (0, [], "")
            # The order of a large run's results is that of the files, and where records are sent singly that of ids.
            outcomes.append((sorted(told(result), key=repr), [counts(result, name) for name in SERVICES]))
            # Which of those without an id gets which is left to the services.
            given_ids = [stored_in(services[name], where="name NOT LIKE 'without%'") for name in ("users", "products")]
            without = sorted(stored_in(services["users"], "name, email", "name LIKE 'without%'"))
            databases.append([*given_ids, without, stored_in(services["orders"])])
            if size == "100":
                again = run(services, data, "--batch", size)[1]
    assert outcomes[0] == outcomes[1]
    assert databases[0] == databases[1]
    for name, (created, unchanged, rejected, undelivered) in zip(SERVICES, outcomes[1][1], strict=True):
        assert created > 100
        assert rejected > 0
        assert undelivered == 0
        # Records without an id are others the second time.
        new = 10 if name == "users" else 0
        assert counts(again, name) == (new, created + unchanged - new, rejected, 0)
        # Each lists what was not stored, and nothing else.
        assert sum(origin.startswith(name) for origin, *_ in outcomes[1][0]) == rejected
    assert all(outcome == "rejected" and reasons for _, _, outcome, _, reasons in outcomes[1][0])


def test_what_was_not_stored_is_listed_with_its_line_in_the_files_order(
    services: dict[str, RunningService], data: Path, new_id: int
) -> None:
    rows = [f"{new_id + place},{'' if place in {0, 7, 250} else 'n'},a@b" for place in range(300)]
    (data / "users.csv").write_text("\n".join(["id,name,email", *rows]))
    (data / "orders.csv").write_text(f"id,user_id,product_id,quantity\n{new_id},{new_id},{new_id},1\n{new_id},1,1,0\n")
    status, result, stderr = run(services, data, "--batch", "20")
    assert (status, stderr) == (0, "")
    assert counts(result) == (297, 0, 3, 0)
    assert told(result) == [
        *((f"users.csv:{place + 2}", new_id + place, "rejected", 422, ("name is empty",)) for place in (0, 7, 250)),
        (
            "orders.csv:2",
            new_id,
            "rejected",
            422,
            (f"user {new_id} does not exist", f"product {new_id} does not exist"),
        ),
        ("orders.csv:3", new_id, "rejected", 422, ("quantity is not at least 1",)),
    ]


def test_the_items_of_an_array_on_one_line_are_listed_in_its_order(
    services: dict[str, RunningService], data: Path, new_id: int
) -> None:
    (data / "users.json").write_text(json.dumps([{"id": new_id - place} for place in range(1500)]))
    _, result, _ = run(services, data, "--batch", "10")
    origins = [(each["origin"], each["id"]) for each in result["results"]]
    assert origins == [(f"users.json:1[{place}]", new_id - place) for place in range(1500)]


def test_orders_that_overtake_their_users_are_not_refused_in_the_end(
    services: dict[str, RunningService], data: Path, new_id: int
) -> None:
    """No user goes out before some orders have been refused for want of it."""
    refused = threading.Event()
    write_users(data, range(new_id, new_id + 1000))
    (data / "products.csv").write_text(f"id,name,price\n{new_id},p,1\n")
    rows = "".join(f"{new_id + n},{new_id + n},{new_id},{(n + 1) % 10}\n" for n in range(1001))
    (data / "orders.csv").write_text(f"id,user_id,product_id,quantity\n{rows}")
    to_users, to_orders = forward(services["users"].url), forward(services["orders"].url)

    def late(connection: socket.socket, request: bytes) -> None:
        if request.startswith(b"POST /users/batch"):
            refused.wait(timeout=20)
        to_users(connection, request)

    def watched(connection: socket.socket, request: bytes) -> None:
        to_orders(connection, request)
        if request.startswith(b"POST /orders/batch"):
            refused.set()

    with listening(late) as users, listening(watched) as orders:
        between = ["--users-url", users.url, "--orders-url", orders.url]
        _, result, _ = run(services, data, "--batch", "100", *between)
        batches = sum(request.startswith(b"POST /orders/batch") for request in orders.requests)
    assert counts(result) == (1000, 0, 0, 0)
    assert counts(result, "orders") == (900, 0, 101, 0)
    assert len(stored_in(services["orders"], where=f"product_id = {new_id}")) == 900
    assert {reasons for *_, reasons in told(result)[:-1]} == {("quantity is not at least 1",)}
    assert told(result)[-1] == (
        "orders.csv:1002",
        new_id + 1000,
        "rejected",
        422,
        (f"user {new_id + 1000} does not exist",),
    )
    # Eleven batches, and those that came too early once more.
    assert batches > 11


@pytest.mark.parametrize(("length", "path"), [(262_144, b"/users"), (262_145, b"/users/batch")])
def test_input_of_more_than_256_kib_is_sent_in_batches_by_itself(
    services: dict[str, RunningService], data: Path, new_id: int, length: int, path: bytes
) -> None:
    write_users(data, range(new_id, new_id + 20))
    file = data / "users.csv"
    # Blank lines are no records.
    file.write_text(file.read_text() + "\n" * (length - file.stat().st_size))
    with listening(forward(services["users"].url)) as between:
        status, result, _ = run(services, data, "--users-url", between.url)
        sent = [request.split()[1] for request in between.requests if request.startswith(b"POST /users")]
    assert (status, counts(result)) == (0, (20, 0, 0, 0))
    assert set(sent) == {path, b"/users/lookup"}


def test_every_format_gives_the_same(services: dict[str, RunningService], data: Path, new_id: int) -> None:
    found = []
    for turn, suffix in enumerate(("csv", "json", "ndjson")):
        first = new_id + turn * 10_000
        records: list[dict[str, Any]] = [
            {"id": first + place, "name": name, "email": "a@b" if place % 7 else "nobody"}
            for place, name in enumerate(["Søren, 東京", 'a "b" %s', " trimmed ", "", "a\\u0041", "tab\there"] * 70)
        ]
        records += [{"name": "no id", "email": "a@b"}, {**records[5], "name": "another"}, records[1]]
        for file in data.iterdir():
            file.unlink()
        if suffix == "csv":
            quoted = ['"' + record["name"].replace('"', '""') + '"' for record in records]
            rows = [
                f"{record.get('id', '')},{name},{record['email']}\r\n"
                for record, name in zip(records, quoted, strict=True)
            ]
            (data / "users.csv").write_text("\ufeffid,name,email\r\n" + "".join(rows), newline="")
        elif suffix == "json":
            (data / "users.json").write_text(json.dumps(records, indent=2))
        else:
            write_ndjson(data / "users.ndjson", records)
        status, result, stderr = run(services, data, "--batch", "50")
        assert (status, stderr, result["differences"]) == (0, "", [])
        refused = [(each["id"] - first, each["outcome"], each["reasons"]) for each in result["results"]]
        kept = stored_in(services["users"], "name, email", f"id BETWEEN {first} AND {first + 500}")
        found.append((counts(result), refused, kept))
    assert found[0] == found[1] == found[2]
    created, unchanged, rejected, undelivered = found[0][0]
    assert min(created, unchanged, rejected) >= 1
    assert undelivered == 0


@pytest.mark.parametrize("attempt", range(2))
def test_records_without_ids_and_repeated_ids_end_the_same_every_time(
    services: dict[str, RunningService], tmp_path: Path, data: Path, attempt: int
) -> None:
    """Ids start at 0, which is none; the last records would take the places of others were they sent any earlier."""
    first = [{"id": number, "name": "first", "email": "a@b"} for number in range(1001)]
    second = [{"id": number, "name": "second", "email": "a@b"} for number in range(1000, 0, -1)]
    without = [{"name": f"without {number}", "email": "a@b"} for number in range(300)]
    write_ndjson(data / "users.ndjson", [*without[:100], *first, *second, *without[100:]])
    with running("users", tmp_path) as users:
        _, result, _ = run({**services, "users": users}, data, "--batch", "10")
        assert counts(result) == (1300, 0, 1001, 0)
        assert told(result)[0][:2] == ("users.ndjson:101", 0)
        assert [each[0] for each in told(result)[1:]] == [f"users.ndjson:{line}" for line in range(1102, 2102)]
        assert {each[3:] for each in told(result)[1:]} == {(409, ("id is taken by another record",))}
        assert {name for (name,) in stored_in(users, "name", "id <= 1000")} == {"first"}
        assert len({name for (name,) in stored_in(users, "name", "id > 1000")}) == 300


@pytest.mark.parametrize("ids", [range(200), range(1, 201)])
def test_of_two_records_the_first_in_the_file_is_stored_although_ids_start_at_0(
    services: dict[str, RunningService], tmp_path: Path, data: Path, ids: range
) -> None:
    """The second ones would go out before the first, were they not put off: these are held up."""
    first = [{"id": number, "name": "first", "email": "a@b"} for number in ids]
    second = [{"id": number, "name": "second", "email": "a@b"} for number in reversed(ids)]
    write_ndjson(data / "users.ndjson", [*first, *second])
    with running("users", tmp_path) as users:
        pass_on, seconds_are_through = forward(users.url), threading.Event()

        def late(connection: socket.socket, request: bytes) -> None:
            if b'"name": "first"' in request:
                # A moment is all that second ones would need; where they wait as they should, it runs out.
                seconds_are_through.wait(timeout=0.05)
            pass_on(connection, request)
            if b'"name": "second"' in request:
                seconds_are_through.set()

        with listening(late) as between:
            everything = {**services, "users": users}
            run(everything, data, "--batch", "10", "--users-url", between.url)
        assert {name for (name,) in stored_in(users, "name")} == {"first"}


def test_where_the_first_record_of_an_id_is_refused_the_second_is_stored_and_not_the_third(
    services: dict[str, RunningService], tmp_path: Path, data: Path
) -> None:
    """Third ones would overtake, were they sent at the same time, and records without an id would take their places."""
    ids = range(1, 201)
    records = [{"id": number, "name": "", "email": "a@b"} for number in ids]
    # A batch of second ones and a batch of third ones, by turns.
    records += [
        {"id": number, "name": name, "email": "a@b"}
        for start in range(1, 201, 10)
        for name in ("second", "third")
        for number in range(start, start + 10)
    ]
    without = [{"name": f"without {number}", "email": "a@b"} for number in range(50)]
    write_ndjson(data / "users.ndjson", [*without, *records])
    with running("users", tmp_path) as users:
        pass_on, third_are_through = forward(users.url), threading.Event()

        def late(connection: socket.socket, request: bytes) -> None:
            if b'"name": "second"' in request:
                third_are_through.wait(timeout=0.05)
            pass_on(connection, request)
            if b'"name": "third"' in request:
                third_are_through.set()

        with listening(late) as between:
            everything = {**services, "users": users}
            _, result, _ = run(everything, data, "--batch", "10", "--users-url", between.url)
        assert stored_in(users, "id, name", "id <= 200") == [(number, "second") for number in ids]
    assert counts(result) == (250, 0, 400, 0)


@pytest.mark.parametrize("place", [0, 150, 299])
def test_rows_that_are_broken_or_far_too_long_fail_alone(
    services: dict[str, RunningService], data: Path, new_id: int, place: int
) -> None:
    rows = [json.dumps({"id": new_id + number, "name": "n", "email": "a@b"}) for number in range(300)]
    rows[place:place] = [
        json.dumps({"id": 2, "name": "x" * 200_000, "email": "a@b"}),
        '{"id": 1, "name": "n"',
        "[]",
        json.dumps({"name": "x" * 1_000_000, "email": "a@b"}),
    ]
    (data / "users.ndjson").write_text("\n".join(rows))
    status, result, stderr = run(services, data, "--batch", "100")
    assert (status, stderr, result["differences"]) == (0, "", [])
    assert counts(result) == (300, 0, 4, 0)
    assert [(each["origin"], each["status"]) for each in result["results"]] == [
        (f"users.ndjson:{place + 1}", 413),
        (f"users.ndjson:{place + 2}", 400),
        (f"users.ndjson:{place + 3}", 422),
        (f"users.ndjson:{place + 4}", 413),
    ]
    assert all(each["reasons"] and all(map(str.isprintable, each["reasons"])) for each in result["results"])


@pytest.mark.parametrize(
    ("header", "row"),
    [("number,called,mail", "1,n,a@b"), (",".join(f"column_{n}" for n in range(80)), ",".join(["value"] * 80))],
    ids=["narrow", "wide"],
)
def test_a_file_of_which_no_row_is_accepted_stays_one_to_read(
    services: dict[str, RunningService], data: Path, tmp_path: Path, header: str, row: str
) -> None:
    (data / "users.csv").write_text(f"{header}\n" + f"{row}\n" * 3_000 + "\n" * 262_144)
    out = tmp_path / "out.json"
    done = run_client(*url_options(services), "--data", str(data), "--json", str(out))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) < 120
    assert "... and 2,900 more; --json lists them all" in lines
    assert lines[2].startswith("users")
    assert "users.csv:2 " in lines[2]
    assert "name is missing" in lines[2]
    results = json.loads(out.read_text())["results"]
    assert [each["origin"] for each in results] == [f"users.csv:{line}" for line in range(2, 3_002)]


def gone_url() -> str:
    """Return an address where nobody listens."""
    with listening(answer("200 OK", b"")) as gone:
        return gone.url


def test_with_one_service_down_the_others_complete_and_a_second_run_completes_it(tmp_path: Path, data: Path) -> None:
    write_users(data, range(1, 501))
    (data / "products.csv").write_text("id,name,price\n1,p,1\n")
    rows = "".join(f"{number},{number},1,1\n" for number in range(1, 401))
    (data / "orders.csv").write_text(f"id,user_id,product_id,quantity\n{rows}")
    options = ["--data", str(data), "--batch", "50", "--json", "-"]
    with running("users", tmp_path) as users, running("products", tmp_path) as products:
        urls = ["--users-url", users.url, "--products-url", products.url]
        first = run_client(*urls, "--orders-url", gone_url(), *options)
        with running("orders", tmp_path, USERS_URL=users.url, PRODUCTS_URL=products.url) as orders:
            second = run_client(*urls, "--orders-url", orders.url, *options)
            assert how_many(orders) == 400
    assert (first.returncode, second.returncode) == (1, 0)
    assert "orders does not answer at http://" in first.stderr
    result = json.loads(first.stdout)
    assert counts(result) == (500, 0, 0, 0)
    assert counts(result, "orders") == (0, 0, 0, 400)
    assert result["summary"]["orders"]["stored"] is None
    assert told(result) == [
        (f"orders.csv:{number + 1}", number, "undelivered", None, ("the service does not answer",))
        for number in range(1, 401)
    ]
    assert counts(json.loads(second.stdout)) == (0, 500, 0, 0)
    assert counts(json.loads(second.stdout), "orders") == (400, 0, 0, 0)


def test_a_service_that_is_killed_and_comes_back_has_every_record_once(
    services: dict[str, RunningService], tmp_path: Path, data: Path
) -> None:
    write_users(data, range(1, 60_001))
    with running("users", tmp_path) as users:
        port = users.url.rpartition(":")[2]
        urls = url_options({**services, "users": users})
        command = [sys.executable, CLIENT, *urls, "--data", str(data), "--batch", "100", "--give-up-after", "20"]
        with subprocess.Popen(
            [*command, "--json", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as client:
            eventually(lambda: _some_are_stored(users))
            users.process.send_signal(signal.SIGKILL)
            users.process.wait()
            before = how_many(users)
            with running("users", tmp_path, PORT=port) as again:
                assert again.url == users.url
                out, err = client.communicate(timeout=60)
                assert how_many(again) == 60_000
    result = json.loads(out)
    assert before < 60_000, "it was killed too late to show anything"
    assert (client.returncode, result["differences"], result["results"]) == (0, [], [])
    created, unchanged, *_ = counts(result)
    assert created + unchanged == result["summary"]["users"]["stored"] == 60_000
    assert "Traceback" not in err


def _some_are_stored(service: RunningService) -> bool:
    try:
        return service.database.exists() and how_many(service) > 1000
    except sqlite3.OperationalError:
        return False


class Swallow:
    """A connection whose answer goes nowhere."""

    def sendall(self, _: bytes) -> None:
        """Lose it."""


Fault = Callable[[socket.socket, bytes, Behaviour], None]


def first_batch(fault: Fault, pass_on: Behaviour) -> Behaviour:
    """Treat the first batch so, and pass on everything else."""
    lock, seen = threading.Lock(), threading.Event()

    def behave(connection: socket.socket, request: bytes) -> None:
        with lock:
            is_first = request.startswith(b"POST /users/batch") and not seen.is_set()
            if is_first:
                seen.set()
        if is_first:
            fault(connection, request, pass_on)
        else:
            pass_on(connection, request)

    return behave


def lost_after_the_commit(_: socket.socket, request: bytes, pass_on: Behaviour) -> None:
    pass_on(Swallow(), request)  # type: ignore[arg-type]


def lost_after_half_of_it(connection: socket.socket, request: bytes, pass_on: Behaviour) -> None:
    """What docs/http.md says of a 503: some of the rows may be stored."""
    head, _, body = request.partition(b"\r\n\r\n")
    rows = body.splitlines(keepends=True)
    pass_on(Swallow(), head + b"\r\n\r\n" + b"".join(rows[: len(rows) // 2]))  # type: ignore[arg-type]
    problem = {"type": "/problems/store-unavailable", "title": "", "status": 503, "detail": "busy"}
    answer("503 Service Unavailable", json.dumps(problem).encode(), PROBLEM)(connection, request)


def garbage_under_201(connection: socket.socket, request: bytes, pass_on: Behaviour) -> None:
    answer("201 Created", b"<html>")(connection, request)


def a_report_of_another_batch(connection: socket.socket, request: bytes, pass_on: Behaviour) -> None:
    report = {"received": 9, "created": 9, "unchanged": 0, "rejected": 0, "results": [], "results_omitted": 0}
    answer("201 Created", json.dumps({**report, "received": 10**6, "created": 10**6}).encode())(connection, request)


def bad_gateway(connection: socket.socket, request: bytes, pass_on: Behaviour) -> None:
    answer("502 Bad Gateway", b"<html>", "text/html")(connection, request)


@pytest.mark.parametrize(
    ("fault", "stored"),
    [
        (lost_after_the_commit, 100),
        (lost_after_half_of_it, 50),
        (garbage_under_201, 0),
        (a_report_of_another_batch, 0),
        (bad_gateway, 0),
    ],
)
def test_a_batch_whose_answer_is_lost_is_sent_again_and_stored_once(
    services: dict[str, RunningService], data: Path, new_id: int, fault: Fault, stored: int
) -> None:
    users, ids = services["users"], range(new_id, new_id + 300)
    write_users(data, ids)
    with listening(first_batch(fault, forward(users.url))) as between:
        status, result, stderr = run(services, data, "--batch", "100", "--users-url", between.url)
        assert sum(request.startswith(b"POST /users/batch") for request in between.requests) == 4
    assert (status, stderr, result["differences"], result["results"]) == (0, "", [], [])
    assert counts(result) == (300 - stored, stored, 0, 0)
    kept = stored_in(users, where=f"id BETWEEN {ids[0]} AND {ids[-1]}")
    assert kept == [(number, f"n{number}", f"a{number}@example.com") for number in ids]


@pytest.mark.parametrize(("fault", "stored"), [(lost_after_the_commit, 100), (lost_after_half_of_it, 50)])
def test_a_batch_without_ids_that_may_be_stored_is_not_sent_again(
    services: dict[str, RunningService], data: Path, new_id: int, fault: Fault, stored: int
) -> None:
    users = services["users"]
    write_ndjson(data / "users.ndjson", ({"name": f"{new_id} {number}", "email": "a@b"} for number in range(100)))
    with listening(first_batch(fault, forward(users.url))) as between:
        status, result, _ = run(services, data, "--batch", "100", "--users-url", between.url)
        sent = sum(request.startswith(b"POST /users/batch") for request in between.requests)
    assert len(stored_in(users, "name", f"name LIKE '{new_id} %'")) == stored
    assert (status, counts(result), sent) == (1, (0, 0, 0, 100), 1)
    assert [each["attempts"] for each in result["results"]] == [1] * 100


def test_a_read_back_that_is_lost_is_asked_for_again(
    services: dict[str, RunningService], data: Path, new_id: int
) -> None:
    """Asking which records are stored can be repeated as often as one likes."""
    write_users(data, range(new_id, new_id + 300))
    pass_on, lock, lost = forward(services["users"].url), threading.Lock(), threading.Event()

    def behave(connection: socket.socket, request: bytes) -> None:
        with lock:
            is_first = request.startswith(b"POST /users/lookup") and not lost.is_set()
            if is_first:
                lost.set()
        if not is_first:
            pass_on(connection, request)

    with listening(behave) as between:
        status, result, _ = run(services, data, "--batch", "100", "--users-url", between.url)
    assert lost.is_set()
    assert (status, result["differences"], counts(result)) == (0, [], (300, 0, 0, 0))


def test_a_batch_is_read_back_in_parts_where_a_service_looks_up_fewer_at_once(
    services: dict[str, RunningService], tmp_path: Path, data: Path
) -> None:
    write_users(data, range(1, 1001))
    with running("users", tmp_path, MAX_LOOKUP_IDS="30") as users:
        status, result, _ = run({**services, "users": users}, data, "--batch", "500")
    assert (status, result["differences"], counts(result)) == (0, [], (1000, 0, 0, 0))


def test_ctrl_c_prints_what_is_known(services: dict[str, RunningService], tmp_path: Path, data: Path) -> None:
    write_users(data, range(1, 400_001))
    with running("users", tmp_path) as users:
        urls = url_options({**services, "users": users})
        command = [sys.executable, CLIENT, *urls, "--data", str(data), "--batch", "100"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
            eventually(lambda: _some_are_stored(users))
            client.send_signal(signal.SIGINT)
            out, err = client.communicate(timeout=30)
        kept = how_many(users)
    assert client.returncode == 130
    assert "the services hold what they acknowledged" in out
    (row,) = [line.split() for line in out.splitlines() if re.match(r"users +[0-9,]+ +[0-9,]+ ", line)]
    sent, created, unchanged, rejected, undelivered, stored = (int(cell.replace(",", "")) for cell in row[1:7])
    assert 1000 < created == sent - undelivered <= stored <= kept < 400_000
    assert (unchanged, rejected) == (0, 0)
    assert "Traceback" not in err


def test_what_is_under_way_at_ctrl_c_is_waited_for_and_counted(
    services: dict[str, RunningService], data: Path, new_id: int
) -> None:
    """Ten batches are held up until the client goes on without them, or for a second, half of what it gives them."""
    write_users(data, range(new_id, new_id + 5000))
    pass_on, arrived, went_on = forward(services["users"].url), threading.Event(), threading.Event()

    def held_up(connection: socket.socket, request: bytes) -> None:
        if request.startswith(b"POST /users/batch"):
            arrived.set()
            went_on.wait(timeout=1)
        elif request.startswith(b"GET /users/count"):
            went_on.set()
        pass_on(connection, request)

    with listening(held_up) as between:
        urls = [*url_options(services), "--users-url", between.url]
        command = [sys.executable, CLIENT, *urls, "--data", str(data), "--batch", "100", "--json", "-"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
            assert arrived.wait(timeout=20)
            client.send_signal(signal.SIGINT)
            out, err = client.communicate(timeout=30)
    assert (client.returncode, without_progress(err)) == (130, "")
    assert counts(json.loads(out)) == (1000, 0, 0, 0)


@pytest.mark.parametrize("without_ids", [0, 5])
def test_of_a_file_with_a_broken_end_what_comes_before_is_sent_and_said(
    services: dict[str, RunningService], data: Path, new_id: int, without_ids: int
) -> None:
    rows: list[dict[str, Any]] = [{"id": new_id + place, "name": "n", "email": "a@b"} for place in range(250)]
    rows += [{"name": "n", "email": "a@b"}] * without_ids
    (data / "users.json").write_text("[" + ",\n".join(map(json.dumps, rows)) + ',\n{"id": 1, "na')
    (data / "products.csv").write_text(f"id,name,price\n{new_id},p,1\n")
    status, result, stderr = run(services, data, "--batch", "100")
    assert status == 2
    sent = 250 + without_ids
    assert stderr == f"{data}/users.json:{sent + 1}[{sent}]: not JSON. What follows was not sent.\n"
    assert counts(result) == (sent, 0, 0, 0)
    assert counts(result, "products") == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        # What a file may say, however odd, is refused with its line and does not end the run.
        ("users.csv", 'id,name,email\n{0},n,a@b\n"1\n2",n,a@b\n{1},n,a@b\n'),
        (
            "users.ndjson",
            '{{"id":{0},"name":"n","email":"a@b"}}\n{{"id":-1{z}}}\n{{"id":{1},"name":"n","email":"a@b"}}\n',
        ),
        (
            "users.ndjson",
            '{{"id":{0},"name":"n","email":"a@b"}}\n{{"id":9{z}}}\n{{"id":9{z}}}\n{{"id":{1},"name":"n","email":"a@b"}}\n',
        ),
        (
            "users.ndjson",
            '{{"id":1,"x":{{"id":2}}}}\n{{"id":{0},"name":"n","email":"a@b"}}\nnull\n{{"id":{1},"name":"n","email":"a@b"}}',
        ),
        (
            "users.ndjson",
            '{{"id":8,"name":"n","email":"a@b","id":{0}}}\n{{"id":{1},"name":"n","email":"a@b"}}\n{{"id":0}}',
        ),
    ],
    ids=["numbers-on-two-lines", "far-below-0", "twice-far-too-great", "an-id-within", "an-id-twice"],
)
def test_an_odd_row_does_not_touch_its_neighbours(
    services: dict[str, RunningService], data: Path, new_id: int, name: str, text: str
) -> None:
    (data / name).write_text(text.format(new_id, new_id + 9, z="0" * 30))
    status, result, stderr = run(services, data, "--batch", "100", "--give-up-after", "1")
    assert (status, stderr, result["differences"]) == (0, "", [])
    created, unchanged, rejected, undelivered = counts(result)
    assert (created, unchanged, undelivered) == (2, 0, 0)
    assert rejected == len(result["results"]) > 0


def test_at_least_ten_batches_are_in_flight_at_each_service(
    services: dict[str, RunningService], data: Path, new_id: int
) -> None:
    write_users(data, range(new_id, new_id + 1000))
    products = "".join(f"{new_id + place},p,1\n" for place in range(100))
    (data / "products.csv").write_text(f"id,name,price\n{products}")
    orders = "".join(f"{new_id + place},{new_id + place},{new_id + place % 100},1\n" for place in range(1000))
    (data / "orders.csv").write_text(f"id,user_id,product_id,quantity\n{orders}")
    _, result, _ = run(services, data, "--batch", "10")
    assert [result["summary"][name]["peak_in_flight"] for name in SERVICES] == [10, 10, 10]
    _, result, _ = run(services, data, "--batch", "50", "--threads", "16")
    # As many as there are batches, and no more than threads.
    assert [result["summary"][name]["peak_in_flight"] for name in SERVICES] == [16, 2, 16]


@pytest.mark.parametrize("size", ["0", "-1", "10001", "1.5", "many", ""])
def test_a_batch_of_no_size_is_bad_usage(size: str) -> None:
    done = run_client("--batch", size)
    assert done.returncode == 2
    assert "--batch" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("size", ["1", "10000"])
def test_the_smallest_and_the_largest_batch_are_good_usage(
    services: dict[str, RunningService], data: Path, new_id: int, size: str
) -> None:
    write_users(data, range(new_id, new_id + 50))
    status, result, _ = run(services, data, "--batch", size)
    assert (status, counts(result)) == (0, (50, 0, 0, 0))


def test_progress_is_shown_on_standard_error_alone(
    services: dict[str, RunningService], data: Path, new_id: int
) -> None:
    """A terminal is shown it ten times a second; the last batch is held up until it has been."""
    write_users(data, range(new_id, new_id + 2000))
    pass_on, seen = forward(services["users"].url), threading.Event()

    def held_up(connection: socket.socket, request: bytes) -> None:
        if request.startswith(b"POST /users/batch") and b'"id":%d,' % (new_id + 1999) in request:
            seen.wait(timeout=10)
        pass_on(connection, request)

    with listening(held_up) as between:
        urls = [*url_options(services), "--users-url", between.url]
        command = [sys.executable, CLIENT, *urls, "--data", str(data), "--batch", "100", "--json", "-"]
        terminal, end = pty.openpty()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, text=True) as client:
            os.close(end)
            shown = b"".join(_read_until(terminal, rb" 1,900/2,000 ", seen))
            out, _ = client.communicate(timeout=30)
        os.close(terminal)
    assert seen.is_set()
    assert counts(json.loads(out)) == (2000, 0, 0, 0)
    # The last picture stays.
    assert b"100%  2,000/2,000" in shown


def _read_until(terminal: int, wanted: bytes, seen: threading.Event) -> Iterator[bytes]:
    """Yield what is written to the terminal until its other end is closed; set the event once it is what is wanted."""
    text = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            return
        if not piece:
            return
        yield piece
        text += piece
        if re.search(wanted, text):
            seen.set()


def test_nothing_is_on_standard_output_but_the_result(
    services: dict[str, RunningService], data: Path, new_id: int
) -> None:
    write_users(data, range(new_id, new_id + 20_000))
    done = run_client(*url_options(services), "--data", str(data), "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert set(json.loads(done.stdout)) == {"summary", "differences", "results"}
    done = run_client(*url_options(services), "--data", str(data))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"\nservice .*\n-[- ]*\n(?:\w+ [ 0-9,]+\n){4}\n20,000 records in .* they acknowledged\.\n", done.stdout
    )
