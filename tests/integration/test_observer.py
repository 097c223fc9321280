"""What is noted of requests: ids that travel, logs that are one line each, and figures."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import RunningService, all_running, run_client, running, url_options

USER = {"name": "s3cret", "email": "s3cret@example.com"}


def events(service: RunningService) -> list[dict[str, Any]]:
    """Stop the service, and return what it logged."""
    service.process.terminate()
    return [json.loads(line) for line in service.process.communicate()[1].splitlines()]


def test_every_request_has_the_id_that_was_sent_or_one_of_its_own(services: dict[str, RunningService]) -> None:
    for service in services.values():
        with httpx.Client(base_url=service.url, trust_env=False) as http:
            assert http.get("/livez", headers={"x-request-id": "a.B-1:2,_"}).headers["x-request-id"] == "a.B-1:2,_"
            assert http.get("/nowhere", headers={"x-request-id": "x"}).headers["x-request-id"] == "x"
            own = {http.get("/livez").headers["x-request-id"] for _ in range(3)}
            assert len(own) == 3


@pytest.mark.parametrize("sent", ["", "two words", "x" * 513, "<script>", 'a"b'])
def test_an_id_that_could_do_harm_is_replaced(services: dict[str, RunningService], sent: str) -> None:
    headers = {"x-request-id": sent}
    given = httpx.get(f"{services['users'].url}/livez", headers=headers, trust_env=False).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9]+", given)


def test_an_event_is_one_line_and_holds_neither_bodies_nor_queries(tmp_path: Path) -> None:
    with running("users", tmp_path, LOG_LEVEL="info") as users:
        with httpx.Client(base_url=users.url, trust_env=False) as http:
            http.post("/users", json=USER, headers={"x-request-id": "one"})
            http.post("/users", json=USER | {"s3cret": 1})
            http.get("/users", params={"email": "s3cret@example.com"})
            http.get("/no%0Awhere%1b[2J")
        found = [event for event in events(users) if event["event"] == "request"]
    assert [(event["method"], event["path"], event["status"]) for event in found] == [
        ("POST", "/users", 201),
        ("POST", "/users", 422),
        ("GET", "/users", 200),
        ("GET", "/no\nwhere\x1b[2J", 404),
    ]
    assert found[0]["request_id"] == "one"
    assert all(event["ms"] > 0 for event in found)
    assert "s3cret" not in json.dumps(found)


def test_a_password_in_the_address_of_another_service_is_not_logged(tmp_path: Path) -> None:
    with running("users", tmp_path) as users, running("products", tmp_path) as products:
        urls = {"USERS_URL": users.url.replace("//", "//bob:s3cret@"), "PRODUCTS_URL": products.url}
        with running("orders", tmp_path, LOG_LEVEL="info", **urls) as orders:
            order = {"user_id": 1, "product_id": 1, "quantity": 1}
            assert httpx.post(f"{orders.url}/orders", json=order, trust_env=False).status_code == 422
            found = events(orders)
    assert [event["path"] for event in found if event["event"] == "request"] == ["/orders"]
    assert "s3cret" not in json.dumps(found)


def test_by_default_only_what_is_wrong_is_logged(tmp_path: Path) -> None:
    with running("users", tmp_path) as users:
        assert httpx.post(f"{users.url}/users", json=USER, trust_env=False).status_code == 201
        assert events(users) == []


def test_an_id_travels_through_orders_to_users_and_products(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "info")
    with all_running(tmp_path) as services:
        for name in ("users", "products"):
            record = {"id": 1, "name": "x", **({"email": "a@b"} if name == "users" else {"price": 1})}
            httpx.post(f"{services[name].url}/{name}", json=record, trust_env=False)
        order = {"user_id": 1, "product_id": 1, "quantity": 1}
        headers = {"x-request-id": "traveller"}
        httpx.post(f"{services['orders'].url}/orders", json=order, headers=headers, trust_env=False)
        for name, path in (("orders", "/orders"), ("users", "/users/lookup"), ("products", "/products/lookup")):
            paths = [event.get("path") for event in events(services[name]) if event.get("request_id") == "traveller"]
            assert path in paths, name


@pytest.mark.parametrize("size", ["1", "10"])
def test_each_record_of_a_run_is_found_by_its_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "info")
    with all_running(tmp_path) as services:
        assert run_client(*url_options(services), "--batch", size).returncode == 0
        found = {name: events(service) for name, service in services.items()}
    lookups = [event["request_id"] for event in found["users"] if event.get("path") == "/users/lookup"]
    ids = [event["request_id"] for event in found["orders"] if event.get("path") in {"/orders", "/orders/batch"}]
    lines = range(2, 12) if size == "1" else [2]
    (run,) = {request_id.partition("-")[0] for request_id in ids}
    assert {f"{run}-orders.csv:{line}" for line in lines} <= set(ids)
    assert f"{run}-orders.csv:2" in ",".join(lookups).split(",")


def test_a_look_up_that_fails_is_counted_and_logged(tmp_path: Path) -> None:
    nowhere = {"USERS_URL": "http://127.0.0.1:1", "PRODUCTS_URL": "http://127.0.0.1:1"}
    with running("orders", tmp_path, **nowhere) as orders:
        order = {"user_id": 1, "product_id": 1, "quantity": 1}
        assert httpx.post(f"{orders.url}/orders", json=order, trust_env=False).status_code == 503
        figures = httpx.get(f"{orders.url}/metrics", trust_env=False).text
        found = events(orders)
    for service in ("users", "products"):
        assert f'parallel_insert_lookup_failures_total{{service="{service}"}} 1' in figures
        assert f'parallel_insert_lookup_seconds_count{{service="{service}"}} 1' in figures
    assert {(event["event"], event["service"]) for event in found} == {
        ("look-up failed", "users"),
        ("look-up failed", "products"),
    }
