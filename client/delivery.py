"""Delivers one record to its service: sends it, reads the answer, and sends it again where that is safe."""

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from threading import Event
from typing import Any

import httpx

from client.records import Outcome, Record, Result
from client.services import ANSWER_TIMEOUT_S

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
# Far more than a service has to say of one record.
_LONGEST_ANSWER_BYTES = 1_000_000
_PROBLEM = "application/problem+json"
# 429 and 503 say that it may be sent again; 502 and 504 come from something between us and the service.
_TRY_AGAIN = {429, 502, 503, 504}
_ACKNOWLEDGED: dict[int, Outcome] = {201: "created", 200: "unchanged"}


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one attempt came to; `again` tells whether another may come to more."""

    outcome: Outcome = "undelivered"
    again: bool = False
    # The record may have been stored although nobody said so.
    in_doubt: bool = False
    status: int | None = None
    reasons: tuple[str, ...] = ()
    problem: str = ""
    acknowledged: dict[str, Any] | None = None
    in_flight: int = 0
    pause_s: float = 0.0


def deliver(
    client: httpx.Client, record: Record, *, give_up_after_s: float, stop: Event, start: Callable[[], None]
) -> Result:
    """Return the record's final answer, or `undelivered` with the last reason once the time is up.

    `start` is called when a request's head is sent and its body is not yet; it may block the first time, and the time
    runs from when it returns.
    """
    began_s = 0.0

    def begin() -> None:
        nonlocal began_s
        start()
        began_s = began_s or time.perf_counter()

    for attempt in count(1):
        last_sent_s = time.perf_counter()
        reading = _attempt(client, record, begin)
        pause_s = reading.pause_s + _backoff_s(attempt)
        out_of_time = time.perf_counter() + pause_s > began_s + give_up_after_s
        # Without an id the service can't tell a second sending from a second record.
        repeatable = record.id is not None or not reading.in_doubt
        if not (reading.again and repeatable) or out_of_time or stop.wait(pause_s):
            break
    return Result(
        record,
        reading.outcome,
        reading.status,
        reading.reasons,
        reading.acknowledged,
        reading.problem,
        attempt,
        began_s,
        last_sent_s,
        time.perf_counter(),
        reading.in_flight,
    )


def _backoff_s(attempt: int) -> float:
    """Return a pause that grows with the attempts, with jitter, so that threads do not return all at once."""
    longest_s = min(_FIRST_PAUSE_S * 2.0**attempt, _LONGEST_PAUSE_S)
    return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def _attempt(client: httpx.Client, record: Record, start: Callable[[], None]) -> _Reading:
    headers = {"content-type": "application/json", "content-length": str(len(record.body))}
    content = _held_back(record.body, start)
    try:
        with client.stream("POST", f"/{record.service}", content=content, headers=headers) as response:
            return _read(response, _body_of(response), record)
    except httpx.RequestError as error:
        start()
        never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        words = "no connection" if never_sent else "the answer was lost"
        return _Reading(again=True, in_doubt=not never_sent, reasons=(f"{words} ({type(error).__name__})",))


def _held_back(body: bytes, start: Callable[[], None]) -> Iterator[bytes]:
    # httpx sends the head of the request before it asks for the body.
    start()
    yield body


def _body_of(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON object that was answered, or an empty one where it is none, or too long, or too slow."""
    deadline_s = time.perf_counter() + ANSWER_TIMEOUT_S
    text = b""
    for piece in response.iter_bytes():
        text += piece
        if len(text) > _LONGEST_ANSWER_BYTES or time.perf_counter() > deadline_s:
            return {}
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _read(response: httpx.Response, body: dict[str, Any], record: Record) -> _Reading:
    status = response.status_code
    in_flight = _number(response, "in-flight")
    if status in _ACKNOWLEDGED:
        if type(body.get("id")) is not int or record.id not in {None, body["id"]}:
            # An acknowledgement that does not name the record is none.
            return _Reading(again=True, in_doubt=True, status=status, reasons=("the answer made no sense",))
        return _Reading(_ACKNOWLEDGED[status], status=status, acknowledged=body, in_flight=in_flight)
    if response.headers.get("content-type") != _PROBLEM or not isinstance(body.get("type"), str):
        # Not one of our services: whatever it says, it says nothing about the record.
        reason = f"an answer that is not the service's (HTTP status {status})"
        return _Reading(again=status in _TRY_AGAIN, in_doubt=True, status=status, reasons=(reason,))
    return _Reading(
        "rejected" if response.is_client_error and status not in _TRY_AGAIN else "undelivered",
        again=status in _TRY_AGAIN,
        # A service that is being stopped can't say whether it stored the record.
        in_doubt=body["type"].endswith(":stopping"),
        status=status,
        reasons=_reasons(body),
        problem=body["type"].rpartition(":")[2],
        in_flight=in_flight,
        # Our services send seconds; the other form that RFC 9110, section 10.2.3 allows, a date, is not waited for.
        pause_s=_number(response, "retry-after"),
    )


def _reasons(problem: dict[str, Any]) -> tuple[str, ...]:
    errors = problem.get("errors")
    found = [error.get("detail") for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    return tuple(map(str, found or [problem.get("detail")]))


def _number(response: httpx.Response, header: str) -> int:
    text = response.headers.get(header, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(10**9)) else 0
