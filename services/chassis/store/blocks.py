"""What an export gives, block by block, whatever the engine: each is read on a thread when it is asked for."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Executor

# How many rows are read at a time: a few milliseconds' work, so that other reads get their turn.
BLOCK_ROWS = 1_000


async def read_on(threads: Executor, blocks: Generator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the blocks; the generator runs on one of the threads at a time, and is closed there or here."""
    step = threads.submit(next, blocks, b"")
    try:
        while block := await asyncio.wrap_future(step):
            # Until the next one is asked for, which may be long, no thread is taken from other reads.
            yield block
            step = threads.submit(next, blocks, b"")
    finally:
        # Where this was cancelled, a thread may still be reading; then it is the one that closes the connection.
        step.add_done_callback(lambda _: blocks.close())
