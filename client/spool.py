"""What a verification remembers: in a temporary database that leaves memory as it is, and goes with the process."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from client.batches import Batch
from client.records import SERVICES

Kind = Literal["not-stored", "stored-otherwise", "not-in-input", "orphaned"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One record that is not as it should be, and how."""

    service: str
    # None of a record of the input that has none.
    id: int | None
    kind: Kind
    # Where the input says it (`users.csv:11`).
    origin: str = ""
    # The fields that are stored otherwise.
    fields: tuple[str, ...] = ()
    # What it refers to and does not exist.
    missing: tuple[str, ...] = ()


class Spool:
    """The input of one service at a time, what the services hold as far as it is referred to, and all differences.

    Iterating gives the differences, by service and id, those without an id last.
    """

    def __init__(self) -> None:
        """Open an empty spool."""
        # Without a name, SQLite keeps a database in memory as long as it is small, and in a temporary file beyond that.
        self._db = sqlite3.connect("", isolation_level=None)
        # Nothing of it is ever taken back, nor looked at by others: one transaction that never ends.
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("BEGIN")
        for table, columns in (
            ("input", "id INTEGER, line, file TEXT, row BLOB"),
            ("without_id", "content TEXT, origin TEXT"),
            ("users", "id INTEGER PRIMARY KEY"),
            ("products", "id INTEGER PRIMARY KEY"),
            ("orders", "id INTEGER PRIMARY KEY, user_id INTEGER, product_id INTEGER"),
            ("differences", "service INTEGER, id INTEGER, kind TEXT, origin TEXT, fields TEXT, missing TEXT"),
        ):
            self._db.execute(f"CREATE TABLE {table} ({columns})")
        self._db.execute("CREATE INDEX contents ON without_id (content)")

    def take_input(self, batches: Iterable[Batch]) -> int:
        """Hold these rows in place of those before; return how many they are."""
        self._db.execute("DELETE FROM input")
        self._db.execute("DELETE FROM without_id")
        for batch in batches:
            files = [batch.file] * len(batch.rows)
            rows = zip(batch.ids, batch.lines, files, batch.rows, strict=True)
            self._db.executemany("INSERT INTO input VALUES (?, ?, ?, ?)", rows)
        (count,) = self._db.execute("SELECT count(*) FROM input").fetchone()
        return int(count)

    def input_by_id(self) -> Iterator[tuple[int, str, bytes]]:
        """Yield the input's rows that have an id: id, origin and JSON, by id, and of one id as they stand there."""
        yield from self._db.execute(
            "SELECT id, file || ':' || line, row FROM input WHERE id IS NOT NULL ORDER BY id, rowid"
        )

    def input_without_id(self) -> Iterator[tuple[str, bytes]]:
        """Yield the origin and JSON of the input's rows that have no id."""
        yield from self._db.execute("SELECT file || ':' || line, row FROM input WHERE id IS NULL ORDER BY rowid")

    def expect(self, contents: Iterable[tuple[str | None, str]]) -> None:
        """Expect records of these contents, each with its origin, under any id."""
        self._db.executemany("INSERT INTO without_id VALUES (?, ?)", contents)

    def is_expected(self, content: str | None) -> bool:
        """Tell whether one more record of that content is expected, and expect one less."""
        first = "SELECT rowid FROM without_id WHERE content = ? LIMIT 1"
        return self._db.execute(f"DELETE FROM without_id WHERE rowid = ({first})", (content,)).rowcount > 0

    def still_expected(self) -> Iterator[str]:
        """Yield the origins of those that did not come."""
        return (origin for (origin,) in self._db.execute("SELECT origin FROM without_id ORDER BY rowid"))

    def hold(self, service: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Hold what of these records is referred to, or refers to others."""
        columns = ("id", "user_id", "product_id") if service == "orders" else ("id",)
        rows = [tuple(record[column] for column in columns) for record in records]
        self._db.executemany(f"INSERT INTO {service} VALUES ({', '.join('?' * len(columns))})", rows)

    def orphans(self, *, users: bool, products: bool) -> Iterator[tuple[int, int | None, int | None]]:
        """Yield each order whose user or product is missing, with their ids; only what is asked for is looked for."""
        yield from self._db.execute(
            "SELECT * FROM (SELECT id,"
            " CASE WHEN ? AND user_id NOT IN (SELECT id FROM users) THEN user_id END AS user_id,"
            " CASE WHEN ? AND product_id NOT IN (SELECT id FROM products) THEN product_id END AS product_id"
            " FROM orders) WHERE user_id IS NOT NULL OR product_id IS NOT NULL ORDER BY id",
            (users, products),
        )

    def add(self, difference: Difference) -> None:
        """Take down a difference."""
        lists = map(json.dumps, (difference.fields, difference.missing))
        values = (SERVICES.index(difference.service), difference.id, difference.kind, difference.origin, *lists)
        self._db.execute("INSERT INTO differences VALUES (?, ?, ?, ?, ?, ?)", values)

    def __iter__(self) -> Iterator[Difference]:
        for service, record_id, kind, origin, *lists in self._db.execute(
            "SELECT * FROM differences ORDER BY service, id IS NULL, id, rowid"
        ):
            yield Difference(SERVICES[service], record_id, kind, origin, *(tuple(json.loads(text)) for text in lists))
