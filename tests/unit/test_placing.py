"""Where a request's time at the service is drawn within the time that its answer took."""

import pytest

from client.placing import commits_in, is_credible, parts_of
from client.records import Attempt
from client.server_timing import Timing


def attempt(sent_ms: float, answered_ms: float, *timing: float | None, commit: int | None = 1, at: str = "") -> Attempt:
    check_ms, wait_ms, commit_ms = timing
    times = Timing(check_ms, wait_ms, commit_ms, commit, at)
    return Attempt(0.0, sent_ms / 1000, answered_ms / 1000, 201, (), times)


def placed(one: Attempt, *others: Attempt) -> list[tuple[str, float, float]]:
    """Return the parts of the first, in milliseconds."""
    parts = parts_of(one, commits_in([one, *others]))
    return [(part.name, round(1000 * part.began_s, 6), round(1000 * part.ended_s, 6)) for part in parts]


def test_alone_it_is_drawn_in_the_middle_and_its_parts_follow_each_other() -> None:
    assert placed(attempt(10, 30, 4, 2, 6)) == [("check", 14, 18), ("wait", 18, 20), ("commit", 20, 26)]


def test_a_transaction_that_several_shared_is_at_one_place_that_is_possible_for_all() -> None:
    early, late = attempt(0, 20, None, 8, 4), attempt(10, 40, None, 2, 4)
    # Not before 12, when the later one had waited; and done by 20, when the earlier one was answered.
    assert placed(early, late) == [("wait", 6, 14), ("commit", 14, 18)]
    assert placed(late, early) == [("wait", 12, 14), ("commit", 14, 18)]


def test_a_transaction_is_not_drawn_before_the_one_before_it_has_ended() -> None:
    first, second = attempt(0, 30, None, 0, 10), attempt(0, 34, None, 0, 12, commit=2)
    assert placed(first, second)[-1] == ("commit", 10, 20)
    # Its own middle would be 11.
    assert placed(second, first)[-1] == ("commit", 20, 32)


def test_those_that_cannot_have_shared_what_they_say_are_drawn_each_by_itself() -> None:
    one, other = attempt(0, 10, None, 0, 4), attempt(20, 30, None, 0, 4)
    assert commits_in([one, other]) == {}
    assert placed(one, other) == [("wait", 3, 3), ("commit", 3, 7)]


def test_transactions_of_two_addresses_are_two_and_may_be_at_the_same_time() -> None:
    one, other = attempt(0, 30, None, 0, 10, at="http://a"), attempt(0, 24, None, 0, 12, at="http://b")
    assert len(commits_in([one, other])) == 2
    assert placed(one, other)[-1] == ("commit", 10, 20)
    assert placed(other, one)[-1] == ("commit", 6, 18)


def test_a_service_that_says_more_than_there_was_time_for_is_not_believed() -> None:
    boast = attempt(0, 10, 4, 4, 4)
    assert not is_credible(boast)
    assert placed(boast) == []
    # Nor does it part others that say the same number.
    early, late = attempt(0, 20, None, 8, 4), attempt(10, 40, None, 2, 4)
    assert placed(early, late, boast)[-1] == placed(late, early, boast)[-1] == ("commit", 14, 18)


def test_what_was_checked_only_is_drawn_in_the_middle() -> None:
    assert placed(attempt(0, 10, 4, None, None, commit=None)) == [("check", 3, 7)]


def test_what_says_nothing_has_no_parts() -> None:
    assert placed(attempt(0, 10, None, None, None, commit=None)) == []


@pytest.mark.parametrize("number", range(20))
def test_parts_never_leave_their_bar(number: int) -> None:
    bars = [attempt(at, at + 3 + number, 1, 0.5, 1, commit=1 + at % 3) for at in range(number)]
    commits = commits_in(bars)
    for bar in bars:
        parts = parts_of(bar, commits)
        assert bar.sent_s - 1e-9 <= parts[0].began_s <= parts[-1].ended_s <= bar.answered_s + 1e-9
