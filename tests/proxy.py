"""A server between two others that passes requests on, and lies about some of them: what a network may do."""

import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPResponse
from urllib.parse import urlsplit

# What to do with a connection; it is given the real answer, or nothing where the request is not passed on.
Lie = Callable[[socket.socket, bytes], None]
# What to do with a request, by its first line; None is the truth.
Choice = Callable[[str], str | None]

_PAUSE_S = 0.02
_LONGEST_S = 30.0
_PROBLEM = b'{"type": "/problems/overloaded", "title": "", "status": 503, "detail": "busy"}'


def _answered(status: str, body: bytes, media_type: str = "application/json", more: str = "") -> Lie:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\n{more}content-length: {len(body)}\r\n\r\n"
    return lambda connection, _: connection.sendall(head.encode() + body)


def _busy(status: str) -> Lie:
    return _answered(status, _PROBLEM, "application/problem+json", "retry-after: 0\r\n")


def _reset(connection: socket.socket, _: bytes) -> None:
    # With no time to linger, closing it sends a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _held(connection: socket.socket, _: bytes) -> None:
    # Until the other end has lost its patience.
    connection.settimeout(_LONGEST_S)
    connection.recv(1)


def _parted(real: bytes) -> tuple[bytes, bytes]:
    head, end, body = real.partition(b"\r\n\r\n")
    return head + end, body


def _cut_in_its_head(connection: socket.socket, real: bytes) -> None:
    connection.sendall(real[: len(_parted(real)[0]) // 2])


def _cut_in_its_body(connection: socket.socket, real: bytes) -> None:
    head, body = _parted(real)
    connection.sendall(head + body[: len(body) // 2])


def _of_another_length(by: int) -> Lie:
    def tell(connection: socket.socket, real: bytes) -> None:
        head, body = _parted(real)
        told = b"content-length: %d" % max(0, len(body) + by)
        connection.sendall(head.replace(b"content-length: %d" % len(body), told) + body)

    return tell


def _dripping(connection: socket.socket, data: bytes) -> None:
    deadline_s = time.monotonic() + _LONGEST_S
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(_PAUSE_S)
        if time.monotonic() > deadline_s:
            return


def _dripping_head(connection: socket.socket, real: bytes) -> None:
    # As long as it takes to see whether anyone waits for its end.
    _dripping(connection, real.replace(b"\r\n", b"\r\nx-filling: " + b"x" * 2_000 + b"\r\n", 1))


def _dripping_body(connection: socket.socket, real: bytes) -> None:
    head, body = _parted(real)
    connection.sendall(head.replace(b"content-length: %d" % len(body), b"content-length: %d" % (len(body) + 2_000)))
    _dripping(connection, b" " * 2_000 + body)


def _endless(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n[")
    deadline_s = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline_s:
        connection.sendall(b"1," * 32_768)


# These are told in place of passing the request on.
INSTEAD: dict[str, Lie] = {
    "reset before": _reset,
    "HTML 502": _answered("502 Bad Gateway", b"<html>", "text/html"),
    "429": _busy("429 Too Many Requests"),
    "503": _busy("503 Service Unavailable"),
}
# These come after the service has done what it was asked for.
AFTERWARDS: dict[str, Lie] = {
    "reset after": _reset,
    "held": _held,
    "cut in its head": _cut_in_its_head,
    "cut in its body": _cut_in_its_body,
    "too short": _of_another_length(-5),
    "too long": _of_another_length(5),
    "garbage": _answered("201 Created", b"<html>"),
    "another": _answered("201 Created", b'{"id": 4711}'),
    "empty": _answered("200 OK", b""),
    "not HTTP": lambda connection, _: connection.sendall(b"SSH-2.0-OpenSSH\r\n"),
    "dripping head": _dripping_head,
    "dripping body": _dripping_body,
    "endless": _endless,
}
LIES = {**INSTEAD, **AFTERWARDS}


def _credible(connection: socket.socket, real: bytes) -> None:
    """Say of what was refused that it is stored, under the id of the sample's refused records."""
    tell = _answered("201 Created", b'{"id": 10}') if b"problem+json" in real else _truth
    tell(connection, real)


def _truth(connection: socket.socket, real: bytes) -> None:
    connection.sendall(real)


# Not among the others: it can't be seen through before the records are read back.
_TELLING: dict[str, Lie] = {**LIES, "credible": _credible}


def sometimes(seed: int, rate: float, lies: Sequence[str] = tuple(LIES)) -> Choice:
    """Choose a lie at that rate, by chance; the seed says which."""
    chance, lock = random.Random(seed), threading.Lock()

    def choose(_: str) -> str | None:
        with lock:
            return chance.choice(lies) if chance.random() < rate else None

    return choose


def scripted(lies: Iterable[str | None], path: str = "/") -> Choice:
    """Choose these, one after the other, for requests whose path begins so, and after them the truth."""
    left, lock = iter(lies), threading.Lock()

    def choose(line: str) -> str | None:
        with lock:
            return next(left, None) if line.split()[1].startswith(path) else None

    return choose


@dataclass
class Proxy:
    """Where it listens, what it stands before, and what it has been asked and has told."""

    url: str
    service: str
    choose: Choice
    # The first lines of requests, in the order in which they came.
    requests: list[str] = field(default_factory=list)
    told: Counter[str | None] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    listener: socket.socket = field(default_factory=socket.socket)
    connections: set[socket.socket] = field(default_factory=set)

    def die(self) -> None:
        """Refuse connections from now on, and reset those that are open: as if the process had been killed."""
        with suppress(OSError):
            # Wakes the thread that waits in accept, too.
            self.listener.shutdown(socket.SHUT_RDWR)
        for connection in tuple(self.connections):
            with suppress(OSError):
                _reset(connection, b"")
                connection.shutdown(socket.SHUT_RDWR)

    def serve(self, connection: socket.socket) -> None:
        """Serve one connection until it ends, or is lied to."""
        self.connections.add(connection)
        with connection, suppress(OSError, ValueError):
            while head := _head_from(connection):
                line = head.partition(b"\r\n")[0].decode()
                lie = self.choose(line)
                with self.lock:
                    self.requests.append(line)
                    self.told[lie] += 1
                real = self._answer(connection, head, passed_on=lie not in INSTEAD)
                if lie:
                    _TELLING[lie](connection, real)
                    return
                connection.sendall(real)

    def _answer(self, connection: socket.socket, head: bytes, *, passed_on: bool) -> bytes:
        """Return the service's answer, or nothing where it is not to get all of the request."""
        address = urlsplit(self.service)
        with socket.create_connection((address.hostname, address.port or 80), timeout=_LONGEST_S) as there:
            # Its head is passed on at once: a service counts what is on its way.
            there.sendall(head)
            for piece in _body_from(connection, head):
                if passed_on:
                    there.sendall(piece)
            return _answer_from(there) if passed_on else b""


def _head_from(connection: socket.socket) -> bytes:
    """Return a request's head, or nothing at the end of the connection."""
    head = b""
    # Byte by byte, so as not to take anything of the body.
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return b""
        head += byte
    return head


def _body_from(connection: socket.socket, head: bytes) -> Iterator[bytes]:
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = int(lengths[0].partition(b":")[2]) if lengths else 0
    while left:
        piece = connection.recv(min(left, 65_536))
        if not piece:
            raise ConnectionError("the request was cut off")
        left -= len(piece)
        yield piece


def _answer_from(there: socket.socket) -> bytes:
    with HTTPResponse(there) as response:
        response.begin()
        body = response.read()
        dropped = {"content-length", "transfer-encoding", "connection"}
        headers = [f"{name}: {value}" for name, value in response.getheaders() if name.lower() not in dropped]
        first = f"HTTP/1.1 {response.status} {response.reason}"
    return "\r\n".join([first, *headers, f"content-length: {len(body)}"]).encode() + b"\r\n\r\n" + body


@contextmanager
def between(service: str, choose: Choice) -> Iterator[Proxy]:
    """Yield a proxy before the service at that address; it serves each connection on a thread of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        proxy = Proxy(f"http://127.0.0.1:{listener.getsockname()[1]}", service, choose, listener=listener)
        threading.Thread(target=_accept, args=(listener, proxy), daemon=True).start()
        try:
            yield proxy
        finally:
            with suppress(OSError):
                # Wakes the thread that waits in accept.
                listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, proxy: Proxy) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=proxy.serve, args=(connection,), daemon=True).start()
