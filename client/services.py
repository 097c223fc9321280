"""A service as the client sees it: where it is, how to connect to it, and what it says of itself."""

import json
import re
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx

from client.connection import Transport, body_of

# No answer of a service that works takes this long; what does not come in time is asked for again.
ANSWER_TIMEOUT_S = 3.0
# Between two questions to a service that has not got everything yet.
_PAUSE_S = 0.001
# Whether anything answers at all is known much sooner.
_ALIVE_TIMEOUT_S = 1.0
# The answers to more ids than the service looks up at once.
_TOO_MANY = {413, 422}
# Other answers from 400 to 499 than these are final.
_NOT_NOW = {408, 429}
_CLIENT_ERRORS = range(400, 500)
_NDJSON = "application/x-ndjson"
# Longer ones are no records, and would be held as a whole.
_LONGEST_LINE_BYTES = 1 << 20
_IN_FLIGHT = re.compile(r"^parallel_insert_in_flight (\d{1,9})$", re.MULTILINE)


class Unreadable(Exception):
    """The service could not be asked, or did not answer as it should; the message says which and how."""


class Refused(Unreadable):
    """The service said that it does not answer this; asked again, it would say so again."""


class TooMany(Refused):
    """It was asked for more at once than it gives."""


@cache
def _tls(*, needed: bool) -> ssl.SSLContext:
    # One for all threads: making one takes longer than sending a record, and loading the certificates much longer.
    return ssl.create_default_context() if needed else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def connect(url: str, timeout_s: float = ANSWER_TIMEOUT_S, api_key: str = "") -> httpx.Client:
    """Return a client for one thread; threads that share one wait for each other."""
    return httpx.Client(
        base_url=url,
        headers={"authorization": f"Bearer {api_key}"} if api_key else {},
        timeout=timeout_s,
        # The services are addressed directly, whatever proxy the environment names.
        trust_env=False,
        transport=Transport(_tls(needed=url.startswith("https:"))),
    )


@dataclass(frozen=True, slots=True)
class Service:
    """One service and a connection to ask it about itself, for one thread at a time."""

    name: str
    url: str
    client: httpx.Client
    # What is sent to those who ask who writes; empty, nothing.
    api_key: str = ""
    # How long an answer may take; None, as long as it may by itself.
    answer_within_s: float | None = None

    def connect(self, timeout_s: float = ANSWER_TIMEOUT_S) -> httpx.Client:
        """Return another connection to it, for another thread."""
        return connect(self.url, self.answer_within_s or timeout_s, self.api_key)

    def answers(self, within_s: float = 0.0) -> bool:
        """Tell whether anything answers at the service's address; who is silent is asked again that long."""
        deadline_s = time.perf_counter() + within_s
        while True:
            try:
                self._ask("GET", "/livez", timeout=_ALIVE_TIMEOUT_S)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                return False
            except httpx.TimeoutException:
                if time.perf_counter() > deadline_s:
                    return False
            except httpx.RequestError:
                # Whatever has become of the answer, someone is there.
                return True
            else:
                return True

    def await_in_flight(self, expected: int, within_s: float) -> None:
        """Return once the service says that so many inserts have reached it, or when the time is up."""
        deadline_s = time.perf_counter() + within_s
        while time.perf_counter() < deadline_s:
            try:
                figures = self._ask("GET", "/metrics", timeout=within_s)[1]
            except httpx.RequestError:
                return
            found = _IN_FLIGHT.search(figures.decode(errors="replace"))
            if found is None or int(found[1]) >= expected:
                return
            time.sleep(_PAUSE_S)

    def count(self) -> int:
        """Return how many records the service holds; raise `Unreadable` where it does not say."""
        body = self._read("GET", f"/{self.name}/count")
        try:
            count = json.loads(body)["count"]
        except (ValueError, LookupError, TypeError, RecursionError):
            count = None
        if not isinstance(count, int):
            raise Unreadable(f"{self.name} can't be read back: it gives no count")
        return count

    def records(self, ids: Sequence[int], client: httpx.Client | None = None) -> bytes:
        """Return the stored records with those ids, in that order, a line of JSON each; raise `Unreadable` if not."""
        accept = {"accept": _NDJSON}
        try:
            return self._read("POST", f"/{self.name}/lookup", client, json={"ids": ids}, headers=accept)
        except TooMany:
            half = len(ids) // 2
            if not half:
                raise
            return self.records(ids[:half], client) + self.records(ids[half:], client)

    def export(self) -> Iterator[list[bytes]]:
        """Yield all records by id, as they were at one moment: lines of JSON, some at a time.

        Raises `Unreadable`, also where not all of them come. There is no limit to how long all may take, but to how
        long nothing may come.
        """
        # Not by this service's own client, whose answers have to be there as a whole in time.
        with httpx.Client(
            base_url=self.url,
            timeout=self.answer_within_s or ANSWER_TIMEOUT_S,
            trust_env=False,
            verify=_tls(needed=self.url.startswith("https:")),
        ) as client:
            try:
                with client.stream("GET", f"/{self.name}", headers={"accept": _NDJSON}) as response:
                    if response.status_code != HTTPStatus.OK:
                        raise Unreadable(f"{self.name} can't be read: HTTP status {response.status_code}")
                    if response.headers.get("content-type") != _NDJSON:
                        raise Unreadable(f"{self.name} can't be read: it gives no lines of JSON")
                    yield from self._lines(response.iter_bytes())
            except httpx.RequestError as error:
                raise Unreadable(f"{self.name} can't be read: {error or type(error).__name__}") from error

    def _lines(self, pieces: Iterator[bytes]) -> Iterator[list[bytes]]:
        """Yield the whole lines of each piece."""
        begun = b""
        for piece in pieces:
            whole, end, begun = (begun + piece).rpartition(b"\n")
            if end:
                yield whole.split(b"\n")
            elif len(begun) > _LONGEST_LINE_BYTES:
                break
        if begun:
            raise Unreadable(f"{self.name} can't be read: a line has no end")

    def _read(self, method: str, path: str, client: httpx.Client | None = None, **options: Any) -> bytes:
        try:
            status, body = self._ask(method, path, client, **options)
        except httpx.RequestError as error:
            raise Unreadable(f"{self.name} can't be read back: {error or type(error).__name__}") from error
        if status != HTTPStatus.OK:
            raise _kind_of(status)(f"{self.name} can't be read back: HTTP status {status}")
        return body

    def _ask(self, method: str, path: str, client: httpx.Client | None = None, **options: Any) -> tuple[int, bytes]:
        with (client or self.client).stream(method, path, **options) as response:
            return response.status_code, body_of(response)


def _kind_of(status: int) -> type[Unreadable]:
    if status in _TOO_MANY:
        return TooMany
    return Refused if status in _CLIENT_ERRORS and status not in _NOT_NOW else Unreadable
