"""The command's arguments."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from client.records import SERVICES

_CLIENT = Path(__file__).resolve().parent
_DEFAULT_URLS = {
    "users": "http://127.0.0.1:8001",
    "products": "http://127.0.0.1:8002",
    "orders": "http://127.0.0.1:8003",
}
FEWEST_THREADS = 10
# Three times this many threads are still few enough for every system to start them.
MOST_THREADS = 256
# More threads than this take longer for the same records: they wait for each other.
DEFAULT_THREADS = 32
# The most rows whose refusals the services list in one answer.
GREATEST_BATCH = 10_000
DEFAULT_BATCH = 5_000
# Input of more bytes than this is sent in batches unless told otherwise: as single records it would take seconds.
LARGE_BYTES = 256 * 1024

LONGEST_WAIT_S = 86_400


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the command is to do."""

    data: Path
    urls: dict[str, str]
    local: bool
    db_dir: Path
    compare: bool
    # None where the command is to choose.
    threads: int | None
    batch: int | None
    give_up_after_s: float
    # None where it depends on what is sent.
    answer_within_s: float | None
    json: str | None
    # Not an option: what stands on a command line, others can see.
    api_key: str


def parse(argv: Sequence[str]) -> Arguments:
    """Return the arguments; exit with status 2 where they can't be understood, and with 0 after --help."""
    parser = _parser()
    given = parser.parse_args(argv)
    urls = {service: getattr(given, f"{service}_url") for service in SERVICES}
    for service, url in urls.items():
        if not _is_address(url):
            parser.error(f"the address of {service} must be like http://host:port")
    if given.threads is not None and not FEWEST_THREADS <= given.threads <= MOST_THREADS:
        parser.error(f"--threads must be from {FEWEST_THREADS} to {MOST_THREADS}")
    if given.batch is not None and not 1 <= given.batch <= GREATEST_BATCH:
        parser.error(f"--batch must be from 1 to {GREATEST_BATCH}")
    if not 0 < given.give_up_after <= LONGEST_WAIT_S:
        parser.error(f"--give-up-after must be more than 0 and at most {LONGEST_WAIT_S}")
    if given.answer_within is not None and not 0 < given.answer_within <= LONGEST_WAIT_S:
        parser.error(f"--answer-within must be more than 0 and at most {LONGEST_WAIT_S}")
    if given.json not in {None, "-"} and (Path(given.json).is_dir() or not Path(given.json).absolute().parent.is_dir()):
        parser.error(f"--json: {given.json} is no file that could be written")
    if given.compare and not given.local:
        parser.error("--compare needs --local: it sends to databases of its own")
    api_key = os.environ.get("API_KEY", "")
    if not (api_key.isascii() and api_key.isprintable()):
        parser.error("API_KEY must be of visible ASCII characters")
    return Arguments(
        data=given.data,
        urls=urls,
        local=given.local,
        db_dir=given.db_dir,
        compare=given.compare,
        threads=given.threads,
        batch=given.batch,
        give_up_after_s=given.give_up_after,
        answer_within_s=given.answer_within,
        json=given.json,
        api_key=api_key,
    )


def _is_address(url: str) -> bool:
    try:
        return httpx.URL(url).scheme in {"http", "https"} and bool(httpx.URL(url).host)
    except (httpx.InvalidURL, UnicodeError):
        return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Send records to the users, products and orders services at the same time, from threads, and"
        " print what became of every one. Without --data, sends thirty sample records.",
        epilog="Exit status: 0 every record has its final answer (a refusal is one) and the services hold what they"
        " acknowledged; 1 not so; 2 bad usage or unreadable input; 130 interrupted. An API_KEY in the"
        " environment is sent to the services.",
    )
    parser.add_argument(
        "--data",
        metavar="PATH",
        type=Path,
        default=_CLIENT / "data",
        help="a folder with users.*, products.* and orders.* as csv, json or ndjson; any of them may be absent",
    )
    for service in SERVICES:
        parser.add_argument(
            f"--{service}-url",
            metavar="URL",
            default=os.environ.get(f"{service.upper()}_URL", _DEFAULT_URLS[service]),
            help=f"where the {service} service is (also {service.upper()}_URL; default {_DEFAULT_URLS[service]})",
        )
    parser.add_argument(
        "--local", action="store_true", help="start the three services for this run, on free ports, and stop them"
    )
    parser.add_argument(
        "--db-dir",
        metavar="PATH",
        type=Path,
        default=_CLIENT.parent / "databases",
        help="where --local keeps the three databases (default: databases/ in the project)",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="with --local: send the same records once more, one after another, to copies of the databases, and say"
        " how much time was saved",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=int,
        help=f"simultaneous requests for each service, from {FEWEST_THREADS} to {MOST_THREADS};"
        f" by default one for each record, up to {DEFAULT_THREADS}, or {FEWEST_THREADS} that send batches",
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=int,
        help=f"records in a request, up to {GREATEST_BATCH}; by default 1, or {DEFAULT_BATCH} where the input is larger"
        f" than {LARGE_BYTES // 1024} KiB",
    )
    parser.add_argument(
        "--give-up-after",
        metavar="SECONDS",
        type=float,
        default=10.0,
        help="how long a record is sent again while its service can't answer (default 10)",
    )
    parser.add_argument(
        "--answer-within",
        metavar="SECONDS",
        type=float,
        help="how long one answer may take before it is asked for again (default 3, or 30 for batches)",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write the merged result for programs; - prints it instead of the tables"
    )
    return parser
