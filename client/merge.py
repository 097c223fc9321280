"""The merged result: every record's outcome in one order, and a summary for each service."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TextIO

from client.read_back import Held
from client.records import OUTCOMES, SERVICES, Outcome, Result
from client.timeline import Timeline

# Up to this many records, programs are given every one.
GIVEN_IN_FULL = 1_000


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of one service's records. `stored` is what it holds in all; None where it did not say."""

    sent: int
    created: int
    unchanged: int
    rejected: int
    undelivered: int
    stored: int | None
    # The greatest number of requests that one service had at once; None of several.
    peak_in_flight: int | None

    @property
    def outcomes(self) -> list[tuple[Outcome, int]]:
        """Return how many have which outcome."""
        return [(outcome, getattr(self, outcome)) for outcome in OUTCOMES]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How long the same records took at once and one after another, with threads and connections, in seconds."""

    concurrent_s: float
    sequential_s: float
    # Whether every record ended the same both ways.
    same_outcomes: bool


@dataclass(frozen=True, slots=True)
class Merged:
    """The whole run. `differences` says in words where the read-back is not what was acknowledged."""

    summaries: dict[str, Summary]
    # Every record's; of a large run, those of the records that are not in a database now, as far as it knows.
    results: Iterable[Result]
    elapsed_s: float
    differences: list[str]
    comparison: Comparison | None = None
    # What was sent in batches, and when.
    batches: Timeline | None = None

    @property
    def sent(self) -> int:
        """How many records there were."""
        return self.total.sent

    @property
    def total(self) -> Summary:
        """What became of all services' records."""
        every = self.summaries.values()
        stored = [summary.stored for summary in every if summary.stored is not None]
        return Summary(
            sum(summary.sent for summary in every),
            **{outcome: sum(getattr(summary, outcome) for summary in every) for outcome in OUTCOMES},
            stored=sum(stored) if len(stored) == len(every) else None,
            peak_in_flight=None,
        )

    def listed(self, in_full: int) -> Iterator[Result]:
        """Yield every result of up to so many, and of more records those that were not stored."""
        every = self.sent <= in_full
        return (r for r in self.results if every or r.outcome not in {"created", "unchanged"})

    @property
    def complete(self) -> bool:
        """Whether every record has its final answer, and the read-back agrees, and the comparison if there is one."""
        same = self.comparison is None or self.comparison.same_outcomes
        return same and not self.differences and not self.total.undelivered


@dataclass(frozen=True, slots=True)
class Run:
    """What a run came to, whether or not it was interrupted, and what of its input could not be read."""

    merged: Merged
    interrupted: bool
    unreadable: Sequence[str] = ()


def merge(results: Sequence[Result], held: Sequence[Held], elapsed_s: float) -> Merged:
    """Return the results by service and id, those without an id last and in input order, with their summaries."""
    stored = {part.service: part.count for part in held}
    ordered = sorted(results, key=lambda r: (SERVICES.index(r.record.service), r.id is None, r.id or 0))
    summaries = {
        name: _summary([r for r in results if r.record.service == name], stored.get(name)) for name in SERVICES
    }
    return Merged(summaries, ordered, elapsed_s, [difference for part in held for difference in part.differences])


def _summary(results: Sequence[Result], stored: int | None) -> Summary:
    counts = Counter(result.outcome for result in results)
    return Summary(
        sent=len(results),
        created=counts["created"],
        unchanged=counts["unchanged"],
        rejected=counts["rejected"],
        undelivered=counts["undelivered"],
        stored=stored,
        peak_in_flight=max((result.in_flight for result in results), default=0),
    )


def write_json(merged: Merged, out: TextIO) -> None:
    """Write the merged result for programs, a result at a time; of many records, those that were not stored."""
    summary: dict[str, object] = {name: asdict(summary) for name, summary in merged.summaries.items()}
    summary["elapsed_s"] = round(merged.elapsed_s, 6)
    if merged.comparison:
        summary["compare"] = asdict(merged.comparison)
    out.write(f'{{"summary": {json.dumps(summary)},\n"differences": {json.dumps(merged.differences)},\n"results": [')
    before = "\n"
    for result in merged.listed(GIVEN_IN_FULL):
        out.write(before + json.dumps(_result_as_json(result)))
        before = ",\n"
    out.write("\n]}\n")


def _result_as_json(result: Result) -> dict[str, object]:
    return {
        "service": result.record.service,
        "id": result.id,
        "origin": result.record.origin,
        "outcome": result.outcome,
        "status": result.status,
        "reasons": list(result.reasons),
        "attempts": result.attempts,
        "elapsed_ms": round(result.elapsed_ms, 3),
    }
