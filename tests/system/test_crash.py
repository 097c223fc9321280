"""A service that is killed, stopped or started wrongly: nothing acknowledged is lost, and it says what is wrong."""

import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.processes import RunningService, eventually, running, settings_for, spawn


class Load:
    """Threads that insert users until the service is gone, and what became of each."""

    def __init__(self, url: str, first_id: int) -> None:
        self.sent: set[int] = set()
        self.acknowledged: set[int] = set()
        self.strange: list[int] = []
        self._url = url
        self._ids = iter(range(first_id, first_id + 1_000_000))
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send) for _ in range(8)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        with httpx.Client(base_url=self._url, trust_env=False) as http:
            while True:
                with self._lock:
                    record_id = next(self._ids)
                    self.sent.add(record_id)
                try:
                    answer = http.post("/users", json={"id": record_id, "name": "Ada", "email": "a@b"})
                except httpx.TransportError:
                    return
                (self.acknowledged.add if answer.status_code == 201 else self.strange.append)(record_id)

    def join(self) -> None:
        """Wait for the last thread to find the service gone."""
        for thread in self._threads:
            thread.join()


def check_set(database: Path, loads: list[Load]) -> None:
    """All that was acknowledged is stored, nothing is stored that nobody sent, and the file is sound."""
    with closing(sqlite3.connect(database)) as db:
        stored = {row[0] for row in db.execute("SELECT id FROM users")}
        assert db.execute("SELECT count(*) FROM users").fetchone() == (len(stored),)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert set().union(*(load.acknowledged for load in loads)) <= stored
    assert stored <= set().union(*(load.sent for load in loads))


def test_what_was_acknowledged_survives_being_killed_under_load(tmp_path: Path) -> None:
    loads: list[Load] = []
    for life in range(5):
        with running("users", tmp_path) as users:
            load = Load(users.url, 1 + life * 1_000_000)
            eventually(lambda load=load: len(load.acknowledged) > 50)  # type: ignore[misc]
            users.process.kill()
            load.join()
            loads.append(load)
            assert load.strange == []
    check_set(tmp_path / "users.db", loads)


@contextmanager
def half_sent(service: RunningService) -> Iterator[None]:
    """Hold a connection open whose body never comes."""
    address = urlsplit(service.url)
    with closing(socket.create_connection((address.hostname, address.port))) as connection:
        connection.sendall(
            b"POST /users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
        )
        yield


def test_sigterm_under_load_drains_and_ends_well(tmp_path: Path) -> None:
    with running("users", tmp_path) as users:
        load = Load(users.url, 1)
        with half_sent(users):
            eventually(lambda: len(load.acknowledged) > 50)
            users.process.terminate()
            assert users.process.wait(timeout=10) == 0
        load.join()
        assert load.strange == []
    check_set(tmp_path / "users.db", [load])
    assert not (tmp_path / "users.db-wal").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_service_stops_at_once_and_says_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with running("users", tmp_path) as users:
        assert httpx.get(f"{users.url}/livez", trust_env=False).status_code == 200
        users.process.send_signal(number)
        assert users.process.wait(timeout=3) == 0
        assert users.process.communicate() == ("", "")


def test_being_killed_during_the_first_start_does_no_harm(tmp_path: Path) -> None:
    for _ in range(5):
        process = spawn("users", settings_for(tmp_path / "users.db"))
        eventually(lambda process=process: process.poll() is not None or any(tmp_path.iterdir()))  # type: ignore[misc]
        process.kill()
        process.communicate()
    with running("users", tmp_path) as users:
        assert httpx.get(f"{users.url}/users/count", trust_env=False).json() == {"count": 0}


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


@pytest.mark.parametrize(("name", "value"), [("PORT", "http"), ("MAX_BATCH", "0"), ("DATABASE_URL", "postgresql:///x")])
def test_a_setting_that_is_not_valid_is_named(name: str, value: str) -> None:
    assert name in failed_start(**{name: value})


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "address already in use" in failed_start(PORT=port, DATABASE_URL=f"sqlite:///{tmp_path / 'x.db'}")
