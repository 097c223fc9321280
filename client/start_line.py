"""The start: threads that each have sent a request's head wait for each other, and send the bodies all at once."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

from client.services import Service

# How long the start waits for the services to say that all requests have reached them.
_ARRIVED_WITHIN_S = 1.0


class StartLine:
    """One barrier for the threads of all services."""

    def __init__(self, services: Mapping[str, Service], threads: Mapping[str, int]) -> None:
        """Take how many threads there will be for each service."""
        self._services = services
        self._threads = threads
        self._barrier = Barrier(max(1, sum(threads.values())), action=self._on_release)
        # When the last thread had come, on the clock of time.perf_counter.
        self.released_s: float | None = None

    def place(self) -> Callable[[], float | None]:
        """Return one thread's way through: the first time it is called it waits there, and tells when it was opened."""
        waited = False

        def come() -> float | None:
            nonlocal waited
            if waited:
                return None
            waited = True
            with suppress(BrokenBarrierError):
                self._barrier.wait()
            return self.released_s

        return come

    def abandon(self) -> None:
        """Let everyone go who waits."""
        self._barrier.abort()

    def _on_release(self) -> None:
        for name, threads in self._threads.items():
            # Who is alone waits for nobody.
            if threads and self._barrier.parties > 1:
                self._services[name].await_in_flight(threads, within_s=_ARRIVED_WITHIN_S)
        self.released_s = time.perf_counter()
