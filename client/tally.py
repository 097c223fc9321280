"""The tally of a run: how many records of a service have which outcome so far."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from client.delivery import Reading
from client.lanes import Lane
from client.merge import Summary
from client.records import OUTCOMES, Outcome, Result


@dataclass(slots=True)
class Tally:
    """What became of one service's records so far, and what the read-back found; for many threads."""

    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    in_flight: int = 0
    peak_in_flight: int = 0
    # When the last outcome came.
    answered_s: float = 0.0
    differences: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    @property
    def sent(self) -> int:
        """How many have their outcome."""
        return sum(self.outcomes.values())

    @contextmanager
    def one_in_flight(self) -> Iterator[None]:
        """Count a request as under way until this is left."""
        with self._lock:
            self.in_flight += 1
        try:
            yield
        finally:
            with self._lock:
                self.in_flight -= 1

    def add(self, outcome: Outcome, records: int = 1) -> None:
        """Add records that have this outcome now."""
        with self._lock:
            self.outcomes[outcome] += records
            self.answered_s = time.perf_counter()

    def add_batch(self, rows: int, not_stored: Collection[Result], reading: Reading) -> None:
        """Add so many rows that were answered, with the results of those that are not stored."""
        undelivered = sum(result.outcome == "undelivered" for result in not_stored)
        unchanged = (reading.acknowledgement or {}).get("unchanged", 0)
        self.add("undelivered", undelivered)
        self.add("rejected", len(not_stored) - undelivered)
        self.add("unchanged", unchanged)
        self.add("created", rows - len(not_stored) - unchanged)
        with self._lock:
            self.peak_in_flight = max(self.peak_in_flight, reading.in_flight)

    def add_differences(self, differences: Collection[str], most: int) -> None:
        """Add what the read-back found, up to so many in all."""
        with self._lock:
            self.differences += list(differences)[: most - len(self.differences)]

    def lane(self, name: str, total: int, began_s: float | None, *, estimated: bool = False) -> Lane:
        """Return how far it is, of so many records; `began_s` is on the clock of `time.perf_counter`."""
        with self._lock:
            ended_s = self.answered_s if 0 < total <= self.sent else time.perf_counter()
            return Lane(name, dict(self.outcomes), self.in_flight, total, estimated, ended_s - (began_s or ended_s))

    def summary(self, stored: int | None) -> Summary:
        """Return it with what the service holds in all, where that is known."""
        return Summary(self.sent, **self.outcomes, stored=stored, peak_in_flight=self.peak_in_flight)
