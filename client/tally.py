"""The tally of a large run: how many records of a service have which outcome so far."""

from collections.abc import Collection
from dataclasses import dataclass, field

from client.delivery import Reading
from client.merge import Summary
from client.records import Result


@dataclass(slots=True)
class Tally:
    """What became of one service's records so far, and what the read-back found."""

    created: int = 0
    unchanged: int = 0
    rejected: int = 0
    undelivered: int = 0
    peak_in_flight: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """How many have their outcome."""
        return self.created + self.unchanged + self.rejected + self.undelivered

    def add(self, rows: int, not_stored: Collection[Result], reading: Reading) -> None:
        """Add so many rows that were answered, with the results of those that are not stored."""
        undelivered = sum(result.outcome == "undelivered" for result in not_stored)
        unchanged = (reading.acknowledgement or {}).get("unchanged", 0)
        self.undelivered += undelivered
        self.rejected += len(not_stored) - undelivered
        self.unchanged += unchanged
        self.created += rows - len(not_stored) - unchanged
        self.peak_in_flight = max(self.peak_in_flight, reading.in_flight)

    def summary(self, stored: int | None) -> Summary:
        """Return it with what the service holds in all, where that is known."""
        return Summary(
            self.sent,
            self.created,
            self.unchanged,
            self.rejected,
            self.undelivered,
            stored,
            self.peak_in_flight,
        )
