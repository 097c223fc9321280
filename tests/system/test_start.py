"""A service that can't start: it ends by itself, says why in one line, and leaves what it found as it was."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.processes import PROJECT, post, running, settings_for, spawn


def failed_start(**environment: str) -> str:
    """Start users so, expect that it ends by itself and without a traceback, and return what it says."""
    process = spawn("users", settings_for(Path("unused"), **environment))
    out, err = process.communicate(timeout=30)
    assert process.returncode not in {0, None}
    assert out == ""
    assert "Traceback" not in err
    return err


def test_a_second_service_on_the_same_file_refuses_to_start(tmp_path: Path) -> None:
    with running("users", tmp_path) as users:
        assert users.url
        assert "belongs to another running service" in failed_start(DATABASE_URL=f"sqlite:///{users.database}")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("Dear diary, " * 100)
    assert "x.db can't be used" in failed_start(DATABASE_URL=f"sqlite:///{tmp_path / 'x.db'}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("MAX_BATCH", "0"),
        ("DATABASE_URL", "mysql://x/y"),
        *(("UNIQUE", fields) for fields in ("phone", "id", "email,id", "Email", "email,", ",", " ", "email,email")),
    ],
)
def test_a_setting_that_is_not_valid_is_named(name: str, value: str) -> None:
    assert name in failed_start(**{name: value})


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "address already in use" in failed_start(PORT=port, DATABASE_URL=f"sqlite:///{tmp_path / 'x.db'}")


def an_older_database(folder: Path) -> Path:
    """Return a database with records in it, whose service has ended."""
    with running("users", folder) as users:
        for number in range(1, 50):
            assert post(users, {"id": number, "name": "Ada" * 50, "email": "a@b"}).status_code == 201
    return users.database


def test_a_database_whose_pages_are_garbage_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    file = an_older_database(tmp_path)
    with file.open("r+b") as raw:
        raw.seek(4096)
        raw.write(b"\xa5" * (file.stat().st_size - 4096))
    before = file.read_bytes()
    assert "users.db can't be used: database disk image is malformed" in failed_start(DATABASE_URL=f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_someone_elses_database_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "diary.db"
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE diary (day TEXT)")
    before = file.read_bytes()
    assert "was not made by users" in failed_start(DATABASE_URL=f"sqlite:///{file}")
    assert file.read_bytes() == before


@pytest.mark.parametrize("read_only", ["users.db", "users.db.lock", "."])
def test_what_may_only_be_read_is_named_and_left_as_it_is(tmp_path: Path, read_only: str) -> None:
    file = an_older_database(tmp_path)
    before = file.read_bytes()
    (tmp_path / read_only).chmod(0o555)
    command = [*without_privileges(), sys.executable, "-m", "services.users"]
    done = subprocess.run(
        command, cwd=PROJECT, env=settings_for(file), capture_output=True, text=True, timeout=30, check=False
    )
    tmp_path.chmod(0o755)
    assert done.returncode not in {0, None}
    assert f"{tmp_path / read_only}" in done.stderr
    assert "can't be used" in done.stderr
    assert "Traceback" not in done.stderr
    assert file.read_bytes() == before


def without_privileges() -> list[str]:
    """Return what to put before a command that file permissions are to hold for, even where root runs it."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root may write everywhere, unless setpriv (util-linux) takes the privilege away")
    return ["setpriv", "--bounding-set", "-dac_override"]


@pytest.mark.parametrize("folder", ["/proc", "/proc/missing", "/dev/null"])
def test_a_folder_that_cannot_be_written_or_made_is_named(folder: str) -> None:
    assert f"{folder}/users.db can't be used" in failed_start(DATABASE_URL=f"sqlite:///{folder}/users.db")


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    with running("users", tmp_path / "not" / "yet") as users:
        assert post(users, {"name": "Ada", "email": "a@b"}).status_code == 201
    assert users.database.exists()
