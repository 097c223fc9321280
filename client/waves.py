"""A file's rows in the order in which they may be sent, so that what becomes of them is the same every time."""

from collections.abc import Iterator
from pathlib import Path

from client.batches import Batch, batches_of
from client.ledger import Ledger


class Waves:
    """One service's rows: each id's first record, then second ones in their order, then records without an id.

    Records without an id come last, since the ids that they are given would else be taken from others. All raise
    `InputError` where the file can't be read any further.
    """

    def __init__(self, file: Path, service: str, size: int, ledger: Ledger) -> None:
        """Take the file, how many rows go in a batch, and where to remember ids and second records."""
        self._file = file
        self._service = service
        self._size = size
        self._ledger = ledger
        # The ids so far, as long as they follow each other without a gap: then no other memory is needed.
        self._run = range(0)
        self._in_order = True
        self._some_without_id = False
        # Rows that have been read, and which part of the file; in one piece, for who asks from another thread.
        self._read = (0, 0.0)
        self._read_to_end = False

    def first(self) -> Iterator[Batch]:
        """Yield each id's first record; these batches may be sent in any order."""
        for batch in batches_of(self._file, self._service, self._size):
            self._read = (self._read[0] + len(batch.rows), batch.read_share)
            self._in_order = self._in_order and self._goes_on_with(batch)
            new = batch if self._in_order else self._new_in(batch)
            if new.rows:
                yield new
        self._read_to_end = True

    def rows_in_all(self) -> tuple[int, bool]:
        """Return how many rows the file has, and whether that is an estimate, as it is until the file has been read."""
        rows, share = self._read
        estimate = max(rows, round(rows / share)) if share else 0
        return (rows, False) if self._read_to_end else (estimate, True)

    def second(self) -> Iterator[Batch]:
        """Yield the other records of ids that occur more than once, to be sent in this order."""
        return self._ledger.kept_for_later(self._service, self._size)

    def without_id(self) -> Iterator[Batch]:
        """Yield the records without an id; these batches may be sent in any order."""
        for batch in batches_of(self._file, self._service, self._size) if self._some_without_id else ():
            without = batch.only([place for place, record_id in enumerate(batch.ids) if record_id is None])
            if without.rows:
                yield without

    def _goes_on_with(self, batch: Batch) -> bool:
        start = self._run.stop if self._run else batch.ids[0]
        if start is None or batch.ids != list(range(start, start + len(batch.ids))):
            return False
        self._run = range(self._run.start if self._run else start, start + len(batch.ids))
        return True

    def _new_in(self, batch: Batch) -> Batch:
        """Return the batch with each id's first record alone; put off second ones."""
        ids = {place: record_id for place, record_id in enumerate(batch.ids) if record_id is not None}
        self._some_without_id |= len(ids) < len(batch.ids)
        not_in_run = [place for place, record_id in ids.items() if record_id not in self._run]
        new = [not_in_run[at] for at in self._ledger.not_seen(self._service, [ids[place] for place in not_in_run])]
        if second := sorted(ids.keys() - set(new)):
            self._ledger.put_off(batch.only(second))
        return batch.only(new)
