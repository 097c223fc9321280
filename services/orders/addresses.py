"""The addresses of another service: asked in turn, and last for a while once they have failed."""

from collections.abc import Iterator
from time import monotonic

# So long others are asked before an address that has failed.
_LAST_FOR_S = 5.0


class Addresses:
    """Where processes answer that share one service's database; lives on one event loop."""

    def __init__(self, urls: str) -> None:
        """Take them, separated by commas."""
        self._urls = urls.split(",")
        self._last_until_s = dict.fromkeys(self._urls, 0.0)

    def in_turn(self) -> Iterator[tuple[str, int]]:
        """Yield each address once, and among how many the time is to be shared from there on."""
        self._urls.append(self._urls.pop(0))
        now_s = monotonic()
        best_first = sorted(self._urls, key=lambda url: max(now_s, self._last_until_s[url]))
        yield from zip(best_first, range(len(best_first), 0, -1), strict=True)

    def failed(self, url: str) -> None:
        """Ask others before that address for a while."""
        self._last_until_s[url] = monotonic() + _LAST_FOR_S
