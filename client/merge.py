"""The merged result: every record's outcome in one order, and a summary for each service."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from client.read_back import Held
from client.records import SERVICES, Result

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
    peak_in_flight: int


@dataclass(frozen=True, slots=True)
class Merged:
    """The whole run. `differences` says in words where the read-back is not what was acknowledged."""

    summaries: dict[str, Summary]
    results: list[Result]
    elapsed_s: float
    differences: list[str]

    @property
    def not_stored(self) -> list[Result]:
        """The records that are not in a database now, as far as this run knows."""
        return [result for result in self.results if result.outcome not in {"created", "unchanged"}]

    @property
    def complete(self) -> bool:
        """Whether every record has its final answer and the read-back agrees."""
        return not self.differences and not any(summary.undelivered for summary in self.summaries.values())


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


def as_json(merged: Merged) -> dict[str, object]:
    """Return the merged result for programs; of many records, only those that were not stored."""
    summary: dict[str, object] = {name: asdict(summary) for name, summary in merged.summaries.items()}
    results = merged.results if len(merged.results) <= GIVEN_IN_FULL else merged.not_stored
    return {
        "summary": {**summary, "elapsed_s": round(merged.elapsed_s, 6)},
        "results": [_result_as_json(result) for result in results],
        "differences": merged.differences,
    }


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
