"""Asks users and products which ids exist, many in one request, and remembers those that do."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from services.chassis.batcher import Batcher
from services.chassis.errors import Reason, ReferenceCheckUnavailable
from services.chassis.resource import Check
from services.chassis.store import Record
from services.orders.settings import OrdersSettings

# More than any look-up has to say: a thousand ids of twenty digits.
_LONGEST_ANSWER_BYTES = 65_536


class _Missing(BaseModel):
    """What a look-up answers."""

    model_config = ConfigDict(strict=True)
    missing: set[int]


class Directory:
    """What one other service says of its ids."""

    def __init__(self, lookup_url: str, client: httpx.AsyncClient, settings: OrdersSettings) -> None:
        """Take where to ask; nothing is asked yet."""
        self._url = lookup_url
        self._client = client
        self._timeout_s = settings.lookup_timeout_s
        self._max_known = settings.max_known_ids
        # Records are never deleted, so a "yes" holds for ever. A "no" does not, and is not kept.
        self._known: OrderedDict[int, None] = OrderedDict()
        self._lookups: Batcher[int, bool] = Batcher(
            self._ask, max_batch=settings.max_lookup_ids, max_waiting=settings.max_waiting
        )

    async def has(self, record_id: int) -> bool:
        """Tell whether the id exists; raise `ReferenceCheckUnavailable` where nobody can say."""
        return record_id in self._known or await self._lookups.submit(record_id)

    async def _ask(self, ids: Sequence[int]) -> list[bool]:
        wanted = set(ids)
        try:
            # A deadline for the whole call: httpx's own time-outs start again with every byte that arrives.
            async with asyncio.timeout(self._timeout_s):
                missing = _Missing.model_validate_json(await self._post({"ids": sorted(wanted)})).missing
        except (httpx.HTTPError, TimeoutError, ValidationError) as error:
            raise _unavailable() from error
        self._remember(wanted - missing)
        return [record_id not in missing for record_id in ids]

    async def _post(self, body: object) -> bytes:
        """Return what is answered under 200, and no more of it than a whole answer can have."""
        answer = b""
        async with self._client.stream("POST", self._url, json=body) as response:
            response.raise_for_status()
            async for piece in response.aiter_bytes():
                answer += piece
                if len(answer) > _LONGEST_ANSWER_BYTES:
                    break
        return answer

    def _remember(self, ids: set[int]) -> None:
        self._known.update(dict.fromkeys(ids))
        while len(self._known) > self._max_known:
            self._known.popitem(last=False)


@asynccontextmanager
async def open_references(settings: OrdersSettings) -> AsyncIterator[Check]:
    """Yield the check of an order's references; it names every one that does not exist."""
    # Services talk to each other directly, whatever proxy the environment names.
    async with httpx.AsyncClient(trust_env=False, timeout=settings.lookup_timeout_s) as client:
        directories = {
            "user": Directory(f"{settings.users_url}/users/lookup", client, settings),
            "product": Directory(f"{settings.products_url}/products/lookup", client, settings),
        }

        async def missing_references(order: Record) -> list[Reason]:
            ids = {noun: order[f"{noun}_id"] for noun in directories}
            exist = await asyncio.gather(*(directories[noun].has(ids[noun]) for noun in ids))
            return [
                Reason(f"{noun}_id", f"{noun} {ids[noun]} does not exist")
                for noun, exists in zip(ids, exist, strict=True)
                if not exists
            ]

        async def check(orders: Sequence[Record]) -> list[list[Reason]]:
            try:
                # For those, too, that wait for a call which has not begun.
                async with asyncio.timeout(settings.lookup_timeout_s):
                    return list(await asyncio.gather(*map(missing_references, orders)))
            except TimeoutError as error:
                raise _unavailable() from error

        yield check


def _unavailable() -> ReferenceCheckUnavailable:
    return ReferenceCheckUnavailable("The services that own the references could not be asked.")
