"""Runs commands to their end, and takes their time, CPU and memory."""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.results import Values
from benchmarks.servers import Server, high_water_mib
from benchmarks.settings import PROJECT

_LOOK_EVERY_S = 0.02


def client_command(servers: Mapping[str, Server], data: Path | None = None) -> list[str]:
    """Return the command that sends the folder's records, or the sample, to these services."""
    urls = [f"--{name}-url={server.url}" for name, server in servers.items()]
    return [sys.executable, "client/run.py", *urls, *([f"--data={data}"] if data else [])]


def run(command: Sequence[str | Path]) -> Values:
    """Run the command; return its figures. What it says goes to the screen only where it fails."""
    with tempfile.TemporaryFile("w+") as said:
        start, before, peak = time.perf_counter(), _ended_cpu_s(), 0.0
        with subprocess.Popen(command, cwd=PROJECT, stdout=said, stderr=said) as process:
            while process.poll() is None:
                with suppress(OSError):
                    peak = high_water_mib(process.pid) or peak
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_EVERY_S)
        values = {"seconds": time.perf_counter() - start, "cpu_s": _ended_cpu_s() - before, "peak_mib": peak}
        if process.returncode:
            said.seek(0)
            print(said.read()[-2000:])
    return values | {"status": process.returncode}


def _ended_cpu_s() -> float:
    # Of the children that have ended; the services, which are running when this is asked, are not among them.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
