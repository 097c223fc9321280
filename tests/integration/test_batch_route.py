"""Many records in one request: every row has its own outcome, and whatever is sent, the answer stays short."""

import random
from contextlib import closing

import pytest

from tests.processes import eventually
from tests.resource import KINDS, MAX_ID, NOT_ZERO, OTHER, Resource, bulk_body, problem

pytestmark = pytest.mark.usefixtures("unharmed")


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_created_and_then_unchanged(resource: Resource, new_id: int, kind: str) -> None:
    records = [resource.record(new_id + number) for number in range(5_000)]
    first, again = resource.bulk(kind, records), resource.bulk(kind, records)
    counts = {"received": 5000, "rejected": 0, "results": [], "results_omitted": 0}
    assert (first.status_code, first.json()) == (201, {**counts, "created": 5000, "unchanged": 0})
    assert (again.status_code, again.json()) == (200, {**counts, "created": 0, "unchanged": 5000})
    page = resource.http.get(f"{resource.path}?after={new_id + 4989}&limit=10").json()["items"]
    assert page == records[-10:]


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_keeps_the_good_rows_and_names_the_bad_ones(resource: Resource, new_id: int, kind: str) -> None:
    records = [resource.record(new_id + number) for number in range(30)]
    field = NOT_ZERO[resource.name]
    records[7][field] = records[29][field] = 0
    records[20] = resource.record(new_id, **OTHER[resource.name])
    response = resource.bulk(kind, records)
    report = response.json()
    assert response.status_code == 207
    assert (report["received"], report["created"], report["rejected"]) == (30, 27, 3)
    assert [(result["index"], result["id"]) for result in report["results"]] == [
        (7, new_id + 7),
        (20, new_id),
        (29, new_id + 29),
    ]
    slugs = [result["problem"]["type"].rpartition("/")[2] for result in report["results"]]
    assert slugs == ["invalid-record", "id-taken", "invalid-record"]
    assert report["results"][0]["problem"]["errors"][0]["pointer"] == f"#/{field}"
    assert resource.http.get(f"{resource.path}/{new_id + 7}").status_code == 404


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [{0}, {2_999}, set(range(1, 3_000)), set(random.Random(3).sample(range(3_000), 50))])
def test_wherever_bad_rows_stand_they_are_refused_alone(
    resource: Resource, new_id: int, kind: str, bad: set[int]
) -> None:
    records = [resource.record(new_id + number) for number in range(3_000)]
    for place in bad:
        records[place][NOT_ZERO[resource.name]] = 0
    results = resource.bulk(kind, records).json()["results"]
    assert [(result["index"], result["id"]) for result in results] == [(place, new_id + place) for place in sorted(bad)]
    ids = resource.stored("id", where=f"id BETWEEN {new_id} AND {new_id + 3_000}")
    assert ids == [(new_id + place,) for place in range(3_000) if place not in bad]


def test_a_batch_can_list_every_row(resource: Resource, new_id: int) -> None:
    records = [resource.record(new_id + number) for number in range(3)]
    results = resource.bulk("application/x-ndjson", records, "?results=all").json()["results"]
    assert results == [
        {"index": number, "id": new_id + number, "outcome": "created", "problem": None} for number in range(3)
    ]
    problem(resource.bulk("application/x-ndjson", records, "?results=some"), 422, "invalid-query")


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_to_15000_bad_rows_is_bounded(resource: Resource, kind: str) -> None:
    # Every field is wrong, so each row has as many reasons as there are.
    worst = dict.fromkeys(resource.record(1), "\0" * 20)
    response = resource.bulk(kind, [worst] * 15_000)
    report = response.json()
    assert (len(report["results"]), report["results_omitted"], report["rejected"]) == (10_000, 5_000, 15_000)
    assert len(response.content) < 10_000 * 1_000


NOTHING = {"application/json": [b"[]", b" [\n] "], "application/x-ndjson": [b"", b"\n\r\n \n"], "text/csv": []}


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_nothing_is_taken(resource: Resource, kind: str) -> None:
    header = ",".join(resource.record()).encode()
    for body in NOTHING[kind] or [header, header + b"\n\n"]:
        response = resource.send_bulk(kind, body)
        assert (response.status_code, response.json()["received"]) == (200, 0)


@pytest.mark.parametrize(
    ("kind", "body", "status", "slug"),
    [
        *(
            ("application/json", body, 400, "malformed-body")
            for body in (b"", b"{}", b"null", b"7", b'"[]"', b"[", b"]")
        ),
        ("text/csv", b"", 400, "malformed-body"),
        ("text/csv", b"id,nmae\n", 422, "invalid-record"),
        ("text/csv", b'"id\n', 400, "malformed-body"),
        ("text/plain", b"", 415, "unsupported-media-type"),
    ],
)
def test_what_is_no_batch_is_refused(resource: Resource, kind: str, body: bytes, status: int, slug: str) -> None:
    problem(resource.send_bulk(kind, body), status, slug)


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("application/json", b",{"),
        ("application/json", b"] []"),
        ("application/json", b",,"),
        ("text/csv", b'"'),
        ("text/csv", b'"a"b\n'),
    ],
)
def test_what_comes_before_a_broken_end_is_kept(resource: Resource, new_id: int, kind: str, end: bytes) -> None:
    records = [resource.record(new_id + number) for number in range(2_000)]
    body = bulk_body(kind, records)
    report = resource.send_bulk(kind, body.removesuffix(b"]") + end).json()
    (last,) = report["results"]
    assert (last["index"], last["problem"]["type"].rpartition("/")[2]) == (2_000, "malformed-body")
    assert len(resource.stored("id", where=f"id BETWEEN {new_id} AND {new_id + 2_000}")) == report["created"] == 2_000


def test_what_a_broken_batch_had_stored_stays_and_is_unchanged_later(resource: Resource, new_id: int) -> None:
    records = [resource.record(new_id + number) for number in range(10_000)]
    lines = bulk_body("application/x-ndjson", records)
    with closing(resource.connect()) as connection:
        connection.sendall(resource.request(lines, "application/x-ndjson", "/batch")[:-10])
        eventually(lambda: resource.http.get(f"{resource.path}/{new_id}").status_code == 200)
    report = resource.bulk("application/x-ndjson", records).json()
    assert report["unchanged"] > 0
    assert report["created"] + report["unchanged"] == 10_000


@pytest.mark.parametrize("resource", ["orders"], indirect=True)
def test_a_batch_refuses_the_orders_whose_references_do_not_exist(resource: Resource, new_id: int) -> None:
    records = [resource.record(new_id + number) for number in range(3_000)]
    records[5]["user_id"] = records[2_999]["user_id"] = records[2_999]["product_id"] = MAX_ID
    report = resource.bulk("application/x-ndjson", records).json()
    assert (report["created"], report["rejected"]) == (2_998, 2)
    reasons = [[error["pointer"] for error in result["problem"]["errors"]] for result in report["results"]]
    assert reasons == [["#/user_id"], ["#/user_id", "#/product_id"]]
