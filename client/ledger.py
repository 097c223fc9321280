"""What a large run has to remember: in a temporary database that leaves memory as it is, and goes with the process."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock

from client.batches import Batch
from client.records import SERVICES, Record, Result


class Ledger:
    """Ids that were read, rows that have to wait for others, and records that were not stored; for many threads.

    Iterating gives the results of those that were not stored, by service and line.
    """

    def __init__(self) -> None:
        """Open an empty ledger."""
        # Without a name, SQLite keeps a database in memory as long as it is small, and in a temporary file beyond that.
        self._db = sqlite3.connect("", check_same_thread=False)
        self._lock = Lock()
        self._db.executescript(
            "CREATE TABLE seen (service TEXT, id INTEGER, PRIMARY KEY (service, id)) WITHOUT ROWID;"
            "CREATE TABLE later (service TEXT, file TEXT, line, row BLOB, id INTEGER);"
            "CREATE TABLE not_stored (service INTEGER, line, result TEXT)"
        )

    def not_seen(self, service: str, ids: Sequence[int]) -> list[int]:
        """Return the places of the ids that are new, each once, and take them down."""
        with self._lock, self._db:
            known = self._db.execute(
                "SELECT id FROM seen WHERE service = ? AND id IN (SELECT value FROM json_each(?))",
                (service, json.dumps(list(ids))),
            )
            seen = {record_id for (record_id,) in known}
            first_places = {record_id: place for place, record_id in reversed(list(enumerate(ids)))}
            new = sorted(place for record_id, place in first_places.items() if record_id not in seen)
            added = [(service, ids[place]) for place in new]
            self._db.executemany("INSERT INTO seen VALUES (?, ?)", added)
            return new

    def put_off(self, batch: Batch) -> None:
        """Keep rows for later."""
        columns = (batch.lines, batch.rows, batch.ids)
        rows = [(batch.service, batch.file, *row) for row in zip(*columns, strict=True)]
        with self._lock, self._db:
            self._db.executemany("INSERT INTO later VALUES (?, ?, ?, ?, ?)", rows)

    def kept_for_later(self, service: str, size: int) -> Iterator[Batch]:
        """Yield what was put off, in that order, `size` at a time."""
        after = 0
        sql = "SELECT rowid, file, line, row, id FROM later WHERE service = ? AND rowid > ? ORDER BY rowid LIMIT ?"
        while True:
            with self._lock:
                found = self._db.execute(sql, (service, after, size)).fetchall()
            if not found:
                return
            numbers, files, lines, rows, ids = zip(*found, strict=True)
            after = numbers[-1]
            yield Batch(service, files[0], lines, rows, ids)

    def add(self, batch: Batch, not_stored: Mapping[int, Result]) -> None:
        """Take down what became of some of the batch's rows, by place."""
        rows = [
            (SERVICES.index(batch.service), batch.lines[place], _as_text(result))
            for place, result in not_stored.items()
        ]
        with self._lock, self._db:
            self._db.executemany("INSERT INTO not_stored VALUES (?, ?, ?)", rows)

    def __iter__(self) -> Iterator[Result]:
        # The items of an array come in its order: `1[10]` after `1[9]`.
        place = "CAST(substr(line, instr(line, '[') + 1) AS INTEGER)"
        for service, text in self._db.execute(f"SELECT service, result FROM not_stored ORDER BY service, {place}"):
            yield _from_text(SERVICES[service], text)


def _as_text(result: Result) -> str:
    record = result.record
    times = (result.began_s, result.ended_s)
    return json.dumps(
        (record.origin, record.id, result.outcome, result.status, result.reasons, result.attempts, *times)
    )


def _from_text(service: str, text: str) -> Result:
    origin, record_id, outcome, status, reasons, attempts, began_s, ended_s = json.loads(text)
    record = Record(service, origin, b"", record_id)
    return Result(record, outcome, status, tuple(reasons), attempts=attempts, began_s=began_s, ended_s=ended_s)
