"""What becomes of one batch: decided and added in one transaction, in as many attempts as it takes."""

from collections.abc import Sequence
from itertools import islice

import psycopg
from psycopg.errors import Diagnostic, SerializationFailure, TransactionResolutionUnknown

from services.chassis.store import MAX_ID, Inserted, Record
from services.chassis.store.decision import Decided, Found, as_stored, decide, with_ids
from services.chassis.store.postgres_connection import Connection
from services.chassis.store.postgres_errors import is_lost
from services.chassis.store.postgres_holders import PostgresHolders
from services.chassis.store.postgres_session import transaction
from services.chassis.store.postgres_table import PostgresTable


class InDoubt(Exception):
    """A commit was sent and its answer was lost; carries what had been decided."""

    def __init__(self, decided: Decided) -> None:
        super().__init__()
        self.decided = decided


class Insertion:
    """One batch, and what has been learned of it so far."""

    def __init__(
        self, table: PostgresTable, holders: PostgresHolders, records: Sequence[Record], *, looks_first: bool
    ) -> None:
        """Take the batch, and whether to look which ids are taken before any is added; nothing is done yet."""
        self._table = table
        self._holders = holders
        self._records = records
        # Ids keep themselves apart. What has other ids and the same values is kept apart by the database only where it
        # has to make all transactions come out as if they had been one after the other.
        self._kind = "SERIALIZABLE" if holders else "READ COMMITTED"
        self._looks_first = looks_first or bool(holders)
        # Until one fails: an id was taken, or an index of someone else's refuses a row. INSERT tells them apart.
        self._by_copy = True

    def attempt(self, db: Connection) -> Inserted:
        """Decide what becomes of each record, add what is to be created, and commit.

        Raises:
            InDoubt: the commit was sent, and nobody knows what became of it.
            psycopg.Error: nothing was added.
        """
        with transaction(db, self._kind, self._table.greatest_id_sql) as (greatest_id,):
            decided = self._decided(db, greatest_id)
            if not self._table.add(db, decided.rows, by_copy=self._by_copy):
                self._looks_first, self._by_copy = True, False
                # What a serializable transaction is told where another was faster.
                raise SerializationFailure("An id was taken meanwhile.")
            if not decided.rows:
                self._hold_what_is_unchanged(db, decided.inserted)
            try:
                commit(db)
            except psycopg.Error as error:
                if decided.rows and is_lost(error):
                    raise InDoubt(decided) from error
                raise
        return decided.inserted

    def _decided(self, db: Connection, greatest_id: int) -> Decided:
        if not self._looks_first:
            rows, all_ids = with_ids(self._records, greatest_id)
            if max(all_ids, default=0) <= MAX_ID:
                return Decided(list(rows), Inserted(all_ids, {}))
        ids = [record["id"] for record in self._records if "id" in record]
        values = self._holders.values_of(self._records)
        found = Found(greatest_id, self._table.held(db, ids), self._holders.find(db, values))
        return decide(self._records, values, found)

    def _hold_what_is_unchanged(self, db: Connection, inserted: Inserted) -> None:
        """Have the commit wait until what is about to be acknowledged is wherever a commit has to be.

        A server that has crashed shows, once it is up again, also what had waited for its standby in vain. A commit
        waits for its own writes and for all before them, so that one is enough; without any it does not wait.
        """
        unchanged = (inserted.ids[position] for position, other in inserted.others.items() if other == "unchanged")
        for record_id in islice(unchanged, 1):
            self._table.hold(db, record_id)

    def was_committed(self, db: Connection, decided: Decided) -> bool:
        """Tell what became of a commit that was in doubt: all of it is stored, or nothing is.

        Where records had no id, "all" may be a mistake: see `chose_ids`.
        """
        rows = {row["id"]: as_stored(row) for row in decided.rows}
        with transaction(db, "READ COMMITTED", "SELECT 1"):
            # Adding it again, for a moment, waits until the lost transaction has ended, wherever it is still at work.
            added = self._table.add_free(db, decided.rows)
            if not added and self._table.held(db, list(rows)) == rows:
                self._table.hold(db, decided.rows[0]["id"])
                commit(db)
                return True
            db.execute("ROLLBACK", prepare=False)
        return False

    @property
    def chose_ids(self) -> bool:
        """Whether a record had no id: the same content under the one chosen for it may be another replica's record."""
        return any("id" not in record for record in self._records)


def commit(db: Connection) -> None:
    """Commit; what was done is on disk when this returns, and where standbys are waited for, on theirs."""
    said: list[str | None] = []

    def listen(notice: Diagnostic) -> None:
        # It has its text for as long as this runs.
        said.append(notice.severity_nonlocalized)

    db.add_notice_handler(listen)
    try:
        done = db.execute("COMMIT", prepare=False).statusmessage
    finally:
        db.remove_notice_handler(listen)
    # A transaction that has failed is rolled back by its commit, and that is no error.
    if done != "COMMIT":
        raise SerializationFailure(f"The answer to COMMIT was {done}.")
    # Nor is it one that someone has ended the wait for a standby (`pg_cancel_backend`): the server only warns.
    if "WARNING" in said:
        raise TransactionResolutionUnknown("The commit was not waited for.")
