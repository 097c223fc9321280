"""A service as the client sees it: where it is, how to connect to it, and what it says of itself."""

import re
import ssl
import time
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
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


def connect(url: str) -> httpx.Client:
    """Return a client for one thread; threads that share one wait for each other."""
    # The services are addressed directly, whatever proxy the environment names.
    return httpx.Client(
        base_url=url, timeout=ANSWER_TIMEOUT_S, trust_env=False, verify=_tls(needed=url.startswith("https:"))
    )


@dataclass(frozen=True, slots=True)
class Service:
    """One service and a connection to ask it about itself, for one thread at a time."""

    name: str
    url: str
    client: httpx.Client

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

    def page(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Return the stored records that follow that id, by id; raise `Unreadable` where it does not say."""
        items = self._get(f"/{self.name}?after={after}&limit={limit}", "items")
        ids = [item.get("id") if isinstance(item, dict) else None for item in items] if isinstance(items, list) else [0]
        # Anything else could lead in circles.
        if not all(isinstance(b, int) and b > a for a, b in pairwise([after, *ids])):
            raise Unreadable(f"{self.name} can't be read back: it gives no page of records by id")
        return list(items)

    def _get(self, path: str, member: str) -> Any:
        try:
            return self.client.get(path).raise_for_status().json()[member]
        except (httpx.HTTPError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise Unreadable(f"{self.name} can't be read back: {error}") from error
