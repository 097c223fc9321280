"""Drives requests by wrk, and takes the server's cost of them."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Values
from benchmarks.servers import Server

_SCRIPT = Path(__file__).with_name("post.lua")
_NEVER = 10**12


@dataclass(frozen=True)
class Posts:
    """What is sent: a body with up to two %d, for a counter and for a number from 1 to 300."""

    path: str
    body: str
    first: int = 1
    # After so many the counter starts again.
    limit: int = _NEVER


def drive(servers: Sequence[Server], posts: Posts, connections: int, seconds: int) -> Values:
    """Send to the first server for so long; return rate, latency, errors, and CPU of each server by request."""
    before = [server.cpu_s() for server in servers]
    found = _run(servers[0].url + posts.path, posts, connections, seconds)
    requests = max(found["requests"], 1)
    cpu = [(server.cpu_s() - start) * 1e6 / requests for server, start in zip(servers, before, strict=True)]
    return found | {"rate": found["requests"] / found["seconds"], "cpu_us": cpu[0], "others_cpu_us": sum(cpu[1:])}


def _run(url: str, posts: Posts, connections: int, seconds: int) -> Values:
    arguments = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(_SCRIPT), url]
    script = ["--", posts.body, str(posts.first), str(posts.limit)]
    done = subprocess.run(["wrk", *arguments, *script], check=True, capture_output=True, text=True)
    values: Values = json.loads(done.stdout.splitlines()[-1])
    return values
