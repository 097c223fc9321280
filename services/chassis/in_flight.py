"""Counts the inserts that are in flight at this service, and tells each of them how many there were."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.chassis.metrics import Metrics


class InFlight:
    """ASGI middleware: an insert is in flight from its request's head until its answer is complete.

    The answer's In-Flight header says how many were when the request arrived, itself included. A peak is always
    reached at an arrival, so the greatest of a run's headers is the run's peak, with no state kept for it here.
    """

    def __init__(self, app: ASGIApp, paths: set[str], metrics: Metrics) -> None:
        """Count the POST requests to the paths."""
        self._app = app
        self._paths = paths
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counted if it is an insert."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"in-flight", str(on_arrival).encode()))
                self._metrics.answers[message["status"]] += 1
            await send(message)

        self._metrics.in_flight += 1
        on_arrival = self._metrics.in_flight
        try:
            await self._app(scope, receive, send_counted)
        finally:
            self._metrics.in_flight -= 1
