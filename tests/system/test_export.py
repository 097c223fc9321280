"""Whole tables as lines: moved elsewhere, given to those who stall, vanish or dawdle, and cut off where they break."""

import json
import random
import re
import shutil
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from services.chassis.exports import MAX_EXPORTS
from tests.databases import Databases, Folder
from tests.postgres import PostgresServer
from tests.processes import PROJECT, RunningService, all_running, eventually, running
from tests.resource import RECORDS, problem
from tests.rounds import rounds
from tests.workload import Workload, check, more_is_acknowledged

LINES = {"accept": "application/x-ndjson"}
PATIENCE_S = 1.0
STOPPED_WITHIN_S = 10.0
# Longer than all that lies between a reader who stalls and the service.
MANY_ROWS = 150_000
NAME = "x" * 180
MIB = 1024 * 1024

on_linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc to look into")


def client(service: RunningService) -> httpx.Client:
    return httpx.Client(base_url=service.url, trust_env=False, verify=False, timeout=30)


def export(service: RunningService, query: str = "") -> bytes:
    with client(service) as http:
        response = http.get(f"/{service.name}{query}", headers=LINES)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/x-ndjson")
    return response.content


def store(service: RunningService, lines: bytes) -> dict[str, int]:
    with client(service) as http:
        answer = http.post(f"/{service.name}/batch", content=lines, headers={"content-type": "application/x-ndjson"})
    report: dict[str, int] = answer.json()
    assert report["rejected"] == 0, report
    return report


def many_users(rows: int) -> bytes:
    return b"".join(b'{"id":%d,"name":"%b","email":"a@b"}\n' % (number, NAME.encode()) for number in range(1, rows + 1))


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with many users, and little patience."""
    with running("users", tmp_path_factory.mktemp("users"), RECEIVE_TIMEOUT_S=str(PATIENCE_S)) as service:
        assert store(service, many_users(MANY_ROWS))["created"] == MANY_ROWS
        yield service


def snapshots(service: RunningService) -> int:
    """Return how many connections read the database: each has the write-ahead log open, and so has the writer's."""
    names = []
    for handle in Path(f"/proc/{service.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            names.append(handle.readlink().name)
    return names.count("users.db-wal") - 1


def memory(service: RunningService) -> int:
    (line,) = [line for line in Path(f"/proc/{service.process.pid}/status").read_text().splitlines() if "VmRSS" in line]
    return int(line.split()[1]) * 1024


def stalled(service: RunningService) -> socket.socket:
    """Return a connection that has asked for everything and read nothing but the head."""
    address = urlsplit(service.url)
    sock = socket.socket()
    # Set before it is connected, so that little comes without being read.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(10)
    sock.connect((address.hostname, address.port))
    sock.sendall(b"GET /users HTTP/1.1\r\nhost: x\r\naccept: application/x-ndjson\r\n\r\n")
    assert sock.recv(12) == b"HTTP/1.1 200"
    return sock


def all_of(sock: socket.socket) -> bytes:
    received = bytearray()
    try:
        while piece := sock.recv(1 << 16):
            received += piece
    except ConnectionResetError:
        pass
    return bytes(received)


def odd_lines(name: str, rows: int) -> bytes:
    """Return records of that kind with ids far apart, and with whatever text and amounts may hold."""
    chance = random.Random(name)
    ids = sorted([1, *chance.sample(range(2, 2**63 - 1), rows - 1)])
    texts = ["שלום", "🎉" * 50, '"\\/', "a\u2028b", "'); DROP TABLE users;--", "Ada"]
    changes: dict[str, Callable[[], dict[str, object]]] = {
        "users": lambda: {"name": chance.choice(texts)},
        "products": lambda: {"name": chance.choice(texts), "price": chance.randint(1, 10**11 - 1) / 100},
        "orders": lambda: {"quantity": chance.randint(1, 10**6)},
    }
    return b"".join(json.dumps({"id": id_, **RECORDS[name], **changes[name]()}).encode() + b"\n" for id_ in ids)


def documented_commands() -> list[str]:
    """Return the commands that make a backup, restore it, and move all users."""
    commands = re.findall(r"^    (curl .*)$", (PROJECT / "docs/operations.md").read_text(), re.MULTILINE)
    assert len(commands) == 3
    return commands


def run_documented(command: str, old: RunningService, new: RunningService, folder: Path) -> None:
    """Run a command as it is documented, for these services."""
    line = command.replace("http://localhost:8001", old.url).replace("http://new-host:8001", new.url)
    script = ["bash", "-o", "pipefail", "-c", line.replace("users", old.name)]
    done = subprocess.run(script, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


with_curl = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("bash") is None, reason="there is no curl, or no bash"
)


@with_curl
def test_the_documented_move_leads_from_sqlite_to_postgresql_and_back_byte_for_byte(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    place = Folder(tmp_path)
    *_, move = documented_commands()
    with all_running(place.fresh()) as old, all_running(postgres.databases()) as new, all_running(place.fresh()) as own:
        for name in RECORDS:
            assert store(old[name], odd_lines(name, 3_000))["created"] == 3_000
            run_documented(move, old[name], new[name], tmp_path)
            run_documented(move, new[name], own[name], tmp_path)
            everything = export(old[name])
            assert everything.count(b"\n") == 3_000
            assert [export(new[name]), export(own[name])] == [everything] * 2


def test_an_export_under_load_holds_what_was_acknowledged_before_and_nothing_else(databases: Databases) -> None:
    workload = Workload("users")
    with running("users", databases) as service:
        with workload.sent_to(service):
            for _ in range(rounds(3, 30)):
                more_is_acknowledged(workload)
                before = workload.so_far()
                found = [json.loads(line) for line in export(service).splitlines()]
                assert before <= {record["id"] for record in found}
                # By id, each once.
                assert sorted({record["id"] for record in found}) == [record["id"] for record in found]
                assert all(record == workload.sent[record["id"]] for record in found)
        check(service.kept, workload)


@with_curl
@pytest.mark.parametrize("chosen", [slice(0, 2), slice(2, 3)], ids=["backup", "move"])
def test_the_documented_commands_take_all_records_elsewhere_byte_for_byte(tmp_path: Path, chosen: slice) -> None:
    folders = [tmp_path / name for name in ("old", "new")]
    for folder in folders:
        folder.mkdir()
    with all_running(folders[0]) as old, all_running(folders[1]) as new:
        for name in RECORDS:
            assert store(old[name], odd_lines(name, 3_000))["created"] == 3_000
            for command in documented_commands()[chosen]:
                run_documented(command, old[name], new[name], tmp_path)
            everything = export(old[name])
            assert everything.count(b"\n") == 3_000
            assert export(new[name]) == everything
            # Once more is no harm.
            assert store(new[name], everything)["unchanged"] == 3_000


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_sends_on_what_it_is_given_before_all_of_it_has_come(tmp_path: Path) -> None:
    with running("users", tmp_path) as service, client(service) as http:
        command = ["curl", "-sSf", "-X", "POST", "-T", "-", "-H", "Content-Type: application/x-ndjson"]
        with subprocess.Popen([*command, f"{service.url}/users/batch"], stdin=subprocess.PIPE) as curl:
            assert curl.stdin
            curl.stdin.write(many_users(2_000))
            curl.stdin.flush()
            eventually(lambda: http.get("/users/count").json()["count"] > 1_000)
        assert curl.returncode == 0


def test_filters_after_and_limit_say_what_is_given_as_lines(services: dict[str, RunningService], new_id: int) -> None:
    with client(services["users"]) as http:
        for number in range(5):
            record = {"id": new_id + number, "name": f"n{new_id}" if number % 2 else "b", "email": "a@b"}
            assert http.post("/users", json=record).status_code == 201

    def ids(query: str) -> list[int]:
        return [json.loads(line)["id"] - new_id for line in export(services["users"], query).splitlines()]

    assert ids(f"?after={new_id - 1}&limit=2") == [0, 1]
    assert ids(f"?name=n{new_id}") == [1, 3]
    assert ids(f"?name=n{new_id}&after={new_id + 1}") == [3]
    assert ids(f"?id={new_id + 4}") == [4]
    assert ids(f"?name=nobody{new_id}") == []
    with client(services["users"]) as http:
        problem(http.get("/users?limit=0", headers=LINES), 422, "invalid-query")


@on_linux
def test_the_head_of_an_export_is_had_without_its_body(users: RunningService) -> None:
    with client(users) as http:
        head = http.head("/users", headers=LINES)
        assert (head.status_code, head.headers["content-type"], head.content) == (200, LINES["accept"], b"")
        # Were the body made after all, it would be for as long as the answer takes.
        assert snapshots(users) == 0
        assert http.get("/livez").status_code == 200


def test_an_empty_table_is_an_empty_export(tmp_path: Path) -> None:
    with running("users", tmp_path) as service:
        assert export(service) == b""


@on_linux
def test_others_read_while_ten_exports_stall_and_then_those_are_let_go(users: RunningService) -> None:
    with ExitStack() as stack, client(users) as http:
        idle = [stack.enter_context(closing(stalled(users))) for _ in range(10)]
        assert snapshots(users) == 10
        for number in range(1, 21):
            assert http.get(f"/users/{number}").status_code == 200
        assert http.post("/users", json={"name": "Ada", "email": "a@b"}).status_code == 201
        eventually(lambda: snapshots(users) == 0)
        # What was given is no whole: there is no end to it.
        assert not all_of(idle[0]).endswith(b"0\r\n\r\n")


@on_linux
def test_a_reader_that_vanishes_lets_its_snapshot_go(users: RunningService) -> None:
    for _ in range(5):
        with closing(stalled(users)):
            assert snapshots(users) == 1
        eventually(lambda: snapshots(users) == 0, within_s=PATIENCE_S)


@on_linux
def test_more_exports_than_may_be_at_a_time_are_told_to_come_back(tmp_path: Path, users: RunningService) -> None:
    with running("users", tmp_path) as service, client(service) as http:
        store(service, export(users, "?after=50000"))
        with ExitStack() as stack:
            for _ in range(MAX_EXPORTS):
                stack.enter_context(closing(stalled(service)))
            refused = http.get("/users", headers=LINES)
            problem(refused, 503, "overloaded")
            assert refused.headers["retry-after"] == "1"
        eventually(lambda: http.head("/users", headers=LINES).status_code == 200)


@on_linux
def test_an_export_may_take_so_long_and_no_longer(tmp_path: Path, users: RunningService) -> None:
    with running("users", tmp_path, EXPORT_TIMEOUT_S="0.5", RECEIVE_TIMEOUT_S="60") as service:
        store(service, export(users, "?after=50000"))
        with closing(stalled(service)) as idle:
            assert snapshots(service) == 1
            eventually(lambda: snapshots(service) == 0)
            assert not all_of(idle).endswith(b"0\r\n\r\n")
        service.process.terminate()
        assert "an export was cut off" in service.process.communicate()[1]


def test_a_service_that_is_stopped_does_not_wait_for_readers_who_stall(tmp_path: Path, users: RunningService) -> None:
    with running("users", tmp_path, RECEIVE_TIMEOUT_S="60") as service:
        store(service, export(users, "?after=50000"))
        with ExitStack() as stack:
            idle = [stack.enter_context(closing(stalled(service))) for _ in range(MAX_EXPORTS)]
            service.process.terminate()
            said = service.process.communicate(timeout=STOPPED_WITHIN_S)[1]
            assert service.process.returncode == 0
            assert "CancelledError" not in said
            assert not any(all_of(sock).endswith(b"0\r\n\r\n") for sock in idle)


@on_linux
def test_a_slow_reader_gets_everything_in_bounded_memory_while_writes_go_on(users: RunningService) -> None:
    everything = export(users)
    before = memory(users)
    stop = threading.Event()

    def write() -> None:
        with client(users) as http:
            while not stop.wait(0.01):
                assert http.post("/users", json={"name": "Ada", "email": "a@b"}).status_code == 201

    writer = threading.Thread(target=write)
    began_s = time.monotonic()
    highest = 0
    with closing(stalled(users)) as slow, ExitStack() as stack:
        writer.start()
        stack.callback(writer.join)
        stack.callback(stop.set)
        received = bytearray()
        while not received.endswith(b"0\r\n\r\n"):
            piece = slow.recv(1 << 20)
            assert piece, f"cut off after {len(received)} bytes"
            received += piece
            highest = max(highest, memory(users))
            # All of it takes four times as long as one may stand still.
            ahead_s = len(received) / len(everything) * 4 * PATIENCE_S - (time.monotonic() - began_s)
            time.sleep(max(0.0, ahead_s))
    assert time.monotonic() - began_s > 3 * PATIENCE_S
    _, _, chunks = received.partition(b"\r\n\r\n")
    assert re.sub(rb"(^|\r\n)[0-9a-f]+\r\n", b"", chunks).removesuffix(b"\r\n") == everything
    assert highest < before + 16 * MIB


def test_an_export_that_breaks_is_cut_off_so_that_nobody_takes_a_part_for_the_whole(tmp_path: Path) -> None:
    with running("users", tmp_path) as service:
        store(service, many_users(20_000))
    with service.database.open("r+b") as file:
        # Somewhere in the last third, where rows lie.
        file.seek(service.database.stat().st_size * 3 // 4)
        file.write(b"\xff" * 65_536)
    with running("users", tmp_path) as service, client(service) as http:
        with http.stream("GET", "/users", headers=LINES) as response:
            assert response.status_code == 200
            received = bytearray()
            with pytest.raises(httpx.RemoteProtocolError):
                deque(map(received.extend, response.iter_bytes()), maxlen=0)
            last_id = json.loads(received.splitlines()[-1])["id"]
        # What can't even be begun is a problem like any other.
        problem(http.get(f"/users?after={last_id}", headers=LINES), 503, "store-unavailable")
