"""The same records at once and one after another: what is sent, what is said, and what is left behind."""

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from client.bulk import Bulk
from client.compare import compare_batches, compare_records
from client.fan_out import FanOut, Sent
from client.inputs import files_in, read_all
from client.services import Service, connect
from tests.processes import PROJECT, RunningService, all_running, run_client
from tests.terminal import terminal
from tests.upstream import forward, listening

SAMPLE = PROJECT / "client" / "data"
DATABASES = ("users.db", "products.db", "orders.db")


def compared(*options: str) -> dict[str, Any]:
    done = run_client("--local", "--compare", "--json", "-", *options)
    assert (done.returncode, done.stderr) == (0, "")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("batch", ["1", "4"])
def test_both_times_are_told_and_only_the_concurrent_runs_databases_are_left(tmp_path: Path, batch: str) -> None:
    for outcome in ("created", "unchanged"):
        result = compared("--db-dir", str(tmp_path), "--batch", batch)
        compare = result["summary"]["compare"]
        assert set(compare) == {"concurrent_s", "sequential_s", "same_outcomes"}
        assert min(compare["concurrent_s"], compare["sequential_s"]) > 0
        # Both began with the databases as they were, so a second run ends the same both ways, too.
        assert compare["same_outcomes"] is True
        assert [result["summary"][name][outcome] for name in ("users", "products", "orders")] == [9, 9, 7]
        assert not [path for path in tmp_path.iterdir() if path.is_dir()]
        assert {path.name for path in tmp_path.glob("*.db")} == set(DATABASES)


def test_the_summary_says_both_times(tmp_path: Path) -> None:
    done = run_client("--local", "--compare", "--db-dir", str(tmp_path))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("Compared, threads and connections included: ")
    assert (
        "compare" not in json.loads(run_client("--local", "--db-dir", str(tmp_path), "--json", "-").stdout)["summary"]
    )


def test_duplicates_of_assigned_ids_end_the_same_whichever_ids_those_are(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rows = "".join(f"n{number},{number % 30}@b\n" for number in range(60))
    (data / "users.csv").write_text(f"name,email\n{rows}")
    summary = compared("--unique", "--data", str(data), "--db-dir", str(tmp_path))["summary"]
    assert (summary["users"]["created"], summary["users"]["rejected"]) == (30, 30)
    assert summary["compare"]["same_outcomes"] is True


def test_without_local_it_is_bad_usage() -> None:
    done = run_client("--compare")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--compare needs --local" in done.stderr


def test_ctrl_c_in_the_second_half_prints_the_first_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    rows = "".join(f"{number},n{number},a@b\n" for number in range(1, 20_001))
    (tmp_path / "data" / "users.csv").write_text(f"id,name,email\n{rows}")
    options = ["--local", "--compare", "--data", str(tmp_path / "data"), "--batch", "20"]

    def interrupt(client: subprocess.Popen[str]) -> None:
        client.send_signal(signal.SIGINT)

    with terminal(100) as it:
        status, _ = it.run(*options, "--db-dir", str(tmp_path / "db"), when=("one after another", interrupt))
        lines = it.screen()
    assert status == 130, it.written
    assert any(line.startswith("20,000 records in ") for line in lines)
    assert not any(line.startswith("Compared") for line in lines)
    assert "Traceback" not in it.written
    assert not [path for path in (tmp_path / "db").iterdir() if path.is_dir()]


class _Answered:
    """A connection that says when it is about to be answered."""

    def __init__(self, connection: socket, about_to: Callable[[], None]) -> None:
        self._connection = connection
        self._about_to = about_to

    def sendall(self, data: bytes) -> None:
        self._about_to()
        self._connection.sendall(data)


class Watched:
    """Three services behind servers that write down which inserts came, and how many were under way at once."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self.at_once = 0
        self._under_way = 0
        self._lock = threading.Lock()

    @contextmanager
    def in_front_of(self, services: Mapping[str, RunningService]) -> Iterator[list[Service]]:
        with ExitStack() as stack:
            found = []
            for name, service in services.items():
                url = stack.enter_context(listening(self._pass_on(name, service.url))).url
                found.append(Service(name, url, stack.enter_context(connect(url))))
            yield found

    def _pass_on(self, name: str, url: str) -> Any:
        def behave(connection: socket, request: bytes) -> None:
            insert = request.startswith((f"POST /{name} ".encode(), f"POST /{name}/batch".encode()))
            with self._lock:
                self._under_way += insert
                self.at_once = max(self.at_once, self._under_way)
                self.came += [name] * insert
            forward(url)(_Answered(connection, lambda: self._is_over(insert)), request)  # type: ignore[arg-type]

        return behave

    def _is_over(self, insert: bool) -> None:  # noqa: FBT001 - counted, too
        with self._lock:
            self._under_way -= insert


def test_one_after_another_is_one_request_at_a_time_and_one_service_after_the_other(tmp_path: Path) -> None:
    records, watched = read_all(files_in(SAMPLE)), Watched()
    with all_running(tmp_path) as services, watched.in_front_of(services) as behind:
        nothing = Sent([], 0.0, 0.0, interrupted=False)
        # What was never sent at once ended otherwise, and that is said.
        assert not compare_records(nothing, records, behind, 5.0).same_outcomes
        # No order was too early, so none was sent twice.
        assert watched.came == ["users"] * 10 + ["products"] * 10 + ["orders"] * 10
        assert watched.at_once == 1
        at_once = FanOut(behind, threads=10, give_up_after_s=5.0).send(records)
        again = compare_records(at_once, records, behind, 5.0)
        assert (again.same_outcomes, again.concurrent_s) == (True, at_once.took_s)
        other = replace(at_once, results=[replace(at_once.results[0], outcome="created"), *at_once.results[1:]])
        assert not compare_records(other, records, behind, 5.0).same_outcomes


def test_batches_are_sent_one_after_another_too(tmp_path: Path) -> None:
    files, watched = files_in(SAMPLE), Watched()
    with all_running(tmp_path) as services, watched.in_front_of(services) as behind:
        at_once = Bulk(behind, set(services), threads=10, give_up_after_s=5.0)
        at_once.send(files, 4)
        watched.came, watched.at_once = [], 0
        # Here the first sending created what the second finds.
        assert not compare_batches(at_once, files, 4, behind, 5.0).same_outcomes
        assert watched.came == ["users"] * 3 + ["products"] * 3 + ["orders"] * 3
        assert watched.at_once == 1
