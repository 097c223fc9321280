"""A batch as it is sent, and what its answer says of each row."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from client.batches import Batch
from client.delivery import Answer, Parcel, problem_of, reasons_of
from client.records import Outcome, Record, Result
from client.timeline import Bar, End

# These say that the first row can't be read, and nothing of the others.
_OF_THE_FIRST_ROW = {400, 413}


def parcel(batch: Batch) -> Parcel:
    """Return the request that sends the batch."""
    # Of records without an id, the answer has to say which ids they were given.
    every = None in batch.ids
    return Parcel(
        f"/{batch.service}/batch{'?results=all' if every else ''}",
        f"{batch.file}:{batch.lines[0]}",
        "application/x-ndjson",
        b"".join(batch.rows),
        repeatable=not every,
        in_parts=True,
        is_acknowledged_by=lambda body: _is_report(body, batch.ids, every=every),
    )


def _is_report(body: Mapping[str, Any], ids: Sequence[int | None], *, every: bool) -> bool:
    """Tell whether the answer says of the first rows, one or more, what became of each of them."""
    counts: list[Any] = [body.get(name) for name in ("received", "created", "unchanged", "rejected")]
    results = body.get("results")
    if not all(type(count) is int and count >= 0 for count in counts) or not isinstance(results, list):
        return False
    received, *others = map(int, counts)
    if not 0 < received <= len(ids) or received != sum(others):
        return False
    if not all(isinstance(result, dict) and type(result.get("index")) is int for result in results):
        return False
    places = [result["index"] for result in results]
    refused = [result for result in results if _is_refusal(result.get("problem"))]
    if len(refused) != others[-1] or not all(place in range(received) for place in places):
        return False
    if not every:
        return len(results) == len(refused) == len(set(places))
    stored = [result for result in results if result not in refused]
    return (
        places == list(range(received))
        and all(_is_stored_under(ids[result["index"]], result) for result in stored)
        and len({result["id"] for result in stored}) == len(stored)
    )


def _is_refusal(problem: object) -> bool:
    return isinstance(problem, dict) and isinstance(problem.get("type"), str)


def _is_stored_under(record_id: int | None, result: Mapping[str, Any]) -> bool:
    return result.get("problem", ...) is None and type(result.get("id")) is int and record_id in {None, result["id"]}


def read(batch: Batch, answer: Answer) -> tuple[int, dict[int, Result]]:
    """Return how many of the first rows have their answer, and the results of those that are not stored, by place."""
    reading = answer.reading
    if reading.acknowledgement:
        problems = {row["index"]: row["problem"] for row in reading.acknowledgement["results"] if row.get("problem")}
        return reading.acknowledgement["received"], {
            place: _result(batch, place, answer, problem) for place, problem in problems.items()
        }
    covered = 1 if reading.refused and reading.status in _OF_THE_FIRST_ROW else len(batch.rows)
    return covered, {place: _result(batch, place, answer, None) for place in range(covered)}


def _result(batch: Batch, place: int, answer: Answer, problem: Mapping[str, Any] | None) -> Result:
    reading = answer.reading
    outcome: Outcome = "rejected" if problem or reading.refused else "undelivered"
    return Result(
        Record(batch.service, f"{batch.file}:{batch.lines[place]}", b"", batch.ids[place]),
        outcome,
        problem.get("status") if problem else reading.status,
        reasons_of(problem) if problem else reading.reasons,
        problem=problem_of(problem) if problem else reading.problem,
        attempts=answer.attempts,
        began_s=answer.began_s,
        ended_s=answer.ended_s,
    )


def stored_rows(batch: Batch, not_stored: Mapping[int, Result], answer: Answer) -> dict[int, bytes]:
    """Return the rows that the answer acknowledges, by the ids under which they are stored."""
    report = answer.reading.acknowledgement
    if report is None:
        return {}
    ids: Sequence[Any] = [row["id"] for row in report["results"]] if None in batch.ids else batch.ids
    return {ids[place]: row for place, row in enumerate(batch.rows) if place not in not_stored}


def bar(batch: Batch, not_stored: Mapping[int, Result], answer: Answer, early: int) -> Bar:
    """Return what is drawn of the batch: its attempts, and how many of its rows came to what; early ones go again."""
    ends: Counter[End] = Counter(result.outcome for result in not_stored.values())
    ends["rejected"] -= early
    ends["again"] = early
    ends["unchanged"] = (answer.reading.acknowledgement or {}).get("unchanged", 0)
    ends["created"] = len(batch.rows) - len(not_stored) - ends["unchanged"]
    return Bar(batch.service, f"{batch.file}:{batch.lines[0]}", answer.history, +ends)
