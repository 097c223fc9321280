"""Asks users and products which ids exist, many in one request, and remembers those that do."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from time import perf_counter
from typing import NamedTuple

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from services.chassis import request_id
from services.chassis.batcher import Batcher
from services.chassis.errors import Reason, ReferenceCheckUnavailable
from services.chassis.metrics import Metrics
from services.chassis.resource import Check, Unknown
from services.chassis.store import Record
from services.orders.addresses import Addresses
from services.orders.settings import OrdersSettings

_log = logging.getLogger(__name__)
# What an id takes in a look-up at the most: nineteen digits and a comma.
_LONGEST_ID_BYTES = 20


class _Missing(BaseModel):
    """What a look-up answers."""

    model_config = ConfigDict(strict=True)
    missing: set[int]


class _Share(NamedTuple):
    """What one request wants to know, and its id."""

    ids: Sequence[int]
    request_id: str


class Directory:
    """What one other service says of its ids."""

    def __init__(
        self, service: str, urls: str, client: httpx.AsyncClient, settings: OrdersSettings, metrics: Metrics
    ) -> None:
        """Take where to ask; nothing is asked yet."""
        self._service = service
        self._addresses = Addresses(urls)
        self._client = client
        self._metrics = metrics
        self._timeout_s = settings.lookup_timeout_s
        self._max_known = settings.max_known_ids
        # Records are never deleted, so a "yes" holds for ever. A "no" does not, and is not kept.
        self._known: set[int] = set()
        self._max_ids = settings.max_lookup_ids
        self._lookups: Batcher[_Share, set[int]] = Batcher(
            self._ask,
            max_batch=self._max_ids,
            max_waiting=settings.max_waiting,
            # A call costs its other end as much as a commit does, so it is for as many as there are.
            enough=self._max_ids,
            size_of=lambda share: len(share.ids),
        )

    def unknown(self, ids: set[int]) -> set[int]:
        """Return those of the ids that are not known to exist, and have to be asked for."""
        return ids - self._known

    async def missing(self, unknown: set[int]) -> set[int]:
        """Return those of the ids that do not exist; raise `ReferenceCheckUnavailable` where nobody can say."""
        ids, missing = list(unknown), set[int]()
        for first in range(0, len(ids), self._max_ids):
            share = _Share(ids[first : first + self._max_ids], request_id.current.get())
            missing |= await self._lookups.submit(share)
        return missing

    async def _ask(self, shares: Sequence[_Share]) -> list[set[int]]:
        """Return for each share of ids those that are missing."""
        wanted = set(chain.from_iterable(share.ids for share in shares))
        # One call for many requests bears the ids of them all.
        request_id.current.set(request_id.joined(share.request_id for share in shares))
        missing = await self._missing_among(wanted)
        self._remember(wanted - missing)
        return [missing.intersection(share.ids) for share in shares]

    async def _missing_among(self, wanted: set[int]) -> set[int]:
        """Return those of the ids that are missing, as the first address says that has a usable answer."""
        ids = sorted(wanted)
        failure: Exception | None = None
        deadline_s = perf_counter() + self._timeout_s
        for address, sharing in self._addresses.in_turn():
            began_s = perf_counter()
            try:
                # A deadline for the whole call: httpx's own time-outs start again with every byte that arrives.
                async with asyncio.timeout((deadline_s - began_s) / sharing):
                    answer = await self._post(address, {"ids": ids})
                return _Missing.model_validate_json(answer).missing
            except (httpx.HTTPError, TimeoutError, ValidationError) as error:
                failure = error
                self._note_failure(address, error)
            finally:
                self._metrics.lookup_s[self._service].observe(perf_counter() - began_s)
        raise _unavailable() from failure

    def _note_failure(self, address: str, error: Exception) -> None:
        self._addresses.failed(address)
        self._metrics.lookup_failures[self._service] += 1
        # Without what may stand in it of names and passwords.
        where = httpx.URL(address).netloc.decode()
        why = type(error).__name__
        _log.warning("look-up failed", extra={"fields": {"service": self._service, "address": where, "why": why}})

    async def _post(self, address: str, body: object) -> bytes:
        """Return what is answered under 200, and no more of it than a whole answer can have."""
        answer = b""
        headers = {request_id.HEADER: request_id.current.get()}
        url = f"{address}/{self._service}/lookup"
        async with self._client.stream("POST", url, json=body, headers=headers) as response:
            response.raise_for_status()
            async for piece in response.aiter_bytes():
                answer += piece
                if len(answer) > _LONGEST_ID_BYTES * (self._max_ids + 1):
                    break
        return answer

    def _remember(self, ids: set[int]) -> None:
        self._known |= ids
        while len(self._known) > self._max_known:
            self._known.pop()


@asynccontextmanager
async def open_references(settings: OrdersSettings, metrics: Metrics) -> AsyncIterator[Check]:
    """Yield the check of an order's references; it names every one that does not exist."""
    # Services talk to each other directly, whatever proxy the environment names.
    async with httpx.AsyncClient(trust_env=False, timeout=settings.lookup_timeout_s, headers=_key(settings)) as client:
        directories = {
            "user": Directory("users", settings.users_url, client, settings, metrics),
            "product": Directory("products", settings.products_url, client, settings, metrics),
        }

        async def missing(unknown: dict[str, set[int]]) -> dict[str, set[int]]:
            # For those, too, that wait for a call which has not begun.
            async with asyncio.timeout(settings.lookup_timeout_s):
                found = await asyncio.gather(*(directories[noun].missing(ids) for noun, ids in unknown.items()))
            return {noun: ids for noun, ids in zip(unknown, found, strict=True) if ids}

        async def check(orders: Sequence[Record]) -> Unknown:
            unknown = {
                noun: there.unknown({order[f"{noun}_id"] for order in orders}) for noun, there in directories.items()
            }
            # Most often all are known, and nothing has to be prepared for a call.
            if not any(unknown.values()):
                return {}
            try:
                absent = await missing(unknown)
            except TimeoutError as error:
                raise _unavailable() from error
            if not absent:
                return {}
            reasons = [
                [
                    does_not_exist(noun, order[f"{noun}_id"])
                    for noun, ids in absent.items()
                    if order[f"{noun}_id"] in ids
                ]
                for order in orders
            ]
            return {position: found for position, found in enumerate(reasons) if found}

        yield check


def does_not_exist(noun: str, record_id: int) -> Reason:
    """Return why an order is refused that refers to this id."""
    return Reason(f"{noun}_id", f"{noun} {record_id} does not exist")


def _key(settings: OrdersSettings) -> dict[str, str]:
    if settings.lookup_api_key is None:
        return {}
    return {"authorization": f"Bearer {settings.lookup_api_key.get_secret_value()}"}


def _unavailable() -> ReferenceCheckUnavailable:
    return ReferenceCheckUnavailable("The services that own the references could not be asked.")
