"""Connections that say nothing, too much, too slowly, or never listen: they end, and others are served meanwhile."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.processes import RunningService, eventually, running

PATIENCE_S = 1.0
HEAD = b"POST /users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
RECORD = b'{"name": "Ada", "email": "a@b"}'


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running("users", tmp_path_factory.mktemp("users"), RECEIVE_TIMEOUT_S=str(PATIENCE_S)) as service:
        # Whose memory is measured, it has to be there.
        assert service.url
        yield service


@pytest.fixture(autouse=True)
def it_serves_others(users: RunningService) -> Iterator[None]:
    yield
    assert httpx.get(f"{users.url}/livez", trust_env=False).status_code == 200
    created = httpx.post(f"{users.url}/users", json=json.loads(RECORD), trust_env=False)
    assert created.status_code == 201


def connection(service: RunningService) -> socket.socket:
    address = urlsplit(service.url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def all_of(sock: socket.socket) -> bytes:
    """Return what comes until the other end closes; it may be cut off by a reset."""
    received = b""
    try:
        while piece := sock.recv(65_536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def memory_kib(service: RunningService) -> int:
    (line,) = [line for line in Path(f"/proc/{service.process.pid}/status").read_text().splitlines() if "VmHWM" in line]
    return int(line.split()[1])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b""),
        (b"POST /us", b"408"),
        (HEAD, b"408"),
        (HEAD + b"content-length: 99\r\n\r\n", b"408"),
        (HEAD + b"content-length: 99\r\n\r\n{", b"408"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n", b"408"),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /li", b"200"),
    ],
)
def test_half_a_request_is_closed_and_told_so(users: RunningService, sent: bytes, status: bytes) -> None:
    with closing(connection(users)) as sock:
        sock.sendall(sent)
        answer = all_of(sock)
    assert answer[9:12] == status
    assert answer.count(b"/problems/request-timeout") == (b"/li" in sent or status == b"408")


@pytest.mark.parametrize("head", [HEAD, HEAD + b"content-length: 9999\r\n\r\n", HEAD + b"x-drip: "])
def test_a_byte_at_a_time_is_no_progress(users: RunningService, head: bytes) -> None:
    with closing(connection(users)) as sock:
        sock.sendall(head)
        sock.settimeout(0.05)
        pieces = 0
        while True:
            try:
                answer = sock.recv(4096)
                break
            except TimeoutError:
                sock.sendall(b"x")
                pieces += 1
    assert pieces > 5
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_keeps_coming_may_take_its_time(users: RunningService) -> None:
    lines = b"".join(b'{"name": "Ada %d", "email": "a@b"}\n' % number for number in range(4_000))
    with closing(connection(users)) as sock:
        sock.sendall(b"POST /users/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n")
        sock.sendall(b"content-length: %d\r\n\r\n" % len(lines))
        sock.settimeout(PATIENCE_S / 10)
        # Longer than its head may take, in pieces of a KiB and more.
        step = len(lines) // 30
        for first in range(0, len(lines), step):
            with pytest.raises(TimeoutError):
                sock.recv(1)
            sock.sendall(lines[first : first + step])
        sock.settimeout(10)
        assert b'"created":4000' in sock.recv(65_536)


def test_hundreds_that_say_nothing_are_closed_and_others_served_meanwhile(users: RunningService) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(closing(connection(users))) for _ in range(300)]
        for number, sock in enumerate(silent):
            sock.sendall((b"", b"GET /livez", HEAD + b"content-length: 31\r\n\r\n{")[number % 3])
        with httpx.Client(base_url=users.url, trust_env=False) as http:
            assert http.post("/users", json=json.loads(RECORD)).status_code == 201
        for sock in silent:
            assert all_of(sock)[9:12] in {b"", b"408"}


@pytest.mark.parametrize(
    ("sent", "piece", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nx-long: ", b"x" * 4096, b"431"),
        (b"GET /livez HTTP/1.1\r\n", b"x-many: y\r\n" * 100, b"431"),
        (b"GET /", b"x" * 4096, b"414"),
        (b"", b"\r\n" * 2048, b"431"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"x-trailer: y\r\n" * 100, b"431"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n1;", b"x" * 4096, b"431"),
        (
            b"POST /users/batch HTTP/1.1\r\ncontent-type: x/y\r\ncontent-length: 99999999999\r\n\r\n",
            b"x" * 65_536,
            b"415",
        ),
        (b"POST /nowhere HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", b"x" * 65_536, b"404"),
    ],
)
def test_what_never_ends_is_cut_off_and_held_by_nobody(
    users: RunningService, sent: bytes, piece: bytes, status: bytes
) -> None:
    before_kib = memory_kib(users)
    with closing(connection(users)) as sock:
        sock.sendall(sent)
        try:
            # A GiB at the most; nobody takes it.
            for _ in range(2**30 // len(piece)):
                sock.sendall(piece)
            pytest.fail("it took everything")
        except (ConnectionResetError, BrokenPipeError):
            pass
        answer = b""
        with suppress(ConnectionResetError):
            answer = sock.recv(4096)
    # The answer may be lost where the connection is reset; when it comes, it says why.
    assert answer[9:12] in {b"", status}
    assert memory_kib(users) - before_kib < 16 * 1024


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /livez HTTP/1.1\r\n" + b"x-many: y\r\n" * 6_000, b"431"),
        (b"GET /livez HTTP/1.1\r\nx-long: " + b"x" * 100_000 + b"\r\n", b"431"),
        (b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\n", b"414"),
        (HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n", b"400"),
        (HEAD + b"content-length: 2\r\ncontent-length: 3\r\n", b"400"),
        (HEAD + b"content-length: -2\r\n", b"400"),
        (HEAD + b"content-length: x\r\n", b"400"),
        (b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n", b"400"),
    ],
)
def test_a_head_that_is_wrong_or_too_large_is_refused_and_the_connection_closed(
    users: RunningService, head: bytes, status: bytes
) -> None:
    with closing(connection(users)) as sock:
        with suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(head + b"\r\n")
        answer = all_of(sock)
    assert answer[9:12] in {status, b""}
    assert b"application/problem+json" in answer or not answer


def test_an_offer_of_another_protocol_is_ignored(users: RunningService) -> None:
    offer = {"connection": "upgrade, http2-settings", "upgrade": "h2c", "http2-settings": "x"}
    with closing(HTTPConnection(urlsplit(users.url).netloc, timeout=10)) as http:
        for _ in range(2):
            http.request("POST", "/users", RECORD, {"content-type": "application/json", **offer})
            answer = http.getresponse()
            assert (answer.status, json.loads(answer.read())["name"]) == (201, "Ada")
        http.request("GET", "/livez", headers=offer)
        assert http.getresponse().status == 200


def test_one_connection_too_many_is_told_so_and_room_is_made_by_those_that_go(tmp_path: Path) -> None:
    with running("users", tmp_path, MAX_CONNECTIONS="3") as narrow, ExitStack() as stack:
        three = [stack.enter_context(closing(connection(narrow))) for _ in range(3)]
        for sock in three:
            sock.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
            assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")
        with closing(connection(narrow)) as fourth:
            answer = all_of(fourth)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in answer
        assert b"/problems/overloaded" in answer
        three[0].close()
        eventually(lambda: _answers(narrow))


def _answers(service: RunningService) -> bool:
    return httpx.get(f"{service.url}/livez", trust_env=False).status_code == 200


def test_who_never_reads_is_left(users: RunningService) -> None:
    lines = b"".join(b'{"name": "%s", "email": "a@b"}\n' % (b"x" * 200) for _ in range(1_000))
    headers = {"content-type": "application/x-ndjson"}
    assert httpx.post(f"{users.url}/users/batch", content=lines, headers=headers, trust_env=False).status_code == 201
    before_kib = memory_kib(users)
    with closing(connection(users)) as sock:
        sock.settimeout(0.2)
        question = b"GET /users?limit=1000 HTTP/1.1\r\nhost: x\r\n\r\n"
        ended = False

        def asked_in_vain() -> bool:
            nonlocal ended
            try:
                sock.sendall(question * 100)
            except TimeoutError:
                pass
            except (ConnectionResetError, BrokenPipeError):
                ended = True
            return ended

        eventually(asked_in_vain, within_s=20)
    assert memory_kib(users) - before_kib < 32 * 1024


def test_requests_sent_in_one_go_are_answered_whole_and_in_order_a_head_without_a_body_among_them(
    users: RunningService,
) -> None:
    body = b"content-length: %d\r\n\r\n%b" % (len(RECORD), RECORD)
    with closing(connection(users)) as sock:
        sock.sendall(
            b"HEAD /users/count HTTP/1.1\r\nhost: x\r\n\r\n"
            + HEAD
            + body
            + b"HEAD /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        count, created, alive = all_of(sock).split(b"HTTP/1.1 ")[1:]
    assert count.startswith(b"200 ")
    assert count.endswith(b"\r\n\r\n")
    assert created.startswith(b"201 ")
    assert json.loads(created.partition(b"\r\n\r\n")[2])["name"] == "Ada"
    assert alive.startswith(b"200 ")
    assert alive.endswith(b"\r\n\r\n")


def test_who_asks_whether_to_go_on_is_told_so_before_the_body_is_sent(users: RunningService) -> None:
    with closing(connection(users)) as sock:
        sock.sendall(HEAD + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(RECORD))
        assert sock.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(RECORD)
        assert sock.recv(65_536).startswith(b"HTTP/1.1 201 ")
