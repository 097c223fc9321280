"""The HTTP contract that the three services share, and that each must keep in the same way."""

import json
import re
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest

from tests.processes import eventually
from tests.resource import MAX_ID, OTHER, PROBLEM, Resource, problem


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
    resource.bulk("application/x-ndjson", records)
    response = resource.http.post(
        f"{resource.path}/lookup",
        json={"ids": [new_id + 2, new_id, new_id + 3, new_id]},
        headers={"accept": "application/x-ndjson"},
    )
    assert (response.status_code, response.headers["content-type"]) == (200, "application/x-ndjson")
    assert [json.loads(line) for line in response.text.splitlines()] == [records[0], records[2]]


@pytest.mark.parametrize(
    ("accepts", "lines"),
    [
        (["Application/X-NDJSON; charset=utf-8"], True),
        (["text/plain", "application/x-ndjson"], True),
        (["application/json;q=0.5, application/x-ndjson ; Q=0.5"], True),
        (["application/json, application/x-ndjson;q=0.9"], False),
        (["application/x-ndjson;q=0.000"], False),
        (["application/x-ndjson-seq, */*"], False),
        (["application/x-ndjson;q=;q=nan,;,=;q=0"], True),
        (["," * 30_000], False),
    ],
    ids=lambda value: ", ".join(value)[:40] if isinstance(value, list) else "",
)
def test_lines_are_given_to_those_who_want_them_no_less_than_json(
    resource: Resource, accepts: list[str], *, lines: bool
) -> None:
    headers = [("accept", value) for value in accepts]
    expected = "application/x-ndjson" if lines else "application/json"
    listed = resource.http.get(f"{resource.path}?limit=1", headers=headers)
    found = resource.http.post(f"{resource.path}/lookup", json={"ids": [1]}, headers=headers)
    assert [answer.headers["content-type"] for answer in (listed, found)] == [expected] * 2


def test_a_lookup_of_as_many_ids_as_are_allowed_is_read(resource: Resource) -> None:
    ids = [MAX_ID - number for number in range(10_000)]
    assert resource.http.post(f"{resource.path}/lookup", json={"ids": ids}).json() == {"missing": ids[::-1]}


def test_pages_lead_through_all_records_by_id(resource: Resource) -> None:
    ids = [resource.post(resource.record()).json()["id"] for _ in range(5)]
    # What other tests have stored comes before.
    seen, url = [], f"{resource.path}?limit=2&after={ids[0] - 1}"
    while url:
        page = resource.http.get(url).json()
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        url = page["next"]
    assert seen == ids


def test_any_field_filters_by_equality_on_every_page(resource: Resource, new_id: int) -> None:
    resource.post(resource.record(new_id, **OTHER[resource.name]))
    resource.post(resource.record())
    wanted = {**OTHER[resource.name], "limit": 1}
    page = resource.http.get(resource.path, params=wanted).json()
    assert page["items"]
    while page["next"]:
        page = resource.http.get(page["next"]).json()
        assert all(OTHER[resource.name].items() <= item.items() for item in page["items"])


def test_paths_and_methods_that_do_not_exist_are_problems_too(resource: Resource) -> None:
    problem(resource.http.get("/nowhere"), 404, "not-found")
    problem(resource.http.get(f"{resource.path}/"), 404, "not-found")
    response = resource.http.put(resource.path)
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, HEAD, POST"
    response = resource.http.post("/assets/favicon.png")
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, HEAD"
    response = resource.http.get(f"{resource.path}/lookup")
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"
    problem(resource.http.request("TRACE", "/livez"), 405, "method-not-allowed")


def test_the_head_of_whatever_can_be_read_is_what_get_has(resource: Resource, new_id: int) -> None:
    resource.post(resource.record(new_id))
    reads = [f"{resource.path}/{new_id}", f"{resource.path}?after={new_id - 1}&limit=1", f"{resource.path}/count"]
    for path in [*reads, "/livez", "/readyz", "/docs", "/", "/openapi.json", f"{resource.path}/0", "/nowhere"]:
        head, get = resource.http.head(path), resource.http.get(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        assert head.headers["content-length"] == get.headers["content-length"], path
        assert head.headers.get("content-type") == get.headers.get("content-type"), path
    problem(resource.http.put("/livez"), 405, "method-not-allowed")
    refused = resource.http.head(f"{resource.path}/lookup")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"hello\r\n\r\n"]
)
def test_what_is_not_http_is_a_problem_too(resource: Resource, garbage: bytes) -> None:
    with closing(resource.connect()) as connection:
        connection.sendall(garbage)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert PROBLEM.encode() in answer


def test_health_and_the_way_to_the_docs(resource: Resource) -> None:
    assert resource.http.get("/livez").json() == {"status": "alive"}
    assert resource.http.get("/readyz").json() == {"status": "ready"}
    assert resource.http.get("/", follow_redirects=True).url.path == "/docs"


def test_the_metrics_count_answers_and_commits(resource: Resource) -> None:
    before = resource.figures()
    resource.post(resource.record())
    resource.post({})
    after = resource.figures()
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


def test_the_answer_tells_how_many_inserts_were_in_flight(resource: Resource, new_id: int) -> None:
    head = f"POST {resource.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
    with closing(resource.connect()) as half_sent:
        half_sent.sendall(head.encode())
        while resource.figures()["parallel_insert_in_flight"] < 1:
            pass
        assert resource.post(resource.record(new_id)).headers["in-flight"] == "2"
        half_sent.sendall(b"{}")
        assert b"in-flight: 1" in half_sent.recv(4096)


def timing_of(response: httpx.Response) -> dict[str, str]:
    """Return the parts of the Server-Timing header, each by its name."""
    header = response.headers.get("server-timing", "")
    return {part.partition(";")[0]: part for part in header.split(", ") if part}


def test_the_answer_tells_where_its_time_went_and_which_transaction_it_was_in(resource: Resource, new_id: int) -> None:
    parts = ["check"] if resource.name == "orders" else []
    answers = [
        resource.post(resource.record(new_id)),
        resource.post(resource.record(new_id)),
        resource.post(resource.record(new_id, **OTHER[resource.name])),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 409]
    numbers = []
    for answer in answers:
        timing = timing_of(answer)
        assert list(timing) == [*parts, "wait", "commit"]
        assert all(re.fullmatch(r'\w+;dur=\d+\.\d{3}(;desc="\d+")?', part) for part in timing.values())
        numbers.append(int(timing["commit"].split('"')[1]))
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert timing_of(resource.post({})) == {}


def test_an_order_that_is_refused_for_its_references_tells_how_long_they_were_checked(
    resources: dict[str, Resource], new_id: int
) -> None:
    orders = resources["orders"]
    answer = orders.post(orders.record(user_id=new_id))
    assert answer.status_code == 422
    assert list(timing_of(answer)) == ["check"]


def test_inserts_that_share_a_transaction_say_its_number(resource: Resource, new_id: int) -> None:
    sent: list[Future[httpx.Response]] = []
    with ThreadPoolExecutor(30) as threads, resource.kept.locked():
        # Some of the first begin a transaction; what comes then waits for the next.
        while resource.figures()["parallel_insert_waiting"] < 3:
            sent.append(threads.submit(resource.post, resource.record(new_id + len(sent))))
            eventually(lambda: resource.in_flight() == len(sent))
    numbers = Counter(timing_of(answer.result())["commit"].split('"')[1] for answer in sent)
    assert max(numbers.values()) >= 3
    assert len(numbers) > 1
