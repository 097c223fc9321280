"""A server that says what a test tells it to, byte for byte: what another service may turn into."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import httpx

# What to do with a connection whose request has been read; it is closed afterwards.
Behaviour = Callable[[socket.socket, bytes], None]


@dataclass
class Upstream:
    """Where the server listens, and the requests that it has read."""

    url: str
    behave: Behaviour
    requests: list[bytes] = field(default_factory=list)


def answer(status: str, body: bytes, media_type: str = "application/json", **headers: str) -> Behaviour:
    """Answer every request so."""
    lines = [f"HTTP/1.1 {status}", f"content-type: {media_type}", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    text = "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(text)

    return behave


def forward(url: str) -> Behaviour:
    """Pass every request on to a real service, and its answer back."""

    def behave(connection: socket.socket, request: bytes) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        given = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:])
        headers: dict[str, str] = {name: given[name] for name in ("content-type", "accept") if name in given}
        # Loading the certificates, which nobody needs here, would take longer than all else.
        answered = httpx.request(method, url + path, content=body, headers=headers, trust_env=False, verify=False)
        status = f"{answered.status_code} {answered.reason_phrase}"
        answer(status, answered.content, answered.headers["content-type"])(connection, request)

    return behave


@contextmanager
def listening(behave: Behaviour) -> Iterator[Upstream]:
    """Yield a server on a free port; it serves each connection on a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream = Upstream(f"http://127.0.0.1:{listener.getsockname()[1]}", behave)
        threading.Thread(target=_accept, args=(listener, upstream), daemon=True).start()
        try:
            yield upstream
        finally:
            # Wakes the thread that waits in accept.
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, upstream: Upstream) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, upstream), daemon=True).start()


def _serve(connection: socket.socket, upstream: Upstream) -> None:
    with connection, suppress(OSError):
        request = _read_request(connection)
        if request:
            upstream.requests.append(request)
            upstream.behave(connection, request)


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while lengths and len(body) < int(lengths[0]):
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        body += chunk
    return head + b"\r\n\r\n" + body
