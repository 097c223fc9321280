"""The fan-out: every thread has a connection of its own, and one barrier releases them all."""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from threading import Barrier, BrokenBarrierError, Event, Thread

from client.delivery import deliver
from client.records import Record, Result
from client.services import Service, connect

# How long the start waits for the services to say that all requests have reached them.
_ARRIVED_WITHIN_S = 1.0
# How long Ctrl-C waits for requests that are under way.
_STOPPED_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Sent:
    """What a fan-out came to: one result for each record, whether or not it was interrupted."""

    results: list[Result]
    elapsed_s: float
    interrupted: bool


class FanOut:
    """Sends records to their services over threads; good for one `send`."""

    def __init__(self, services: Sequence[Service], *, threads: int, give_up_after_s: float) -> None:
        """Take the services, and how many requests each may have at the same time."""
        self._services = {service.name: service for service in services}
        self._max_threads = threads
        self._give_up_after_s = give_up_after_s
        self._stop = Event()
        self._barrier = Barrier(1)
        self._crews: dict[str, list[Thread]] = {}
        self._released_s: float | None = None
        self._results: dict[Record, Result] = {}

    def send(self, records: Sequence[Record]) -> Sent:
        """Send all records; return one result for each, in input order.

        An order can overtake its user or product, and is rightly refused then. Such orders are sent once more when
        users and products have settled; that answer is final, so a run's results do not depend on how its threads
        were scheduled.
        """
        try:
            self._start(records)
            self._join("users", "products")
            settled_s = time.perf_counter()
            self._join("orders")
            self._start([result.record for result in self._results.values() if _overtook(result, settled_s)])
            self._join("orders")
        except KeyboardInterrupt:
            self._interrupt()
        ended_s = time.perf_counter()
        results = [self._results.get(record) or _unanswered(record) for record in records]
        return Sent(results, ended_s - (self._released_s or ended_s), self._stop.is_set())

    def _start(self, records: Sequence[Record]) -> None:
        """Start a crew for each service; no thread sends a body before all requests have reached their services."""
        queues = {name: [r for r in records if r.service == name] for name in self._services}
        sizes = {name: min(len(queue), self._max_threads) for name, queue in queues.items()}
        self._barrier = Barrier(max(1, sum(sizes.values())), action=lambda: self._on_release(sizes))
        self._crews = {name: self._crew(name, queues[name], size) for name, size in sizes.items()}
        for thread in chain.from_iterable(self._crews.values()):
            thread.start()

    def _crew(self, name: str, records: Sequence[Record], size: int) -> list[Thread]:
        queue = deque(records)
        return [Thread(target=self._work, args=(name, queue), daemon=True) for _ in range(size)]

    def _on_release(self, sizes: Mapping[str, int]) -> None:
        for name, size in sizes.items():
            if size:
                self._services[name].await_in_flight(size, within_s=_ARRIVED_WITHIN_S)
        if self._released_s is None:
            self._released_s = time.perf_counter()

    def _work(self, name: str, queue: deque[Record]) -> None:
        """Send what the crew's queue still holds, one after the other; runs on a thread of its own."""
        start = _Start(self._barrier)
        try:
            with connect(self._services[name].url) as client:
                for record in _taken_from(queue):
                    if self._stop.is_set():
                        return
                    result = deliver(
                        client, record, give_up_after_s=self._give_up_after_s, stop=self._stop, start=start
                    )
                    self._results[record] = self._joined(result)
        finally:
            # The others must not wait for a thread that failed before it came to the barrier.
            start()

    def _joined(self, result: Result) -> Result:
        """Return the result of a record's last sending, counted together with an earlier one's."""
        earlier = self._results.get(result.record)
        if earlier:
            return replace(
                result,
                attempts=earlier.attempts + result.attempts,
                began_s=earlier.began_s,
                in_flight=max(earlier.in_flight, result.in_flight),
            )
        return replace(result, began_s=max(result.began_s, self._released_s or 0.0))

    def _join(self, *names: str) -> None:
        for thread in chain.from_iterable(self._crews.get(name, ()) for name in names):
            # On Windows Ctrl-C does not interrupt a join that has no end.
            while thread.is_alive():
                thread.join(timeout=0.2)

    def _interrupt(self) -> None:
        """Let requests that are under way come to an end, if that is soon."""
        self._stop.set()
        self._barrier.abort()
        deadline_s = time.perf_counter() + _STOPPED_WITHIN_S
        for thread in chain.from_iterable(self._crews.values()):
            thread.join(timeout=max(0.0, deadline_s - time.perf_counter()))


class _Start:
    """One thread's place at the barrier: it waits there the first time it is called."""

    def __init__(self, barrier: Barrier) -> None:
        self._barrier: Barrier | None = barrier

    def __call__(self) -> None:
        barrier, self._barrier = self._barrier, None
        if barrier:
            with suppress(BrokenBarrierError):
                barrier.wait()


def _taken_from(queue: deque[Record]) -> Iterator[Record]:
    """Yield what this thread takes from the crew's queue, until nothing is left."""
    with suppress(IndexError):
        while True:
            yield queue.popleft()


def _overtook(result: Result, settled_s: float) -> bool:
    return result.problem == "unknown-reference" and result.last_sent_s < settled_s


def _unanswered(record: Record) -> Result:
    return Result(record, "undelivered", reasons=("not sent, or not answered, before the run ended",))
