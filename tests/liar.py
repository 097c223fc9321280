"""A proxy that lies: it stands before a real service, and does to some answers what networks and failures do."""

import json
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Lock

from tests.upstream import Behaviour, answer, forward

# What is done to a connection whose request has been read; the last argument passes it on.
Lie = Callable[[socket.socket, bytes, Behaviour], None]

_PROBLEM = "application/problem+json"
_BUSY = json.dumps({"type": "urn:x:overloaded", "title": "Busy", "status": 503, "detail": "busy"}).encode()


class Nowhere:
    """A connection whose answer goes nowhere."""

    def sendall(self, _: bytes) -> None:
        """Lose it."""


class Liar:
    """Passes requests on to a service, and lies at a rate; it counts its lies by their names."""

    def __init__(self, url: str, lies: Sequence[Lie], rate: float, seed: int) -> None:
        self.told: Counter[str] = Counter()
        self._pass_on = forward(url)
        self._lies = lies
        self._rate = rate
        self._random = random.Random(seed)
        self._lock = Lock()

    def __call__(self, connection: socket.socket, request: bytes) -> None:
        """Answer one request."""
        with self._lock:
            lie = self._random.choice(self._lies) if self._random.random() < self._rate else None
            self.told.update([lie.__name__] if lie else [])
        if lie:
            lie(connection, request, self._pass_on)
        else:
            self._pass_on(connection, request)


def _reset(connection: socket.socket) -> None:
    # Closed with nothing to linger for, a connection is reset (socket(7)).
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _drip(connection: socket.socket, text: bytes) -> None:
    for place in range(len(text)):
        connection.sendall(text[place : place + 1])
        time.sleep(0.05)


def reset_before_the_commit(connection: socket.socket, _: bytes, __: Behaviour) -> None:
    _reset(connection)


def reset_after_the_commit(connection: socket.socket, request: bytes, pass_on: Behaviour) -> None:
    pass_on(Nowhere(), request)  # type: ignore[arg-type]
    _reset(connection)


def held_for_ever(connection: socket.socket, request: bytes, pass_on: Behaviour) -> None:
    pass_on(Nowhere(), request)  # type: ignore[arg-type]
    connection.recv(1)


def cut_in_half(connection: socket.socket, request: bytes, pass_on: Behaviour) -> None:
    pass_on(Nowhere(), request)  # type: ignore[arg-type]
    connection.sendall(b'HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"id"')


def garbage_under_201(connection: socket.socket, request: bytes, _: Behaviour) -> None:
    answer("201 Created", b"<html>")(connection, request)


def another_record_under_201(connection: socket.socket, request: bytes, _: Behaviour) -> None:
    answer("201 Created", b'{"id": 987654321}')(connection, request)


def nothing_under_200(connection: socket.socket, request: bytes, _: Behaviour) -> None:
    answer("200 OK", b"{}")(connection, request)


def not_http(connection: socket.socket, _: bytes, __: Behaviour) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH\r\n")


def bad_gateway(connection: socket.socket, request: bytes, _: Behaviour) -> None:
    answer("502 Bad Gateway", b"<html>", "text/html")(connection, request)


def busy(connection: socket.socket, request: bytes, _: Behaviour) -> None:
    answer("503 Service Unavailable", _BUSY, _PROBLEM, **{"retry-after": "1"})(connection, request)


def too_many(connection: socket.socket, request: bytes, _: Behaviour) -> None:
    answer("429 Too Many Requests", _BUSY, _PROBLEM)(connection, request)


def dripping_head(connection: socket.socket, request: bytes, pass_on: Behaviour) -> None:
    pass_on(Nowhere(), request)  # type: ignore[arg-type]
    _drip(connection, b"HTTP/1.1 201 Created\r\nx-drip: " + b"x" * 999)


def dripping_body(connection: socket.socket, request: bytes, pass_on: Behaviour) -> None:
    pass_on(Nowhere(), request)  # type: ignore[arg-type]
    connection.sendall(b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n")
    _drip(connection, b" " * 999)


def endless(connection: socket.socket, _: bytes, __: Behaviour) -> None:
    connection.sendall(b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n[")
    for _piece in range(1_000):
        connection.sendall(b"1," * 32_768)


# Those that take the client's patience come last: it waits three seconds for each, and thirty where it sends batches.
LIES: tuple[Lie, ...] = (
    reset_before_the_commit,
    reset_after_the_commit,
    cut_in_half,
    garbage_under_201,
    another_record_under_201,
    nothing_under_200,
    not_http,
    bad_gateway,
    busy,
    too_many,
    endless,
    held_for_ever,
    dripping_head,
    dripping_body,
)
QUICK_LIES = LIES[:-3]
