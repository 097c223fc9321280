"""The picture of a run that is under way, as lines of every width."""

from dataclasses import replace

import pytest

from client.lanes import Lane, frame, in_words
from client.records import OUTCOMES, Outcome
from client.terminal import COLOURS, Line

NONE: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
USERS = Lane("users", {**NONE, "created": 4, "rejected": 1}, in_flight=5, total=10, estimated=False, elapsed_s=0.5)
MILLION = Lane("orders", {**NONE, "created": 450_000}, in_flight=10, total=987_654, estimated=True, elapsed_s=2)


def text_of(line: Line) -> str:
    return "".join(text for text, _ in line)


def coloured(line: Line, outcome: Outcome) -> int:
    """Return how much of a line has an outcome's colour."""
    return sum(len(text) for text, colour in line if colour == COLOURS[outcome])


def test_a_wide_window_shows_all() -> None:
    (line,) = frame([USERS], 90)
    assert text_of(line) == f"users     {'━' * 20}{'─' * 20}   50%  5/10      10/s   5 in flight"


def test_lanes_stand_below_each_other_and_an_estimate_is_marked() -> None:
    title, *lines = map(text_of, frame([USERS, MILLION], 90, title="one after another"))
    assert title == "one after another"
    assert lines[0] == f"users     {'━' * 15}{'─' * 16}   50%              5/10       10/s   5 in flight"
    assert lines[1] == f"orders    {'━' * 14}{'─' * 17}   45%  450,000/~990,000  225,000/s  10 in flight"


@pytest.mark.parametrize("columns", range(1, 200))
def test_no_line_is_longer_than_the_window_and_a_wider_one_says_no_less(columns: int) -> None:
    for line in frame([USERS, MILLION], columns, title="one after another"):
        assert len(text_of(line)) <= columns
    narrower, wider = (len(text_of(frame([USERS], width)[0]).split()) for width in (columns, columns + 1))
    assert narrower <= wider


def test_forty_columns_keep_a_bar_and_what_matters_most() -> None:
    assert [*map(text_of, frame([USERS], 39))] == [f"users     {'━' * 8}{'─' * 9}   50%  5/10"]
    assert [*map(text_of, frame([MILLION], 39))] == [f"orders    {'━' * 10}{'─' * 13}   45%"]


def test_the_bar_is_coloured_by_outcome_and_one_in_a_million_is_seen() -> None:
    outcomes: dict[Outcome, int] = {"created": 999_997, "unchanged": 1, "rejected": 1, "undelivered": 1}
    (line,) = frame([Lane("users", outcomes, 0, 1_000_000, estimated=False, elapsed_s=1)], 90)
    (bar,) = {text.count("━") for text, colour in line if colour == COLOURS["created"]}
    assert [coloured(line, outcome) for outcome in OUTCOMES] == [bar, 1, 1, 1]
    assert text_of(line).count("─") == 0


def test_what_is_not_done_is_never_drawn_as_done() -> None:
    outcomes: dict[Outcome, int] = {**NONE, "created": 999_999}
    (line,) = frame([Lane("users", outcomes, 1, 1_000_000, estimated=False, elapsed_s=1)], 90)
    assert " 99%" in text_of(line)
    assert text_of(line).count("─") == 1


def test_at_the_end_a_lane_says_how_long_it_took() -> None:
    done = replace(USERS, outcomes={**NONE, "created": 9, "rejected": 1}, in_flight=0)
    assert text_of(*frame([done], 90)).endswith("100%  10/10      20/s     in 0.50 s")


def test_nothing_to_send_and_no_time_passed_are_no_division_by_zero() -> None:
    (line,) = frame([Lane("users", NONE, 0, 0, estimated=True, elapsed_s=0)], 90)
    assert "  0%" in text_of(line)


def test_where_there_is_nothing_but_ascii_it_is_drawn_of_that() -> None:
    lines = frame([USERS, MILLION], 90, ascii_only=True)
    assert all(text_of(line).isascii() for line in lines)
    assert "#####-----" in text_of(lines[0])


def test_in_words_it_is_one_short_text() -> None:
    assert in_words(MILLION) == "orders 450,000 of ~990,000 (225,000/s)"
