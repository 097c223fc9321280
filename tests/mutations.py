"""Breaks the guarantees one by one, in copies of the project, and tells whether a test notices: make test-mutations."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import PROJECT

_TESTS_FAILED = 1


@dataclass(frozen=True)
class Mutation:
    """A guarantee, the code in which it is broken, and the tests of which one must then fail."""

    guarantee: str
    file: str
    code: str
    broken: str
    tests: str


_STORE = "services/chassis/store"
MUTATIONS = (
    Mutation(
        "every commit is synced",
        f"{_STORE}/sqlite_schema.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = NORMAL",
        "tests/system/test_power.py",
    ),
    Mutation(
        "the answer is sent after the commit",
        f"{_STORE}/sqlite.py",
        "with self._transaction() if len(rows) > BLOCK or self._holders else nullcontext():",
        "if not self._writer.in_transaction:\n            self._writer.execute('BEGIN')\n        if True:",
        "tests/system/test_crash.py::test_what_was_acknowledged_survives_being_killed_under_load",
    ),
    Mutation(
        "nothing is acknowledged that could not be written",
        f"{_STORE}/sqlite.py",
        "            raise refusal_of(error) from error",
        "            return Inserted([1], {})  # type: ignore",
        "tests/system/test_disk.py",
    ),
    Mutation(
        "after a failed sync nothing is acknowledged",
        f"{_STORE}/sqlite_errors.py",
        "return _code(error) not in _NO_ROOM and _code(error) & 0xFF in _BEYOND_REPAIR",
        "return False",
        "tests/system/test_disk.py tests/integration/test_store.py",
    ),
    Mutation(
        "nothing is acknowledged once the files are gone",
        f"{_STORE}/sqlite_files.py",
        "changed = self._found() != self._inodes",
        "changed = False",
        "tests/system/test_interference.py",
    ),
    Mutation(
        "a database has one owner",
        f"{_STORE}/sqlite_files.py",
        'lock.execute("BEGIN EXCLUSIVE")',
        "pass",
        "tests/system/test_start.py",
    ),
    Mutation(
        "a full disk is no reason to be started again",
        f"{_STORE}/sqlite_errors.py",
        ", sqlite3.SQLITE_IOERR_SHMSIZE}",
        "}",
        "tests/system/test_disk.py",
    ),
    Mutation(
        "another record under a taken id is a conflict",
        f"{_STORE}/decision.py",
        '"unchanged" if as_stored(record) == held[ids[position]] else "conflict"',
        '"unchanged"',
        "tests/integration/test_contract.py tests/system/test_model.py",
    ),
    Mutation(
        "of those that share an id in one batch one is created",
        f"{_STORE}/decision.py",
        "held[ids[position]] = as_stored(record)",
        "pass",
        "tests/system/test_model.py",
    ),
    Mutation(
        "what another id holds is refused",
        f"{_STORE}/sqlite_holders.py",
        "return {values[place]: holder for place, holder in from_json(found)}",
        "return {}",
        "tests/integration/test_unique.py",
    ),
    Mutation(
        "of those that hold the same in one batch one is created",
        f"{_STORE}/decision.py",
        "holders[values[position]] = ids[position]",
        "pass",
        "tests/integration/test_unique.py",
    ),
    Mutation(
        "of records that hold the same the first in the input is stored",
        "client/fan_out.py",
        "wave.precedence.await_turn(record, self._stop)",
        "pass",
        "tests/system/test_run.py",
    ),
    Mutation(
        "an assigned id is no one else's",
        f"{_STORE}/sqlite.py",
        "self._greatest_id = max(self._greatest_id, greatest)",
        "pass",
        "tests/system/test_model.py tests/integration/test_store.py",
    ),
    Mutation(
        "PostgreSQL: every commit waits for the disk",
        f"{_STORE}/postgres_connection.py",
        '{**own, "synchronous_commit": commit}.items()',
        "own.items()",
        "tests/integration/test_postgres.py",
    ),
    Mutation(
        "PostgreSQL: a server that syncs nothing is refused",
        f"{_STORE}/postgres_connection.py",
        'if found.get("fsync") == "off":',
        "if False:",
        "tests/system/test_postgres.py",
    ),
    Mutation(
        "PostgreSQL: a commit whose answer was lost is settled",
        f"{_STORE}/postgres_insert.py",
        "if decided.rows and is_lost(error):",
        "if False:",
        "tests/integration/test_postgres.py",
    ),
    Mutation(
        "PostgreSQL: of a record without an id nobody guesses whether it is stored",
        f"{_STORE}/postgres.py",
        "if was_committed and insertion.chose_ids:",
        "if False:",
        "tests/integration/test_postgres.py",
    ),
    Mutation(
        "PostgreSQL: what a replica has taken meanwhile is not acknowledged",
        f"{_STORE}/postgres_table.py",
        "return self.add_free(db, rows) == len(rows)",
        "return self.add_free(db, rows) >= 0",
        "tests/integration/test_postgres.py",
    ),
    Mutation(
        "PostgreSQL: what a trigger leaves out is not acknowledged",
        f"{_STORE}/postgres_table.py",
        "return cursor.rowcount == len(rows)",
        "return True",
        "tests/integration/test_postgres.py",
    ),
    Mutation(
        "PostgreSQL: no text is taken for an escape or the end of a row",
        f"{_STORE}/postgres_copy.py",
        "if any(chr(special) in together for special in _ESCAPED):",
        "if False:",
        "tests/integration/test_store.py",
    ),
    Mutation(
        "PostgreSQL: what is unique is so across replicas",
        f"{_STORE}/postgres_insert.py",
        '"SERIALIZABLE" if holders else "READ COMMITTED"',
        '"READ COMMITTED"',
        "tests/integration/test_postgres.py",
    ),
    Mutation(
        "PostgreSQL: a server that stops answering is given up",
        f"{_STORE}/postgres_session.py",
        "handle.shutdown(socket.SHUT_RDWR)",
        "pass",
        "tests/system/test_postgres.py",
    ),
    Mutation(
        "PostgreSQL: what waited for its standby in vain is not acknowledged later",
        f"{_STORE}/postgres_insert.py",
        "if not decided.rows:",
        "if False:",
        "tests/system/test_failover.py",
    ),
    Mutation(
        "PostgreSQL: a wait for the standby that was ended is no acknowledgement",
        f"{_STORE}/postgres_insert.py",
        'if "WARNING" in said:',
        "if False:",
        "tests/system/test_failover.py",
    ),
    Mutation(
        "PostgreSQL: a primary that has become a standby is passed over",
        f"{_STORE}/postgres_connection.py",
        '"target_session_attrs": "read-write",',
        '"target_session_attrs": "any",',
        "tests/system/test_failover.py",
    ),
    Mutation(
        "every request of a shared transaction gets its own outcome",
        "services/chassis/service.py",
        "{place - start: others[place] for place in range(start, end) if place in others}",
        "others",
        "tests/integration/test_concurrency.py",
    ),
    Mutation(
        "a full queue refuses",
        "services/chassis/batcher.py",
        "if len(self._waiting) >= self._max_waiting:",
        "if False:",
        "tests/integration/test_concurrency.py",
    ),
    Mutation(
        "the good rows of a batch are kept",
        "services/chassis/rows.py",
        "[row for row in rows if not isinstance(row, Refused)]",
        "[]",
        "tests/integration/test_batch_route.py",
    ),
    Mutation(
        "what is begun is finished before the end",
        "services/chassis/server.py",
        "timeout_graceful_shutdown=DRAIN_S,",
        "timeout_graceful_shutdown=0.01,  # type: ignore",
        "tests/system/test_crash.py::test_what_is_under_way_at_sigterm_is_finished_and_answered",
    ),
    Mutation(
        "a no is not remembered",
        "services/orders/references.py",
        "self._remember(wanted - missing)",
        "self._remember(wanted)",
        "tests/integration/test_references.py",
    ),
    Mutation(
        "an order that could not be checked is not accepted",
        "services/orders/references.py",
        "raise _unavailable() from failure",
        "return set()",
        "tests/integration/test_references.py",
    ),
    Mutation(
        "a look-up has a deadline as a whole",
        "services/orders/references.py",
        "async with asyncio.timeout((deadline_s - began_s) / sharing):",
        "if True:",
        "tests/integration/test_references.py",
    ),
    Mutation(
        "a body is not read beyond its limit",
        "services/chassis/limits.py",
        "if len(body) > max_bytes:",
        "if False:",
        "tests/integration/test_input.py tests/integration/test_contract.py",
    ),
    Mutation(
        "who is silent is hung up on",
        "services/chassis/server.py",
        "connection.close_if_stuck(now_s, self._receive_timeout_s)",
        "pass",
        "tests/system/test_protocol.py",
    ),
    Mutation(
        "there is a greatest number of connections",
        "services/chassis/protocol.py",
        "if self._max_connections and len(self.connections) > self._max_connections:",
        "if False:",
        "tests/system/test_protocol.py",
    ),
    Mutation(
        "a head has a size",
        "services/chassis/protocol.py",
        "if self._pending_bytes > MAX_HEAD_BYTES:",
        "if False:",
        "tests/system/test_protocol.py",
    ),
    Mutation(
        "who does not listen is left",
        "services/chassis/protocol.py",
        "if self._ignored_bytes > _MAX_IGNORED_BYTES:",
        "if False:",
        "tests/system/test_protocol.py",
    ),
    Mutation(
        "without the key nobody writes",
        "services/chassis/access.py",
        'if not compare_digest(sent.strip().encode("latin-1"), self._expected) or scheme.lower() != "bearer":',
        "if False:",
        "tests/integration/test_access.py",
    ),
    Mutation(
        "an id of a request can do no harm",
        "services/chassis/request_id.py",
        "return sent.decode() if _USABLE.fullmatch(sent) else None",
        "return sent.decode()",
        "tests/integration/test_observer.py",
    ),
    Mutation(
        "refusals do not repeat what was sent",
        "services/chassis/reasons.py",
        'return Reason("", f"it has a field other than {\', \'.join(fields)}")',
        'return Reason("", f"it has a field {details[\'loc\']}")',
        "tests/integration/test_input.py tests/integration/test_contract.py",
    ),
    Mutation(
        "a lost answer is asked for again",
        "client/delivery.py",
        "return Reading(again=True, in_doubt=not never_sent,",
        "return Reading(again=False, in_doubt=not never_sent,",
        "tests/system/test_delivery.py",
    ),
    Mutation(
        "a record without an id is not sent twice",
        "client/delivery.py",
        "repeatable = parcel.repeatable or not reading.in_doubt",
        "repeatable = True",
        "tests/system/test_delivery.py",
    ),
    Mutation(
        "an acknowledgement that makes no sense is none",
        "client/delivery.py",
        "if not parcel.is_acknowledged_by(body):",
        "if False:",
        "tests/system/test_delivery.py",
    ),
    Mutation(
        "an answer has to be there in time as a whole",
        "client/connection.py",
        "left_s = self._written_s + timeout - time.perf_counter()",
        "left_s = timeout",
        "tests/system/test_delivery.py tests/system/test_lies.py",
    ),
    Mutation(
        "what differs is looked at again",
        "client/read_back.py",
        "_LOOKS = 10",
        "_LOOKS = 1",
        "tests/unit/test_read_back.py",
    ),
    Mutation(
        "what was acknowledged is read back",
        "client/read_back.py",
        "if record is None or stored.get(record_id) != record:",
        "if False:",
        "tests/unit/test_read_back.py tests/system/test_run.py",
    ),
    Mutation(
        "a record without an id that may be stored is not sent again",
        "client/delivery.py",
        '_MAY_BE_STORED = {"stopping", "outcome-unknown"}',
        '_MAY_BE_STORED = {"stopping"}',
        "tests/system/test_postgres.py",
    ),
    Mutation(
        "an order that overtook its user is sent once more",
        "client/fan_out.py",
        "self._send_at_once(self._settle(settled_s))",
        "pass",
        "tests/system/test_run.py",
    ),
    Mutation(
        "what one address did not answer is asked of another",
        "client/connection.py",
        "at or self.addresses.best(self._own)",
        "at or self._own",
        "tests/system/test_addresses.py",
    ),
    Mutation(
        "an address that hangs leaves time for the others",
        "client/addresses.py",
        "give_up_after_s / len(self) if len(self) > 1 else math.inf",
        "math.inf",
        "tests/system/test_addresses.py",
    ),
    Mutation(
        "a look-up that hangs leaves time for another address",
        "services/orders/references.py",
        "(deadline_s - began_s) / sharing",
        "deadline_s - began_s",
        "tests/integration/test_references.py",
    ),
    Mutation(
        "all threads start at once",
        "client/start_line.py",
        "self._barrier.wait()",
        "pass",
        "tests/system/test_run.py tests/system/test_bulk.py",
    ),
)


def main(words: Sequence[str]) -> int:
    """Try the mutations whose guarantees have one of these words in them, or all; return 1 if one went unnoticed."""
    chosen = [one for one in MUTATIONS if not words or any(word in one.guarantee for word in words)]
    unnoticed = 0
    for mutation in chosen:
        caught_by = _caught_by(mutation)
        unnoticed += not caught_by
        print(f"{mutation.guarantee}: {caught_by or 'NOTHING NOTICED'}", flush=True)
    print(f"{len(chosen)} mutations, {unnoticed} unnoticed")
    return bool(unnoticed)


def _caught_by(mutation: Mutation) -> str:
    """Return the first test that fails; raise where the tests could not be run."""
    with _copy() as copy:
        file = copy / mutation.file
        text = file.read_text()
        if text.count(mutation.code) != 1:
            raise LookupError(f"{mutation.file} has not once: {mutation.code}")
        file.write_text(text.replace(mutation.code, mutation.broken))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "-rfE"]
        done = subprocess.run(
            [*command, *mutation.tests.split()], cwd=copy, capture_output=True, text=True, check=False
        )
    if done.returncode not in {0, _TESTS_FAILED}:
        raise RuntimeError(done.stdout + done.stderr)
    failed = [line.partition(" ")[2] for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return failed[0].partition(" - ")[0] if failed else ""


@contextmanager
def _copy() -> Iterator[Path]:
    """Yield a copy of the project that may be broken."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(".*", "databases", "__pycache__"))
        yield copy


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
