"""How many records have which outcome so far, counted from many threads."""

from threading import Thread

from client.tally import Tally


def test_what_many_threads_count_is_all_there_and_nothing_is_left_in_flight() -> None:
    tally = Tally()

    def work() -> None:
        for _ in range(1000):
            with tally.one_in_flight():
                assert tally.in_flight >= 1
                tally.add("created")

    threads = [Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tally.sent, tally.outcomes["created"], tally.in_flight) == (8000, 8000, 0)


def test_a_lane_that_is_over_keeps_the_time_of_its_last_answer() -> None:
    tally = Tally()
    tally.add("created", 10)
    assert tally.lane("users", 10, tally.answered_s - 2).elapsed_s == 2
    assert tally.lane("users", 11, tally.answered_s - 2).elapsed_s > 2
    assert tally.lane("users", 0, None).elapsed_s == 0
