"""Who goes first: of records that hold the same values, the first of the input, however the threads are scheduled."""

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from threading import Event

from client.records import Record

# So often somebody who waits looks whether the run is over.
_LOOK_S = 0.2


class Precedence:
    """Which record each has to wait for, of those that are sent at the same time; for many threads."""

    def __init__(self, records: Iterable[Record], unique: Mapping[str, Sequence[str]]) -> None:
        """Take the records, in the order of the input, and by service the fields that are compared; often none are."""
        self._before: dict[Record, Event] = {}
        self._settled: dict[Record, Event] = {}
        last: dict[tuple[object, ...], Record] = {}
        for record in records:
            if not (values := _values_of(record, unique.get(record.service, ()))):
                continue
            if earlier := last.get((record.service, *values)):
                self._before[record] = self._settled[earlier] = Event()
            last[record.service, *values] = record

    def await_turn(self, record: Record, stop: Event) -> None:
        """Return once the record before has its answer, or the run is over."""
        before = self._before.get(record)
        while before and not before.wait(_LOOK_S) and not stop.is_set():
            pass

    def settle(self, record: Record) -> None:
        """Let the next one go, since this one has its answer, or will get none."""
        if event := self._settled.get(record):
            event.set()


def _values_of(record: Record, fields: Sequence[str]) -> tuple[object, ...]:
    """Return the record's values as its service compares them, or nothing where it has not got them all."""
    if not fields:
        return ()
    try:
        found = json.loads(record.body, parse_float=Decimal, parse_int=Decimal)
        return tuple(_as_compared(found[name]) for name in fields)
    except (ValueError, ArithmeticError, LookupError, TypeError, RecursionError):
        return ()


def _as_compared(value: object) -> str | Decimal:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str):
        return value.strip()
    raise TypeError("a service takes nothing else")
