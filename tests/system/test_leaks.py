"""Whatever is sent, and however often: no file handle, thread or memory stays behind."""

import asyncio
import gc
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import _lru_cache_wrapper, partial
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from services.chassis.app import create_app
from services.chassis.store.sqlite_reads import READER_THREADS
from services.orders.resource import ORDERS
from services.products.resource import PRODUCTS
from services.users.resource import USERS
from tests.processes import all_running, eventually, running
from tests.resource import KINDS, RECORDS, Resource, bulk_body, client
from tests.rounds import rounds

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc to look into")

MIB = 1024 * 1024
# Reading begins threads as they are needed, each with a handle of the file; orders has a connection to users and one
# to products.
SPARE = READER_THREADS + 2


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    handles: int
    threads: int
    memory_bytes: int


def held(process_id: int) -> Held:
    process = Path(f"/proc/{process_id}")
    (pages,) = (line.split()[1] for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    handles, threads = (len(os.listdir(process / folder)) for folder in ("fd", "task"))  # noqa: PTH208 - only counted
    return Held(handles, threads, int(pages) * 1024)


def half_sent(resource: Resource, body: bytes, kind: str, route: str) -> None:
    """Send a request but for its last bytes, and go away."""
    with closing(resource.connect()) as connection:
        connection.sendall(resource.request(body, kind, route)[:-5])


def unread(resource: Resource, body: bytes, kind: str, route: str) -> None:
    """Send a request, and go away without its answer."""
    with closing(resource.connect()) as connection:
        connection.sendall(resource.request(body, kind, route))


def every_kind_of_request(resource: Resource) -> list[Callable[[], object]]:
    """Return 25 requests: good and bad ones, single and many, reads, and some that are never finished."""
    good, bad = resource.record(), dict.fromkeys(resource.record(), "\0")
    one = json.dumps(good).encode()
    return [
        *[partial(resource.post, record) for record in (good, resource.record(1), bad, resource.record(0))],
        partial(resource.post, []),
        *[partial(resource.send, body) for body in (b"{", b"\xff", b"[" * 20_000, b" " * 70_000)],
        partial(resource.send, one, **{"content-type": "text/plain"}),
        *[partial(resource.bulk, kind, [good] * 20 + [bad] * 5) for kind in KINDS],
        partial(resource.send_bulk, "text/csv", b'"' * 40_000),
        *[partial(resource.http.get, resource.path + path) for path in ("?limit=5", "/1", "/count", "/0", "?limit=0")],
        partial(resource.http.post, f"{resource.path}/lookup", json={"ids": [1, 2, 3]}),
        partial(half_sent, resource, one, KINDS[0], ""),
        partial(half_sent, resource, bulk_body(KINDS[1], [good] * 100), KINDS[1], "/batch"),
        partial(unread, resource, one, KINDS[0], ""),
        partial(unread, resource, bulk_body(KINDS[2], [good] * 100), KINDS[2], "/batch"),
    ]


def send_all(resource: Resource, times: int) -> None:
    """Make every kind of request so often, eight at a time, and wait until the service has done with them."""
    with ThreadPoolExecutor(8) as threads:
        for call in [threads.submit(call) for call in every_kind_of_request(resource) * times]:
            call.result()
    eventually(lambda: resource.in_flight() == 0)


@pytest.mark.timeout(rounds(120, 400))
def test_10000_requests_of_every_kind_leave_nothing_behind(tmp_path: Path) -> None:
    with all_running(tmp_path) as services:
        for name, service in services.items():
            first = held(service.process.pid)
            with client(service) as http:
                resource = Resource(name, http, service.kept)
                # The next services' orders refer to it.
                assert resource.post(resource.record(1)).status_code == 201
                send_all(resource, rounds(8, 30))
                warm = held(service.process.pid)
                send_all(resource, rounds(14, 134))
            eventually(lambda f=first, s=service: held(s.process.pid).handles <= f.handles + SPARE)  # type: ignore[misc]
            now = held(service.process.pid)
            assert now.threads <= first.threads + SPARE, name
            assert now.memory_bytes < warm.memory_bytes + 8 * MIB, name


def apps(folder: Path) -> dict[str, Callable[[], FastAPI]]:
    """Return what makes each service's app; the references of orders can't be asked."""
    nobody = {"USERS_URL": "http://127.0.0.1:1", "PRODUCTS_URL": "http://127.0.0.1:1"}
    settings = {
        each.name: each.settings_from({"DATABASE_URL": f"sqlite:///{folder / each.name}.db", **nobody})
        for each in (USERS, PRODUCTS, ORDERS)
    }
    return {each.name: partial(create_app, each, settings[each.name]) for each in (USERS, PRODUCTS, ORDERS)}


async def live_once(app: FastAPI, name: str) -> int:
    """Start the app, send it a record, stop it; return the answer's status."""
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        assert (await http.get(f"/{name}/count")).status_code == 200
        return (await http.post(f"/{name}", json=RECORDS[name])).status_code


def start_and_stop(name: str, folder: Path, times: int, status: int) -> Held:
    """Start and stop so many apps, one after the other; return what is held then."""
    for _ in range(times):
        assert asyncio.run(live_once(apps(folder)[name](), name)) == status
    # The framework remembers the newest of all routes' functions, and with them their apps.
    for remembered in [found for found in gc.get_objects() if isinstance(found, _lru_cache_wrapper)]:
        remembered.cache_clear()
    gc.collect()
    return held(os.getpid())


@pytest.mark.parametrize(("name", "status"), [("users", 201), ("products", 201), ("orders", 503)])
def test_100_starts_and_stops_leave_nothing_behind(tmp_path: Path, name: str, status: int) -> None:
    warm, now = (start_and_stop(name, tmp_path, rounds(8, 100), status) for _ in range(2))
    assert (now.handles, now.threads) == (warm.handles, warm.threads)
    assert now.memory_bytes < warm.memory_bytes + 8 * MIB


def stalled_body(resource: Resource, kind: str, total_bytes: int) -> bytes:
    """Return a body of whole rows with much space in them, and the beginning of one more as long as may be."""
    rows = [resource.record(name=" " * 16_000 + "Ada")] * (total_bytes // 16_000)
    begun = {"application/json": b',{"name": "', "application/x-ndjson": b'{"name": "', "text/csv": b'"'}[kind]
    return bulk_body(kind, rows).removesuffix(b"]") + begun + b"x" * 60_000


@pytest.mark.timeout(rounds(120, 400))
@pytest.mark.parametrize("kind", KINDS)
def test_bodies_that_stall_are_held_in_bounded_memory(tmp_path: Path, kind: str) -> None:
    connections = rounds(20, 100)
    with running("users", tmp_path) as service, client(service) as http, ExitStack() as stack:
        users = Resource("users", http, service.kept)
        body = stalled_body(users, kind, 4 * MIB)
        # What one such body leaves behind for good, with its row and what parsing it needs, is none of this.
        assert users.send_bulk(kind, body).status_code == 207
        before = held(service.process.pid).memory_bytes
        for _ in range(connections):
            connection = stack.enter_context(closing(users.connect()))
            connection.sendall(users.request(body, kind, "/batch", length=len(body) + 1))
        sent = 4 * MIB // 16_000 * (connections + 1)
        eventually(lambda: users.http.get("/users/count").json()["count"] == sent)
        # Each may hold a row, a chunk, and twice what is read from a socket at once: far less than its body.
        assert held(service.process.pid).memory_bytes < before + connections * MIB + 8 * MIB
        assert users.in_flight() == connections
        assert users.post(users.record()).status_code == 201
