"""A service as the client sees it: where it is, how to connect to it, and what it says of itself."""

import re
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx

# No answer of a service that works takes this long; what does not come in time is asked for again.
ANSWER_TIMEOUT_S = 3.0
# Between two questions to a service that has not got everything yet.
_PAUSE_S = 0.001
# Whether anything answers at all is known much sooner.
_ALIVE_TIMEOUT_S = 1.0
_IN_FLIGHT = re.compile(r"^parallel_insert_in_flight (\d{1,9})$", re.MULTILINE)


class Unreadable(Exception):
    """The service could not be asked, or did not answer as it should; the message says which and how."""


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
        verify=_tls(needed=url.startswith("https:")),
    )


@dataclass(frozen=True, slots=True)
class Service:
    """One service and a connection to ask it about itself, for one thread at a time."""

    name: str
    url: str
    client: httpx.Client
    # What is sent to those who ask who writes; empty, nothing.
    api_key: str = ""

    def connect(self, timeout_s: float = ANSWER_TIMEOUT_S) -> httpx.Client:
        """Return another connection to it, for another thread."""
        return connect(self.url, timeout_s, self.api_key)

    def answers(self) -> bool:
        """Tell whether anything answers at the service's address."""
        try:
            self.client.get("/livez", timeout=_ALIVE_TIMEOUT_S)
        except httpx.RequestError:
            return False
        return True

    def await_in_flight(self, expected: int, within_s: float) -> None:
        """Return once the service says that so many inserts have reached it, or when the time is up."""
        deadline_s = time.perf_counter() + within_s
        while time.perf_counter() < deadline_s:
            try:
                figures = self.client.get("/metrics", timeout=within_s).text
            except httpx.RequestError:
                return
            found = _IN_FLIGHT.search(figures)
            if found is None or int(found[1]) >= expected:
                return
            time.sleep(_PAUSE_S)

    def count(self) -> int:
        """Return how many records the service holds; raise `Unreadable` where it does not say."""
        count = self._get(f"/{self.name}/count", "count")
        if not isinstance(count, int):
            raise Unreadable(f"{self.name} can't be read back: it gives no count")
        return count

    def records(self, ids: Sequence[int], client: httpx.Client | None = None) -> bytes:
        """Return the stored records with those ids, in that order, a line of JSON each; raise `Unreadable` if not."""
        accept = {"accept": "application/x-ndjson"}
        try:
            response = (client or self.client).post(f"/{self.name}/lookup", json={"ids": ids}, headers=accept)
            return response.raise_for_status().content
        except httpx.HTTPError as error:
            raise Unreadable(f"{self.name} can't be read back: {error}") from error

    def _get(self, path: str, member: str) -> Any:
        try:
            return self.client.get(path).raise_for_status().json()[member]
        except (httpx.HTTPError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise Unreadable(f"{self.name} can't be read back: {error}") from error
