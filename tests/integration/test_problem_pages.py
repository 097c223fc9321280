"""The pages to which problems lead: each kind has one, and its examples are what the service really answers."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from html import unescape
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.chassis import kinds
from tests.processes import all_running, post, running
from tests.resource import MAX_ID, OTHER, PROBLEM, RECORDS, Resource, client, problem


def page(resource: Resource, path: str) -> str:
    """Return the text of a page; check that it is one, with the headers that the interactive docs have."""
    answer, docs = resource.http.get(path), resource.http.get("/docs")
    assert answer.status_code == 200, path
    for header in ("content-type", "content-security-policy", "x-content-type-options", "referrer-policy"):
        assert answer.headers[header] == docs.headers[header]
    return unescape(answer.text.replace("<code>", "`").replace("</code>", "`"))


@pytest.fixture(scope="module", params=RECORDS)
def untouched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resource]:
    """Each service in turn, with nothing stored but what an order refers to, and what these tests store."""
    name = request.param
    with all_running(tmp_path_factory.mktemp(name)) as services, client(services[name]) as http:
        for other in {"users", "products"} - {name}:
            assert post(services[other], {**RECORDS[other], "id": 1}).status_code == 201
        yield Resource(name, http, services[name].kept)


@pytest.mark.parametrize("slug", kinds.ALL)
def test_every_kind_has_a_page_with_its_words_and_an_example(resource: Resource, slug: str) -> None:
    kind = kinds.ALL[slug]
    text = page(resource, kind.type)
    for said in (kind.title, f"{kind.status} {HTTPStatus(kind.status).phrase}", kind.meaning, kind.sender):
        assert said in text
    assert kind.operator in text
    assert ("What the operator does" in text) == bool(kind.operator)
    shown = json.loads("{" + text.partition("<pre>")[2].partition("</pre>")[0].partition("{")[2])
    assert (shown["type"], shown["status"], shown["title"]) == (f"/problems/{slug}", kind.status, kind.title)
    assert ('href="/problems"' in text, 'href="/docs"' in text) == (True, True)
    assert "<script" not in text


def test_one_page_lists_all_kinds(resource: Resource) -> None:
    text = page(resource, "/problems")
    assert [slug for slug in kinds.ALL if f'<a href="/problems/{slug}">' not in text] == []
    assert text.count("<dt>") == len(kinds.ALL)


def test_what_is_no_kind_has_no_page(resource: Resource) -> None:
    for path in ("/problems/", "/problems/nonsense", "/problems/id-taken/more", "/problems/%2e%2e"):
        problem(resource.http.get(path), 404, "not-found")
    assert "Nothing is at this path" in page(resource, "/problems/not-found")


def test_the_examples_of_refusals_are_what_the_service_answers(untouched: Resource) -> None:
    document = untouched.http.get("/openapi.json").json()["paths"]
    given = [
        (route, refused.status_code, refused.json())
        for route, answers in refusals(untouched, document).items()
        for refused in answers
    ]
    for route, status, body in given:
        method, path = route.split()
        content = document[path][method]["responses"][str(status)]["content"][PROBLEM]
        assert body == content["examples"][body["type"].rpartition("/")[2]]["value"], route
    assert len({body["type"] for *_, body in given}) == 8 + (untouched.name == "orders")


def refusals(resource: Resource, document: dict[str, Any]) -> dict[str, list[httpx.Response]]:
    """Return how the service refuses what it can be made to refuse, by route."""
    path, http = resource.path, resource.http
    batches = document[f"{path}/batch"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    refused_record = batches["A good one and a bad one"]["value"][1]
    resource.post(resource.record(MAX_ID))
    answers = {
        f"post {path}": [
            resource.post(resource.record(MAX_ID, **OTHER[resource.name])),
            resource.post(resource.record()),
            resource.post(refused_record),
            resource.send(b"{"),
            resource.send(b" " * 70_000),
            resource.send(b"{}", **{"content-type": "text/plain"}),
        ],
        f"post {path}/batch": [
            resource.send_bulk("application/json", b"{}"),
            resource.send_bulk("application/x-ndjson", b"x" * 70_000),
            resource.send_bulk("text/csv", b"id\n"),
            resource.send_bulk("text/plain", b""),
            resource.send_bulk("text/csv", b"", "?results=some"),
        ],
        f"post {path}/lookup": [
            http.post(f"{path}/lookup", content=b" " * 300_000, headers={"content-type": "application/json"}),
            http.post(f"{path}/lookup", json={"ids": ["1", 0]}),
        ],
        f"get {path}": [http.get(path, params={"limit": 0})],
        f"get {path}/{{id}}": [http.get(f"{path}/0"), http.get(f"{path}/404")],
    }
    if resource.name == "orders":
        answers[f"post {path}"] += [resource.post(resource.record(5, user_id=404, product_id=404))]
    return answers


def test_the_example_of_a_partly_refused_batch_is_what_the_service_answers(untouched: Resource) -> None:
    content = untouched.http.get("/openapi.json").json()["paths"][f"{untouched.path}/batch"]["post"]
    shown = content["responses"]["207"]["content"]["application/json"]["example"]
    bad = content["requestBody"]["content"]["application/json"]["examples"]["A good one and a bad one"]["value"][1]
    untouched.post(untouched.record(3))
    rows = [untouched.record(1), {"id": 2, **bad}, untouched.record(3, **OTHER[untouched.name])]
    if untouched.name == "orders":
        rows.append(untouched.record(4, user_id=404, product_id=404))
    assert untouched.bulk("application/json", rows).json() == shown


def test_the_example_of_references_that_cannot_be_checked_is_what_the_service_answers(tmp_path: Path) -> None:
    with ExitStack() as stack:
        # Its port is taken, and nobody listens there.
        taken = stack.enter_context(closing(socket.socket()))
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
        service = stack.enter_context(running("orders", tmp_path, USERS_URL=nowhere, PRODUCTS_URL=nowhere))
        http = stack.enter_context(client(service))
        refused = http.post("/orders", json=RECORDS["orders"]).json()
        shown = http.get("/openapi.json").json()["paths"]["/orders"]["post"]["responses"]["503"]["content"][PROBLEM]
        assert refused == shown["examples"]["reference-check-unavailable"]["value"]


def test_every_problem_of_the_document_leads_to_its_page(resource: Resource) -> None:
    document = resource.http.get("/openapi.json").json()
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                for slug, shown in answer["content"].get(PROBLEM, {"examples": {}})["examples"].items():
                    kind = kinds.ALL[slug]
                    assert shown["value"]["type"] == kind.type
                    assert f"[{kind.title}]({kind.type})" in answer["description"]
                    assert (shown["value"]["title"], status) == (kind.title, str(kind.status))
