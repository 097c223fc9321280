"""A service as the client sees it: where it is, how to connect to it, and what it says of itself."""

import json
import math
import re
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx

from client.addresses import Addresses
from client.connection import Connection, Transport, body_of

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


def connect(
    url: str, timeout_s: float = ANSWER_TIMEOUT_S, api_key: str = "", give_up_after_s: float = math.inf
) -> Connection:
    """Return a connection to the service at that address, or at those, for one thread."""
    return _connected(Addresses(url, give_up_after_s), timeout_s, api_key)


def _connected(addresses: Addresses, timeout_s: float, api_key: str) -> Connection:
    # One for each thread: those that share one wait for each other.
    return Connection(
        addresses,
        timeout_s,
        headers={"authorization": f"Bearer {api_key}"} if api_key else {},
        # The services are addressed directly, whatever proxy the environment names.
        trust_env=False,
        transport=Transport(_tls(needed=any(url.startswith("https:") for url in addresses))),
    )


@dataclass(frozen=True, slots=True)
class Service:
    """One service and a connection to ask it about itself, for one thread at a time."""

    name: str
    # One address or several, separated by commas.
    url: str
    client: Connection
    # What is sent to those who ask who writes; empty, nothing.
    api_key: str = ""
    # How long an answer may take; None, as long as it may by itself.
    answer_within_s: float | None = None

    def connect(self, timeout_s: float = ANSWER_TIMEOUT_S) -> Connection:
        """Return another connection to it, for another thread."""
        return _connected(self.client.addresses, self.answer_within_s or timeout_s, self.api_key)

    def answers(self, within_s: float = 0.0) -> bool:
        """Tell whether anything answers at one of the service's addresses; who is silent is asked again that long."""
        deadline_s = time.perf_counter() + within_s
        while True:
            # All are asked, so that nothing is sent to those that do not answer.
            found = [self._is_there(address) for address in self.client.addresses]
            if any(found):
                return True
            if None not in found or time.perf_counter() > deadline_s:
                return False

    def _is_there(self, address: str) -> bool | None:
        """Tell whether anything answers at the address, or nothing where it is silent."""
        try:
            self._ask("GET", "/livez", at=address, timeout=_ALIVE_TIMEOUT_S)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return False
        except httpx.TimeoutException:
            return None
        except httpx.RequestError:
            # Whatever has become of the answer, someone is there.
            return True
        return True

    def await_in_flight(self, expected: int, within_s: float) -> None:
        """Return once the service says that so many inserts have reached it, or when the time is up."""
        deadline_s = time.perf_counter() + within_s
        while time.perf_counter() < deadline_s:
            told = [self._in_flight(address, within_s) for address in self.client.addresses.well()]
            known = [in_flight for in_flight in told if in_flight is not None]
            if not known or sum(known) >= expected:
                return
            time.sleep(_PAUSE_S)

    def _in_flight(self, address: str, within_s: float) -> int | None:
        """Return how many inserts the address says have reached it, or nothing where it does not say."""
        try:
            figures = self._ask("GET", "/metrics", at=address, timeout=within_s)[1]
        except httpx.RequestError:
            return None
        found = _IN_FLIGHT.search(figures.decode(errors="replace"))
        return int(found[1]) if found else None

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
        """Return the stored records with those ids, ascending, a line of JSON each; raise `Unreadable` if not."""
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
        # Of several addresses one that is there is looked for first: what has begun can't go on at another.
        if len(self.client.addresses) > 1:
            self.answers()
        # Not over this service's own connection, whose answers have to be there as a whole in time.
        with Connection(
            self.client.addresses,
            self.answer_within_s or ANSWER_TIMEOUT_S,
            trust_env=False,
            verify=_tls(needed="https:" in self.url),
        ) as client:
            try:
                with client.stream("GET", f"/{self.name}", is_last=True, headers={"accept": _NDJSON}) as response:
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
