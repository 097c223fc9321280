"""HTTP with a deadline for each exchange as a whole: httpx's own time-outs start again with every byte that arrives."""

import ssl
import time
from typing import Any

import httpcore
import httpx


class Client(httpx.Client):
    """An httpx client for one thread; an exchange that takes longer than it may ends in a time-out."""

    def __init__(self, base_url: str, timeout_s: float, verify: ssl.SSLContext, headers: dict[str, str]) -> None:
        """Connect to nobody yet; addresses are used directly, whatever proxy the environment names."""
        transport = httpx.HTTPTransport(verify=verify, trust_env=False)
        self._clock = _Clock()
        # httpx gives no other way to its connections than this attribute; a test of dripping heads holds it to that.
        transport._pool._network_backend = _Backend(self._clock)  # noqa: SLF001
        super().__init__(base_url=base_url, timeout=timeout_s, headers=headers, transport=transport, trust_env=False)
        self._timeout_s = timeout_s

    def send(self, request: httpx.Request, **kwargs: Any) -> httpx.Response:
        """Send a request; all of the exchange may take as long as httpx would wait for a single byte of it."""
        self._timeout_s = request.extensions["timeout"]["read"]
        self.restart_clock()
        return super().send(request, **kwargs)

    def restart_clock(self) -> None:
        """Let the time for the exchange that is under way run from now."""
        self._clock.ends_s = time.perf_counter() + self._timeout_s


class _Clock:
    ends_s = 0.0

    def left_s(self, at_most_s: float | None) -> float:
        left_s = self.ends_s - time.perf_counter()
        if left_s <= 0:
            raise httpcore.ReadTimeout("The exchange took too long.")
        return left_s if at_most_s is None else min(left_s, at_most_s)


class _Backend(httpcore.SyncBackend):
    def __init__(self, clock: _Clock) -> None:
        self._clock = clock

    def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _Stream(super().connect_tcp(*args, **kwargs), self._clock)


class _Stream(httpcore.NetworkStream):
    """A connection that is read and written until the clock stops."""

    def __init__(self, stream: httpcore.NetworkStream, clock: _Clock) -> None:
        self._stream = stream
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._clock.left_s(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._clock.left_s(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(*args, **kwargs), self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
