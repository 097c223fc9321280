"""An API key: who has it may write, who has not may read, and nobody finds it in what is said or logged."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.processes import RunningService, all_running, run_client, running, url_options
from tests.upstream import answer, listening

KEY = "k3y-of-the-house"
USER = {"name": "Ada", "email": "a@b"}
PAGES = ("/problems", "/problems/unauthorized")


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running("users", tmp_path_factory.mktemp("users"), API_KEY=KEY, LOG_LEVEL="debug") as service:
        yield service
        service.process.terminate()
        assert KEY not in service.process.communicate()[1]


def send(users: RunningService, path: str, sent: str | None) -> httpx.Response:
    headers = {"content-type": "application/json", **({} if sent is None else {"authorization": sent})}
    body = json.dumps([USER] if path.endswith("batch") else USER)
    return httpx.post(f"{users.url}{path}", content=body, headers=headers, trust_env=False)


@pytest.mark.parametrize("path", ["/users", "/users/batch"])
@pytest.mark.parametrize(
    "sent", [None, "", "Bearer", f"Basic {KEY}", KEY, f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", "Bearer \xe9"]
)
def test_who_has_not_the_key_may_not_write(users: RunningService, path: str, sent: str | None) -> None:
    before = httpx.get(f"{users.url}/users/count", trust_env=False).json()
    headers = {
        "content-type": "application/json",
        **({} if sent is None else {"authorization": sent.encode("latin-1")}),
    }
    refused = httpx.post(f"{users.url}{path}", content=b"[]", headers=headers, trust_env=False)  # type: ignore[arg-type]
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.json()["type"] == "/problems/unauthorized"
    assert KEY not in refused.text
    assert httpx.get(f"{users.url}/users/count", trust_env=False).json() == before


@pytest.mark.parametrize("path", ["/users", "/users/batch"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_who_has_the_key_may_write(users: RunningService, path: str, scheme: str) -> None:
    assert send(users, path, f"{scheme} {KEY}").status_code == 201


def test_the_key_is_asked_for_before_the_body_is_read(users: RunningService) -> None:
    address = urlsplit(users.url)
    with closing(socket.create_connection((address.hostname, address.port), timeout=10)) as sock:
        sock.sendall(b"POST /users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_reading_needs_no_key(users: RunningService) -> None:
    for path in ("/users", "/users/count", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json", *PAGES):
        assert httpx.get(f"{users.url}{path}", trust_env=False).status_code == 200
    looked_up = httpx.post(f"{users.url}/users/lookup", json={"ids": [1]}, trust_env=False)
    assert looked_up.status_code == 200


def test_the_document_says_where_the_key_is_needed(users: RunningService) -> None:
    document = httpx.get(f"{users.url}/openapi.json", trust_env=False).json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            writes = method == "post" and path in {"/users", "/users/batch"}
            assert ("security" in operation) == ("401" in operation["responses"]) == writes, path
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_without_a_key_the_document_names_none(services: dict[str, RunningService]) -> None:
    document = httpx.get(f"{services['users'].url}/openapi.json", trust_env=False).json()
    assert "securitySchemes" not in document.get("components", {})
    assert "401" not in document["paths"]["/users"]["post"]["responses"]


def test_orders_sends_the_key_that_it_was_given(tmp_path: Path) -> None:
    everything_exists = answer("200 OK", b'{"missing": []}')
    with listening(everything_exists) as asked:
        urls = {"USERS_URL": asked.url, "PRODUCTS_URL": asked.url}
        with running("orders", tmp_path, **urls, LOOKUP_API_KEY=KEY) as orders:
            order = {"user_id": 1, "product_id": 1, "quantity": 1}
            assert httpx.post(f"{orders.url}/orders", json=order, trust_env=False).status_code == 201
        assert len(asked.requests) == 2
        assert all(f"authorization: bearer {KEY}" in request.decode().lower() for request in asked.requests)


@pytest.mark.parametrize(("key", "created"), [(KEY, [9, 9, 7]), ("another", [0, 0, 0])])
@pytest.mark.parametrize("size", ["1", "4"])
def test_the_client_sends_the_key_that_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, created: list[int], size: str
) -> None:
    monkeypatch.setenv("API_KEY", KEY)
    with all_running(tmp_path) as services:
        monkeypatch.setenv("API_KEY", key)
        run = run_client(*url_options(services), "--batch", size, "--json", "-")
    result = json.loads(run.stdout)
    assert (run.returncode, [result["summary"][name]["created"] for name in services]) == (0, created)
    reasons = {reason for found in result["results"] for reason in found["reasons"]}
    assert any("API key" in reason for reason in reasons) == (key != KEY)
    assert KEY not in run.stdout + run.stderr


def test_a_key_that_no_header_can_hold_is_bad_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "two\nlines")
    run = run_client()
    assert (run.returncode, "API_KEY" in run.stderr) == (2, True)
