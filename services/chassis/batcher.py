"""Natural batching: what arrives while one batch is being worked on forms the next."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from services.chassis.errors import Overloaded

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Coalesce concurrent items into batches, with no timer and no waiting for company.

    A lone item is worked on at once; the busier it gets, the more items share one batch. Lives on one event loop.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        max_batch: int,
        max_waiting: int,
        enough: int,
        size_of: Callable[[Item], int] = lambda _: 1,
    ) -> None:
        """Take the work to do: it gets a batch, and gives one result for each item in the same order.

        A batch is full when the sizes of its items come to `max_batch`; a single item may be larger. When they come to
        `enough`, it is not held back for others that are being read from their sockets.
        """
        self._work = work
        self._max_batch = max_batch
        self._enough = enough
        self._max_waiting = max_waiting
        self._size_of = size_of
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._waiting_size = 0
        self._worker: asyncio.Task[None] | None = None

    def submit(self, item: Item) -> "asyncio.Future[Result]":
        """Return what will be the item's result, once its batch is done; items are worked on in the order they come.

        Raises:
            Overloaded: at once, where `max_waiting` items wait already.
            Exception: what the work raised, for every item of its batch.
        """
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded("Too many requests are waiting; nothing was done for this one.")
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        self._waiting_size += self._size_of(item)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work_off())
        return done

    @property
    def waiting(self) -> int:
        """How many items wait for their batch to begin."""
        return len(self._waiting)

    async def close(self) -> None:
        """Return once everything that was submitted has been worked off."""
        if self._worker is not None:
            await self._worker

    async def _work_off(self) -> None:
        while self._waiting:
            await self._all_that_has_arrived()
            if batch := self._next_batch():
                await self._work_on(batch)
        self._worker = None

    async def _all_that_has_arrived(self) -> None:
        """Return when two turns of the event loop, one to read from sockets and one to parse, bring nothing more."""
        seen = 0
        while seen < len(self._waiting) and self._waiting_size < self._enough:
            seen = len(self._waiting)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def _next_batch(self) -> list[tuple[Item, "asyncio.Future[Result]"]]:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        size = 0
        while self._waiting:
            item, done = self._waiting[0]
            size += self._size_of(item)
            if batch and size > self._max_batch:
                break
            self._waiting.popleft()
            self._waiting_size -= self._size_of(item)
            # Nobody waits any more for what was cancelled before its turn came.
            if not done.cancelled():
                batch.append((item, done))
        return batch

    async def _work_on(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._work([item for item, _ in batch])
            settled = list(zip(batch, results, strict=True))
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            for _, done in batch:
                if not done.done():
                    done.set_exception(error)
            return
        for (_, done), result in settled:
            # A waiter that was cancelled has no use for its result any more.
            if not done.done():
                done.set_result(result)
