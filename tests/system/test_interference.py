"""A running service is interfered with: its files vanish, are locked or copied, it is suspended, its clock jumps."""

import email.utils
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.processes import RunningService, eventually, post, running
from tests.rounds import rounds
from tests.system.faulty_disk import FaultyDisk
from tests.workload import Workload, check, more_is_acknowledged, nothing_more_is_acknowledged

USER = {"name": "Ada", "email": "a@b"}
DAY_S = 24 * 60 * 60


def get(service: RunningService, path: str) -> httpx.Response:
    return httpx.get(f"{service.url}{path}", trust_env=False)


@pytest.mark.parametrize("suffix", ["-wal", ".lock"])
def test_once_a_side_file_has_vanished_nothing_is_acknowledged_that_a_restart_would_lose(
    tmp_path: Path, suffix: str
) -> None:
    workload = Workload("users")
    with running("users", tmp_path) as users, workload.sent_to(users):
        more_is_acknowledged(workload)
        Path(f"{users.database}{suffix}").unlink()
        nothing_more_is_acknowledged(workload)
        assert get(users, "/readyz").status_code == 503
    goes_on_after_a_restart(users.database, workload)


def test_the_index_of_the_log_may_vanish(tmp_path: Path) -> None:
    """What is in -shm can be found out anew from the log."""
    workload = Workload("users")
    with running("users", tmp_path) as users, workload.sent_to(users):
        more_is_acknowledged(workload)
        Path(f"{users.database}-shm").unlink()
        more_is_acknowledged(workload, 2000)
        users.process.kill()
    goes_on_after_a_restart(users.database, workload)
    assert not workload.refusals


def test_once_the_database_was_replaced_nothing_goes_into_either(tmp_path: Path) -> None:
    """Whoever puts an older copy back while the service runs finds what it held, and nothing mixed into it."""
    workload = Workload("users")
    with running("users", tmp_path) as users, workload.sent_to(users):
        more_is_acknowledged(workload)
        held = workload.so_far()
        back_up(users.database, tmp_path / "copy.db")
        more_is_acknowledged(workload)
        (tmp_path / "copy.db").rename(users.database)
        nothing_more_is_acknowledged(workload)
    with running("users", tmp_path) as again:
        assert get(again, "/readyz").status_code == 200
    check(users.database, workload, held)


def goes_on_after_a_restart(database: Path, workload: Workload) -> None:
    with running(database.stem, database.parent) as again:
        with workload.sent_to(again):
            more_is_acknowledged(workload)
        assert get(again, "/readyz").status_code == 200
    check(database, workload)


@pytest.mark.timeout(rounds(120, 300))
def test_being_suspended_under_load_does_no_harm(tmp_path: Path) -> None:
    workload = Workload("users")
    with running("users", tmp_path) as users, workload.sent_to(users):
        more_is_acknowledged(workload)
        users.process.send_signal(signal.SIGSTOP)
        suspended_s(rounds(few=2, many=30))
        users.process.send_signal(signal.SIGCONT)
        more_is_acknowledged(workload)
    check(users.database, workload)
    assert not workload.refusals


def suspended_s(seconds: float) -> None:
    """Return when so much time has passed: that is what is tested."""
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > until, within_s=2 * seconds)


@pytest.mark.parametrize("seconds", [-DAY_S, 365 * DAY_S], ids=["a-day-back", "a-year-ahead"])
def test_a_clock_that_jumps_does_no_harm(disk: FaultyDisk, seconds: int) -> None:
    workload = Workload("users")
    with running("users", disk.folder, **disk.settings) as users:
        with workload.sent_to(users):
            more_is_acknowledged(workload)
            disk.set_clock(seconds=seconds)
            # The service believes it: its answers are dated so.
            eventually(lambda: abs(_date(users) - time.time() - seconds) < DAY_S / 2)
            more_is_acknowledged(workload)
            disk.set_clock(seconds=0)
            eventually(lambda: abs(_date(users) - time.time()) < DAY_S / 2)
            more_is_acknowledged(workload)
        users.process.terminate()
        assert users.process.wait(timeout=10) == 0
    check(users.database, workload)
    assert not workload.refusals


def _date(service: RunningService) -> float:
    return email.utils.parsedate_to_datetime(get(service, "/livez").headers["date"]).timestamp()


def back_up(database: Path, copy: Path) -> None:
    """Copy the database as sqlite3's .backup does."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def test_a_copy_that_is_taken_under_load_is_sound_and_holds_what_was_acknowledged_before(tmp_path: Path) -> None:
    workload = Workload("users")
    (tmp_path / "copies").mkdir()
    with running("users", tmp_path) as users, workload.sent_to(users):
        for _ in range(rounds(few=3, many=30)):
            more_is_acknowledged(workload)
            before = workload.so_far()
            back_up(users.database, tmp_path / "copies" / "users.db")
            check(tmp_path / "copies" / "users.db", workload, before)
    check(users.database, workload)
    assert not workload.refusals
    with running("users", tmp_path / "copies") as again:
        assert post(again, USER).status_code == 201


@contextmanager
def locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.timeout(rounds(120, 300))
def test_while_another_process_holds_the_write_lock_writes_are_refused_in_time_and_then_it_goes_on(
    tmp_path: Path,
) -> None:
    workload = Workload("users")
    with running("users", tmp_path) as users:
        with workload.sent_to(users):
            more_is_acknowledged(workload)
            with locked(users.database):
                until = time.monotonic() + rounds(few=3, many=30)
                while time.monotonic() < until:
                    answer = httpx.post(f"{users.url}/users", json=USER, trust_env=False, timeout=10)
                    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
                    assert get(users, f"/users/{min(workload.so_far())}").status_code == 200
            more_is_acknowledged(workload)
        assert post(users, USER).status_code == 201
    assert workload.refusals.keys() == {503}
