"""What a run sent and when, for its picture: one bar for each request, or for several, however many there were."""

import sys
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from client.records import SERVICES, Attempt, Outcome, Record, Result

# More bars than this are too many to draw, and several become one.
MOST_BARS = 2_000

# What a bar comes to; `again` is what an answer that was not final leads to.
End = Outcome | Literal["again"]


@dataclass(frozen=True, slots=True)
class Bar:
    """What was sent as one, with its attempts: a record or a batch; or several of either, drawn as one."""

    service: str
    # Where it came from: `users.csv:11`; of several, the first.
    origin: str
    attempts: tuple[Attempt, ...]
    # How many records came to what.
    ends: Mapping[End, int]
    # How many records or batches it stands for.
    stands_for: int = 1
    # The record, where it is one.
    record: Record | None = None

    @property
    def began_s(self) -> float:
        """When it was sent first."""
        return self.attempts[0].began_s

    @property
    def ended_s(self) -> float:
        """When it was answered last."""
        return self.attempts[-1].answered_s


class Timeline:
    """The bars of a run, and how long each answer took; for many threads."""

    def __init__(self, most_held: int) -> None:
        """Start with nothing. When it holds more bars than that, several become one."""
        self._most_held = most_held
        self._lock = Lock()
        self._bars: list[Bar] = []
        self.answers_ms: dict[str, array[float]] = {service: array("d") for service in SERVICES}

    def add(self, bar: Bar) -> None:
        """Add what was sent; without an attempt, it was not."""
        if not bar.attempts:
            return
        answers_ms = (1000 * (a.answered_s - a.sent_s) for a in bar.attempts if a.status is not None)
        with self._lock:
            self.answers_ms[bar.service].extend(answers_ms)
            self._bars.append(bar)
            if len(self._bars) > self._most_held:
                # Half as many, so that it is seldom done.
                self._bars = fewer(self._bars, self._most_held // 2)

    def bars(self) -> list[Bar]:
        """Return the bars, as many as can be drawn."""
        with self._lock:
            return fewer(self._bars, MOST_BARS)


def timeline_of(results: Iterable[Result]) -> Timeline:
    """Return the timeline of records that were sent one by one."""
    # They are all in memory anyway, and joined more evenly when all are known.
    timeline = Timeline(sys.maxsize)
    for result in results:
        if result.earlier:
            timeline.add(_bar(result.earlier, "again"))
        timeline.add(_bar(result, result.outcome))
    return timeline


def _bar(result: Result, end: End) -> Bar:
    record = result.record
    return Bar(record.service, record.origin, result.history, {end: 1}, record=record)


def in_rows(bars: Iterable[Bar]) -> list[list[Bar]]:
    """Return one service's bars in rows, so that none of a row overlap: as many rows as were under way at once.

    A record that was sent again stands in the row of its first sending, where there is room.
    """
    rows: list[list[Bar]] = []
    first_rows: dict[Record, list[Bar]] = {}
    for bar in sorted(bars, key=lambda bar: bar.began_s):
        own = first_rows.get(bar.record) if bar.record else None
        candidates = [own, *rows] if own else rows
        row = next((row for row in candidates if row[-1].ended_s <= bar.began_s), None)
        if row is None:
            rows.append(row := [])
        row.append(bar)
        if bar.record:
            first_rows.setdefault(bar.record, row)
    return rows


def fewer(bars: Sequence[Bar], most: int) -> list[Bar]:
    """Return at most so many bars, or at least one for each row: those that follow each other in a row become one."""
    greatest = 1
    while len(bars) > most:
        by_service: defaultdict[str, list[Bar]] = defaultdict(list)
        for bar in bars:
            by_service[bar.service].append(bar)
        rows = [row for found in by_service.values() for row in in_rows(found)]
        if len(rows) == len(bars):
            break
        # Those that stand for little are joined first, so that all come to stand for about the same.
        greatest *= 2
        bars = [bar for row in rows for bar in _joined(row, greatest)]
    return list(bars)


def _joined(row: Sequence[Bar], greatest: int) -> list[Bar]:
    """Return a row with bars that follow each other joined, as long as none stands for more than that many."""
    joined = [row[0]]
    for bar in row[1:]:
        if joined[-1].stands_for + bar.stands_for <= greatest:
            joined[-1] = _both(joined[-1], bar)
        else:
            joined.append(bar)
    return joined


def _both(first: Bar, second: Bar) -> Bar:
    whole = Attempt(first.began_s, first.began_s, second.ended_s, None)
    ends = Counter(first.ends) + Counter(second.ends)
    return Bar(first.service, first.origin, (whole,), ends, first.stands_for + second.stands_for)
