"""One table behind one small interface; one module for each engine."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

from services.chassis.errors import CannotStart

# A record as its service validated it: field name to value. Decimals are kept as text, so nothing is rounded.
Record = Mapping[str, Any]
# A record as a store gives it back: the same fields, and `id` always among them.
Row = dict[str, int | str]

# The greatest id that fits a signed 64-bit integer, which is what every engine keeps an id in.
MAX_ID = 2**63 - 1


# What became of one record: the last three mean that it was not stored.
Outcome = Literal["created", "unchanged", "conflict", "duplicate", "no-id-left"]


class Inserted(NamedTuple):
    """What became of a batch: the id that each record was sent or given, and, by position, what was not created.

    One that had no id and was not created has 0. For each duplicate there is, by position, the id that holds its
    values.
    """

    ids: Sequence[int]
    others: Mapping[int, Outcome]
    holders: Mapping[int, int] = MappingProxyType({})


class Store(Protocol):
    """One table of one database, owned by one service. Every method may raise `Unavailable` or `StorageFull`."""

    async def open(self) -> None:
        """Make or open the database; raise `CannotStart` where it can't be used."""

    async def close(self) -> None:
        """Finish what was begun, and let the database go."""

    async def insert(self, records: Sequence[Record]) -> Inserted:
        """Insert all records in one transaction; return what became of each, or raise `OutcomeUnknown`, too.

        A record without an id is given the next one. What is created is on disk when this returns. `decision.decide`
        says what becomes of which, duplicates among them.
        """

    async def get(self, record_id: int) -> Row | None:
        """Return the record with that id."""

    async def page(self, after: int, limit: int, equal: Mapping[str, Any]) -> list[Row]:
        """Return up to `limit` records with an id above `after` and those values, by id."""

    async def ndjson(self, ids: Sequence[int]) -> bytes:
        """Return the records with those ids, each a line of JSON with its columns in order, by id, each once."""

    def export(self, after: int, limit: int | None, equal: Mapping[str, Any]) -> AsyncGenerator[bytes]:
        """Yield the records that `page` would return, all of them without a limit, as `ndjson` writes them, by id.

        They come in blocks of whole lines, none of them empty, and all are of one snapshot: what was committed before
        the first block was asked for, and nothing that is committed later. The snapshot is held until the generator
        has ended or is closed, and no thread between two blocks. Raises where a block can't be read.
        """

    async def missing(self, ids: Sequence[int]) -> list[int]:
        """Return those of the ids that no record has, ascending, each once."""

    async def count(self) -> int:
        """Return how many records there are."""

    async def check(self) -> None:
        """Raise `StoreUnavailable` where records could not be stored now."""


def make_store(database_url: str, table: str, columns: Mapping[str, type], unique: Sequence[str] = ()) -> Store:
    """Return the closed store that the URL's scheme asks for; raise `CannotStart` for one that is not known.

    A record whose values of the `unique` columns, taken together, another id holds is a duplicate, and not stored. The
    store decides that itself, in the transaction that inserts; the table has no constraint. What held the same values
    before stays, and the lowest of their ids is the one that is named.
    """
    scheme, _, rest = database_url.partition("://")
    # Imported here, so that a service loads the driver of the engine it uses and no other.
    if scheme in {"postgresql", "postgres"}:
        from services.chassis.store.postgres import PostgresStore  # noqa: PLC0415

        return PostgresStore(database_url, table, columns, unique)
    path = rest.removeprefix("/")
    if scheme != "sqlite" or path in {"", rest}:
        raise CannotStart("DATABASE_URL must look like sqlite:///path/to/file.db or postgresql://host/database.")
    from services.chassis.store.sqlite import SqliteStore  # noqa: PLC0415

    return SqliteStore(path, table, columns, unique)
