"""Duplicates where they are refused: what another id already holds, whoever sends it, together with whatever else."""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import pytest

from tests.databases import Databases
from tests.processes import RunningService, running
from tests.resource import KINDS, Resource, client, problem

NDJSON = "application/x-ndjson"
UNIQUE = {"users": "email", "products": "name,price", "orders": "user_id,product_id"}
FIELDS = {"users": "email is", "products": "name and price are", "orders": "user_id and product_id are"}
# The same values with something else beside them, where there is something.
SAME: dict[str, dict[str, Any]] = {"users": {"name": "Bob"}, "products": {"name": " Lamp "}, "orders": {"quantity": 3}}


def held_by(resource: Resource, holder: int) -> list[dict[str, str]]:
    """Return how a duplicate of that id is refused."""
    field = UNIQUE[resource.name].partition(",")[0]
    detail = f"{FIELDS[resource.name]} held by {resource.name.removesuffix('s')} {holder}"
    return [{"pointer": f"#/{field}", "detail": detail}]


@contextmanager
def started(
    resource: Resource, services: dict[str, RunningService], databases: Databases, fields: str
) -> Iterator[Resource]:
    """Yield the same service with its database in that place, where these fields are to be unique."""
    urls = {f"{name.upper()}_URL": service.url for name, service in services.items()}
    with running(resource.name, databases, **urls, UNIQUE=fields) as service, client(service) as http:
        yield Resource(resource.name, http, service.kept)


def others(resource: Resource, first_id: int, count: int) -> list[dict[str, Any]]:
    """Return so many records that hold different values."""
    field, text = ("email", "a{}@example.com") if resource.name == "users" else ("name", "Lamp {}")
    return [resource.record(first_id + n, **{field: text.format(n)}) for n in range(count)]


@pytest.fixture
def unique(resource: Resource, services: dict[str, RunningService], databases: Databases) -> Iterator[Resource]:
    """The same service with a database of its own, where duplicates are refused."""
    with started(resource, services, databases, UNIQUE[resource.name]) as service:
        yield service


# Whose records can differ without anything of another service.
independent = pytest.mark.parametrize("resource", ["users", "products"], indirect=True)


def test_what_another_id_holds_is_refused_and_the_id_is_named(unique: Resource) -> None:
    assert unique.post(unique.record(3)).status_code == 201
    body = problem(unique.post(unique.record(9, **SAME[unique.name])), 409, "duplicate")
    assert body["errors"] == held_by(unique, 3)
    assert unique.stored("id") == [(3,)]
    assert unique.figures()['parallel_insert_records_total{outcome="duplicate"}'] == 1
    assert unique.figures()['parallel_insert_refusals_total{problem="duplicate"}'] == 1


def test_both_are_kept_where_nothing_else_is_asked_for(resource: Resource, new_id: int) -> None:
    assert [resource.post(resource.record(new_id + n)).status_code for n in range(2)] == [201, 201]


@independent
def test_the_same_again_is_unchanged_and_other_content_a_taken_id(unique: Resource) -> None:
    unique.post(unique.record(1))
    assert unique.post(others(unique, 2, 1)[0]).status_code == 201
    assert unique.post(unique.record(1)).status_code == 200
    # Its values are held by another id as well; the id is what is said.
    assert problem(unique.post(unique.record(2)), 409, "id-taken")


@independent
def test_without_an_id_the_same_again_is_a_duplicate_of_what_was_stored(unique: Resource) -> None:
    stored = unique.post(unique.record()).json()["id"]
    assert problem(unique.post(unique.record()), 409, "duplicate")["errors"] == held_by(unique, stored)
    (row,) = unique.bulk(NDJSON, [unique.record()]).json()["results"]
    assert (row["id"], row["problem"]["errors"]) == (None, held_by(unique, stored))
    # The id that it would have been given is the next one's.
    (other,) = others(unique, 1, 1)
    del other["id"]
    assert unique.post(other).json()["id"] == stored + 1


@pytest.mark.parametrize("resource", ["products"], indirect=True)
def test_products_are_compared_as_they_are_stored(unique: Resource) -> None:
    body = '{{"name": "{}", "price": {}}}'.format
    assert unique.send(body("Lamp", "25.50").encode()).status_code == 201
    for same in (body(" Lamp ", "25.5"), body("Lamp", "2.55e1"), body("\\u004camp", "25.500")):
        problem(unique.send(same.encode()), 409, "duplicate")
    for different in (body("lamp", "25.5"), body("Lamp", "25.51"), body("La mp", "25.5")):
        assert unique.send(different.encode()).status_code == 201


@pytest.mark.parametrize("resource", ["users"], indirect=True)
def test_an_address_is_compared_as_it_is_written(unique: Resource) -> None:
    emails = ["ada@example.com", "Ada@example.com", "ada@EXAMPLE.com", "ada+1@example.com"]
    assert [unique.post(unique.record(email=email)).status_code for email in emails * 2] == [201] * 4 + [409] * 4


@independent
@pytest.mark.parametrize("kind", KINDS)
def test_a_duplicate_in_a_batch_fails_alone(unique: Resource, kind: str) -> None:
    unique.post(unique.record(500))
    records = others(unique, 1_000, 3_000)
    records[2_000] = unique.record(3_000, **SAME[unique.name])
    answer = unique.bulk(kind, records)
    assert (answer.status_code, answer.json()["created"], answer.json()["rejected"]) == (207, 2_999, 1)
    (row,) = answer.json()["results"]
    assert (row["index"], row["id"], row["problem"]["status"]) == (2_000, 3_000, 409)
    assert row["problem"]["type"].rpartition("/")[2] == "duplicate"
    assert row["problem"]["errors"] == held_by(unique, 500)


@independent
def test_of_one_transaction_the_lower_id_is_first_and_what_is_refused_holds_nothing(unique: Resource) -> None:
    first, second, third, fourth = others(unique, 1, 4)
    unique.post({**third, "id": 50})
    rows: list[tuple[dict[str, Any], str | list[dict[str, str]]]] = [
        ({**first, "id": 9}, held_by(unique, 7)),
        ({**first, "id": 7}, "created"),
        # A taken id: its values are still to be had, by the one with the lower id of these two.
        ({**second, "id": 50}, [{"pointer": "#/id", "detail": "id is taken by another record"}]),
        ({**second, "id": 60}, held_by(unique, 51)),
        ({**second, "id": 51}, "created"),
        # A duplicate: its id is still to be had.
        ({**first, "id": 70}, held_by(unique, 7)),
        ({**fourth, "id": 70}, "created"),
        # Without an id, the last ones of all.
        ({name: value for name, value in fourth.items() if name != "id"}, held_by(unique, 70)),
        ({**third, "id": 50}, "unchanged"),
    ]
    results = unique.bulk(NDJSON, [record for record, _ in rows], "?results=all").json()["results"]
    found = [row["problem"]["errors"] if row["problem"] else row["outcome"] for row in results]
    assert found == [outcome for _, outcome in rows]
    assert unique.stored("id") == [(7,), (50,), (51,), (70,)]


def answers_to(unique: Resource, records: Sequence[dict[str, Any]]) -> list[httpx.Response]:
    with ThreadPoolExecutor(20) as threads:
        return list(threads.map(unique.post, records))


def test_of_a_hundred_ids_that_want_the_same_at_once_one_wins_and_is_named(unique: Resource) -> None:
    ids = random.sample(range(1, 10**6), 100)
    answers = answers_to(unique, [unique.record(record_id) for record_id in ids])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 99
    (winner,) = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    for answer in answers:
        if answer.status_code == 409:
            assert problem(answer, 409, "duplicate")["errors"] == held_by(unique, winner)
    assert unique.stored("id") == [(winner,)]


@independent
def test_of_many_batches_that_want_the_same_at_once_each_value_is_stored_once(unique: Resource) -> None:
    parts = [others(unique, 10_000 * part, 3_000) for part in range(1, 5)]
    for part in parts:
        random.shuffle(part)
    with ThreadPoolExecutor(len(parts)) as threads:
        reports = [answer.json() for answer in threads.map(lambda part: unique.bulk(NDJSON, part), parts)]
    assert sum(report["created"] for report in reports) == 3_000
    assert sum(report["rejected"] for report in reports) == 9_000
    values = unique.stored(*UNIQUE[unique.name].split(","))
    assert len(values) == len(set(values)) == 3_000


def test_it_can_be_switched_on_later_and_off_again(
    resource: Resource, services: dict[str, RunningService], databases: Databases
) -> None:
    start = partial(started, resource, services, databases)
    with start("") as off:
        assert [off.post(off.record(record_id)).status_code for record_id in (8, 4, 6)] == [201] * 3
        assert not indexes(off)
    with start(UNIQUE[resource.name]) as on:
        # What was there stays, and new ones are refused.
        assert problem(on.post(on.record(2)), 409, "duplicate")["errors"] == held_by(on, 4)
        assert [on.post(on.record(record_id)).status_code for record_id in (4, 6, 8)] == [200] * 3
        assert indexes(on) == [False]
    with start("") as off:
        assert off.post(off.record(2)).status_code == 201
        assert not indexes(off)


def indexes(resource: Resource) -> list[bool]:
    """Return of each index of the table whether it refuses anything by itself."""
    return resource.kept.indexes(resource.name)


def test_the_document_has_the_problem_where_it_can_be_answered(unique: Resource, resource: Resource) -> None:
    def problems_of(service: Resource) -> set[str]:
        responses = service.http.get("/openapi.json").json()["paths"][service.path]["post"]["responses"]
        return set(responses["409"]["content"]["application/problem+json"]["examples"])

    assert problems_of(unique) - problems_of(resource) == {"duplicate"}
