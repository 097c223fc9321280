"""A way to a PostgreSQL server that breaks when a commit is on it: before it has come through, or its answer has."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_COMMIT = b"COMMIT\0"


@dataclass
class Severed:
    """Where it listens, and which commits it breaks at, or which of what holds other bytes."""

    port: int
    at: bytes
    # Asked at each commit; told how many came before.
    choose: Callable[[int], str | None] = lambda _: None
    commits: int = 0
    broken: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_break(self) -> str | None:
        """Return what happens to the commit that is on its way: nothing, or it is lost `before` or `after`."""
        with self.lock:
            how = self.choose(self.commits)
            self.commits += 1
            self.broken += how is not None
            return how


@contextmanager
def severed(server_port: int, at: bytes = _COMMIT) -> Iterator[Severed]:
    """Yield a way to the server on this machine with that port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        way = Severed(listener.getsockname()[1], at)
        threading.Thread(target=_accept, args=(listener, server_port, way), daemon=True).start()
        yield way
        # Who waits in accept is woken.
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, server_port: int, way: Severed) -> None:
    with suppress(OSError):
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", server_port))
            threading.Thread(target=_forth, args=(near, far, way), daemon=True).start()
            threading.Thread(target=_back, args=(far, near), daemon=True).start()


def _forth(near: socket.socket, far: socket.socket, way: Severed) -> None:
    with suppress(OSError):
        while data := near.recv(1 << 16):
            how = way.next_break() if way.at in data else None
            if how:
                # From now on nothing comes back.
                near.shutdown(socket.SHUT_RDWR)
            if how != "before":
                far.sendall(data)
    with suppress(OSError):
        # The server answers what has come, and then ends as well.
        far.shutdown(socket.SHUT_WR)


def _back(far: socket.socket, near: socket.socket) -> None:
    with near, far, suppress(OSError):
        while data := far.recv(1 << 16):
            with suppress(OSError):
                near.sendall(data)
        near.shutdown(socket.SHUT_RDWR)
