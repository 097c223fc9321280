"""The fan-out: every thread has a connection of its own, and one barrier releases them all."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from threading import Event, Thread

from client.connection import Connection
from client.delivery import Answer, Parcel, deliver
from client.lanes import Lane
from client.precedence import Precedence
from client.records import Outcome, Record, Result
from client.services import Service
from client.start_line import StartLine
from client.tally import Tally

# What is wrong with an order that names a user or product that does not exist, or not yet.
_UNKNOWN_REFERENCE = "unknown-reference"
# How long Ctrl-C waits for requests that are under way.
_STOPPED_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Sent:
    """What a fan-out came to: one result for each record, whether or not it was interrupted."""

    results: list[Result]
    # From the release of the barrier to the last answer.
    elapsed_s: float
    # The same with threads, connections and the way to the barrier.
    took_s: float
    interrupted: bool


@dataclass(frozen=True, slots=True)
class _Wave:
    """Records that are sent at the same time: the ends of each service's threads, and the start that releases them."""

    start_line: StartLine
    precedence: Precedence
    ends: dict[str, list[Event]] = field(default_factory=dict)

    def wait_for(self, service: str) -> None:
        # Not by joining threads: one whose join is interrupted counts as ended, github.com/python/cpython/issues/90882.
        for end in self.ends[service]:
            # On Windows Ctrl-C does not interrupt a wait that has no end.
            while not end.wait(timeout=0.2):
                pass


class FanOut:
    """Sends records to their services over threads; good for one `send`."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        threads: int,
        give_up_after_s: float,
        unique: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Take the services, how many requests each may have at a time, and the fields whose values they store once."""
        self._services = {service.name: service for service in services}
        self._max_threads = threads
        self._give_up_after_s = give_up_after_s
        self._stop = Event()
        self._unique = unique or {}
        self._wave = _Wave(StartLine({}, {}), Precedence((), {}))
        self._released_s: float | None = None
        # When each service last gave a final answer; one that gives none for too long is left alone.
        self._answered_s: dict[str, float] = {}
        self._results: dict[Record, Result] = {}
        self._tallies = {service.name: Tally() for service in services}
        self._totals: Counter[str] = Counter()
        # Whether users and products have settled: from then on an order that is refused stays refused.
        self._settled = False

    def send(self, records: Sequence[Record]) -> Sent:
        """Send all records; return one result for each, in input order.

        An order can overtake its user or product, and is rightly refused then. Such orders are sent once more when
        users and products have settled; that answer is final, so a run's results do not depend on how its threads
        were scheduled.
        """
        began_s, settled_s = time.perf_counter(), 0.0
        # In one piece, for who asks from another thread.
        self._totals = Counter(record.service for record in records)
        try:
            for wave in _waves(records):
                settled_s = self._send_at_once(wave)
            self._send_at_once(self._settle(settled_s))
        except KeyboardInterrupt:
            self._interrupt()
        ended_s = time.perf_counter()
        results = [self._results.get(record) or _unanswered(record) for record in records]
        return Sent(results, ended_s - (self._released_s or ended_s), ended_s - began_s, self._stop.is_set())

    def lanes(self) -> list[Lane]:
        """Return how far each service's records are; may be asked from any thread."""
        return [self._tallies[name].lane(name, total, self._released_s) for name, total in self._totals.items()]

    def _send_at_once(self, records: Sequence[Record]) -> float:
        """Return when all have their answers: the time at which users and products had theirs."""
        queues = {name: deque(r for r in records if r.service == name) for name in self._services}
        sizes = {name: min(len(queue), self._max_threads) for name, queue in queues.items()}
        self._wave = wave = _Wave(StartLine(self._services, sizes), Precedence(records, self._unique))
        for name, size in sizes.items():
            wave.ends[name] = [Event() for _ in range(size)]
        for name, ends in wave.ends.items():
            for end in ends:
                arguments = (self._services[name], queues[name], wave, end)
                Thread(target=self._work, args=arguments, daemon=True).start()
        for name in wave.ends.keys() - {"orders"}:
            wave.wait_for(name)
        settled_s = time.perf_counter()
        for name in wave.ends.keys() & {"orders"}:
            wave.wait_for(name)
        return settled_s

    def _work(self, service: Service, queue: deque[Record], wave: _Wave, end: Event) -> None:
        """Send what the crew's queue still holds, one after the other; runs on a thread of its own."""
        place = wave.start_line.place()

        def start(record: Record | None = None) -> float | None:
            opened_s = place()
            self._released_s = self._released_s or wave.start_line.released_s
            if record:
                # Its head is sent, so that all are in flight at the same time; which body comes first decides.
                wave.precedence.await_turn(record, self._stop)
            return opened_s

        try:
            with service.connect() as client:
                for record in _taken_from(queue):
                    if self._stop.is_set():
                        return
                    try:
                        self._take_down(self._sent(client, service, record, partial(start, record)))
                    finally:
                        wave.precedence.settle(record)
        finally:
            # The others must not wait for a thread that failed before it came to the start.
            start()
            end.set()

    def _sent(self, client: Connection, service: Service, record: Record, start: Callable[[], float | None]) -> Result:
        """Send one record; return its result."""
        if self._has_fallen_silent(service.name):
            return Result(record, "undelivered", reasons=("the service fell silent",))
        with self._tallies[service.name].one_in_flight():
            answer = deliver(
                client, _parcel(record), give_up_after_s=self._give_up_after_s, stop=self._stop, start=start
            )
        result = _result(record, answer)
        if result.outcome != "undelivered":
            self._answered_s[service.name] = result.ended_s
        return self._joined(result)

    def _has_fallen_silent(self, name: str) -> bool:
        """Tell whether the service has given no final answer for as long as one record is worth waiting for."""
        released_s = self._wave.start_line.released_s
        if released_s is None:
            return False
        since_s = max(released_s, self._answered_s.get(name, released_s))
        return time.perf_counter() - since_s > self._give_up_after_s

    def _take_down(self, result: Result) -> None:
        self._results[result.record] = result
        if self._settled or result.problem != _UNKNOWN_REFERENCE:
            self._tallies[result.record.service].add(result.outcome)

    def _settle(self, settled_s: float) -> list[Record]:
        """Return the orders that are to be sent once more; the other ones that were refused stay refused."""
        self._settled = True
        refused = [result for result in self._results.values() if result.problem == _UNKNOWN_REFERENCE]
        early = [result.record for result in refused if result.last_sent_s < settled_s]
        if final := len(refused) - len(early):
            self._tallies["orders"].add("rejected", final)
        return early

    def _joined(self, result: Result) -> Result:
        """Return the result of a record's last sending, counted together with an earlier one's."""
        earlier = self._results.get(result.record)
        if earlier:
            return replace(
                result,
                attempts=earlier.attempts + result.attempts,
                began_s=earlier.began_s,
                in_flight=max(earlier.in_flight, result.in_flight),
                earlier=earlier,
            )
        return result

    def _interrupt(self) -> None:
        """Let requests that are under way come to an end, if that is soon."""
        self._stop.set()
        self._wave.start_line.abandon()
        deadline_s = time.perf_counter() + _STOPPED_WITHIN_S
        for end in (end for ends in self._wave.ends.values() for end in ends):
            end.wait(max(0.0, deadline_s - time.perf_counter()))


def _parcel(record: Record) -> Parcel:
    return Parcel(
        f"/{record.service}",
        record.origin,
        "application/json",
        record.body,
        repeatable=record.id is not None,
        in_parts=False,
        # An acknowledgement that does not name the record is none.
        is_acknowledged_by=lambda body: type(body.get("id")) is int and record.id in {None, body["id"]},
    )


def _result(record: Record, answer: Answer) -> Result:
    reading = answer.reading
    outcome: Outcome = "rejected" if reading.refused else "undelivered"
    if reading.acknowledgement:
        outcome = "unchanged" if reading.status == HTTPStatus.OK else "created"
    return Result(
        record,
        outcome,
        reading.status,
        reading.reasons,
        reading.acknowledgement,
        reading.problem,
        answer.attempts,
        answer.began_s,
        answer.last_sent_s,
        answer.ended_s,
        reading.in_flight,
        answer.history,
    )


def _waves(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records in waves, so that what the input says twice, and what has no id, ends the same every time.

    The first wave holds each id's first record, nearly always all there is; then come second records of the same id,
    and so on. Records without an id are last: the ids that they are given would else be taken from others.
    """
    seen: Counter[tuple[str, int]] = Counter()
    waves: list[list[Record]] = []
    without_id = [record for record in records if record.id is None]
    for record in records:
        if record.id is None:
            continue
        number = seen[record.service, record.id]
        seen[record.service, record.id] += 1
        if number == len(waves):
            waves.append([])
        waves[number].append(record)
    return [*waves, without_id] if without_id else waves


def _taken_from(queue: deque[Record]) -> Iterator[Record]:
    """Yield what this thread takes from the crew's queue, until nothing is left."""
    with suppress(IndexError):
        while True:
            yield queue.popleft()


def _unanswered(record: Record) -> Result:
    return Result(record, "undelivered", reasons=("not sent, or not answered, before the run ended",))
