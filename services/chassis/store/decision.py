"""What becomes of the records of one transaction: the same for every engine, decided before any is added."""

from collections.abc import Sequence
from decimal import Decimal
from operator import itemgetter
from typing import NamedTuple

from services.chassis.store import MAX_ID, Inserted, Outcome, Record, Row

# The values of a record that no other may hold, in the order of their columns; without such columns there are none.
Values = tuple[int | str | Decimal, ...]


class Found(NamedTuple):
    """What of the table the decision depends on: the greatest id, and who has the records' ids and holds their values.

    Of many that hold the same values, which they did before that was refused, it is the one with the lowest id.
    """

    greatest_id: int
    held: dict[int, Row]
    holders: dict[Values, int]


class Decided(NamedTuple):
    """The rows to add, with their ids, and what became of every record."""

    rows: list[Record]
    inserted: Inserted


def decide(records: Sequence[Record], values: Sequence[Values], found: Found) -> Decided:
    """Decide record by record, and add to what was found what is to be created.

    Records come in the order of their ids, of those that share one the first of the batch first, and those without an
    id last: they are given the next ones. What is refused takes no id, and holds nothing.
    """
    greatest_id, held, holders = found
    ids = [record.get("id", 0) for record in records]
    rows: list[Record] = []
    others: dict[int, Outcome] = {}
    named: dict[int, int] = {}
    for position in sorted(range(len(records)), key=lambda position: ids[position] or MAX_ID + 1):
        record = records[position]
        if ids[position] in held:
            others[position] = "unchanged" if as_stored(record) == held[ids[position]] else "conflict"
            continue
        if holder := holders.get(values[position]):
            others[position], named[position] = "duplicate", holder
            continue
        if not ids[position]:
            if greatest_id == MAX_ID:
                others[position] = "no-id-left"
                continue
            ids[position] = greatest_id + 1
            record = {"id": ids[position], **record}
        greatest_id = max(greatest_id, ids[position])
        rows.append(record)
        held[ids[position]] = as_stored(record)
        if values[position]:
            holders[values[position]] = ids[position]
    return Decided(rows, Inserted(ids, others, named))


def with_ids(records: Sequence[Record], greatest: int) -> tuple[Sequence[Record], list[int]]:
    """Return the records and their ids; those that had none have the next ones, which may pass MAX_ID."""
    try:
        return records, list(map(itemgetter("id"), records))
    except KeyError:
        greatest = max(greatest, *(record.get("id", 0) for record in records), 0)
    rows: list[Record] = []
    for record in records:
        if "id" not in record:
            greatest += 1
            record = {"id": greatest, **record}  # noqa: PLW2901 - the record as it is stored
        rows.append(record)
    return rows, [row["id"] for row in rows]


def as_stored(record: Record) -> Row:
    """Return the record with the values that a store gives back: whole numbers, and text for everything else."""
    return {name: value if isinstance(value, int) else str(value) for name, value in record.items()}
