"""The nouns that cross the client's rooms: a record to send, each attempt to, and what became of it."""

from dataclasses import dataclass
from typing import Any, Literal

from client.server_timing import UNTIMED, Timing

# The services, in the order in which everything is shown.
SERVICES = ("users", "products", "orders")

Outcome = Literal["created", "unchanged", "rejected", "undelivered"]
OUTCOMES: tuple[Outcome, ...] = ("created", "unchanged", "rejected", "undelivered")


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One record of the input: the JSON that is sent, and where it came from (`users.csv:11`).

    Two records are never the same, even if they say the same.
    """

    service: str
    origin: str
    body: bytes
    id: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sending and what it came to; its times are seconds on the clock of `time.perf_counter`."""

    # When its head was there. The first ones wait at the start then: it is when that was opened.
    began_s: float
    # When its body was sent.
    sent_s: float
    answered_s: float
    # The HTTP status; None where there was no answer.
    status: int | None
    reasons: tuple[str, ...] = ()
    timing: Timing = UNTIMED


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one record."""

    record: Record
    outcome: Outcome
    # The HTTP status of the last answer; None where there was none.
    status: int | None = None
    reasons: tuple[str, ...] = ()
    # The record as the service acknowledged it.
    acknowledged: dict[str, Any] | None = None
    # The last part of the problem's type, where the service refused.
    problem: str = ""
    attempts: int = 0
    # Seconds on the clock of time.perf_counter: first attempt, last attempt, answer.
    began_s: float = 0.0
    last_sent_s: float = 0.0
    ended_s: float = 0.0
    # How many inserts the service had in flight, itself included, when this one arrived.
    in_flight: int = 0
    # The attempts of the last sending, and the result of one before it; those of batches are in their timeline.
    history: tuple[Attempt, ...] = ()
    earlier: "Result | None" = None

    @property
    def id(self) -> int | None:
        """The id that the record was stored under, or was sent with."""
        return self.acknowledged["id"] if self.acknowledged else self.record.id

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds from the first attempt to the last answer."""
        return (self.ended_s - self.began_s) * 1000
