"""The OpenAPI document of each service: that it says everything, and that the service does what it says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis
from schemathesis import Case, CheckContext, GenerationMode, HookContext, Response

from tests.processes import PROJECT, RunningService, all_running, post
from tests.rounds import rounds

Session = Future[subprocess.CompletedProcess[str]]
SERVICES = ("users", "products", "orders")
# What the example of an order refers to.
SAMPLE: dict[str, dict[str, object]] = {
    "users": {"id": 1, "name": "Ada", "email": "ada@example.com"},
    "products": {"id": 1, "name": "Lamp", "price": 24.99},
}
REFERENCES = {"user_id", "product_id"}
LINES = {"application/x-ndjson", "text/csv"}
# An id near the greatest one would leave none to assign, and whatever follows without an id would be refused.
GREATEST_SENT_ID = 2**62
# For each route, besides those that it always tries: the document's examples, every limit, every other method.
RANDOM_CASES = rounds(20, 1_100)
LEAST_CASES = rounds(400, 5_000)
SESSION_TIMEOUT_S = rounds(100, 900)
# A shorter text may stand in an answer by chance.
LEAST_REPEATED_CHARACTERS = 5


@schemathesis.hook("before_call")
def respect_what_json_schema_cannot_say(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Make a request that the document allows one that the service takes; runs in the process of a session.

    Three rules can't be said in JSON Schema: an integer is not written as 1.0, what an order refers to exists, and ids
    are not used up.
    """
    if case.meta and case.meta.generation.mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
        case.body = {name: _sendable(name, value) for name, value in case.body.items()}


@schemathesis.hook("before_load_schema")
def without_what_json_schema_cannot_say(_: HookContext, document: dict[str, Any]) -> None:
    """Leave out the bodies that are lines of text, whose form the document tells people in words."""
    for operation in operations(document).values():
        content = operation.get("requestBody", {}).get("content", {})
        for media_type in LINES & content.keys():
            del content[media_type]


@schemathesis.check
def no_refusal_repeats_what_was_sent(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """Fail where a refusal is no problem, or holds a text of the request that is none of the document's own."""
    refused = response.status_code >= HTTPStatus.BAD_REQUEST
    if not refused and response.status_code != HTTPStatus.MULTI_STATUS:
        return
    assert not refused or response.headers["content-type"] == ["application/problem+json"], response.headers
    answered = "\n".join(_texts(response.json()))
    for sent in _texts([case.body, case.query, case.path_parameters, dict(case.headers)]):
        if len(sent) >= LEAST_REPEATED_CHARACTERS and sent in answered:
            assert sent in "\n".join(_texts(case.operation.schema.raw_schema)), f"the answer repeats {sent}"


def _texts(value: object) -> Iterator[str]:
    """Yield every text of a JSON value, the names among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts([*value, *value.values()])
    elif isinstance(value, list):
        yield from chain.from_iterable(map(_texts, value))


def _sendable(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_sendable(name, entry) for entry in value]
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return 1 if name in REFERENCES else min(int(value), GREATEST_SENT_ID)
    return value


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Session]]:
    """A session of requests made from each document; they run side by side.

    They have services of their own, since they store much. Each runs as a command, because that is where Schemathesis
    has all its phases, and with all its checks: none is left out.
    """
    with all_running(tmp_path_factory.mktemp("databases")) as running, ThreadPoolExecutor() as pool:
        for name, record in SAMPLE.items():
            assert post(running[name], record).status_code == 201
        yield {name: pool.submit(_session, running[name], tmp_path_factory.mktemp(name)) for name in SERVICES}


def _session(service: RunningService, folder: Path) -> subprocess.CompletedProcess[str]:
    # The same cases on every run: a failure is never the luck of the draw.
    options = ["--generation-deterministic", f"--max-examples={RANDOM_CASES}", "--no-color"]
    return subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json", *options],
        cwd=folder,
        env={**os.environ, "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(PROJECT), "SCHEMATHESIS_HOOKS": __name__},
        capture_output=True,
        text=True,
        timeout=SESSION_TIMEOUT_S,
        check=False,
    )


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest, services: dict[str, RunningService]) -> RunningService:
    """Each service in turn; what its example refers to exists."""
    for name, record in SAMPLE.items():
        # Whatever another test has stored under this id does as well.
        assert post(services[name], record).status_code in {200, 201, 409}
    return services[request.param]


def document_of(service: RunningService) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(f"{service.url}/openapi.json", trust_env=False).json()
    return document


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the schema and examples of each kind of body that a route takes or answers."""
    for whose, message in {"request": operation.get("requestBody", {}), **operation["responses"]}.items():
        for media_type, content in message.get("content", {}).items():
            yield f"{whose} {media_type}", content


def examples(content: dict[str, Any]) -> dict[str, Any]:
    """Return the examples of a kind of body, by their names."""
    return {
        **({"": content["example"]} if "example" in content else {}),
        **{name: example["value"] for name, example in content.get("examples", {}).items()},
    }


@pytest.mark.timeout(SESSION_TIMEOUT_S + 20)
@pytest.mark.parametrize("name", SERVICES)
def test_the_service_does_what_its_document_says(sessions: dict[str, Session], name: str) -> None:
    session = sessions[name].result()
    assert session.returncode == 0, session.stdout + session.stderr
    (generated,) = re.findall(r"(\d+) generated", session.stdout)
    print(name, generated, "requests")
    assert int(generated) >= LEAST_CASES


def test_every_route_parameter_answer_and_body_is_described(service: RunningService) -> None:
    undescribed = [
        f"{route}: {what}"
        for route, operation in operations(document_of(service)).items()
        for what, text in {
            "summary": operation.get("summary"),
            "description": operation.get("description"),
            **{p["name"]: p.get("description") for p in operation.get("parameters", [])},
            **{status: answer["description"] for status, answer in operation["responses"].items()},
            # A schema that says nothing is what the framework adds of itself.
            **{body: content["schema"] for body, content in contents(operation)},
        }.items()
        if not text
    ]
    assert undescribed == []


def test_every_body_that_is_sent_or_answered_has_an_example(service: RunningService) -> None:
    without = [
        f"{route}: {whose}"
        for route, operation in operations(document_of(service)).items()
        for whose, content in contents(operation)
        if not examples(content)
    ]
    assert without == []


def test_the_document_introduces_the_service_and_groups_its_routes(service: RunningService) -> None:
    document, name = document_of(service), service.database.stem
    for said in (f"`POST /{name}/batch`", *LINES, "application/json", "(/problems)"):
        assert said in document["info"]["description"]
    assert document["info"]["license"] == {"name": "MIT", "identifier": "MIT"}
    assert [tag["name"] for tag in document["tags"] if tag["description"]] == [name, "health"]
    assert {tag for operation in operations(document).values() for tag in operation["tags"]} == {name, "health"}


def test_every_example_fits_its_schema(service: RunningService) -> None:
    document = document_of(service)
    misfits = [
        f"{route}: {whose}"
        for route, operation in operations(document).items()
        for whose, content in contents(operation)
        for example in examples(content).values()
        # A schema may refer to others in the document.
        if not jsonschema_rs.is_valid({**document, **content["schema"]}, example)
    ]
    assert misfits == []


def test_the_examples_of_requests_are_answered_as_they_say(service: RunningService) -> None:
    path = f"/{service.database.stem}"
    posts = {
        route.split()[1]: op for route, op in operations(document_of(service)).items() if route.startswith("POST ")
    }
    answered = {
        (where, kind, shown): httpx.post(
            f"{service.url}{where}",
            content=example if isinstance(example, str) else json.dumps(example),
            headers={"content-type": kind},
            trust_env=False,
        ).status_code
        for where, operation in posts.items()
        for kind, content in operation["requestBody"]["content"].items()
        for _ in range(2)
        for shown, example in examples(content).items()
    }
    expected = {
        "A record": 201,
        "With an id: sent again, it is unchanged": 200,
        "Two records": 201,
        "With ids: sent again, they are unchanged": 200,
        "A good one and a bad one": 207,
        "Two ids": 200,
    }
    assert {key: expected[key[2]] for key in answered} == answered
    assert len(answered) == len({path, f"{path}/lookup"}) + 1 + 3 * len({"application/json"} | LINES)
