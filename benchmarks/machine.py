"""What was measured on: the machine, its disk, and the versions of everything."""

import os
import platform
import re
import sqlite3
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.settings import WORK


def describe() -> dict[str, str]:
    """Return every line of the table, by its name."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "CPU": f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores",
        "kernel": platform.release(),
        "file system": _file_system(),
        "`fdatasync` of a 4 KiB append": f"{_fdatasync_us():.0f} µs (median of 500)",
        "Python": platform.python_version(),
        "its SQLite": sqlite3.sqlite_version,
        **{name: version(name) for name in ("fastapi", "pydantic", "uvicorn", "uvloop", "httptools", "httpx")},
        "wrk": _printed(["wrk", "-v"], r"wrk (\S+)"),
        "sqlite3 shell": _printed(["sqlite3", "--version"], r"(\S+)"),
        "Datasette": _printed([str(WORK / "venv/bin/datasette"), "--version"], r"version (\S+)"),
        "sqlite-utils": _printed([str(WORK / "venv/bin/sqlite-utils"), "--version"], r"version (\S+)"),
        "Node.js": _printed(["node", "--version"], r"v(\S+)"),
        "soul": _package("soul-cli"),
        "better-sqlite3, its driver": _package("better-sqlite3"),
    }


def _file_system() -> str:
    folder, mounts = WORK.resolve(), [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return max((mount for mount in mounts if folder.is_relative_to(mount[1])), key=lambda mount: len(mount[1]))[2]


def _fdatasync_us() -> float:
    times = []
    with tempfile.TemporaryFile(dir=WORK) as file:
        for _ in range(500):
            start = time.perf_counter()
            os.write(file.fileno(), bytes(4096))
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    return median(times) * 1e6


def _printed(command: list[str], pattern: str) -> str:
    done = subprocess.run(["env", *command], check=False, capture_output=True, text=True)
    found = re.search(pattern, done.stdout)
    return found[1] if found else "not installed"


def _package(name: str) -> str:
    return _printed(["cat", str(WORK / "soul/node_modules" / name / "package.json")], r'"version": "([^"]+)"')
