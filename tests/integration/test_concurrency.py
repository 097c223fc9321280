"""Many clients at once: each record has one outcome, whoever else sends, goes away or waits."""

import json
import random
import select
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from http.client import HTTPResponse
from typing import Any

import httpx
import pytest

from tests.databases import Databases
from tests.processes import RunningService, eventually, running
from tests.resource import KINDS, NOT_ZERO, Resource, bulk_body, client

pytestmark = pytest.mark.usefixtures("unharmed")

NDJSON = "application/x-ndjson"


def at_once(*calls: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """Make all calls from 20 threads, and return their answers in the same order."""
    with ThreadPoolExecutor(20) as threads:
        return [call.result() for call in [threads.submit(call) for call in calls]]


def outcomes(answers: Sequence[httpx.Response]) -> Counter[str]:
    """Count what became of all records, whether they were sent singly or many in one request."""
    names = {200: "unchanged", 201: "created", 409: "rejected", 422: "rejected"}
    total: Counter[str] = Counter()
    for answer in answers:
        body = answer.json()
        total += Counter(
            {name: body[name] for name in ("created", "unchanged", "rejected")}
            if "received" in body
            else [names[answer.status_code]]
        )
    return total


def contents(resource: Resource, record_id: int, count: int) -> list[dict[str, Any]]:
    """Return so many different records with that id."""
    field = {"users": "name", "products": "price", "orders": "quantity"}[resource.name]
    return [resource.record(record_id, **{field: f"n{n}" if field == "name" else n}) for n in range(1, count + 1)]


def test_one_record_sent_100_times_at_once_is_created_once(resource: Resource, new_id: int) -> None:
    answers = at_once(*[partial(resource.post, resource.record(new_id))] * 100)
    assert sorted(answer.status_code for answer in answers) == [200] * 99 + [201]


def test_one_record_sent_singly_and_in_batches_at_once_is_created_once(resource: Resource, new_id: int) -> None:
    record = resource.record(new_id)
    calls = [partial(resource.post, record)] * 50 + [partial(resource.bulk, NDJSON, [record] * 50)] * 10
    random.shuffle(calls)
    assert outcomes(at_once(*calls)) == {"created": 1, "unchanged": 549}


def test_of_many_contents_under_one_id_one_wins_and_is_stored(resource: Resource, new_id: int) -> None:
    answers = at_once(*[partial(resource.post, record) for record in contents(resource, new_id, 40)])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 39
    (winner,) = [answer.json() for answer in answers if answer.status_code == 201]
    assert resource.http.get(f"{resource.path}/{new_id}").json() == winner


def test_of_many_contents_sent_singly_and_in_batches_one_wins_and_is_stored(resource: Resource, new_id: int) -> None:
    records = contents(resource, new_id, 100)
    singly, parts = records[:40], [records[40:60], records[60:80], records[80:]]
    calls = [partial(resource.post, record) for record in singly]
    calls += [partial(resource.bulk, NDJSON, part) for part in parts]
    answers = at_once(*random.sample(calls, len(calls)))
    assert outcomes(answers) == {"created": 1, "rejected": 99}
    # Sent once more, the winner alone is there already.
    again = at_once(*calls)
    assert outcomes(again) == {"unchanged": 1, "rejected": 99}
    assert resource.http.get(f"{resource.path}/{new_id}").json() in records


def test_among_thousands_of_good_records_only_the_poisoned_are_refused(resource: Resource, new_id: int) -> None:
    records = [resource.record(new_id + number) for number in range(6_300)]
    bad = set(random.Random(5).sample(range(len(records)), 300))
    for place in bad:
        records[place][NOT_ZERO[resource.name]] = 0
    parts = [records[:2_000], records[2_000:4_000], records[4_000:6_000]]
    calls = [partial(resource.bulk, kind, part) for kind, part in zip(KINDS, parts, strict=True)]
    calls += [partial(resource.post, record) for record in records[6_000:]]
    assert outcomes(at_once(*calls)) == {"created": 6_000, "rejected": 300}
    ids = resource.stored("id", where=f"id BETWEEN {new_id} AND {new_id + len(records)}")
    assert ids == [(new_id + place,) for place in range(len(records)) if place not in bad]


@pytest.mark.parametrize("unsent_bytes", [0, 5])
def test_clients_that_go_away_while_their_records_wait_leave_others_alone(
    resource: Resource, new_id: int, unsent_bytes: int
) -> None:
    gone, others = ([resource.record(new_id + 100 * part + n) for n in range(10)] for part in range(2))
    with ExitStack() as stack, ThreadPoolExecutor(len(others)) as threads:
        with resource.kept.locked():
            for record in gone:
                connection = stack.enter_context(closing(resource.connect()))
                request = resource.request(json.dumps(record).encode())
                connection.sendall(request[: len(request) - unsent_bytes])
            eventually(lambda: resource.in_flight() == len(gone))
            answers = [threads.submit(resource.post, record) for record in others]
            eventually(lambda: resource.in_flight() == len(gone) + len(others))
            stack.close()
        assert [answer.result().status_code for answer in answers] == [201] * len(others)
    eventually(lambda: resource.in_flight() == 0)
    assert {resource.post(record).status_code for record in gone} <= {200, 201}


def test_a_client_that_goes_away_while_its_batch_waits_leaves_others_alone(resource: Resource, new_id: int) -> None:
    gone, others = ([resource.record(new_id + 5_000 * part + n) for n in range(5_000)] for part in range(2))
    with ThreadPoolExecutor(1) as threads:
        with resource.kept.locked(), closing(resource.connect()) as connection:
            connection.sendall(resource.request(bulk_body(NDJSON, gone), NDJSON, "/batch")[:-5])
            eventually(lambda: resource.in_flight() == 1)
            answer = threads.submit(resource.bulk, NDJSON, others)
            eventually(lambda: resource.in_flight() == 2)
        assert answer.result().json()["created"] == len(others)
    eventually(lambda: resource.in_flight() == 0)
    assert resource.bulk(NDJSON, gone).json()["rejected"] == 0


def answer_of(connection: socket.socket) -> httpx.Response:
    answer = HTTPResponse(connection)
    answer.begin()
    return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())


def readable(connections: Sequence[socket.socket]) -> list[int]:
    """Return which of the connections have something to read."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return [number for number, _ in poll.poll(0)]


@contextmanager
def sent_at_once(resource: Resource, records: Sequence[dict[str, Any]]) -> Iterator[list[socket.socket]]:
    """Open a connection for each record, send it, and yield the connections; no answer has been read."""
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(resource.connect())) for _ in records]
        for connection, record in zip(connections, records, strict=True):
            connection.sendall(resource.request(json.dumps(record).encode()))
        yield connections


def test_500_connections_at_once_are_all_answered(resource: Resource, new_id: int) -> None:
    records = [resource.record(new_id + n) for n in range(500)]
    with sent_at_once(resource, records) as connections:
        assert {answer_of(connection).status_code for connection in connections} == {201}
    assert len(resource.stored("id", where=f"id BETWEEN {new_id} AND {new_id + 500}")) == 500


@pytest.fixture
def narrow(resource: Resource, services: dict[str, RunningService], databases: Databases) -> Iterator[Resource]:
    """The same service, where no more than 20 inserts may wait."""
    urls = {f"{name.upper()}_URL": service.url for name, service in services.items()}
    with running(resource.name, databases, **urls, MAX_WAITING="20") as service, client(service) as http:
        yield Resource(resource.name, http, service.kept)


def test_of_500_connections_those_that_find_the_queue_full_are_told_so_at_once(narrow: Resource) -> None:
    # From now on the references of orders are known, and nothing waits but the inserts.
    assert narrow.post(narrow.record(1_000)).status_code == 201
    records = [narrow.record(1 + n) for n in range(500)]
    with ExitStack() as stack:
        with narrow.kept.locked():
            connections = stack.enter_context(sent_at_once(narrow, records))
            # Nothing can be stored yet, so whoever is answered has not waited: one batch is being tried, one waits.
            eventually(lambda: len(readable(connections)) >= len(records) - 2 * 20)
        answers = list(map(answer_of, connections))
    assert sum("overloaded" in answer.text for answer in answers) >= len(records) - 2 * 20
    assert {answer.status_code for answer in answers} <= {201, 503}
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 503)
    stored = [record["id"] for record, answer in zip(records, answers, strict=True) if answer.status_code == 201]
    assert narrow.stored("id", where="id <= 500") == [(record_id,) for record_id in stored]


def test_a_get_right_after_201_finds_the_record(resource: Resource) -> None:
    for _ in range(50):
        created = resource.post(resource.record())
        assert resource.http.get(created.headers["location"]).status_code == 200


def test_large_bodies_at_once_are_all_stored_whole(resource: Resource, new_id: int) -> None:
    # Together more than may be on its way to the disk.
    bodies = [[resource.record(new_id + 10_000 * part + n) for n in range(10_000)] for part in range(4)]
    with ThreadPoolExecutor(len(bodies)) as threads:
        answers = list(threads.map(lambda records: resource.bulk("application/x-ndjson", records), bodies))
    assert [(answer.status_code, answer.json()["created"]) for answer in answers] == [(201, 10_000)] * 4
