"""The fan-out of large inputs: batches in place of records, read while they are sent, and read back at once."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from threading import Event, Lock, Thread

from client.batches import Batch
from client.connection import Connection
from client.delivery import Answer, Reading, deliver
from client.inputs import InputError
from client.lanes import Lane
from client.ledger import Ledger
from client.merge import Merged
from client.read_back import compare_batch, confirmed
from client.records import Result
from client.reports import bar, parcel, read, stored_rows
from client.services import Service
from client.start_line import StartLine
from client.tally import Tally
from client.timeline import Timeline
from client.waves import Waves

# A batch is answered when all of it is stored, after those of other threads.
_ANSWER_TIMEOUT_S = 30.0
# How long Ctrl-C waits for requests that are under way.
_STOPPED_WITHIN_S = 2.0
# Of more requests than this it is no longer known when each was sent, but only when several were.
_MOST_BARS = 20_000
# One service's differences are named up to this many.
_MOST_DIFFERENCES = 100


class Bulk:
    """Sends the rows of files to their services, in batches, over threads; good for one `send`."""

    def __init__(
        self, services: Sequence[Service], up: AbstractSet[str], *, threads: int, give_up_after_s: float
    ) -> None:
        """Take the services, those that are up, and how many requests each may have at the same time."""
        self._services = {service.name: service for service in services}
        self._up = up
        self._threads = threads
        self._give_up_after_s = give_up_after_s
        self._stop = Event()
        # Set once users and products have their answers: from then on no order can be too early.
        self._settled = Event()
        self._start_line = StartLine({}, {})
        self._answered_s: dict[str, float] = {}
        self._finished: dict[str, Event] = {}
        self._waves: dict[str, Waves] = {}
        self.tallies = {service.name: Tally() for service in services}
        self.not_stored = Ledger()
        self._timeline = Timeline(_MOST_BARS)
        self.unreadable: dict[str, InputError] = {}
        # Whether a thread ended by a defect of this program, and left records without their outcome.
        self.failed = False
        self.elapsed_s = 0.0
        # The same with threads, connections and the way to the barrier.
        self.took_s = 0.0

    def send(self, files: Mapping[str, Path], size: int) -> bool:
        """Send the files' rows, `size` in a batch, and read them back; tell whether it was interrupted."""
        began_s = time.perf_counter()
        waves = self._waves = {name: Waves(file, name, size, self.not_stored) for name, file in files.items()}
        batches = {name: wave.first() for name, wave in waves.items()}
        self._finished = {name: Event() for name in files}
        # As many threads as have something to send from the start.
        first = {name: self._readable(islice(batches[name], self._threads)) for name in files}
        self._start_line = StartLine(self._services, {name: len(first[name]) for name in files if name in self._up})
        crews = {
            name: Thread(
                target=self._send_all, args=(name, waves[name], first[name], batches[name]), name=name, daemon=True
            )
            for name in files
        }
        try:
            for crew in crews.values():
                crew.start()
            self._await(files.keys() - {"orders"})
            self._settled.set()
            self._await(files)
        except KeyboardInterrupt:
            self._interrupt(files)
            return True
        finally:
            ended_s = time.perf_counter()
            self.elapsed_s, self.took_s = ended_s - (self._start_line.released_s or began_s), ended_s - began_s
        return False

    def merged(self, counts: Mapping[str, int | None]) -> Merged:
        """Return what became of everything; `counts` is what each service now holds in all, where it says so."""
        summaries = {name: tally.summary(counts.get(name)) for name, tally in self.tallies.items()}
        differences = [difference for tally in self.tallies.values() for difference in tally.differences]
        if self.failed:
            differences.append("this program failed, and not every record has its outcome")
        return Merged(summaries, self.not_stored, self.elapsed_s, differences, batches=self._timeline)

    def lanes(self) -> list[Lane]:
        """Return how far each file is; may be asked from any thread."""
        return [
            self.tallies[name].lane(name, rows, self._start_line.released_s, estimated=estimated)
            for name, (rows, estimated) in ((name, waves.rows_in_all()) for name, waves in self._waves.items())
        ]

    def _readable(self, batches: Iterator[Batch]) -> list[Batch]:
        """Return the batches, as far as they can be read."""
        found: list[Batch] = []
        try:
            found.extend(batches)
        except InputError as error:
            # The same file may be read twice.
            self.unreadable[str(error)] = error
        return found

    def _await(self, names: Iterable[str]) -> None:
        # Not by joining threads: one whose join is interrupted counts as ended, github.com/python/cpython/issues/90882.
        for name in names:
            # On Windows Ctrl-C does not interrupt a wait that has no end.
            while not self._finished[name].wait(timeout=0.2):
                pass

    def _interrupt(self, names: Iterable[str]) -> None:
        """Let requests that are under way come to an end, if that is soon."""
        self._stop.set()
        self._settled.set()
        self._start_line.abandon()
        deadline_s = time.perf_counter() + _STOPPED_WITHIN_S
        for name in names:
            self._finished[name].wait(max(0.0, deadline_s - time.perf_counter()))

    def _send_all(self, name: str, waves: Waves, first: list[Batch], others: Iterator[Batch]) -> None:
        """Send one service's rows, one wave after the other; runs on a thread of its own."""
        try:
            self._send_waves(name, waves, chain(first, others), len(first))
        finally:
            self._finished[name].set()

    def _send_waves(self, name: str, waves: Waves, first: Iterator[Batch], threads: int) -> None:
        self._send_wave(name, first, threads, self._start_line)
        if name == "orders":
            # What comes now depends on what became of all the others.
            self._settled.wait()
        # Their order decides which of them is stored.
        self._send_wave(name, waves.second(), 1)
        self._send_wave(name, waves.without_id(), self._threads)

    def _send_wave(
        self, name: str, batches: Iterator[Batch], threads: int, start_line: StartLine | None = None
    ) -> None:
        taking = Lock()

        def take() -> Batch | None:
            with taking:
                return next(iter(self._readable(islice(batches, 1))), None)

        def work() -> None:
            start = start_line.place() if start_line and name in self._up else _go
            try:
                with self._services[name].connect(_ANSWER_TIMEOUT_S) as client:
                    while not self._stop.is_set() and (batch := take()):
                        self._deliver(client, batch, start)
            except BaseException:
                self.failed = True
                self._stop.set()
                raise
            finally:
                # The others must not wait for a thread that failed before it came to the start.
                start()

        crew = [Thread(target=work, daemon=True) for _ in range(threads)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()

    def _deliver(self, client: Connection, batch: Batch, start: Callable[[], float | None], attempts: int = 0) -> None:
        """Send a batch until each of its rows has its outcome, and read back what is stored."""
        while batch.rows:
            settled = self._settled.is_set()
            answer = self._answer_to(batch, client, start)
            answer = replace(answer, attempts=attempts + answer.attempts)
            covered, not_stored = read(batch, answer)
            done, batch = batch.parted(covered)
            # These may have overtaken their users or products; when those have settled, the answer is final.
            early = [p for p, result in not_stored.items() if result.problem == "unknown-reference" and not settled]
            self._timeline.add(bar(done, not_stored, answer, len(early)))
            self._compare(client, done, not_stored, answer)
            self._take_down(done, {p: not_stored[p] for p in not_stored.keys() - set(early)}, answer, len(early))
            if early:
                self._settled.wait()
                # It was we who were silent.
                self._answered_s[done.service] = time.perf_counter()
                self._deliver(client, done.only(early), start, answer.attempts)

    def _answer_to(self, batch: Batch, client: Connection, start: Callable[[], float | None]) -> Answer:
        if why := self._silent(batch.service):
            return Answer(Reading(reasons=(why,)), 0, 0.0, 0.0, 0.0)
        with self.tallies[batch.service].one_in_flight():
            answer = deliver(client, parcel(batch), give_up_after_s=self._give_up_after_s, stop=self._stop, start=start)
        if answer.reading.status is not None and not answer.reading.again:
            self._answered_s[batch.service] = answer.ended_s
        return answer

    def _silent(self, name: str) -> str:
        """Tell why there is no use in sending, or nothing."""
        if name not in self._up:
            return "the service does not answer"
        since_s = self._answered_s.get(name, self._start_line.released_s or time.perf_counter())
        return "the service fell silent" if time.perf_counter() - since_s > self._give_up_after_s else ""

    def _take_down(self, batch: Batch, not_stored: Mapping[int, Result], answer: Answer, early: int) -> None:
        """Add a batch's outcomes to the tally, and what was not stored to the ledger."""
        self.tallies[batch.service].add_batch(len(batch.rows) - early, not_stored.values(), answer.reading)
        if not_stored:
            self.not_stored.add(batch, not_stored)

    def _compare(self, client: Connection, batch: Batch, not_stored: Mapping[int, Result], answer: Answer) -> None:
        """Compare what the service acknowledged with what it gives now."""
        if not (stored := stored_rows(batch, not_stored, answer)):
            return
        service = self._services[batch.service]
        differences = confirmed(lambda: compare_batch(service, client, stored), self._give_up_after_s, self._stop)
        self.tallies[batch.service].add_differences(differences, _MOST_DIFFERENCES)


def _go() -> None:
    """Start at once."""
