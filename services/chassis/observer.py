"""What is noted of every request: its id, its answer, how long it took, and how many inserts were in flight."""

import logging
import secrets
from itertools import count
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.chassis import request_id, timing
from services.chassis.metrics import Metrics

_HEADER = request_id.HEADER.encode()
_log = logging.getLogger(__name__)
_MOST_OF_A_PATH = 200


class Observer:
    """ASGI middleware: an insert is in flight from its request's head until its answer is complete.

    The answer's In-Flight header says how many were when the request arrived, itself included. A peak is always
    reached at an arrival, so the greatest of a run's headers is the run's peak, with no state kept for it here.
    """

    def __init__(self, app: ASGIApp, inserts: set[str], metrics: Metrics) -> None:
        """Take the paths to which inserts are sent."""
        self._app = app
        self._inserts = inserts
        self._metrics = metrics
        # Ids of ours are told apart from those of other processes, and of earlier lives of this one.
        self._prefix = secrets.token_hex(4)
        self._numbers = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note what becomes of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = perf_counter()
        own_id = self._id_of(scope)
        request_id.current.set(own_id)
        is_insert = scope["path"] in self._inserts and scope["method"] == "POST"
        self._metrics.in_flight += is_insert
        on_arrival = self._metrics.in_flight
        timed: list[bytes] = []
        timing.current.set(timed)
        # What fails without an answer is answered with this by the framework.
        status = 500

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((_HEADER, own_id.encode()))
                if is_insert:
                    message["headers"].append((b"in-flight", b"%d" % on_arrival))
                if timed:
                    message["headers"].append((timing.HEADER, b", ".join(timed)))
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            self._metrics.in_flight -= is_insert
            self._note(scope, status, perf_counter() - began_s)

    def _id_of(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == _HEADER and (sent := request_id.usable(value)):
                return sent
        return f"{self._prefix}-{next(self._numbers)}"

    def _note(self, scope: Scope, status: int, took_s: float) -> None:
        route = scope["route"].path if "route" in scope else "none"
        self._metrics.requests[scope["method"], route, status] += 1
        self._metrics.request_s[route].observe(took_s)
        if _log.isEnabledFor(logging.INFO):
            fields = {
                "method": scope["method"],
                "path": scope["path"][:_MOST_OF_A_PATH],
                "status": status,
                "ms": round(took_s * 1000, 3),
            }
            _log.info("request", extra={"fields": fields})
