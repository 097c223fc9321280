"""A thread that does one thing after another and replies to the event loop."""

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

Answer = TypeVar("Answer")

# What is to be done, and whom to tell; None ends the thread.
_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class Worker:
    """One thread for what must not be done by two at a time; an executor's takes twice as long for each reply."""

    def __init__(self, name: str) -> None:
        """Start nothing yet."""
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def do(self, what: Callable[[], Answer]) -> Answer:
        """Return what was done, or raise what it raised; it is done even if nobody waits for it any more."""
        reply: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._jobs.put((what, reply))
        return await reply

    async def close(self) -> None:
        """Return once all that was asked for is done and the thread has ended."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while job := self._jobs.get():
            what, reply = job
            try:
                answer, error = what(), None
            except BaseException as raised:  # noqa: BLE001 - whatever it is, whoever waits must hear of it
                answer, error = None, raised
            reply.get_loop().call_soon_threadsafe(_settle, reply, answer, error)


def _settle(reply: "asyncio.Future[Any]", answer: Any, error: BaseException | None) -> None:
    # Who was cancelled has no use for the reply any more.
    if reply.done():
        return
    if error:
        reply.set_exception(error)
    else:
        reply.set_result(answer)
