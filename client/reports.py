"""A batch as it is sent, and what its answer says of each row."""

from collections.abc import Mapping, Sequence
from typing import Any

from client.batches import Batch
from client.delivery import Answer, Parcel, problem_of, reasons_of
from client.records import Outcome, Record, Result

# These say that the first row can't be read, and nothing of the others.
_OF_THE_FIRST_ROW = {400, 413}


def parcel(batch: Batch) -> Parcel:
    """Return the request that sends the batch."""
    # Of records without an id, the answer has to say which ids they were given.
    every = None in batch.ids
    return Parcel(
        f"/{batch.service}/batch{'?results=all' if every else ''}",
        "application/x-ndjson",
        b"".join(batch.rows),
        repeatable=not every,
        is_acknowledged_by=lambda body: _is_report(body, most=len(batch.rows), every=every),
    )


def _is_report(body: Mapping[str, Any], *, most: int, every: bool) -> bool:
    """Tell whether the answer says of the first rows, one or more, what became of each of them."""
    counts: list[Any] = [body.get(name) for name in ("received", "created", "unchanged", "rejected")]
    results = body.get("results")
    if not all(type(count) is int and count >= 0 for count in counts) or not isinstance(results, list):
        return False
    received, *others = map(int, counts)
    listed = received if every else others[-1]
    return (
        0 < received <= most
        and received == sum(others)
        and len(results) == listed
        and all(_is_of_a_row(result, received) for result in results)
    )


def _is_of_a_row(result: object, received: int) -> bool:
    if not isinstance(result, dict) or result.get("index") not in range(received):
        return False
    return isinstance(result.get("problem"), dict) or type(result.get("id")) is int


def read(batch: Batch, answer: Answer) -> tuple[int, dict[int, Result]]:
    """Return how many of the first rows have their answer, and the results of those that are not stored, by place."""
    reading = answer.reading
    if reading.acknowledgement:
        problems = {row["index"]: row["problem"] for row in reading.acknowledgement["results"] if row["problem"]}
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
