"""What a batch's answer says of each row, and which answers say nothing."""

from collections.abc import Sequence
from typing import Any

import pytest

from client.batches import Batch
from client.delivery import Answer, Reading
from client.reports import parcel, read, stored_rows

PROBLEM = {"type": "/problems/invalid-record", "status": 422, "detail": "no", "errors": [{"detail": "name is empty"}]}


def batch_of(ids: Sequence[int | None]) -> Batch:
    return Batch("users", "users.csv", range(2, 2 + len(ids)), [b'{"n":%d}\n' % n for n in range(len(ids))], ids)


WITH_IDS = batch_of([5, 6, 7])
WITHOUT = batch_of([5, None, 7])


def row(index: Any, record_id: Any = None, problem: Any = None, outcome: str = "rejected") -> dict[str, Any]:
    return {"index": index, "id": record_id, "outcome": outcome, "problem": problem}


def report(
    received: Any, created: Any, unchanged: Any, rejected: Any, results: Any, **others: object
) -> dict[str, Any]:
    counts = {"received": received, "created": created, "unchanged": unchanged, "rejected": rejected}
    return {**counts, "results": results, "results_omitted": 0, **others}


def stored(index: Any, record_id: Any) -> dict[str, Any]:
    return row(index, record_id, None, "created")


def acknowledged(body: dict[str, Any]) -> Answer:
    return Answer(Reading(status=207, acknowledgement=body), 2, 1.0, 1.2, 1.5)


@pytest.mark.parametrize(
    ("batch", "body"),
    [
        (WITH_IDS, report(3, 3, 0, 0, [])),
        (WITH_IDS, report(3, 1, 2, 0, [])),
        (WITH_IDS, report(3, 1, 1, 1, [row(2, 7, PROBLEM)])),
        (WITH_IDS, report(3, 0, 0, 3, [row(n, None, PROBLEM) for n in range(3)])),
        # The body could be read up to here.
        (WITH_IDS, report(2, 1, 0, 1, [row(1, None, PROBLEM)])),
        (WITH_IDS, report(1, 1, 0, 0, [])),
        (WITH_IDS, report(3, 3, 0, 0, [], something="new")),
        (WITHOUT, report(3, 2, 1, 0, [stored(0, 5), stored(1, 90), stored(2, 7)])),
        (WITHOUT, report(3, 2, 0, 1, [stored(0, 5), row(1, None, PROBLEM), stored(2, 7)])),
        (WITHOUT, report(2, 1, 0, 1, [stored(0, 5), row(1, None, PROBLEM)])),
    ],
)
def test_a_report_that_says_what_became_of_the_first_rows_is_an_acknowledgement(
    batch: Batch, body: dict[str, Any]
) -> None:
    assert parcel(batch).is_acknowledged_by(body)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": 5},
        {"count": 3},
        # Counts that are none.
        report(None, 3, 0, 0, []),
        report("3", 3, 0, 0, []),
        report(3.0, 3, 0, 0, []),
        report(3, [3], 0, 0, []),
        report(True, True, False, False, []),
        report(3, 4, -1, 0, []),
        report(3, 4, 0, -1, []),
        {name: count for name, count in report(3, 3, 0, 0, []).items() if name != "unchanged"},
        # Counts that can't be.
        report(0, 0, 0, 0, []),
        report(4, 4, 0, 0, []),
        report(3, 2, 0, 0, []),
        report(3, 3, 1, 0, []),
        report(10**30, 10**30, 0, 0, []),
        # Results that are none.
        {name: count for name, count in report(3, 3, 0, 0, []).items() if name != "results"},
        report(3, 3, 0, 0, None),
        report(3, 3, 0, 0, {}),
        report(3, 3, 0, 0, "[]"),
        report(3, 2, 0, 1, {"0": row(0, 5, PROBLEM)}),
        report(3, 2, 0, 1, [None]),
        report(3, 2, 0, 1, [[]]),
        report(3, 2, 0, 1, [{}]),
        # More or fewer results than were rejected.
        report(3, 2, 0, 1, []),
        report(3, 3, 0, 0, [row(0, 5, PROBLEM)]),
        report(3, 2, 0, 1, [row(0, 5, PROBLEM), row(1, 6, PROBLEM)]),
        # Results of no row, or of the same.
        report(3, 2, 0, 1, [row(None, 5, PROBLEM)]),
        report(3, 2, 0, 1, [row("0", 5, PROBLEM)]),
        report(3, 2, 0, 1, [row([], 5, PROBLEM)]),
        report(3, 2, 0, 1, [row(0.0, 5, PROBLEM)]),
        report(3, 2, 0, 1, [row(True, 5, PROBLEM)]),
        report(3, 2, 0, 1, [row(-1, 5, PROBLEM)]),
        report(3, 2, 0, 1, [row(3, 5, PROBLEM)]),
        report(2, 1, 0, 1, [row(2, 5, PROBLEM)]),
        report(3, 1, 0, 2, [row(1, 6, PROBLEM), row(1, 6, PROBLEM)]),
        # Rejected, but for no reason.
        report(3, 2, 0, 1, [row(0, 5, None)]),
        report(3, 2, 0, 1, [row(0, 5, {})]),
        report(3, 2, 0, 1, [row(0, 5, "no")]),
        report(3, 2, 0, 1, [row(0, None, [PROBLEM])]),
        report(3, 2, 0, 1, [{"index": 0, "id": 5, "outcome": "rejected"}]),
    ],
)
def test_a_report_that_makes_no_sense_is_no_acknowledgement(body: dict[str, Any]) -> None:
    assert not parcel(WITH_IDS).is_acknowledged_by(body)


ALL = [stored(0, 5), stored(1, 90), stored(2, 7)]


@pytest.mark.parametrize(
    "body",
    [
        report(3, 3, 0, 0, []),
        report(3, 3, 0, 0, ALL[:2]),
        report(3, 3, 0, 0, [*ALL, stored(2, 7)]),
        report(4, 4, 0, 0, [*ALL, stored(3, 8)]),
        # Not of each row, in their order.
        report(3, 3, 0, 0, [ALL[0], ALL[0], ALL[2]]),
        report(3, 3, 0, 0, [ALL[2], ALL[1], ALL[0]]),
        # Stored, but under no id, or under another than its own, or two under one.
        report(3, 3, 0, 0, [ALL[0], stored(1, None), ALL[2]]),
        report(3, 3, 0, 0, [ALL[0], stored(1, "90"), ALL[2]]),
        report(3, 3, 0, 0, [ALL[0], stored(1, 90.0), ALL[2]]),
        report(3, 3, 0, 0, [ALL[0], stored(1, True), ALL[2]]),
        report(3, 3, 0, 0, [stored(0, 6), ALL[1], ALL[2]]),
        report(3, 3, 0, 0, [ALL[0], stored(1, 7), ALL[2]]),
        # More or fewer reasons than were rejected.
        report(3, 3, 0, 0, [ALL[0], row(1, None, PROBLEM), ALL[2]]),
        report(3, 2, 0, 1, ALL),
        report(3, 2, 0, 1, [ALL[0], row(1, None, {}), ALL[2]]),
        report(3, 2, 0, 1, [ALL[0], {"index": 1, "problem": PROBLEM}, {"index": 2, "id": 7}]),
    ],
)
def test_where_ids_are_given_a_report_that_does_not_give_each_is_no_acknowledgement(body: dict[str, Any]) -> None:
    assert not parcel(WITHOUT).is_acknowledged_by(body)


def test_a_batch_is_sent_as_its_rows_and_may_be_sent_again_where_each_has_an_id() -> None:
    sent = parcel(WITH_IDS)
    assert (sent.path, sent.media_type, sent.repeatable) == ("/users/batch", "application/x-ndjson", True)
    assert sent.body == b'{"n":0}\n{"n":1}\n{"n":2}\n'
    sent = parcel(WITHOUT)
    assert (sent.path, sent.repeatable) == ("/users/batch?results=all", False)


def test_each_rejected_row_has_its_line_its_id_and_its_reasons() -> None:
    covered, not_stored = read(WITHOUT, acknowledged(report(3, 2, 0, 1, [ALL[0], row(1, None, PROBLEM), ALL[2]])))
    assert (covered, list(not_stored)) == (3, [1])
    result = not_stored[1]
    assert (result.record.origin, result.record.service, result.id) == ("users.csv:3", "users", None)
    assert (result.outcome, result.status, result.reasons) == ("rejected", 422, ("name is empty",))
    assert (result.problem, result.attempts, result.began_s, result.ended_s) == ("invalid-record", 2, 1.0, 1.5)


def test_a_report_of_some_rows_covers_these() -> None:
    too_long = {"type": "/problems/body-too-large", "status": 413, "detail": "too long"}
    covered, not_stored = read(WITH_IDS, acknowledged(report(2, 1, 0, 1, [row(1, None, too_long)])))
    assert covered == 2
    assert {place: (r.outcome, r.status, r.reasons) for place, r in not_stored.items()} == {
        1: ("rejected", 413, ("too long",))
    }


@pytest.mark.parametrize(
    ("status", "problem", "covered", "outcome"),
    [
        # These are of the first row, and the others may fare better.
        (400, "malformed-body", 1, "rejected"),
        (413, "body-too-large", 1, "rejected"),
        (404, "not-found", 3, "rejected"),
        (415, "unsupported-media-type", 3, "rejected"),
        (500, "internal-error", 3, "undelivered"),
        (507, "storage-full", 3, "undelivered"),
        # Not the service's own words.
        (400, "", 3, "undelivered"),
        (413, "", 3, "undelivered"),
        (None, "", 3, "undelivered"),
    ],
)
def test_an_answer_that_is_no_report_is_of_the_first_row_or_of_all(
    status: int | None, problem: str, covered: int, outcome: str
) -> None:
    answer = Answer(Reading(status=status, problem=problem, reasons=("why",)), 1, 0.0, 0.0, 0.0)
    found, not_stored = read(WITH_IDS, answer)
    assert found == covered
    assert [(r.outcome, r.reasons, r.status) for r in not_stored.values()] == [(outcome, ("why",), status)] * covered
    assert list(not_stored) == list(range(covered))
    assert stored_rows(WITH_IDS, not_stored, answer) == {}


def test_stored_rows_are_known_by_the_ids_that_they_have_or_were_given() -> None:
    for batch, body, expected in (
        (WITH_IDS, report(3, 2, 0, 1, [row(1, 6, PROBLEM)]), {5: b'{"n":0}\n', 7: b'{"n":2}\n'}),
        (WITHOUT, report(3, 3, 0, 0, ALL), {5: b'{"n":0}\n', 90: b'{"n":1}\n', 7: b'{"n":2}\n'}),
        (WITHOUT, report(3, 2, 0, 1, [row(0, 5, PROBLEM), *ALL[1:]]), {90: b'{"n":1}\n', 7: b'{"n":2}\n'}),
    ):
        answer = acknowledged(body)
        _, not_stored = read(batch, answer)
        assert stored_rows(batch, not_stored, answer) == expected
