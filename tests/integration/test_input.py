"""Input of every bad kind: refused with reasons and without harm, or stored byte for byte."""

import json
from typing import Any

import pytest

from tests.resource import KINDS, NOT_ZERO, PROBLEM, RECORDS, Resource, bulk_body, problem

pytestmark = pytest.mark.usefixtures("unharmed")

with_text = pytest.mark.parametrize("resource", ["users", "products"], indirect=True)
with_a_price = pytest.mark.parametrize("resource", ["products"], indirect=True)

NO_NUMBERS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    "9" * 5000,
    "0",
    "-1",
    "true",
    '"1"',
    "null",
    "[]",
    "{}",
]
NO_WHOLE_NUMBERS = ["1.0", "1e0", "1.5", str(2**63), "1" + "0" * 99, "1e9999999999999999999", "1e999999999999999999"]
REFUSED = {"malformed-body", "invalid-record"}


def literals(record: dict[str, Any], **changes: str) -> dict[str, str]:
    """Return each field's value as JSON writes it, or as a test does."""
    return {**{name: json.dumps(value) for name, value in record.items()}, **changes}


def as_json(fields: dict[str, str]) -> bytes:
    return ("{" + ",".join(f'"{name}":{literal}' for name, literal in fields.items()) + "}").encode()


def written(kind: str, rows: list[dict[str, str]]) -> bytes:
    """Return a body of that kind with the values as they are written."""
    if kind == "text/csv":
        return "".join(",".join(row) + "\n" for row in [rows[0], *(row.values() for row in rows)]).encode()
    objects = map(as_json, rows)
    return b"\n".join(objects) if kind == "application/x-ndjson" else b"[" + b",".join(objects) + b"]"


def numbers(resource: Resource) -> list[str]:
    return ["id", *(name for name, value in RECORDS[resource.name].items() if not isinstance(value, str))]


def slug(response_or_result: dict[str, Any]) -> str:
    return str(response_or_result["type"]).rpartition("/")[2]


def wrong_numbers(resource: Resource) -> list[tuple[str, str]]:
    """Return every field that holds a number, with everything that is none."""
    return [
        (field, literal)
        for field in numbers(resource)
        for literal in NO_NUMBERS + (NO_WHOLE_NUMBERS if field != "price" else [])
    ]


def test_what_is_no_number_never_reaches_the_database(resource: Resource, new_id: int) -> None:
    before = resource.figures()["parallel_insert_batch_records_count"]
    for field, literal in wrong_numbers(resource):
        response = resource.send(as_json(literals(resource.record(new_id), **{field: literal})))
        assert response.is_client_error, (field, literal)
        assert response.headers["content-type"] == PROBLEM
        assert slug(response.json()) in REFUSED, (field, literal)
    assert resource.figures()["parallel_insert_batch_records_count"] == before


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_rows_those_with_what_is_no_number_are_refused_alone(
    resource: Resource, new_id: int, kind: str
) -> None:
    # In CSV a number is one with quotes around it too.
    wrong = [(field, literal) for field, literal in wrong_numbers(resource) if kind != "text/csv" or literal != '"1"']
    rows = [literals(resource.record(new_id + place)) for place in range(2 * len(wrong))]
    for place, (field, literal) in enumerate(wrong):
        rows[2 * place + 1][field] = literal
    report = resource.send_bulk(kind, written(kind, rows)).json()
    refused = [(result["index"], slug(result["problem"]) in REFUSED) for result in report["results"]]
    assert refused == [(2 * place + 1, True) for place in range(len(wrong))]
    ids = resource.stored("id", where=f"id BETWEEN {new_id} AND {new_id + len(rows)}")
    assert ids == [(new_id + 2 * place,) for place in range(len(wrong))]


@pytest.mark.parametrize(
    ("literal", "status"),
    [
        (r'"\ud800"', 422),
        (r'"a\udc00@b"', 422),
        (r'"\u0000"', 422),
        (r'"a\u0000@b"', 422),
        (r'"a\u001b[2J@b"', 422),
        (r'"a\n@b"', 422),
        (r'"a\u007f@b"', 422),
        (r'"a\u0085@b"', 422),
        ('"a\x00@b"', 400),
        ('"a\n@b"', 400),
        ('"' + "a" * 300 + '"', 422),
        ("7", 422),
        ("null", 422),
        ("[]", 422),
    ],
)
@with_text
def test_what_is_no_text_is_refused_alone(resource: Resource, new_id: int, literal: str, status: int) -> None:
    for field in {"name", "email"} & RECORDS[resource.name].keys():
        bad = as_json(literals(resource.record(new_id), **{field: literal}))
        response = resource.send(bad)
        assert (response.status_code, slug(response.json()) in REFUSED) == (status, True)
        rows = b"[%b,%b]" % (as_json(literals(resource.record(new_id + 1))), bad)
        # Where it is no JSON, an array ends there.
        (refused,) = resource.send_bulk("application/json", rows).json()["results"]
        assert (refused["index"], refused["problem"]["status"]) == (1, status)
    assert resource.http.get(f"{resource.path}/{new_id}").status_code == 404


GOOD = json.dumps(RECORDS["users"])
NO_JSON = {
    "nothing": b"",
    "a space": b" ",
    "a brace": b"{",
    "a record without its end": GOOD[:-1].encode(),
    "a record and more": GOOD.encode() + b"x",
    "two records": GOOD.encode() * 2,
    "Python": b"{'id': 1}",
    "a form": b"name=Ada",
    "UTF-16": GOOD.encode("utf-16"),
    "UTF-16 without its mark": GOOD.encode("utf-16-le"),
    "UTF-32": GOOD.encode("utf-32"),
    "a byte order mark": GOOD.encode("utf-8-sig"),
    "Latin-1": GOOD.replace("Ada", "Adé").encode("latin-1"),
    "noughts": b"\0" * 1000,
    "every byte": bytes(range(256)),
    "20,000 arrays": b"[" * 20_000,
    "20,000 arrays and objects": b'[{"":' * 10_000,
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_what_is_not_json_is_malformed(resource: Resource, body: bytes) -> None:
    problem(resource.send(body), 400, "malformed-body")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_many_records_that_are_no_text_or_without_end_are_all_refused(
    resource: Resource, kind: str, body: bytes
) -> None:
    before = resource.http.get(f"{resource.path}/count").json()
    response = resource.send_bulk(kind, body)
    if response.status_code in {200, 207}:
        report = response.json()
        assert report["received"] == report["rejected"]
    else:
        assert (response.status_code in {400, 422}, slug(response.json()) in REFUSED) == (True, True)
    assert resource.http.get(f"{resource.path}/count").json() == before


def test_a_value_20000_levels_deep_is_refused(resource: Resource) -> None:
    for field in ("id", "surplus"):
        deep = as_json(literals(resource.record(), **{field: "[" * 20_000 + "]" * 20_000}))
        response = resource.send(deep)
        assert (response.is_client_error, slug(response.json()) in REFUSED) == (True, True)
        assert resource.send_bulk("application/x-ndjson", deep).json()["rejected"] == 1


@pytest.mark.parametrize("body", [b"null", b"[]", b"[{}]", b'"name"', b"7", b"true"])
def test_what_is_no_object_is_no_record(resource: Resource, body: bytes) -> None:
    errors = problem(resource.send(body), 422, "invalid-record")["errors"]
    assert errors == [{"pointer": "#", "detail": "it is not a JSON object"}]


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
        resource.send(b"s3cret", **{"content-type": "s3cret"}),
        resource.send(b"s3cret", **{"content-encoding": "s3cret"}),
        resource.http.get("/s3cret"),
        resource.http.get(f"{resource.path}/s3cret"),
        resource.http.get(f"{resource.path}?limit=s3cret&s3cret=s3cret"),
        resource.http.post(f"{resource.path}/lookup", json={"ids": ["s3cret"], "s3cret": "s3cret"}),
        resource.http.request("BREW", resource.path),
        resource.send_bulk("text/csv", b"s3cret,s3cret\n"),
        resource.send_bulk("s3cret", b"s3cret"),
        *(resource.send_bulk(kind, bulk_body(kind, [record, record])) for kind in KINDS),
    ):
        assert response.status_code == 207 or response.is_client_error
        assert response.status_code == 207 or response.headers["content-type"] == PROBLEM
        assert "s3cret" not in response.text


TEXTS = {
    "the longest": "a" * 200,
    "the longest beyond the basic plane": "\U0001f389" * 200,
    "SQL": "'); DROP TABLE users;--",
    "right to left": "שלום \u202eعالم\u202c",
    "astral": "\U0001d518\U0001d52b𠮷\U0010ffff",
    "not normalised": "e\u0301 \u00e9 \ufb01",
    "what formats mean by": 'a,b;"c" {"d":[1]},{ \\u0041 %s %d \\',
    "markup": "<script>alert(1)</script>&amp;",
    "odd spaces": "a\u200b\ufeffb \u2028c",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@with_text
def test_text_is_stored_byte_for_byte(resource: Resource, new_id: int, text: str) -> None:
    records = [resource.record(new_id + number, name=text) for number in range(1 + len(KINDS))]
    assert resource.post(records[0]).json() == records[0]
    for kind, record in zip(KINDS, records[1:], strict=True):
        assert resource.bulk(kind, [record]).status_code == 201
    where = f"id BETWEEN {new_id} AND {new_id + len(KINDS)}"
    assert resource.stored("name", where=where) == [(text,)] * len(records)
    assert [resource.http.get(f"{resource.path}/{record['id']}").json() for record in records] == records
    found = resource.http.get(resource.path, params={"name": text, "after": new_id - 1, "limit": len(records)}).json()
    assert found["items"] == records


@with_text
def test_text_of_one_character_more_is_refused(resource: Resource, new_id: int) -> None:
    for text in ("a" * 201, "\U0001f389" * 201):
        body = problem(resource.post(resource.record(new_id, name=text)), 422, "invalid-record")
        assert body["errors"] == [{"pointer": "#/name", "detail": "name is longer than 200 characters"}]
        assert all(resource.bulk(kind, [resource.record(name=text)]).json()["rejected"] == 1 for kind in KINDS)


@pytest.mark.parametrize("resource", ["users"], indirect=True)
def test_the_longest_address_is_stored_and_one_character_more_is_not(resource: Resource, new_id: int) -> None:
    domain = ".".join(["b" * 60] * 4)
    longest = resource.record(new_id, email=f"{'a' * (253 - len(domain))}@{domain}")
    assert resource.post(longest).json() == longest
    problem(resource.post({**longest, "id": new_id + 1, "email": f"a{longest['email']}"}), 422, "invalid-record")
    assert resource.stored("email", where=f"id >= {new_id}")[0] == (longest["email"],)


@pytest.mark.parametrize(
    ("literal", "kept", "answered"),
    [
        ("0.10", "0.10", "0.1"),
        ("0.01", "0.01", "0.01"),
        ("7", "7.00", "7.0"),
        ("999999999.99", "999999999.99", "999999999.99"),
        ("123456789.10", "123456789.10", "123456789.1"),
        ("1e2", "100.00", "100.0"),
        ("0.290000000000000000000000000000", "0.29", "0.29"),
        ("129e-2", "1.29", "1.29"),
    ],
)
@with_a_price
def test_a_price_is_stored_and_given_back_exactly(
    resource: Resource, new_id: int, literal: str, kept: str, answered: str
) -> None:
    rows = [literals(resource.record(new_id + number), price=literal) for number in range(1 + len(KINDS))]
    assert f'"price":{answered}}}' in resource.send(as_json(rows[0])).text
    for kind, row in zip(KINDS, rows[1:], strict=True):
        assert resource.send_bulk(kind, written(kind, [row])).status_code == 201
    prices = resource.stored("price", where=f"id BETWEEN {new_id} AND {new_id + len(KINDS)}")
    assert prices == [(kept,)] * len(rows)
    for row in rows:
        assert f'"price":{answered}}}' in resource.http.get(f"{resource.path}/{row['id']}").text


@pytest.mark.parametrize(
    "literal",
    ["0", "0.00", "-0", "-0.01", "0.001", "1e308", "1000000000", "999999999.991", "1e-400", "9.99000000000000000001"],
)
@with_a_price
def test_a_price_that_cannot_be_kept_exactly_is_refused(resource: Resource, new_id: int, literal: str) -> None:
    row = literals(resource.record(new_id), price=literal)
    (error,) = problem(resource.send(as_json(row)), 422, "invalid-record")["errors"]
    assert error["pointer"] == "#/price"
    assert all(resource.send_bulk(kind, written(kind, [row])).json()["rejected"] == 1 for kind in KINDS)
    assert resource.stored("id", where=f"id = {new_id}") == []


@pytest.mark.parametrize(
    "text", ["-1", "+1", "1_000", "%00", "1%00", "%EF%BC%91", "%D9%A3", "9" * 5000, "1.0", "x", "1e9", "%20", "lookup/"]
)
def test_what_is_no_number_in_a_path_is_not_found(resource: Resource, text: str) -> None:
    problem(resource.http.get(f"{resource.path}/{text}"), 404, "not-found")


@pytest.mark.parametrize("text", ["0", "007", str(2**63), "9" * 19])
def test_what_is_no_id_in_a_path_is_refused(resource: Resource, text: str) -> None:
    problem(resource.http.get(f"{resource.path}/{text}"), 422, "invalid-query")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=1001",
        f"limit={10**9}",
        "limit=x",
        "limit=",
        "limit=1.0",
        "limit=%EF%BC%91",
        "after=-1",
        f"after={2**63}",
        f"after={'9' * 5000}",
        "after=x",
        "after=null",
        "after=%00",
        "nmae=x",
        "id=%00",
        "after=1e9999999999999999999",
        "limit=1&limit=1",
    ],
)
def test_what_is_no_parameter_is_refused(resource: Resource, query: str) -> None:
    problem(resource.http.get(f"{resource.path}?{query}"), 422, "invalid-query")


def test_a_filter_that_no_record_can_pass_is_refused_too(resource: Resource) -> None:
    field = NOT_ZERO[resource.name]
    problem(resource.http.get(f"{resource.path}?{field}=0"), 422, "invalid-query")
