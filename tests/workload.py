"""Records sent to one service from many threads, and the set check: its database holds what was acknowledged, once."""

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.databases import Database, SqliteDatabase
from tests.processes import RunningService, eventually, post

# What the answer to a single record means, in the words of a batch.
_OUTCOMES = {201: "created", 200: "unchanged", 409: "rejected"}
_THREADS = 8
_MOST_ROWS = 40

Record = dict[str, Any]


@dataclass(frozen=True)
class _Sending:
    """A record to send, and what may become of it."""

    record: Record
    expected: AbstractSet[str]


def known_pairs(services: Mapping[str, RunningService]) -> list[tuple[int, int]]:
    """Return a few pairs of a user and a product that exist, for orders to refer to."""
    users = [post(services["users"], {"name": "Ada", "email": "a@b"}).json()["id"] for _ in range(5)]
    products = [post(services["products"], {"name": "Lamp", "price": 1}).json()["id"] for _ in range(5)]
    return list(zip(users, products, strict=True))


def urls(services: Mapping[str, RunningService]) -> dict[str, str]:
    """Return the settings that orders needs; the others have no use for them."""
    return {f"{name.upper()}_URL": services[name].url for name in ("users", "products")}


class Workload:
    """Single records and batches, some again, under a taken id or under another, and what became of each.

    It can go on at the next process, and then repeats what was acknowledged by the one before.
    """

    def __init__(self, name: str, pairs: Sequence[tuple[int, int]] = (), *, duplicates: bool = False) -> None:
        """Take the service's name, and for orders the users and products that exist; nothing is sent yet.

        Where duplicates are refused, they can be among what is sent.
        """
        self._duplicates = duplicates
        self.sent: dict[int, Record] = {}
        self.acknowledged: set[int] = set()
        # Answers that contradict what was answered before, or that no service should give.
        self.strange: list[str] = []
        # How often the service said that it could not just now, by status.
        self.refusals: Counter[int] = Counter()
        self.name = name
        self._pairs = pairs
        self._lock = threading.Lock()
        # In no order, so that they go into all pages of the file.
        self._ids = iter(random.sample(range(1, 2**40), 500_000))
        self._known: list[int] = []
        # Nobody knows whether these are stored.
        self._open: list[int] = []

    @contextmanager
    def sent_to(self, service: RunningService) -> Iterator[None]:
        """Send from many threads until left, whatever happens to the service meanwhile."""
        enough = threading.Event()
        # Loading the certificates, which nobody needs here, would take longer than all else.
        with httpx.Client(base_url=service.url, trust_env=False, verify=False) as http:
            threads = [threading.Thread(target=self._send, args=(http, enough)) for _ in range(_THREADS)]
            for thread in threads:
                thread.start()
            try:
                yield
            finally:
                enough.set()
                for thread in threads:
                    thread.join()

    def so_far(self) -> set[int]:
        """Return the ids that have been acknowledged up to now."""
        with self._lock:
            return set(self.acknowledged)

    def _send(self, http: httpx.Client, enough: threading.Event) -> None:
        while not enough.is_set():
            with self._lock:
                batch = self._next()
            try:
                answer = self._answer(http, batch)
            except httpx.TransportError:
                answer = None
            with self._lock:
                answered = answer is not None and self._note(batch, answer)
                if not answered:
                    # A duplicate that was refused is none of those that may be stored.
                    self._open += [each.record["id"] for each in batch if each.record["id"] in self.sent]
            if not answered:
                # Who could not answer is not asked as often as who can.
                enough.wait(0.01)

    def _next(self) -> list[_Sending]:
        """Return a single record or a batch: most often of new ones alone, which a store adds without looking first."""
        size = random.choice((1, 1, 1, random.randint(2, _MOST_ROWS)))
        mixed = random.random() < 0.1
        return [self._again() if mixed and random.random() < 0.5 else self._first() for _ in range(size)]

    def _first(self) -> _Sending:
        record = self._new(next(self._ids))
        self.sent[record["id"]] = record
        return _Sending(record, {"created"})

    def _again(self) -> _Sending:
        if self._open:
            return _Sending(self.sent[self._open.pop()], {"created", "unchanged"})
        if not self._known:
            return self._first()
        taken = random.choice(self._known)
        if self._duplicates and random.random() < 0.5:
            return _Sending({**self.sent[taken], "id": next(self._ids)}, {"rejected"})
        if random.random() < 0.5:
            return _Sending(self.sent[taken], {"unchanged"})
        return _Sending({**self._new(taken + 1), "id": taken}, {"rejected"})

    def _new(self, record_id: int) -> Record:
        """Return a record that no other is like."""
        if self.name == "users":
            return {"id": record_id, "name": f"Zoë {record_id}", "email": f"z{record_id}@example.com"}
        if self.name == "products":
            return {"id": record_id, "name": f"Lamp {record_id}", "price": (record_id % 10**9 + 1) / 100}
        user_id, product_id = random.choice(self._pairs)
        return {"id": record_id, "user_id": user_id, "product_id": product_id, "quantity": record_id % 10**6 + 1}

    def _answer(self, http: httpx.Client, batch: Sequence[_Sending]) -> httpx.Response:
        records = [sending.record for sending in batch]
        if len(records) == 1:
            return http.post(f"/{self.name}", json=records[0])
        lines = "\n".join(map(json.dumps, records))
        headers = {"content-type": "application/x-ndjson"}
        return http.post(f"/{self.name}/batch?results=all", content=lines, headers=headers)

    def _note(self, batch: Sequence[_Sending], answer: httpx.Response) -> bool:
        """Note what was answered; return whether it says what became of the records."""
        if answer.status_code in {503, 507}:
            self.refusals[answer.status_code] += 1
            return False
        outcomes = _outcomes(batch, answer)
        for sending, outcome in zip(batch, outcomes, strict=True):
            record_id = sending.record["id"]
            if outcome not in sending.expected:
                self.strange.append(f"{record_id}: {outcome}, and not {sending.expected}")
            elif outcome != "rejected":
                self.acknowledged.add(record_id)
                self._known.append(record_id)
        return True


def _outcomes(batch: Sequence[_Sending], answer: httpx.Response) -> list[str]:
    if len(batch) > 1 and answer.is_success:
        return [result["outcome"] for result in answer.json()["results"]]
    outcome = _OUTCOMES.get(answer.status_code, answer.text)
    if answer.is_success and answer.json() != batch[0].record:
        outcome = f"{outcome} as {answer.text}"
    return [outcome] * len(batch)


def more_is_acknowledged(workload: Workload, records: int = 200) -> None:
    """Return once so many more records have been acknowledged."""
    enough = len(workload.so_far()) + records
    eventually(lambda: len(workload.so_far()) > enough)


def nothing_more_is_acknowledged(workload: Workload) -> None:
    """Return once everything is refused; fail where something is acknowledged all the same."""
    # What was answered before the fault may still be read after it.
    _refused_again(workload)
    stored = workload.so_far()
    _refused_again(workload)
    assert workload.so_far() == stored


def _refused_again(workload: Workload, times: int = 20) -> None:
    enough = workload.refusals[503] + times
    eventually(lambda: workload.refusals[503] > enough)


def check(database: Path | Database, workload: Workload, acknowledged: AbstractSet[int] | None = None) -> None:
    """Check that what was acknowledged is stored as it was sent, nothing else, nothing twice, in a sound database.

    It may be a running service's, or as one left it that was killed: it stays as it is.
    """
    kept = SqliteDatabase(database) if isinstance(database, Path) else database
    rows = kept.rows(f"SELECT * FROM {workload.name}")
    kept.raise_if_unsound()
    stored = {row[0]: row for row in rows}
    assert len(stored) == len(rows)
    lost = (workload.acknowledged if acknowledged is None else acknowledged) - stored.keys()
    assert not lost, f"{len(lost)} of {len(workload.acknowledged)} acknowledged records are not stored"
    sent = {_stored(workload.sent[record_id]) for record_id in stored if record_id in workload.sent}
    strange = set(stored.values()) - sent
    assert not strange, f"nobody sent {strange}"
    assert not workload.strange, workload.strange


def _stored(record: Record) -> tuple[int | str, ...]:
    """Return the row that the record has to be stored as: amounts are text with two decimals."""
    return tuple(f"{value:.2f}" if isinstance(value, float) else value for value in record.values())
