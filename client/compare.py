"""The same records once more, one after another: what is saved by sending them at the same time."""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from itertools import chain, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

from client.bulk import Bulk
from client.fan_out import FanOut, Sent
from client.local import StartError, local_services
from client.merge import Comparison
from client.progress import shown
from client.records import SERVICES, Record, Result
from client.services import Service

_TITLE = "one after another"


@contextmanager
def services_on_copies(db_dir: Path, unique: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """Yield the addresses of three more services, whose databases hold what those in the folder hold now.

    So both ways of sending begin with the same. The copies lie in that folder, since another disk might be faster, and
    are removed on leaving. Nobody may be writing.

    Raises:
        StartError: they can't be copied, or a service did not start.
    """
    with ExitStack() as stack:
        try:
            temporary = TemporaryDirectory(dir=db_dir, prefix="compare-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(temporary))
            for file in (db_dir / f"{name}.db{part}" for name in SERVICES for part in ("", "-wal")):
                if file.exists():
                    shutil.copy(file, folder)
        except OSError as error:
            raise StartError(f"The databases can't be copied for --compare: {error.strerror}.") from error
        yield stack.enter_context(local_services(folder, unique))


def compare_records(
    at_once: Sent, records: Sequence[Record], services: Sequence[Service], give_up_after_s: float
) -> Comparison:
    """Send the records one after another, and compare that with what came of sending them at once.

    Raises `KeyboardInterrupt`.
    """
    ways = {service.name: FanOut([service], threads=1, give_up_after_s=give_up_after_s) for service in services}
    results: list[Result] = []

    def send(name: str) -> bool:
        sent = ways[name].send([record for record in records if record.service == name])
        results.extend(sent.results)
        return sent.interrupted

    with shown(lambda: [lane for way in ways.values() for lane in way.lanes()], _TITLE):
        sequential_s = _in_turn(ways, send)
    return Comparison(at_once.took_s, sequential_s, [*map(_said, results)] == [*map(_said, at_once.results)])


def compare_batches(
    at_once: Bulk, files: Mapping[str, Path], size: int, services: Sequence[Service], give_up_after_s: float
) -> Comparison:
    """Do the same with batches."""
    ways = {
        service.name: Bulk([service], {service.name}, threads=1, give_up_after_s=give_up_after_s)
        for service in services
        if service.name in files
    }
    with shown(lambda: [lane for way in ways.values() for lane in way.lanes()], _TITLE):
        sequential_s = _in_turn(ways, lambda name: ways[name].send({name: files[name]}, size))
    same_counts = all(way.tallies[name].outcomes == at_once.tallies[name].outcomes for name, way in ways.items())
    not_stored = chain.from_iterable(way.not_stored for way in ways.values())
    same_refusals = all(a == b for a, b in zip_longest(map(_said, not_stored), map(_said, at_once.not_stored)))
    return Comparison(at_once.took_s, sequential_s, same_counts and same_refusals)


def _in_turn(names: Iterable[str], send: Callable[[str], bool]) -> float:
    """Send each service's records when those before are done; return how long it took, in seconds."""
    began_s = time.perf_counter()
    for name in names:
        if send(name):
            raise KeyboardInterrupt
    return time.perf_counter() - began_s


def _said(result: Result) -> tuple[str, str, int | None, tuple[str, ...]]:
    # A conflict may name an id that was assigned, and which one depends on who came first.
    reasons = () if result.status == HTTPStatus.CONFLICT else result.reasons
    return result.record.origin, result.outcome, result.status, reasons
