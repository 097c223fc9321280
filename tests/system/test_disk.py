"""A disk that fills up or fails under load: nothing is acknowledged that is not stored, and what can recover does."""

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import httpx
import pytest

from tests.processes import RunningService, eventually, post, running
from tests.system.faulty_disk import FaultyDisk
from tests.workload import Workload, check, more_is_acknowledged, nothing_more_is_acknowledged

USER = {"name": "Ada", "email": "a@b"}
Fault = Callable[[FaultyDisk, RunningService], AbstractContextManager[None]]


def get(service: RunningService, path: str) -> httpx.Response:
    return httpx.get(f"{service.url}{path}", trust_env=False)


def full(disk: FaultyDisk, service: RunningService) -> AbstractContextManager[None]:
    return disk.failing("full")


def write_error(disk: FaultyDisk, service: RunningService) -> AbstractContextManager[None]:
    return disk.failing("write-fails")


@contextmanager
def file_limit(disk: FaultyDisk, service: RunningService) -> Iterator[None]:
    """Let no file grow beyond its first page."""
    _soft, most = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (4096, most))
    yield
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (most, most))


@pytest.mark.parametrize("fault", [full, file_limit, write_error])
def test_while_nothing_can_be_written_reads_are_answered_and_then_it_goes_on(disk: FaultyDisk, fault: Fault) -> None:
    workload = Workload("users")
    with running("users", disk.folder, **disk.settings) as users:
        with workload.sent_to(users):
            more_is_acknowledged(workload)
            with fault(disk, users):
                eventually(lambda: workload.refusals[507] > 20)
                stored = workload.so_far()
                assert post(users, USER).json()["type"] == "/problems/storage-full"
                assert get(users, f"/users/{min(stored)}").json() == workload.sent[min(stored)]
                assert get(users, "/livez").status_code == 200
                assert workload.so_far() == stored
            more_is_acknowledged(workload)
        assert post(users, workload.sent[min(stored)]).status_code == 200
    check(users.database, workload)
    assert workload.refusals.keys() == {507}


def test_a_full_disk_is_one_as_well_for_the_index_of_the_log(disk: FaultyDisk) -> None:
    """A reader keeps the log from being emptied, until its index needs another page: the side file -shm has to grow."""
    workload = Workload("users")
    with running("users", disk.folder, **disk.settings) as users, workload.sent_to(users):
        more_is_acknowledged(workload)
        with closing(sqlite3.connect(users.database)) as reader, disk.failing("full", "-shm"):
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM users").fetchone()
            eventually(lambda: bool(workload.refusals))
        more_is_acknowledged(workload)
    check(users.database, workload)
    assert workload.refusals.keys() == {507}


def test_once_a_sync_has_failed_nothing_is_acknowledged_until_a_restart(disk: FaultyDisk) -> None:
    """The disk may have dropped what it was told to keep, and says so only once."""
    workload = Workload("users")
    disk.turn_on()
    with running("users", disk.folder, **disk.settings) as users:
        with workload.sent_to(users):
            more_is_acknowledged(workload)
            with disk.failing("sync-fails"):
                nothing_more_is_acknowledged(workload)
            nothing_more_is_acknowledged(workload)
            stored = workload.so_far()
        assert (post(users, USER).status_code, get(users, "/readyz").status_code) == (503, 503)
        assert get(users, "/livez").status_code == 200
        assert get(users, f"/users/{min(stored)}").json() == workload.sent[min(stored)]
        users.process.kill()
    disk.cut_power(torn=True)
    with running("users", disk.folder) as users, workload.sent_to(users):
        more_is_acknowledged(workload)
    check(users.database, workload)
    assert workload.refusals.keys() == {503}
