"""Runs one service as a process: environment, log, socket, signals."""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.chassis import logs
from services.chassis.app import create_app
from services.chassis.errors import CannotStart
from services.chassis.kinds import STOPPING
from services.chassis.problems import MEDIA_TYPE, body_of
from services.chassis.protocol import LimitedProtocol
from services.chassis.resource import Resource

# Longer than clients keep a connection idle (httpx: 5 s), so that it is never closed just as one uses it again.
KEEP_ALIVE_S = 75
# How long SIGTERM waits for requests that are under way; half-sent ones are cut off then.
DRAIN_S = 5
_TICKS_BETWEEN_CHECKS = 5
# Measured in turns: with the first, and the second at 1 ms, a million users through the batch route take a tenth less
# time; the second at a twentieth of that is worth a tenth of the rate of single inserts at 64 connections.
_OBJECTS_BETWEEN_COLLECTIONS = 20_000
_SWITCH_INTERVAL_S = 0.00005


def run(resource: Resource) -> None:
    """Serve until SIGINT or SIGTERM, then finish what was begun; exit with a message where it can't start."""
    logs.start("warning")
    # uvicorn drains and closes the app first and raises the signal again after that: the process is done, and well.
    signal.signal(signal.SIGTERM, _exit_cleanly)
    signal.signal(signal.SIGINT, _exit_cleanly)
    try:
        settings = resource.settings_from(os.environ)
        app = create_app(resource, settings)
    except CannotStart as error:
        sys.exit(f"{resource.name}: {error}")
    logs.start(settings.log_level)
    if settings.exit_on_stdin_eof:
        threading.Thread(target=_terminate_at_eof, daemon=True).start()
    config = uvicorn.Config(
        _PlainEndings(app),
        host=settings.host,
        port=settings.port,
        http=LimitedProtocol,
        ws="none",
        limit_concurrency=settings.max_connections,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing of ours asks where a request came from, so no header may say so.
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    _Server(config, app.title, settings.receive_timeout_s).run()


def _exit_cleanly(_: int, __: FrameType | None) -> None:
    raise SystemExit(0)


def _terminate_at_eof() -> None:
    # Not by sys.stdin: a thread that still reads from it when the interpreter ends would abort the process.
    while os.read(0, 4096):
        pass
    signal.raise_signal(signal.SIGTERM)


class _Server(uvicorn.Server):
    """Says on standard output where it listens, once it does: its only line there, so that programs can read it.

    Then looks after its connections, twice a second.
    """

    def __init__(self, config: uvicorn.Config, name: str, receive_timeout_s: float) -> None:
        super().__init__(config)
        self._name = name
        self._receive_timeout_s = receive_timeout_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # What is there now stays, and records come by the thousand and go as one: the garbage collector need not
            # look through all of it again for every few of them.
            gc.collect()
            gc.freeze()
            gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
            # How long the database's thread waits at the most to go on, while the event loop is busy parsing.
            sys.setswitchinterval(_SWITCH_INTERVAL_S)
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            # All zeros mean every address, and are none that could be visited.
            name = "localhost" if not host.strip("0.:") else f"[{host}]" if ":" in host else host
            url = f"http://{name}:{port}"
            print(f"{self._name} listens on {url}, docs on {url}/docs", flush=True)

    async def on_tick(self, counter: int) -> bool:
        # uvicorn calls this ten times a second.
        if counter % _TICKS_BETWEEN_CHECKS == 0:
            now_s = time.monotonic()
            for connection in tuple(self.server_state.connections):
                assert isinstance(connection, LimitedProtocol)
                connection.close_if_stuck(now_s, self._receive_timeout_s)
        return await super().on_tick(counter)


class _PlainEndings:
    """ASGI wrapper: an app that can't start, and a request that is cut off at the end, are told so in plain words."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_plainly(message: Message) -> None:
            nonlocal begun
            begun = True
            error = sys.exception()
            if scope["type"] == "lifespan" and isinstance(error, CannotStart):
                message["message"] = str(error)
            await send(message)

        try:
            await self._app(scope, receive, send_plainly)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            # The time to drain is up. An answer that has begun is cut off: the server closes its connection.
            if begun:
                return
            # Whether the record was stored is open, so it should be sent again.
            headers = [(b"content-type", MEDIA_TYPE.encode()), (b"retry-after", b"1"), (b"connection", b"close")]
            body = body_of(STOPPING, STOPPING.detail)
            await send({"type": "http.response.start", "status": STOPPING.status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
