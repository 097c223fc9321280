"""Bars in rows, and fewer bars where there would be too many."""

from collections import Counter
from threading import Thread

from client.records import Attempt, Record, Result
from client.timeline import MOST_BARS, Bar, Timeline, fewer, in_rows, timeline_of


def attempt(sent_s: float, answered_s: float, status: int | None = 201) -> Attempt:
    return Attempt(sent_s, sent_s, answered_s, status)


def bar(sent_s: float, answered_s: float, service: str = "users", record: Record | None = None) -> Bar:
    return Bar(service, f"users.csv:{sent_s}", (attempt(sent_s, answered_s),), {"created": 1}, record=record)


def spans(rows: list[list[Bar]]) -> list[list[tuple[float, float]]]:
    return [[(each.began_s, each.ended_s) for each in row] for row in rows]


def test_there_are_as_many_rows_as_were_under_way_at_once() -> None:
    rows = in_rows([bar(5, 9), bar(0, 4), bar(1, 6), bar(4, 5)])
    assert spans(rows) == [[(0, 4), (4, 5), (5, 9)], [(1, 6)]]


def test_a_record_that_is_sent_again_stands_in_its_first_row_where_there_is_room() -> None:
    record = Record("users", "users.csv:2", b"", 1)
    assert spans(in_rows([bar(0, 3), bar(1, 2, record=record), bar(4, 5, record=record)])) == [
        [(0, 3)],
        [(1, 2), (4, 5)],
    ]
    busy = [bar(0, 3), bar(1, 2, record=record), bar(2, 9), bar(4, 5, record=record)]
    assert spans(in_rows(busy)) == [[(0, 3), (4, 5)], [(1, 2), (2, 9)]]


def test_too_many_bars_become_few_that_stand_for_all_of_them() -> None:
    bars = [
        bar(at + thread / 100, at + 0.95 + thread / 100, service)
        for at in range(2_000)
        for thread in range(4)
        for service in ("users", "orders")
    ]
    drawn = fewer(bars, 1_000)
    assert len(drawn) <= 1_000
    assert sum(each.stands_for for each in drawn) == sum(each.ends["created"] for each in drawn) == len(bars)
    for service in ("users", "orders"):
        rows = in_rows(each for each in drawn if each.service == service)
        assert len(rows) == 4
        assert {each.stands_for for row in rows for each in row} == {16}
    assert fewer(bars[:1_000], 1_000) == bars[:1_000]


def test_bars_that_are_all_under_way_at_once_are_left_alone() -> None:
    bars = [bar(0, 1) for _ in range(20)]
    assert fewer(bars, 10) == bars


def _add_many(timeline: Timeline) -> None:
    for at in range(500):
        timeline.add(bar(at, at + 0.5))


def test_a_timeline_is_bounded_and_forgets_neither_records_nor_times() -> None:
    timeline = Timeline(100)
    threads = [Thread(target=_add_many, args=(timeline,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(timeline.bars()) <= 100
    assert sum((Counter(each.ends) for each in timeline.bars()), Counter()) == {"created": 2_000}
    assert len(timeline.answers_ms["users"]) == 2_000
    assert set(timeline.answers_ms["users"]) == {500.0}


def test_records_that_were_sent_have_a_bar_for_each_sending_and_others_none() -> None:
    record, unsent = Record("orders", "orders.csv:2", b"{}", 1), Record("orders", "orders.csv:3", b"{}", 2)
    early = Result(record, "rejected", 422, history=(attempt(0, 1, 422),))
    final = Result(record, "created", 201, history=(attempt(2, 3, None), attempt(4, 5)), earlier=early)
    timeline = timeline_of([final, Result(unsent, "undelivered")])
    assert [(each.ends, len(each.attempts)) for each in timeline.bars()] == [({"again": 1}, 1), ({"created": 1}, 2)]
    # What was not answered took no time that says anything.
    assert list(timeline.answers_ms["orders"]) == [1000.0, 1000.0]


def test_all_that_can_be_drawn_of_many_records_is_drawn() -> None:
    results = [
        Result(Record("users", "u", b"", n), "created", 201, history=(attempt(n, n + 1),)) for n in range(5 * MOST_BARS)
    ]
    drawn = timeline_of(results).bars()
    assert MOST_BARS // 2 < len(drawn) <= MOST_BARS
