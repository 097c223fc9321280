"""A connection that has to answer as a whole in time, and not without end: httpx's time-outs run from byte to byte."""

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import httpcore
import httpx

from client.addresses import Addresses

# More than a service has to say of the largest batch, were every record of it refused.
_LONGEST_ANSWER_BYTES = 16_000_000


class Connection(httpx.Client):
    """One thread's: each request goes to the address of the service that is best then."""

    def __init__(self, addresses: Addresses, answer_within_s: float, **options: Any) -> None:
        """Take the addresses, how long an answer may take, and what httpx's own clients take."""
        self.addresses = addresses
        self._own = self._asked = addresses.deal()
        self._answer_within_s = answer_within_s
        super().__init__(base_url=self._own, timeout=min(answer_within_s, addresses.share_s), **options)

    @contextmanager
    def stream(
        self, method: str, url: httpx.URL | str, *, at: str | None = None, is_last: bool = False, **options: Any
    ) -> Iterator[httpx.Response]:
        """Send a request, to the address `at` or to the best, and yield the answer; who can't answer is left alone.

        After the last request nobody else is asked, so that its answer need not leave them time.
        """
        if is_last:
            options["timeout"] = self._answer_within_s
        self._turn_to(at or self.addresses.best(self._own))
        try:
            with super().stream(method, url, **options) as response:
                yield response
        except httpx.RequestError:
            self.leave()
            raise
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.leave()
        else:
            self.addresses.answered(self._asked)

    @property
    def address(self) -> str:
        """Which of several addresses was asked last; nothing where there is one."""
        return self._asked if len(self.addresses) > 1 else ""

    def leave(self) -> None:
        """Leave alone for a while what was asked last."""
        self.addresses.failed(self._asked)

    def _turn_to(self, address: str) -> None:
        if address != self._asked:
            self._asked = address
            self.base_url = address


class Transport(httpx.HTTPTransport):
    """Sends requests over such connections."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        """Take how to speak TLS, where an address asks for it."""
        super().__init__(verify=tls)
        # httpx has no parameter for this.
        self._pool = httpcore.ConnectionPool(ssl_context=tls, network_backend=_Network())


def body_of(response: httpx.Response) -> bytes:
    """Return the body; raise `httpx.RequestError` where it is not all there in time, or goes on for too long."""
    pieces, size = [], 0
    for piece in response.iter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > _LONGEST_ANSWER_BYTES:
            raise httpx.RemoteProtocolError("the answer is too long")
    return b"".join(pieces)


class _Network(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(super().connect_tcp(host, port, timeout, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    """Whose reads have to come to an end within one time-out from when something was written last."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._written_s = time.perf_counter()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if timeout is None:
            return self._stream.read(max_bytes)
        left_s = self._written_s + timeout - time.perf_counter()
        if left_s <= 0:
            raise httpcore.ReadTimeout("the answer was not all there in time")
        return self._stream.read(max_bytes, left_s)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)
        self._written_s = time.perf_counter()

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
