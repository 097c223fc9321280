"""Starts servers, each in a process group of its own, reads what they cost, and stops them."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.settings import PROJECT, WORK

_STARTED_WITHIN_S = 30
_STOPPED_WITHIN_S = 30


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    url: str

    def cpu_s(self) -> float:
        """Return the CPU seconds that the processes of its group have used so far."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                # proc_pid_stat(5), counted from behind the name: 2 is the group, 11 utime, 12 stime.
                fields = stat.read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12]) if int(fields[2]) == self.process.pid else 0
        return ticks / os.sysconf("SC_CLK_TCK")

    def get(self, path: str) -> str:
        """Return the answer's body."""
        connection = self._connection()
        connection.request("GET", path)
        return connection.getresponse().read().decode()

    def count(self, name: str) -> int:
        """Return how many records one of our services holds."""
        return int(json.loads(self.get(f"/{name}/count"))["count"])

    def metric(self, name: str, labels: str = "") -> int:
        """Return the sum of one of our services' counters, of those lines whose labels begin so."""
        return sum(map(int, re.findall(rf"^{name}(?:{{{labels}.*}})? (\d+)$", self.get("/metrics"), re.MULTILINE)))

    def load(self, name: str, chunks: Iterable[bytes]) -> None:
        """Stream NDJSON into one of our services; raise where not every row is created."""
        connection = self._connection()
        headers = {"Content-Type": "application/x-ndjson", "Transfer-Encoding": "chunked"}
        connection.request("POST", f"/{name}/batch", chunks, headers, encode_chunked=True)
        answer = connection.getresponse()
        if answer.status != http.client.CREATED:
            raise RuntimeError(f"/{name}/batch answered {answer.status}: {answer.read(500)!r}")
        answer.read()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=600)


def high_water_mib(pid: int) -> float:
    """Return the most memory that the process has had, as proc_pid_status(5) tells it."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


@contextmanager
def launched(command: Sequence[str], env: Mapping[str, str], port: int = 0) -> Iterator[Server]:
    """Run the command until leaving, with that port; without one, the first line that it prints must tell its URL."""
    with (WORK / "server.log").open("a") as log:
        process = subprocess.Popen(
            [*command, f"--port={port}"] if port else command,
            cwd=PROJECT,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=log if port else subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    try:
        server = Server(process, f"http://127.0.0.1:{port}" if port else _printed_url(process))
        _wait_until_it_answers(server)
        yield server
    finally:
        _stop(process)


@contextmanager
def service(name: str, folder: Path, module: str = "", **env: str) -> Iterator[Server]:
    """Run one of our services with its database in the folder."""
    own = {"HOST": "127.0.0.1", "PORT": "0", "DATABASE_URL": f"sqlite:///{folder / name}.db"}
    with launched([sys.executable, "-m", module or f"services.{name}"], own | env) as server:
        yield server


@contextmanager
def three_services(folder: Path) -> Iterator[dict[str, Server]]:
    """Run our three services with their databases in the folder."""
    with (
        service("users", folder) as users,
        service("products", folder) as products,
        service("orders", folder, USERS_URL=users.url, PRODUCTS_URL=products.url) as orders,
    ):
        yield {"users": users, "products": products, "orders": orders}


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """Yield an empty folder on the file system that is measured; it goes on leaving."""
    # What others left for the operating system to write is written before, and not in this one's time.
    os.sync()
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        yield Path(folder)


def free_port() -> int:
    """Return a port that nobody listens on now, for servers that can't choose one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop(process: subprocess.Popen[str]) -> None:
    if process.stdout:
        process.stdout.close()
    # Unless it has ended by itself.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _printed_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    found = re.search(r"http://[^\s,]+", process.stdout.readline())
    if not found:
        raise RuntimeError("A service did not start; its log is server.log in the work folder.")
    return found[0]


def _wait_until_it_answers(server: Server) -> None:
    deadline = time.monotonic() + _STARTED_WITHIN_S
    while True:
        try:
            server.get("/")
        except OSError:
            if time.monotonic() > deadline or server.process.poll() is not None:
                raise
            time.sleep(0.05)
        else:
            return
