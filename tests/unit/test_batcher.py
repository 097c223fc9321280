"""Natural batching: who shares a batch, who is refused, and who hears of a failure."""

import asyncio
from collections.abc import Sequence

import pytest

from services.chassis.batcher import Batcher
from services.chassis.errors import Overloaded


class Bench:
    """Work that doubles numbers, and holds each batch until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Semaphore(0)

    async def work(self, batch: Sequence[int]) -> list[int]:
        self.batches.append(list(batch))
        await self.go.acquire()
        if 13 in batch:
            raise ValueError("unlucky")
        return [2 * item for item in batch]


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_lone_item_is_worked_on_at_once() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.go.release()
        batcher = Batcher(bench.work, max_batch=10, enough=10, max_waiting=10)
        assert await batcher.submit(21) == 42
        assert bench.batches == [[21]]

    asyncio.run(scenario())


def test_what_arrives_during_one_batch_forms_the_next() -> None:
    async def scenario() -> None:
        bench = Bench()
        batcher = Batcher(bench.work, max_batch=10, enough=10, max_waiting=10)
        waiters = [batcher.submit(1)]
        await _settle()
        waiters += [batcher.submit(item) for item in (2, 3, 4)]
        await _settle()
        assert bench.batches == [[1]]
        for _ in range(2):
            bench.go.release()
        assert await asyncio.gather(*waiters) == [2, 4, 6, 8]
        assert bench.batches == [[1], [2, 3, 4]]
        assert batcher.waiting == 0

    asyncio.run(scenario())


def test_no_batch_is_larger_than_allowed() -> None:
    async def scenario() -> None:
        bench = Bench()
        batcher = Batcher(bench.work, max_batch=2, enough=2, max_waiting=10)
        for _ in range(3):
            bench.go.release()
        assert await asyncio.gather(*map(batcher.submit, range(5))) == [0, 2, 4, 6, 8]
        assert bench.batches == [[0, 1], [2, 3], [4]]

    asyncio.run(scenario())


def test_items_of_unequal_size_fill_a_batch_by_their_sizes() -> None:
    async def scenario() -> None:
        batches: list[list[str]] = []

        async def work(batch: Sequence[str]) -> Sequence[str]:
            batches.append(list(batch))
            return batch

        batcher = Batcher(work, max_batch=4, enough=4, max_waiting=10, size_of=len)
        await asyncio.gather(*map(batcher.submit, ("ab", "cd", "e", "fghijk", "l", "mno", "p")))
        assert batches == [["ab", "cd"], ["e"], ["fghijk"], ["l", "mno"], ["p"]]

    asyncio.run(scenario())


def test_a_batch_takes_what_the_event_loop_has_yet_to_read() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.go.release()
        batcher = Batcher(bench.work, max_batch=10, enough=10, max_waiting=10)
        first = batcher.submit(1)
        # One turn later, as if a request had been read from its socket and parsed.
        await asyncio.sleep(0)
        second = batcher.submit(2)
        assert (await first, await second) == (2, 4)
        assert bench.batches == [[1, 2]]

    asyncio.run(scenario())


def test_a_full_queue_refuses_at_once_and_serves_the_others() -> None:
    async def scenario() -> None:
        bench = Bench()
        batcher = Batcher(bench.work, max_batch=10, enough=10, max_waiting=2)
        waiters = [batcher.submit(item) for item in (1, 2)]
        with pytest.raises(Overloaded):
            await batcher.submit(3)
        bench.go.release()
        assert await asyncio.gather(*waiters) == [2, 4]

    asyncio.run(scenario())


def test_a_failed_batch_fails_its_own_items_and_no_others() -> None:
    async def scenario() -> None:
        bench = Bench()
        batcher = Batcher(bench.work, max_batch=2, enough=2, max_waiting=10)
        for _ in range(2):
            bench.go.release()
        results = await asyncio.gather(*map(batcher.submit, (1, 13, 2)), return_exceptions=True)
        assert [type(result) for result in results] == [ValueError, ValueError, int]

    asyncio.run(scenario())


def test_a_wrong_number_of_results_is_an_error_and_not_a_hang() -> None:
    async def scenario() -> None:
        async def forgetful(_: Sequence[int]) -> list[int]:
            return []

        batcher = Batcher(forgetful, max_batch=2, enough=2, max_waiting=10)
        with pytest.raises(ValueError, match="shorter"):
            await batcher.submit(1)

    asyncio.run(scenario())


def test_a_waiter_that_is_cancelled_leaves_its_neighbours_unaffected() -> None:
    async def scenario() -> None:
        bench = Bench()
        batcher = Batcher(bench.work, max_batch=10, enough=10, max_waiting=10)
        first, second = (batcher.submit(item) for item in (1, 2))
        await _settle()
        first.cancel()
        bench.go.release()
        assert await second == 4

    asyncio.run(scenario())


def test_closing_waits_for_everything_that_was_submitted() -> None:
    async def scenario() -> None:
        bench = Bench()
        batcher = Batcher(bench.work, max_batch=1, enough=1, max_waiting=10)
        waiters = [batcher.submit(item) for item in (1, 2)]
        await _settle()
        for _ in range(2):
            bench.go.release()
        await batcher.close()
        assert [waiter.done() for waiter in waiters] == [True, True]

    asyncio.run(scenario())


def test_what_is_enough_is_not_held_back_for_more() -> None:
    async def scenario() -> None:
        bench = Bench()
        batcher = Batcher(bench.work, max_batch=10, enough=2, max_waiting=10)
        waiters = [batcher.submit(item) for item in (1, 2)]
        await asyncio.sleep(0)
        waiters.append(batcher.submit(3))
        await _settle()
        assert bench.batches == [[1, 2]]
        for _ in range(2):
            bench.go.release()
        assert await asyncio.gather(*waiters) == [2, 4, 6]

    asyncio.run(scenario())
