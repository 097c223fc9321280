"""Delivers a request to its service: sends it, reads the answer, and sends it again where that is safe."""

import json
import random
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from threading import Event
from typing import Any

import httpx

from client.connection import Connection, body_of
from client.records import Attempt
from client.server_timing import UNTIMED, Timing, timing_in

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_LONGEST_ID = 128
# Of so many attempts at the most it is kept when they were made, and what they came to.
_MOST_KEPT = 8
_NOT_IN_IDS = re.compile(r"[^\w.:-]", re.ASCII)
_PROBLEM = "application/problem+json"
# 408, 429 and 503 say that it may be sent again; 502 and 504 come from something between us and the service.
_TRY_AGAIN = {408, 429, 502, 503, 504}
# A service that is being stopped, or whose database failed during a commit, can't say whether it stored the record.
_MAY_BE_STORED = {"stopping", "outcome-unknown"}
_ACKNOWLEDGED = {200, 201, 207}
_CLIENT_ERRORS = range(400, 500)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent: a record, or a batch of them."""

    path: str
    # Where it came from: `users.csv:11`.
    origin: str
    media_type: str
    body: bytes
    # Whether sending it twice stores nothing twice.
    repeatable: bool
    # Whether some of it may be stored although the service says that it can't take it now.
    in_parts: bool
    # Whether an acknowledgement is one of this parcel; one that makes no sense is none.
    is_acknowledged_by: Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one attempt came to; `again` tells whether another may come to more."""

    again: bool = False
    # It may have been stored although nobody said so.
    in_doubt: bool = False
    status: int | None = None
    reasons: tuple[str, ...] = ()
    # The last part of the problem's type, where the service refused.
    problem: str = ""
    # What the service said of what it took.
    acknowledgement: dict[str, Any] | None = None
    in_flight: int = 0
    pause_s: float = 0.0
    timing: Timing = UNTIMED

    @property
    def refused(self) -> bool:
        """Whether the service has said for good that it does not take it."""
        return bool(self.problem) and not self.again and self.status is not None and self.status in _CLIENT_ERRORS


@dataclass(frozen=True, slots=True)
class Answer:
    """The last attempt of a delivery; its times are seconds on the clock of `time.perf_counter`."""

    reading: Reading
    attempts: int
    began_s: float
    last_sent_s: float
    ended_s: float
    history: tuple[Attempt, ...] = ()


def deliver(
    client: Connection, parcel: Parcel, *, give_up_after_s: float, stop: Event, start: Callable[[], float | None]
) -> Answer:
    """Return the final answer, or the last failure once the time is up.

    `start` is called when a request's head is sent and its body is not yet; it may block the first time, and tell until
    when. The time runs from when it returns.
    """
    began_s = released_s = 0.0
    history: list[Attempt] = []

    def begin() -> None:
        nonlocal began_s, released_s
        released_s = start() or released_s
        began_s = began_s or time.perf_counter()

    for attempt in count(1):
        last_sent_s = time.perf_counter()
        is_last = last_sent_s + client.addresses.share_s > (began_s or last_sent_s) + give_up_after_s
        reading = _attempt(client, parcel, begin, is_last=is_last)
        history.append(_noted(reading, max(last_sent_s, released_s), max(last_sent_s, began_s)))
        # The first ones and the last ones tell how it went.
        del history[_MOST_KEPT // 2 : -_MOST_KEPT // 2]
        if reading.again:
            client.leave()
        # Who asks to be left alone for a while does not speak for those that have not been asked yet.
        pause_s = (reading.pause_s if attempt >= len(client.addresses) else 0.0) + _backoff_s(attempt)
        out_of_time = time.perf_counter() + pause_s > began_s + give_up_after_s
        # Without an id the service can't tell a second sending from a second record.
        repeatable = parcel.repeatable or not reading.in_doubt
        if not (reading.again and repeatable) or out_of_time or stop.wait(pause_s):
            break
    return Answer(reading, attempt, began_s, last_sent_s, time.perf_counter(), tuple(history))


def _noted(reading: Reading, began_s: float, sent_s: float) -> Attempt:
    return Attempt(began_s, sent_s, time.perf_counter(), reading.status, reading.reasons, reading.timing)


def _backoff_s(attempt: int) -> float:
    """Return a pause that grows with the attempts, with jitter, so that threads do not return all at once."""
    longest_s = min(_FIRST_PAUSE_S * 2.0**attempt, _LONGEST_PAUSE_S)
    return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def _attempt(client: Connection, parcel: Parcel, start: Callable[[], object], *, is_last: bool) -> Reading:
    headers = {
        "content-type": parcel.media_type,
        "content-length": str(len(parcel.body)),
        "x-request-id": _request_id(parcel),
    }
    content = _held_back(parcel.body, start)
    try:
        with client.stream("POST", parcel.path, is_last=is_last, content=content, headers=headers) as response:
            reading = _read(response, _object_in(body_of(response)), parcel)
            return replace(reading, timing=timing_in(response.headers.get("server-timing", ""), client.address))
    except httpx.RequestError as error:
        start()
        never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        words = "no connection" if never_sent else "the answer was lost"
        return Reading(again=True, in_doubt=not never_sent, reasons=(f"{words} ({type(error).__name__})",))


def _request_id(parcel: Parcel) -> str:
    """Return what the services log of this parcel's requests, and of what they cause: the run, file and line."""
    return _NOT_IN_IDS.sub("_", f"{_run()}-{parcel.origin}")[:_LONGEST_ID]


@cache
def _run() -> str:
    return secrets.token_hex(4)


def _held_back(body: bytes, start: Callable[[], object]) -> Iterator[bytes]:
    # httpx sends the head of the request before it asks for the body.
    start()
    yield body


def _object_in(text: bytes) -> dict[str, Any]:
    """Return the JSON object that was answered, or an empty one where it is none."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _read(response: httpx.Response, body: dict[str, Any], parcel: Parcel) -> Reading:
    status = response.status_code
    in_flight = _number(response, "in-flight")
    if status in _ACKNOWLEDGED:
        if not parcel.is_acknowledged_by(body):
            return Reading(again=True, in_doubt=True, status=status, reasons=("the answer made no sense",))
        return Reading(status=status, acknowledgement=body, in_flight=in_flight)
    # Our services send seconds; the other form that RFC 9110, section 10.2.3 allows, a date, is not waited for.
    pause_s = _number(response, "retry-after")
    if response.headers.get("content-type") != _PROBLEM:
        # Not one of our services: whatever it says, it says nothing about the record.
        reason = f"an answer that is not the service's (HTTP status {status})"
        return Reading(again=status in _TRY_AGAIN, in_doubt=True, status=status, reasons=(reason,), pause_s=pause_s)
    if not isinstance(body.get("type"), str):
        return Reading(again=True, in_doubt=True, status=status, reasons=("the answer made no sense",))
    return Reading(
        again=status in _TRY_AGAIN,
        in_doubt=parcel.in_parts or problem_of(body) in _MAY_BE_STORED,
        status=status,
        reasons=reasons_of(body),
        problem=problem_of(body),
        in_flight=in_flight,
        pause_s=pause_s,
    )


def problem_of(problem: Mapping[str, Any]) -> str:
    """Return the last part of a problem's type."""
    return str(problem.get("type")).rpartition("/")[2]


def reasons_of(problem: Mapping[str, Any]) -> tuple[str, ...]:
    """Return, in words, why a problem's request or record was refused."""
    errors = problem.get("errors")
    found = [error.get("detail") for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    return tuple(map(str, found or [problem.get("detail")]))


def _number(response: httpx.Response, header: str) -> int:
    text = response.headers.get(header, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(10**9)) else 0
