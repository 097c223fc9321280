"""The power is cut: what was acknowledged is on the disk, though nothing survives but what was synced."""

import httpx
import pytest

from tests.processes import eventually, running, settings_for, spawn
from tests.rounds import Cite, rounds
from tests.system.faulty_disk import FaultyDisk
from tests.workload import Workload, check, more_is_acknowledged

BOTH_WAYS = pytest.mark.parametrize("torn", [False, True], ids=["nothing-else-survives", "anything-else-may-survive"])
# Enough for the write-ahead log to be moved into the database several times.
_RECORDS = 3000


@pytest.mark.timeout(rounds(120, 900))
@BOTH_WAYS
def test_what_was_acknowledged_survives_a_power_cut(disk: FaultyDisk, cite: Cite, *, torn: bool) -> None:
    workload = Workload("users")
    cuts = rounds(few=2, many=20)
    for _ in range(cuts):
        disk.turn_on()
        with running("users", disk.folder, **disk.settings) as users, workload.sent_to(users):
            more_is_acknowledged(workload, _RECORDS)
            users.process.kill()
        assert (disk.control / "synced" / "users.db").stat().st_size > 0
        disk.cut_power(torn=torn)
        check(users.database, workload)
    with running("users", disk.folder) as users, workload.sent_to(users):
        more_is_acknowledged(workload)
    check(users.database, workload)
    assert not workload.refusals
    cite(f"{cuts} power cuts, {len(workload.acknowledged):,} records acknowledged and checked")


def test_a_database_that_cannot_be_synced_while_its_log_can_loses_nothing(disk: FaultyDisk) -> None:
    """SQLite moves the log into the database when it likes to; that this fails is no reason to forget the log."""
    workload = Workload("users")
    disk.turn_on()
    with running("users", disk.folder, **disk.settings) as users, workload.sent_to(users):
        more_is_acknowledged(workload)
        with disk.failing("sync-fails", "users.db"):
            more_is_acknowledged(workload, _RECORDS)
            users.process.kill()
    disk.cut_power(torn=True)
    check(users.database, workload)


@BOTH_WAYS
@pytest.mark.parametrize(
    "reached", ["databases/users.db", "control/synced/users.db-journal", "control/synced/users.db"]
)
def test_a_power_cut_during_the_first_start_does_no_harm(disk: FaultyDisk, reached: str, *, torn: bool) -> None:
    disk.turn_on()
    process = spawn("users", settings_for(disk.folder / "users.db", **disk.settings))
    eventually(lambda: any((place / reached).exists() for place in (disk.folder.parent, disk.control)))
    process.kill()
    process.communicate()
    disk.cut_power(torn=torn)
    with running("users", disk.folder) as users:
        assert httpx.get(f"{users.url}/users/count", trust_env=False).json() == {"count": 0}


def test_a_folder_that_was_made_for_the_database_survives_a_power_cut(disk: FaultyDisk) -> None:
    disk.turn_on()
    with running("users", disk.folder / "new", **disk.settings) as users:
        assert users.url
        assert disk.names_kept() == ["new"]


def test_what_was_deleted_and_not_synced_is_back_as_it_was(disk: FaultyDisk) -> None:
    journal = disk.folder / "users.db-journal"
    journal.write_bytes(bytes(range(256)) * 64)
    disk.turn_on()
    journal.unlink()
    disk.cut_power(torn=True)
    assert journal.read_bytes() == bytes(range(256)) * 64
