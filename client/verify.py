"""Verifying: every order's user and product exist, and the services hold what an input says; nothing is sent.

Whatever is read comes by id, so that two long streams are compared by going along both, and neither is ever held.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

from client.batches import Batch
from client.read_back import normal
from client.records import SERVICES
from client.services import Unreadable
from client.spool import Difference, Kind, Spool

# Orders come first: ids are never deleted, so what an order refers to is still there when users and products are read
# after it. The other way round, an order stored meanwhile would look as if its user was missing.
_IN_ORDER = ("orders", "users", "products")
_BEYOND_IDS = 2**63

Record = Mapping[str, Any]
# All of a service's records by id, a line of JSON each, some at a time; raises `Unreadable`.
Export = Callable[[], Iterator[Sequence[bytes]]]
# A stored record: its id, its line and what that says.
Stored = tuple[int, bytes, Record]
# A record of an input: its id, its origin and its line.
Wanted = tuple[int, str, bytes]


@dataclass(slots=True)
class Summary:
    """What one service holds (None where not all of it could be read), and how many of an input there are."""

    held: int | None = None
    # None where the service was compared with no input.
    in_input: int | None = None
    differences: Counter[Kind] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found. `unreadable` says in words what could not be read."""

    summaries: Mapping[str, Summary]
    differences: Iterable[Difference]
    unreadable: Sequence[str]

    @property
    def count(self) -> int:
        """How many differences there are."""
        return sum(summary.differences.total() for summary in self.summaries.values())

    @property
    def well(self) -> bool:
        """Whether everything could be read and nothing differs."""
        return not self.unreadable and not self.count


def verify(exports: Mapping[str, Export], inputs: Mapping[str, Iterable[Batch]]) -> Verified:
    """Read all services, and compare those that have an input with it; raise `InputError` where one can't be read."""
    spool = Spool()
    summaries = {name: Summary() for name in SERVICES}
    unreadable = []

    def note(difference: Difference) -> None:
        summaries[difference.service].differences[difference.kind] += 1
        spool.add(difference)

    for name in _IN_ORDER:
        summary = summaries[name]
        if name in inputs:
            # Before the service is asked, so that what it gives is read without a pause.
            summary.in_input = spool.take_input(inputs[name])
        try:
            summary.held = _read(name, exports[name](), spool, note, compare=name in inputs)
        except Unreadable as error:
            unreadable.append(str(error))
    found = {name: summary.held is not None for name, summary in summaries.items()}
    for order_id, *missing in spool.orphans(users=found["users"], products=found["products"]):
        named = zip(("user", "product"), missing, strict=True)
        note(Difference("orders", order_id, "orphaned", missing=tuple(f"{kind} {id_}" for kind, id_ in named if id_)))
    return Verified(summaries, spool, unreadable)


def _read(
    name: str, export: Iterator[Sequence[bytes]], spool: Spool, note: Callable[[Difference], None], *, compare: bool
) -> int:
    """Read a service to its end; return how many records it holds."""
    held = 0

    def stored() -> Iterator[Stored]:
        nonlocal held
        last = 0
        for lines in export:
            records = _records(name, lines, last)
            spool.hold(name, records)
            held += len(records)
            last = records[-1]["id"]
            yield from zip(map(itemgetter("id"), records), lines, records, strict=True)

    if not compare:
        for _ in stored():
            pass
        return held
    spool.expect((_content(normal(0, row)), origin) for origin, row in spool.input_without_id())
    for found, wanted in joined(stored(), spool.input_by_id()):
        # What came without an id is stored under one that the service chose.
        if found and not wanted and spool.is_expected(_content(found[2])):
            continue
        if difference := difference_of(name, found, wanted):
            note(difference)
    for origin in spool.still_expected():
        note(Difference(name, None, "not-stored", origin))
    return held


def _records(name: str, lines: Sequence[bytes], last: int) -> list[dict[str, Any]]:
    """Return what the lines say; raise `Unreadable` where they are no records with ascending ids above the last."""
    keys = ("id", "user_id", "product_id") if name == "orders" else ("id",)
    try:
        records: list[dict[str, Any]] = json.loads(b"[" + b",".join(lines) + b"]")
        usable = len(records) == len(lines) and all(_is_id(record[key]) for record in records for key in keys)
        ids = [last, *(record["id"] for record in records)]
    except (ValueError, LookupError, TypeError, RecursionError):
        usable, ids = False, []
    if not usable or any(after <= before for before, after in pairwise(ids)):
        raise Unreadable(f"{name} can't be read: it gives no records by id")
    return records


def _is_id(value: object) -> bool:
    return type(value) is int and 0 < value < _BEYOND_IDS


def _content(record: Record | None) -> str | None:
    """Return the record without its id, as text that is the same for the same content; None of what is no record."""
    if record is None:
        return None
    members = [(name, _whole(value)) for name, value in record.items() if name != "id"]
    return json.dumps(sorted(members))


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def joined(stored: Iterable[Stored], wanted: Iterable[Wanted]) -> Iterator[tuple[Stored | None, list[Wanted]]]:
    """Yield what is stored under each id, or nothing, with all that is wanted there; both must come by id."""
    groups = ((record_id, list(rows)) for record_id, rows in groupby(wanted, itemgetter(0)))
    following = next(groups, None)
    for one in stored:
        while following and following[0] < one[0]:
            yield None, following[1]
            following = next(groups, None)
        if following and following[0] == one[0]:
            yield one, following[1]
            following = next(groups, None)
        else:
            yield one, []
    while following:
        yield None, following[1]
        following = next(groups, None)


def difference_of(service: str, stored: Stored | None, wanted: Sequence[Wanted]) -> Difference | None:
    """Return how what is stored under an id differs from what is wanted there, or nothing where it does not.

    An input may say several things of one id, of which only one can be stored, and it does not matter which.
    """
    if stored is None:
        return Difference(service, wanted[0][0], "not-stored", wanted[0][1])
    record_id, line, record = stored
    if not wanted:
        return Difference(service, record_id, "not-in-input")
    if any(row.strip() == line or normal(record_id, row) == record for _, _, row in wanted):
        return None
    _, origin, row = wanted[0]
    said = normal(record_id, row) or {}
    fields = tuple(name for name in {**record, **said} if record.get(name, ...) != said.get(name, ...))
    return Difference(service, record_id, "stored-otherwise", origin, fields)
