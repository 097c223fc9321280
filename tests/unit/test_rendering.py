"""The merged result for people, in windows of every width."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from client.merge import Comparison, Merged, merge
from client.read_back import Held
from client.records import SERVICES, Outcome, Record, Result
from client.rendering import lines_of
from client.terminal import COLOURS, RED

REASONS = ("user 10 does not exist", "product 11 does not exist")


def result(service: str, record_id: int, outcome: Outcome = "created", reasons: tuple[str, ...] = ()) -> Result:
    return Result(Record(service, f"{service}.csv:{record_id}", b"", record_id), outcome, reasons=reasons, in_flight=10)


def sample(*others: Result) -> Merged:
    """Return what came of a user, a product and two orders, one of them refused, and others."""
    results = [*(result(name, 1) for name in SERVICES), result("orders", 10, "rejected", REASONS), *others]
    return merge(results, [Held(name, 1, []) for name in SERVICES], 0.114)


def texts(merged: Merged, columns: int | None) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines_of(merged, columns)]


def test_without_a_window_there_is_a_line_for_each_record_and_all_three_have_a_total() -> None:
    assert texts(sample(), None) == [
        "service   id  outcome   why",
        "--------  --  --------  -------------------------------------------------",
        "users      1  created",
        "products   1  created",
        "orders     1  created",
        "orders    10  rejected  user 10 does not exist; product 11 does not exist",
        "",
        "service   sent  created  unchanged  rejected  undelivered  stored  peak in flight",
        "--------  ----  -------  ---------  --------  -----------  ------  --------------",
        "users        1        1          0         0            0       1              10",
        "products     1        1          0         0            0       1              10",
        "orders       2        1          0         1            0       1              10",
        "total        4        3          0         1            0       3",
        "",
        "4 records in 0.114 s. Read back: the services hold what they acknowledged.",
    ]


def test_in_forty_columns_reasons_go_on_below_themselves_and_figures_are_words() -> None:
    assert texts(sample(), 40) == [
        "service   id  outcome   why",
        "--------  --  --------  ----------------",
        "users      1  created",
        "products   1  created",
        "orders     1  created",
        "orders    10  rejected  user 10 does not",
        "                        exist; product",
        "                        11 does not",
        "                        exist",
        "",
        "service   records",
        "--------  ------------------------------",
        "users     1 sent: 1 created; 1 stored,",
        "          10 in flight at the peak",
        "products  1 sent: 1 created; 1 stored,",
        "          10 in flight at the peak",
        "orders    2 sent: 1 created, 1 rejected;",
        "          1 stored, 10 in flight at the",
        "          peak",
        "total     4 sent: 3 created, 1 rejected;",
        "          3 stored",
        "",
        "4 records in 0.114 s. Read back: the",
        "services hold what they acknowledged.",
    ]


def test_what_has_no_room_beside_a_long_id_begins_below_it() -> None:
    lines = texts(sample(result("users", 2**62, "rejected", ("name is empty", "email is missing"))), 44)
    place = next(place for place, line in enumerate(lines) if str(2**62) in line)
    assert lines[0].split() == ["service", "id", "outcome"]
    assert lines[place : place + 2] == [
        f"users     {2**62}  rejected",
        "    name is empty; email is missing",
    ]


@pytest.mark.parametrize(("columns", "head"), [(81, "peak in flight"), (74, "undelivered stored"), (60, "rejected")])
def test_figures_move_together_and_then_those_that_are_nothing_go(columns: int, head: str) -> None:
    (line,) = [line for line in texts(sample(), columns) if line.startswith("service") and "sent" in line]
    assert head in line
    assert ("unchanged" in line) == (columns >= 74)


@pytest.mark.parametrize("columns", [*range(20, 121), 200])
def test_nothing_is_cut_and_nothing_is_wider_than_the_window(columns: int) -> None:
    merged = replace(sample(result("users", 7, "undelivered", REASONS)), comparison=Comparison(0.1, 0.3, False))
    lines = texts(merged, columns)
    words = re.sub(r"\s+", " ", " ".join(lines))
    for whole in ("4 records", "they acknowledged.", "3.0 times as fast, 0.200 s saved.", "ENDED THE SAME."):
        assert whole in words or whole.replace("4", "5") in words
    # Of the table of records, the first three columns are as wide as they must be.
    assert all(len(line) <= max(columns, len("products  10  undelivered")) for line in lines)


def test_refusals_stand_out_as_a_whole_and_what_is_stored_by_its_outcome_alone() -> None:
    lines = {"".join(text for text, _ in line): line for line in lines_of(sample(), None)}
    (stored,) = [line for text, line in lines.items() if text == "users      1  created"]
    (refused,) = [line for text, line in lines.items() if text.startswith("orders    10")]
    assert [text.strip() for text, colour in stored if colour == COLOURS["created"]] == ["created"]
    assert all(colour == COLOURS["rejected"] for text, colour in refused if text.strip())


@pytest.mark.parametrize(
    ("comparison", "said"),
    [
        (Comparison(0.1, 0.28, same_outcomes=True), ["2.8 times as fast, 0.180 s saved."]),
        (Comparison(0.2, 0.1, same_outcomes=True), ["0.200 s at the same time, 0.100 s one after", "nothing saved."]),
        (Comparison(0.1, 0.2, same_outcomes=False), ["2.0 times as fast", "NOT EVERY RECORD ENDED THE SAME"]),
    ],
)
def test_a_comparison_says_what_is_saved_and_whether_all_ended_the_same(
    comparison: Comparison, said: Sequence[str]
) -> None:
    merged = replace(sample(), comparison=comparison)
    assert all(each in "\n".join(texts(merged, None)) for each in said)
    assert merged.complete == comparison.same_outcomes
    assert any(colour == RED for line in lines_of(merged, None) for _, colour in line) != comparison.same_outcomes


def test_one_record_is_no_plural() -> None:
    assert texts(merge([result("users", 1)], [], 0.1), None)[-1].startswith("1 record in 0.100 s.")


def test_what_no_service_says_it_holds_is_not_known_in_all() -> None:
    merged = merge([result("users", 1)], [Held("users", 1, [])], 0.1)
    assert [line.split()[6] for line in texts(merged, None)[6:10]] == ["1", "?", "?", "?"]


def test_a_run_that_is_interrupted_before_it_began_is_shown_too() -> None:
    merged = merge([result("users", number, "undelivered") for number in range(1, 200)], [], 0.0)
    assert texts(merged, None)[-1].startswith("199 records in 0.000 s. Read back: ")
