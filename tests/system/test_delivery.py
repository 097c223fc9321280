"""Answers that are lost, late, cut in half or nonsense: what the client then makes of its records."""

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.processes import RunningService, run_client, running
from tests.upstream import Behaviour, answer, forward, listening

USER = {"id": 1, "name": "Ada", "email": "a@b"}
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running("users", tmp_path_factory.mktemp("users")) as service:
        yield service


def sent_through(
    users: RunningService, folder: Path, record: dict[str, Any], behave: Callable[[socket.socket, bytes, int], None]
) -> tuple[dict[str, Any], int]:
    """Send one record to users through a server that treats each attempt as told; return its result and attempts."""
    attempts: list[bytes] = []
    lock = threading.Lock()

    def between(connection: socket.socket, request: bytes) -> None:
        if not request.startswith(b"POST /users "):
            forward(users.url)(connection, request)
            return
        with lock:
            attempts.append(request)
        behave(connection, request, len(attempts))

    (folder / "users.ndjson").write_text(json.dumps(record))
    with listening(between) as server:
        nobody = ["--products-url", server.url, "--orders-url", server.url]
        run = run_client(
            "--users-url", server.url, *nobody, "--data", str(folder), "--give-up-after", "6", "--json", "-"
        )
    (result,) = json.loads(run.stdout)["results"]
    return result, len(attempts)


def first(fault: Callable[[socket.socket, bytes, Behaviour], None], users: RunningService) -> Any:
    """Treat the first attempt so, and pass on the others."""

    def behave(connection: socket.socket, request: bytes, attempt: int) -> None:
        passed_on = forward(users.url)
        if attempt == 1:
            fault(connection, request, passed_on)
        else:
            passed_on(connection, request)

    return behave


class Swallow:
    """A connection whose answer goes nowhere."""

    def sendall(self, _: bytes) -> None:
        """Lose it."""


def lost_after_the_commit(_: socket.socket, request: bytes, passed_on: Behaviour) -> None:
    passed_on(Swallow(), request)  # type: ignore[arg-type]


def cut_in_half(connection: socket.socket, request: bytes, passed_on: Behaviour) -> None:
    passed_on(Swallow(), request)  # type: ignore[arg-type]
    connection.sendall(b'HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"id"')


def garbage_under_201(connection: socket.socket, request: bytes, _: Behaviour) -> None:
    answer("201 Created", b"<html>")(connection, request)


def another_record_under_201(connection: socket.socket, request: bytes, _: Behaviour) -> None:
    answer("201 Created", b'{"id": 2}')(connection, request)


def not_http(connection: socket.socket, _: bytes, __: Behaviour) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH\r\n")


def bad_gateway(connection: socket.socket, request: bytes, _: Behaviour) -> None:
    answer("502 Bad Gateway", b"<html>", "text/html")(connection, request)


def endless(connection: socket.socket, _request: bytes, __: Behaviour) -> None:
    connection.sendall(b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n[")
    for _ in range(1000):
        connection.sendall(b"1," * 32_768)


def dripping(connection: socket.socket, _request: bytes, __: Behaviour) -> None:
    connection.sendall(b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n")
    for _ in range(999):
        connection.sendall(b" ")
        time.sleep(0.05)


@pytest.mark.parametrize(
    "fault",
    [
        endless,
        dripping,
        lost_after_the_commit,
        cut_in_half,
        garbage_under_201,
        another_record_under_201,
        not_http,
        bad_gateway,
    ],
)
def test_an_answer_that_is_lost_is_asked_for_again(
    users: RunningService, tmp_path: Path, new_id: int, fault: Any
) -> None:
    result, attempts = sent_through(users, tmp_path, {**USER, "id": new_id}, first(fault, users))
    assert result["outcome"] in {"created", "unchanged"}
    assert (result["attempts"], attempts) == (2, 2)


def test_a_record_without_an_id_is_not_sent_again_when_it_may_be_stored(users: RunningService, tmp_path: Path) -> None:
    record = {"name": "Ada", "email": "a@b"}
    result, attempts = sent_through(users, tmp_path, record, first(lost_after_the_commit, users))
    assert (result["outcome"], attempts) == ("undelivered", 1)


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_it_waits_as_retry_after_says(users: RunningService, tmp_path: Path, new_id: int, status: str) -> None:
    body = json.dumps({"type": "/problems/overloaded", "title": "", "status": 0, "detail": "busy"}).encode()

    def busy(connection: socket.socket, request: bytes, _: Behaviour) -> None:
        answer(status, body, PROBLEM, **{"retry-after": "1"})(connection, request)

    result, attempts = sent_through(users, tmp_path, {**USER, "id": new_id}, first(busy, users))
    assert (result["outcome"], attempts) == ("created", 2)
    assert result["elapsed_ms"] >= 1000


def test_it_waits_as_retry_after_says_whoever_says_so(users: RunningService, tmp_path: Path, new_id: int) -> None:
    def busy(connection: socket.socket, request: bytes, _: Behaviour) -> None:
        answer("503 Service Unavailable", b"<html>", "text/html", **{"retry-after": "1"})(connection, request)

    result, attempts = sent_through(users, tmp_path, {**USER, "id": new_id}, first(busy, users))
    assert (result["outcome"], attempts) == ("created", 2)
    assert result["elapsed_ms"] >= 1000


def test_it_gives_up_after_a_stated_time_and_says_why(users: RunningService, tmp_path: Path, new_id: int) -> None:
    body = json.dumps({"type": "/problems/overloaded", "title": "", "status": 503, "detail": "busy"}).encode()
    busy = answer("503 Service Unavailable", body, PROBLEM)
    result, attempts = sent_through(users, tmp_path, {**USER, "id": new_id}, lambda c, r, _: busy(c, r))
    assert (result["outcome"], result["reasons"], result["status"]) == ("undelivered", ["busy"], 503)
    assert 2 <= attempts <= 30
    assert result["elapsed_ms"] <= 7000


@pytest.mark.parametrize(
    ("status", "outcome"), [("401 Unauthorized", "rejected"), ("500 Internal Server Error", "undelivered")]
)
def test_any_other_refusal_is_not_sent_again(
    users: RunningService, tmp_path: Path, new_id: int, status: str, outcome: str
) -> None:
    refuse = answer(status, json.dumps({"type": "/problems/y", "detail": "no"}).encode(), PROBLEM)
    result, attempts = sent_through(users, tmp_path, {**USER, "id": new_id}, lambda c, r, _: refuse(c, r))
    assert (result["outcome"], result["reasons"], attempts) == (outcome, ["no"], 1)


def test_what_is_not_the_services_answer_is_no_refusal(users: RunningService, tmp_path: Path, new_id: int) -> None:
    refuse = answer("404 Not Found", b"<html>", "text/html")
    result, attempts = sent_through(users, tmp_path, {**USER, "id": new_id}, lambda c, r, _: refuse(c, r))
    assert (result["outcome"], attempts) == ("undelivered", 1)
