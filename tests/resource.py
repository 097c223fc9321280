"""One of the three services as tests see it: its records, its routes, its file, and the problems that it answers."""

import csv
import io
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.databases import Database
from tests.processes import RunningService

PROBLEM = "application/problem+json"
KINDS = ["application/json", "application/x-ndjson", "text/csv"]
RECORDS: dict[str, dict[str, Any]] = {
    "users": {"name": "Ada", "email": "ada@example.com"},
    "products": {"name": "Lamp", "price": 24.99},
    "orders": {"user_id": 1, "product_id": 1, "quantity": 2},
}
OTHER: dict[str, Any] = {"users": {"name": "Bob"}, "products": {"price": 0.1}, "orders": {"quantity": 3}}
# A field for which 0 will not do.
NOT_ZERO = {"users": "email", "products": "price", "orders": "quantity"}
MAX_ID = 2**63 - 1


@dataclass(frozen=True)
class Resource:
    """One of the three services, by its routes and its database."""

    name: str
    http: httpx.Client
    kept: Database

    @property
    def path(self) -> str:
        return f"/{self.name}"

    def record(self, record_id: int | None = None, **changes: object) -> dict[str, Any]:
        return {**({} if record_id is None else {"id": record_id}), **RECORDS[self.name], **changes}

    def post(self, record: object) -> httpx.Response:
        return self.http.post(self.path, json=record)

    def send(self, body: bytes, **headers: str) -> httpx.Response:
        return self.http.post(self.path, content=body, headers={"content-type": "application/json", **headers})

    def bulk(self, kind: str, records: Sequence[object], query: str = "") -> httpx.Response:
        """Send many records in one body of that kind."""
        return self.send_bulk(kind, bulk_body(kind, records), query)

    def send_bulk(self, kind: str, body: bytes, query: str = "") -> httpx.Response:
        return self.http.post(f"{self.path}/batch{query}", content=body, headers={"content-type": kind}, timeout=60)

    def figures(self) -> dict[str, float]:
        """Return the service's metrics."""
        response = self.http.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = [line for line in response.text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def in_flight(self) -> int:
        return int(self.figures()["parallel_insert_in_flight"])

    def connect(self) -> socket.socket:
        """Return a bare connection, for what no HTTP client would send."""
        address = urlsplit(str(self.http.base_url))
        return socket.create_connection((address.hostname, address.port), timeout=30)

    def request(self, body: bytes, kind: str = "application/json", route: str = "", length: int | None = None) -> bytes:
        """Return a POST byte for byte; the length that it announces may be another than the body's."""
        length = len(body) if length is None else length
        head = (
            f"POST {self.path}{route} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
        )
        return head.encode() + body

    def stored(self, *columns: str, where: str = "true") -> list[tuple[Any, ...]]:
        """Return what the database holds, read past the service."""
        return self.kept.rows(f"SELECT {', '.join(columns)} FROM {self.name} WHERE {where} ORDER BY id")


def client(service: RunningService) -> httpx.Client:
    """Return a client that opens as many connections as it is asked to."""
    # Loading the certificates, which nobody needs here, would take longer than many a test.
    return httpx.Client(
        base_url=service.url, trust_env=False, verify=False, limits=httpx.Limits(max_connections=None), timeout=30
    )


def bulk_body(kind: str, records: Sequence[Any]) -> bytes:
    """Return a body of that kind; in CSV, the first record says the columns."""
    if kind == "application/json":
        return json.dumps(records).encode()
    if kind == "application/x-ndjson":
        return "".join(json.dumps(record) + "\n" for record in records).encode()
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(records[0])
    writer.writerows(record.values() for record in records)
    return text.getvalue().encode()


def problem(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """Check that the answer is this problem, and return it."""
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["type"]) == (status, f"/problems/{slug}"), response.text
    assert response.headers["content-type"] == PROBLEM
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body
