"""An answer's head and body in one write: each by itself would be a system call, and a packet, of its own."""

import asyncio

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_Data = bytes | bytearray | memoryview


class JoinedWrites(asyncio.Transport):
    """Stands between one request's cycle and its connection; holds the head until something follows it."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        """Take the place of the cycle's transport."""
        super().__init__()
        self._cycle = cycle
        self._transport = cycle.transport
        self._on_response = cycle.on_response
        self._head: _Data | None = None
        self._head_is_sent = False
        cycle.transport, cycle.on_response = self, self._end

    def write(self, data: _Data) -> None:
        """Send what follows the head together with it, and everything else at once."""
        if self._head_is_sent or not self._cycle.response_started:
            self._transport.write(data)
        elif self._head is None:
            self._head = data
        else:
            self._send_head(data)

    def _send_head(self, body: _Data = b"") -> None:
        if self._head is not None:
            self._head_is_sent = True
            self._transport.write(b"".join([self._head, body]))
            self._head = None

    def _end(self) -> None:
        # To HEAD nothing follows.
        self._send_head()
        self._on_response()

    def close(self) -> None:
        """Close the connection when all has been sent."""
        self._send_head()
        self._transport.close()

    def is_closing(self) -> bool:
        """Tell whether the connection is being closed."""
        return self._transport.is_closing()
