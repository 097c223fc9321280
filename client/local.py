"""Starts the three services on free ports of this machine, and stops them."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from types import MappingProxyType

from client.records import SERVICES

_PROJECT = Path(__file__).resolve().parents[1]
_STARTED_WITHIN_S = 30.0
_STOPPED_WITHIN_S = 10.0
_NONE: Mapping[str, Sequence[str]] = MappingProxyType({})


class StartError(Exception):
    """A service did not start; it has said why on standard error."""


@contextmanager
def local_services(db_dir: Path, unique: Mapping[str, Sequence[str]] = _NONE) -> Iterator[dict[str, str]]:
    """Yield the addresses of three services whose databases lie in that folder; stop them on leaving.

    Of some, by name, they refuse what another id already holds in these fields.

    Raises:
        StartError: one of them did not start.
    """
    processes: list[subprocess.Popen[str]] = []
    try:
        # These two start side by side; orders must be told where they are.
        # No one value of UNIQUE in the environment would do for all three.
        fields = {name: ",".join(unique.get(name, ())) for name in SERVICES}
        processes += [_start(name, db_dir, UNIQUE=fields[name]) for name in ("users", "products")]
        users_url, products_url = map(_address, processes)
        urls = {"USERS_URL": users_url, "PRODUCTS_URL": products_url}
        processes.append(_start("orders", db_dir, UNIQUE=fields["orders"], **urls))
        yield {"users": users_url, "products": products_url, "orders": _address(processes[-1])}
    finally:
        _stop(processes)


def _start(name: str, db_dir: Path, **settings: str) -> subprocess.Popen[str]:
    own = {
        "HOST": "127.0.0.1",
        # A free one; the service says which.
        "PORT": "0",
        "DATABASE_URL": f"sqlite:///{(db_dir / f'{name}.db').resolve()}",
        "EXIT_ON_STDIN_EOF": "1",
    }
    return subprocess.Popen(  # noqa: S603 - our own module, run by our own interpreter
        [sys.executable, "-m", f"services.{name}"],
        cwd=_PROJECT,
        env={**os.environ, **own, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for the client, which then still reads back from the services.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def _address(process: subprocess.Popen[str]) -> str:
    """Return where the service listens, which is what its first line on standard output says."""
    assert process.stdout is not None
    timer = Timer(_STARTED_WITHIN_S, process.kill)
    timer.daemon = True
    timer.start()
    try:
        words = process.stdout.readline().split()
    finally:
        timer.cancel()
    if "on" not in words:
        raise StartError("A service did not start.")
    return words[words.index("on") + 1].rstrip(",")


def _stop(processes: list[subprocess.Popen[str]]) -> None:
    # The end of its standard input stops a service, also where this program is killed and can't ask it to.
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    for process in processes:
        try:
            process.wait(_STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
