"""Whole tables as answers: so many at a time, none for ever, and cut off where one can't be given to its end."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from services.chassis.errors import Overloaded, ServiceError
from services.chassis.store import Store

# Each holds a connection with its files and its cache for as long as its reader takes.
MAX_EXPORTS = 32
_log = logging.getLogger(__name__)


class Exports:
    """The exports of one table that are under way."""

    def __init__(self, store: Store, timeout_s: float) -> None:
        """Take the table's store, and how long an export may take."""
        self._store = store
        self._timeout_s = timeout_s
        self._running = 0

    async def answer(
        self, after: int, limit: int | None, equal: Mapping[str, Any], media_type: str, *, head_only: bool
    ) -> Response:
        """Return an answer that reads the records while it is sent, and ends that when nobody listens any more.

        Raises:
            Overloaded: too many are under way.
            Unavailable, StorageFull: the first records can't be read.
        """
        if self._running == MAX_EXPORTS:
            raise Overloaded("Too many exports are under way.")
        blocks = self._counted(self._store.export(after, limit, equal))
        # What can't be begun is still answered as a problem.
        first = await anext(blocks, b"")
        if head_only:
            await blocks.aclose()
        return _Export(first, blocks, self._timeout_s, media_type)

    async def _counted(self, blocks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        self._running += 1
        try:
            async with aclosing(blocks):
                async for block in blocks:
                    yield block
        finally:
            self._running -= 1


class _Export(StreamingResponse):
    """The records, block by block."""

    def __init__(self, first: bytes, others: AsyncGenerator[bytes], timeout_s: float, media_type: str) -> None:
        super().__init__(_all_of(first, others), media_type=media_type)
        self._others = others
        self._timeout_s = timeout_s

    async def stream_response(self, send: Send) -> None:
        try:
            async with aclosing(self._others), asyncio.timeout(self._timeout_s):
                await super().stream_response(send)
        except (ServiceError, TimeoutError) as error:
            # The server closes the connection of an answer that was not ended, so nobody takes a part for the whole.
            why = error.detail if isinstance(error, ServiceError) else "It took too long."
            _log.warning("an export was cut off", extra={"fields": {"why": why}})


async def _all_of(first: bytes, others: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for block in others:
        yield block
