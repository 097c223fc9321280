"""The addresses of one service: dealt out to its connections, and left alone for a while once they have failed."""

import math
import time
from collections.abc import Iterator
from itertools import cycle
from threading import Lock

# So long others are asked in place of an address that has failed; then one request tries it again.
_LEFT_ALONE_S = 5.0


class Addresses:
    """Where processes answer that share one service's database; threads may share it."""

    def __init__(self, urls: str, give_up_after_s: float = math.inf) -> None:
        """Take them, separated by commas, and within which time all of them are to be asked."""
        self._urls = tuple(urls.split(","))
        self._dealt = cycle(self._urls)
        # Whose turn it is to stand in for another.
        self._turns = list(self._urls)
        # How long one may take to answer, so that there is time for the others; after the last one nobody is asked.
        self.share_s = give_up_after_s / len(self) if len(self) > 1 else math.inf
        self._left_alone_until_s: dict[str, float] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._urls)

    def __iter__(self) -> Iterator[str]:
        return iter(self._urls)

    def deal(self) -> str:
        """Return the address that another connection is to use; each is used by as many."""
        with self._lock:
            return next(self._dealt)

    def best(self, own: str) -> str:
        """Return `own`, or while that is left alone another, each in turn; if all are, that which failed first."""
        with self._lock:
            now_s = time.perf_counter()
            best = min([own, *self._turns], key=lambda url: max(now_s, self._left_alone_until_s.get(url, now_s)))
            self._turns.remove(best)
            self._turns.append(best)
            if best in self._left_alone_until_s:
                # The others wait to see what comes of it.
                self._left_alone_until_s[best] = now_s + _LEFT_ALONE_S
            return best

    def well(self) -> list[str]:
        """Return those that have not failed since they last answered, or all where there are none."""
        with self._lock:
            return [url for url in self._urls if url not in self._left_alone_until_s] or list(self._urls)

    def failed(self, url: str) -> None:
        """Leave that address alone for a while."""
        with self._lock:
            self._left_alone_until_s[url] = time.perf_counter() + _LEFT_ALONE_S

    def answered(self, url: str) -> None:
        """Use that address again."""
        with self._lock:
            self._left_alone_until_s.pop(url, None)
