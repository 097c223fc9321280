"""The HTTP contract that the three services share, and that each must keep in the same way."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.processes import RunningService, eventually, post

PROBLEM = "application/problem+json"
RECORDS: dict[str, dict[str, Any]] = {
    "users": {"name": "Ada", "email": "ada@example.com"},
    "products": {"name": "Lamp", "price": 24.99},
    "orders": {"user_id": 1, "product_id": 1, "quantity": 2},
}
OTHER: dict[str, Any] = {"users": {"name": "Bob"}, "products": {"price": 0.1}, "orders": {"quantity": 3}}
MAX_ID = 2**63 - 1


@dataclass(frozen=True)
class Resource:
    """One of the three services, by its routes."""

    name: str
    http: httpx.Client

    @property
    def path(self) -> str:
        return f"/{self.name}"

    def record(self, record_id: int | None = None, **changes: object) -> dict[str, Any]:
        return {**({} if record_id is None else {"id": record_id}), **RECORDS[self.name], **changes}

    def post(self, record: object) -> httpx.Response:
        return self.http.post(self.path, json=record)

    def send(self, body: bytes, **headers: str) -> httpx.Response:
        return self.http.post(self.path, content=body, headers={"content-type": "application/json", **headers})


@pytest.fixture(scope="module", params=RECORDS)
def resource(request: pytest.FixtureRequest, services: dict[str, RunningService]) -> Iterator[Resource]:
    for name in ("users", "products"):
        assert post(services[name], {"id": 1, **RECORDS[name]}).status_code in {200, 201}
    with httpx.Client(base_url=services[request.param].url, trust_env=False) as http:
        yield Resource(request.param, http)


def problem(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """Check that the answer is this problem, and return it."""
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["type"]) == (status, f"urn:parallel-insert:problem:{slug}"), response.text
    assert response.headers["content-type"] == PROBLEM
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def test_a_record_is_created_once_and_can_be_read_at_its_location(resource: Resource, new_id: int) -> None:
    first = resource.post(resource.record(new_id))
    assert first.status_code == 201
    assert first.json() == resource.record(new_id)
    assert resource.http.get(first.headers["location"]).json() == resource.record(new_id)


def test_sending_the_same_again_is_safe(resource: Resource, new_id: int) -> None:
    resource.post(resource.record(new_id))
    again = resource.post(resource.record(new_id))
    assert again.status_code == 200
    assert again.json() == resource.record(new_id)


def test_another_record_under_a_taken_id_is_a_conflict(resource: Resource, new_id: int) -> None:
    resource.post(resource.record(new_id))
    body = problem(resource.post(resource.record(new_id, **OTHER[resource.name])), 409, "id-taken")
    assert body["errors"] == [{"pointer": "#/id", "detail": "id is taken by another record"}]
    assert resource.http.get(f"{resource.path}/{new_id}").json() == resource.record(new_id)


def test_without_an_id_the_next_one_is_given(resource: Resource, new_id: int) -> None:
    first, second = resource.post(resource.record()), resource.post(resource.record())
    assert [first.status_code, second.status_code] == [201, 201]
    assert second.json()["id"] == first.json()["id"] + 1


def test_every_reason_is_given_at_once(resource: Resource) -> None:
    record = dict.fromkeys(RECORDS[resource.name]) | {"id": 0, "surplus": 1}
    body = problem(resource.post(record), 422, "invalid-record")
    pointers = [error["pointer"] for error in body["errors"]]
    assert pointers == ["#/id", *(f"#/{name}" for name in RECORDS[resource.name]), "#"]


def test_no_refusal_repeats_what_was_sent(resource: Resource) -> None:
    record = {**dict.fromkeys(RECORDS[resource.name], "s3cret"), "s3cret": "s3cret", "id": "s3cret"}
    for response in (
        resource.post(record),
        resource.post("s3cret"),
        resource.send(b"s3cret"),
        resource.http.get("/s3cret"),
        resource.http.get(f"{resource.path}/s3cret"),
        resource.http.get(f"{resource.path}?limit=s3cret&s3cret=s3cret"),
        resource.http.request("BREW", resource.path),
    ):
        assert response.is_client_error
        assert response.headers["content-type"] == PROBLEM
        assert "s3cret" not in response.text


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", "{}".encode("utf-16"), b"[" * 20_000, b"{} {}"])
def test_what_is_not_json_is_malformed(resource: Resource, body: bytes) -> None:
    problem(resource.send(body), 400, "malformed-body")


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999", b"9" * 5000, b"1.0", b'"1"', b"true"])
def test_what_is_no_id_never_reaches_the_database(resource: Resource, number: bytes) -> None:
    body = json.dumps(resource.record(7777)).encode().replace(b"7777", number)
    problem(resource.send(body), 422, "invalid-record")


def test_the_body_has_a_limit_whether_or_not_its_length_is_announced(resource: Resource) -> None:
    body = b" " * 70_000
    problem(resource.send(body), 413, "body-too-large")
    chunks = iter([body[:35_000], body[35_000:]])
    response = resource.http.post(resource.path, content=chunks, headers={"content-type": "application/json"})
    problem(response, 413, "body-too-large")


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
def test_only_json_is_read(resource: Resource, media_type: str) -> None:
    problem(resource.send(b"{}", **{"content-type": media_type}), 415, "unsupported-media-type")


def test_a_charset_does_no_harm_and_a_coding_is_refused(resource: Resource) -> None:
    body = json.dumps(resource.record()).encode()
    assert resource.send(body, **{"content-type": "Application/JSON; charset=utf-8"}).status_code == 201
    problem(resource.send(body, **{"content-encoding": "gzip"}), 415, "unsupported-media-type")


@pytest.mark.parametrize("text", ["-1", "1_000", "%00", "%EF%BC%91", "9" * 5000, "1.0", "x", "1e9", "lookup/"])
def test_what_is_no_number_in_a_path_is_not_found(resource: Resource, text: str) -> None:
    problem(resource.http.get(f"{resource.path}/{text}"), 404, "not-found")


@pytest.mark.parametrize("text", ["0", "007", str(2**63), "9" * 19])
def test_what_is_no_id_in_a_path_is_refused(resource: Resource, text: str) -> None:
    problem(resource.http.get(f"{resource.path}/{text}"), 422, "invalid-query")


def test_an_id_that_nobody_has_is_not_found(resource: Resource) -> None:
    problem(resource.http.get(f"{resource.path}/{MAX_ID}"), 404, "no-such-record")


def test_lookup_names_the_ids_that_do_not_exist(resource: Resource, new_id: int) -> None:
    resource.post(resource.record(new_id))
    response = resource.http.post(f"{resource.path}/lookup", json={"ids": [MAX_ID, new_id, MAX_ID]})
    assert response.json() == {"missing": [MAX_ID]}


@pytest.mark.parametrize("ids", [None, [0], ["1"], [2**63], [1] * 10_001])
def test_a_lookup_is_validated_too(resource: Resource, ids: object) -> None:
    problem(resource.http.post(f"{resource.path}/lookup", json={"ids": ids}), 422, "invalid-record")


def test_a_lookup_gives_the_records_themselves_to_those_who_accept_lines(resource: Resource, new_id: int) -> None:
    records = [resource.record(new_id + number) for number in range(3)]
    _bulk(resource, "application/x-ndjson", records)
    response = resource.http.post(
        f"{resource.path}/lookup",
        json={"ids": [new_id + 2, new_id, new_id + 3]},
        headers={"accept": "application/x-ndjson"},
    )
    assert (response.status_code, response.headers["content-type"]) == (200, "application/x-ndjson")
    assert [json.loads(line) for line in response.text.splitlines()] == [records[2], records[0]]


def test_a_lookup_of_as_many_ids_as_are_allowed_is_read(resource: Resource) -> None:
    ids = [MAX_ID - number for number in range(10_000)]
    assert resource.http.post(f"{resource.path}/lookup", json={"ids": ids}).json() == {"missing": ids[::-1]}


def test_pages_lead_through_all_records_by_id(resource: Resource) -> None:
    for _ in range(5):
        resource.post(resource.record())
    seen, url = [], f"{resource.path}?limit=2"
    while url:
        page = resource.http.get(url).json()
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        url = page["next"]
    assert seen == sorted(set(seen))
    assert len(seen) == resource.http.get(f"{resource.path}/count").json()["count"]


def test_any_field_filters_by_equality_on_every_page(resource: Resource, new_id: int) -> None:
    resource.post(resource.record(new_id, **OTHER[resource.name]))
    resource.post(resource.record())
    wanted = {**OTHER[resource.name], "limit": 1}
    page = resource.http.get(resource.path, params=wanted).json()
    assert page["items"]
    while page["next"]:
        page = resource.http.get(page["next"]).json()
        assert all(OTHER[resource.name].items() <= item.items() for item in page["items"])


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        f"limit={10**9}",
        "limit=x",
        "after=-1",
        "after=x",
        "nmae=x",
        "after=1e9999999999999999999",
        "limit=1&limit=1",
    ],
)
def test_what_is_no_parameter_is_refused(resource: Resource, query: str) -> None:
    problem(resource.http.get(f"{resource.path}?{query}"), 422, "invalid-query")


def test_paths_and_methods_that_do_not_exist_are_problems_too(resource: Resource) -> None:
    problem(resource.http.get("/nowhere"), 404, "not-found")
    problem(resource.http.get(f"{resource.path}/"), 404, "not-found")
    response = resource.http.put(resource.path)
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, POST"
    response = resource.http.post("/assets/favicon.png")
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, HEAD"
    response = resource.http.get(f"{resource.path}/lookup")
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"
    problem(resource.http.request("TRACE", "/livez"), 405, "method-not-allowed")


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"hello\r\n\r\n"]
)
def test_what_is_not_http_is_a_problem_too(resource: Resource, garbage: bytes) -> None:
    address = urlsplit(str(resource.http.base_url))
    with closing(socket.create_connection((address.hostname, address.port), timeout=10)) as connection:
        connection.sendall(garbage)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert PROBLEM.encode() in answer


def test_health_and_the_way_to_the_docs(resource: Resource) -> None:
    assert resource.http.get("/livez").json() == {"status": "alive"}
    assert resource.http.get("/readyz").json() == {"status": "ready"}
    assert resource.http.get("/", follow_redirects=True).url.path == "/docs"


def test_the_metrics_count_answers_and_commits(resource: Resource) -> None:
    before = _figures(resource)
    resource.post(resource.record())
    resource.post({})
    after = _figures(resource)
    for name, step in (
        (f'parallel_insert_requests_total{{method="POST",route="{resource.path}",status="201"}}', 1),
        (f'parallel_insert_requests_total{{method="POST",route="{resource.path}",status="422"}}', 1),
        (f'parallel_insert_request_seconds_count{{route="{resource.path}"}}', 2),
        ('parallel_insert_records_total{outcome="created"}', 1),
        ('parallel_insert_refusals_total{problem="invalid-record"}', 1),
        ("parallel_insert_batch_records_count", 1),
        ("parallel_insert_batch_records_sum", 1),
        ("parallel_insert_commit_seconds_count", 1),
        ("parallel_insert_in_flight", 0),
    ):
        assert after.get(name, 0) - before.get(name, 0) == step, name


def _figures(resource: Resource) -> dict[str, float]:
    response = resource.http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def _at_once(resource: Resource, records: list[dict[str, Any]]) -> list[httpx.Response]:
    with ThreadPoolExecutor(20) as threads:
        return list(threads.map(resource.post, records))


def test_one_record_sent_100_times_at_once_is_created_once(resource: Resource, new_id: int) -> None:
    answers = _at_once(resource, [resource.record(new_id)] * 100)
    assert sorted(answer.status_code for answer in answers) == [200] * 99 + [201]


def test_of_many_contents_under_one_id_one_wins_and_is_stored(resource: Resource, new_id: int) -> None:
    field = {"users": "name", "products": "price", "orders": "quantity"}[resource.name]
    contents = [f"n{n}" if field == "name" else n for n in range(1, 41)]
    answers = _at_once(resource, [resource.record(new_id, **{field: content}) for content in contents])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 39
    (winner,) = [answer.json() for answer in answers if answer.status_code == 201]
    assert resource.http.get(f"{resource.path}/{new_id}").json() == winner


def test_the_answer_tells_how_many_inserts_were_in_flight(resource: Resource, new_id: int) -> None:
    address = urlsplit(str(resource.http.base_url))
    head = f"POST {resource.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
    with closing(socket.create_connection((address.hostname, address.port), timeout=10)) as half_sent:
        half_sent.sendall(head.encode())
        while _figures(resource)["parallel_insert_in_flight"] < 1:
            pass
        assert resource.post(resource.record(new_id)).headers["in-flight"] == "2"
        half_sent.sendall(b"{}")
        assert b"in-flight: 1" in half_sent.recv(4096)


def test_a_client_that_disconnects_leaves_the_service_well(resource: Resource, new_id: int) -> None:
    address = urlsplit(str(resource.http.base_url))
    body = json.dumps(resource.record(new_id)).encode()
    head = f"POST {resource.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    for sent in (body[:5], body):
        with closing(socket.create_connection((address.hostname, address.port))) as connection:
            connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + sent)
    assert resource.post(resource.record(new_id)).status_code in {200, 201}


def test_a_get_right_after_201_finds_the_record(resource: Resource) -> None:
    for _ in range(50):
        created = resource.post(resource.record())
        assert resource.http.get(created.headers["location"]).status_code == 200


def _bulk(resource: Resource, kind: str, records: list[dict[str, Any]], query: str = "") -> httpx.Response:
    if kind == "application/json":
        body = json.dumps(records)
    elif kind == "application/x-ndjson":
        body = "".join(json.dumps(record) + "\n" for record in records)
    else:
        names = list(records[0])
        body = "".join(",".join(map(str, row)) + "\n" for row in [names, *(record.values() for record in records)])
    headers = {"content-type": kind}
    return resource.http.post(f"{resource.path}/batch{query}", content=body.encode(), headers=headers, timeout=60)


KINDS = ["application/json", "application/x-ndjson", "text/csv"]


def test_large_bodies_at_once_are_all_stored_whole(resource: Resource, new_id: int) -> None:
    # Together more than may be on its way to the disk.
    bodies = [[resource.record(new_id + 10_000 * part + n) for n in range(10_000)] for part in range(4)]
    with ThreadPoolExecutor(len(bodies)) as threads:
        answers = list(threads.map(lambda records: _bulk(resource, "application/x-ndjson", records), bodies))
    assert [(answer.status_code, answer.json()["created"]) for answer in answers] == [(201, 10_000)] * 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_created_and_then_unchanged(resource: Resource, new_id: int, kind: str) -> None:
    records = [resource.record(new_id + number) for number in range(5_000)]
    first, again = _bulk(resource, kind, records), _bulk(resource, kind, records)
    counts = {"received": 5000, "rejected": 0, "results": [], "results_omitted": 0}
    assert (first.status_code, first.json()) == (201, {**counts, "created": 5000, "unchanged": 0})
    assert (again.status_code, again.json()) == (200, {**counts, "created": 0, "unchanged": 5000})
    page = resource.http.get(f"{resource.path}?after={new_id + 4989}&limit=10").json()["items"]
    assert page == records[-10:]


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_keeps_the_good_rows_and_names_the_bad_ones(resource: Resource, new_id: int, kind: str) -> None:
    records = [resource.record(new_id + number) for number in range(30)]
    field = {"users": "email", "products": "price", "orders": "quantity"}[resource.name]
    records[7][field] = records[29][field] = 0
    records[20] = resource.record(new_id, **OTHER[resource.name])
    response = _bulk(resource, kind, records)
    report = response.json()
    assert response.status_code == 207
    assert (report["received"], report["created"], report["rejected"]) == (30, 27, 3)
    assert [(result["index"], result["id"]) for result in report["results"]] == [
        (7, new_id + 7),
        (20, new_id),
        (29, new_id + 29),
    ]
    slugs = [result["problem"]["type"].rpartition(":")[2] for result in report["results"]]
    assert slugs == ["invalid-record", "id-taken", "invalid-record"]
    assert report["results"][0]["problem"]["errors"][0]["pointer"] == f"#/{field}"
    assert resource.http.get(f"{resource.path}/{new_id + 7}").status_code == 404


def test_a_batch_can_list_every_row_and_stays_bounded(resource: Resource, new_id: int) -> None:
    records = [resource.record(new_id + number) for number in range(3)]
    results = _bulk(resource, "application/x-ndjson", records, "?results=all").json()["results"]
    assert results == [
        {"index": number, "id": new_id + number, "outcome": "created", "problem": None} for number in range(3)
    ]
    report = _bulk(resource, "application/x-ndjson", [{"s3cret": "s3cret"}] * 15_000).json()
    assert (len(report["results"]), report["results_omitted"], report["rejected"]) == (10_000, 5_000, 15_000)
    assert "s3cret" not in json.dumps(report)
    problem(_bulk(resource, "application/x-ndjson", records, "?results=some"), 422, "invalid-query")


def test_what_is_no_batch_is_refused(resource: Resource) -> None:
    send = resource.http.post
    path = f"{resource.path}/batch"
    problem(send(path, content=b"{}", headers={"content-type": "application/json"}), 400, "malformed-body")
    problem(send(path, content=b"id,nmae\n", headers={"content-type": "text/csv"}), 422, "invalid-record")
    problem(send(path, content=b"", headers={"content-type": "text/plain"}), 415, "unsupported-media-type")
    empty = send(path, content=b"[]", headers={"content-type": "application/json"})
    assert (empty.status_code, empty.json()["received"]) == (200, 0)


def test_what_a_broken_batch_had_stored_stays_and_is_unchanged_later(resource: Resource, new_id: int) -> None:
    records = [resource.record(new_id + number) for number in range(10_000)]
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    address = urlsplit(str(resource.http.base_url))
    head = f"POST {resource.path}/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
    with closing(socket.create_connection((address.hostname, address.port))) as connection:
        connection.sendall(f"{head}content-length: {len(lines)}\r\n\r\n".encode() + lines[:-10])
        eventually(lambda: resource.http.get(f"{resource.path}/{new_id}").status_code == 200)
    report = _bulk(resource, "application/x-ndjson", records).json()
    assert report["unchanged"] > 0
    assert report["created"] + report["unchanged"] == 10_000


def test_a_batch_refuses_the_orders_whose_references_do_not_exist(
    services: dict[str, RunningService], resource: Resource, new_id: int
) -> None:
    orders = Resource("orders", httpx.Client(base_url=services["orders"].url, trust_env=False))
    with orders.http:
        records = [orders.record(new_id + number) for number in range(3_000)]
        records[5]["user_id"] = records[2_999]["user_id"] = records[2_999]["product_id"] = MAX_ID
        report = _bulk(orders, "application/x-ndjson", records).json()
    assert (report["created"], report["rejected"]) == (2_998, 2)
    reasons = [[error["pointer"] for error in result["problem"]["errors"]] for result in report["results"]]
    assert reasons == [["#/user_id"], ["#/user_id", "#/product_id"]]
