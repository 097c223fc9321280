"""Where an insert's time went, as its answer says it: the Server-Timing header (w3.org/TR/server-timing)."""

from contextvars import ContextVar
from typing import NamedTuple

HEADER = b"server-timing"
# The parts of the insert that is being worked on, in order, as the header has them.
current: ContextVar[list[bytes]] = ContextVar("server_timing")


class Commit(NamedTuple):
    """One transaction: when it began, on the clock of `time.perf_counter`, and as the header has it."""

    began_s: float
    # Written once for all that share it.
    metric: bytes


def committed(number: int, began_s: float, took_s: float) -> Commit:
    """Return a transaction, by its number in this process."""
    return Commit(began_s, b'commit;dur=%.3f;desc="%d"' % (took_s * 1000, number))


def note_check(took_s: float) -> None:
    """Note how long the references of the current insert's record were checked."""
    current.get().append(b"check;dur=%.3f" % (took_s * 1000))


def note_commit(submitted_s: float, commit: Commit) -> None:
    """Note how long the current insert's record waited, and which transaction it was in."""
    current.get().append(b"wait;dur=%.3f, %b" % ((commit.began_s - submitted_s) * 1000, commit.metric))
