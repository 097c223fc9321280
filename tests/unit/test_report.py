"""What the answer to many records says of each."""

from collections import Counter

from services.chassis.batch import Report
from services.chassis.store import MAX_ID, Inserted


def test_a_row_for_which_no_id_was_left_is_reported_without_one() -> None:
    report = Report(list_all=False, refusals=Counter())
    report.add({}, Inserted([7, MAX_ID + 1], {0: "conflict", 1: "no-id-left"}))
    _, body = report.answer()
    assert [(row["index"], row["id"], row["problem"]["status"]) for row in body["results"]] == [
        (0, 7, 409),
        (1, None, 409),
    ]
