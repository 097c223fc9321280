"""One connection: how much of a request is taken before it makes sense, and how long that may take.

uvicorn reads whatever comes, for as long as it comes. Here a request's head has a size, and whoever sends or reads must
get on with it: who says nothing, half a request or a byte a second is hung up on, and so is who never reads an answer.
"""

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.chassis import kinds
from services.chassis.errors import Overloaded
from services.chassis.joined_writes import JoinedWrites
from services.chassis.kinds import Kind
from services.chassis.problems import MEDIA_TYPE, body_of, kind_of

# The longest head of a request, and the longest of anything else that is no body: trailers, extensions of chunks.
MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 100
# So much has to move while the connection is waited for; less is none.
_PROGRESS_BYTES = 1024
# What is sent on after the answer was given is read up to here, so that the connection may be used again.
_MAX_IGNORED_BYTES = 64 * 1024


class _TooLarge(Exception):
    """There are too many headers, or they are too long."""


class _NoProxy(Exception):
    """The request asks for a connection to somebody else."""


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits; `close_if_stuck` must be called from time to time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*args, **kwargs)
        # uvicorn would count requests of connections that are there already, and answer them in plain text.
        self._max_connections, self.limit_concurrency = self.limit_concurrency, None
        self.url = b""
        self._receives = True
        self._reads_head = True
        self._received = 0
        # What has come since anything of it was made sense of.
        self._pending_bytes = 0
        self._ignored_bytes = 0
        # Since when nothing has moved, and how much had moved until then.
        self._stuck: tuple[float, int] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection, where there are not too many."""
        super().connection_made(transport)
        if self._max_connections and len(self.connections) > self._max_connections:
            # Nothing has been read, but nobody should have to guess why.
            self._send(kind_of(Overloaded), "There are too many connections; nothing was done for this one.")
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse what has come; answer what is no request."""
        self._unset_keepalive_if_required()
        self._received += len(data)
        self._pending_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            self._refuse(self._too_large() if isinstance(error.__context__, _TooLarge) else kinds.NOT_HTTP)
        else:
            if self._pending_bytes > MAX_HEAD_BYTES:
                self._refuse(self._too_large())

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # Another protocol may be offered, and the offer be ignored (RFC 9110, section 7.8). But the parser takes
            # what follows for the other protocol's, so a new one reads the same request without the offer.
            head = self._head_without_offer()
            self.parser = httptools.HttpRequestParser(self)
            self._parse(head + data[upgrade.args[0] :])

    def _head_without_offer(self) -> bytes:
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._receives = self._reads_head = True

    def on_headers_complete(self) -> None:
        """Begin to work on the request, whose body may be on its way."""
        # Only what came with more than a whole head may hold can be too much.
        if len(self.headers) > MAX_HEADERS or (self._pending_bytes > MAX_HEAD_BYTES and self._head_is_too_large()):
            raise _TooLarge
        if self.parser.get_method() == b"CONNECT":
            raise _NoProxy
        if self.parser.should_upgrade():
            return
        self._reads_head = False
        self._pending_bytes = self._ignored_bytes = 0
        self._stuck = None
        super().on_headers_complete()
        JoinedWrites(self.cycle)

    def _head_is_too_large(self) -> bool:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES

    def _too_large(self) -> Kind:
        return kinds.URL_TOO_LONG if len(self.url) > MAX_HEAD_BYTES // 2 else kinds.HEAD_TOO_LARGE

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on; a sender who does not listen is left."""
        self._pending_bytes = 0
        if self.cycle.response_complete:
            self._ignored_bytes += len(body)
            if self._ignored_bytes > _MAX_IGNORED_BYTES:
                self.transport.close()
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request; its answer is ours to give."""
        if self.parser.should_upgrade():
            return
        self._receives = False
        self._pending_bytes = 0
        self._stuck = None
        super().on_message_complete()

    def resume_writing(self) -> None:
        """Send on: so much of the answer has been read that there is room for more of it."""
        self._stuck = None
        super().resume_writing()

    def close_if_stuck(self, now_s: float, patience_s: float) -> None:
        """Close the connection where its other end has got no further for so long."""
        moved = self._moved()
        if moved is None:
            self._stuck = None
        elif self._stuck is None or moved - self._stuck[1] >= _PROGRESS_BYTES:
            self._stuck = (now_s, moved)
        elif now_s - self._stuck[0] < patience_s:
            return
        elif self.flow.write_paused:
            self.transport.abort()
        else:
            self._refuse(kinds.TOO_SLOW)

    def _moved(self) -> int | None:
        """Return how far the other end has got, or None where it is not waited for."""
        if self.flow.write_paused:
            return -self.transport.get_write_buffer_size()
        if not self._receives or self.flow.read_paused:
            return None
        # A head has to be there in time; a body has to keep coming.
        return 0 if self._reads_head else self._received

    def _refuse(self, kind: Kind) -> None:
        """Close the connection; say why, unless nothing was asked or an answer has begun."""
        answered = self.cycle is not None and self.cycle.response_started
        if self._received and (self._reads_head or not answered) and not self.transport.is_closing():
            self._send(kind, kind.detail)
        self.transport.close()

    def _send(self, kind: Kind, detail: str) -> None:
        body = body_of(kind, detail)
        lines = [
            f"HTTP/1.1 {kind.status} {HTTPStatus(kind.status).phrase}",
            f"content-type: {MEDIA_TYPE}",
            f"content-length: {len(body)}",
            *(["retry-after: 1"] if kind.status == HTTPStatus.SERVICE_UNAVAILABLE else []),
            "connection: close",
        ]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
