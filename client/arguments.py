"""The command's arguments."""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from client.records import SERVICES

_CLIENT = Path(__file__).resolve().parent
SAMPLE = _CLIENT / "data"
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

# What --unique has the services store once.
UNIQUE = {"users": ("email",), "products": ("name", "price")}


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the command is to do."""

    # None where nothing was given.
    data: Path | None
    # Of each service one address or several, separated by commas.
    urls: dict[str, str]
    local: bool
    db_dir: Path
    # By service, the fields of which no two records may have the same values.
    unique: Mapping[str, Sequence[str]]
    compare: bool
    # None where the command is to choose.
    threads: int | None
    batch: int | None
    give_up_after_s: float
    # None where it depends on what is sent.
    answer_within_s: float | None
    json: str | None
    report: str | None
    verify: bool
    # Not an option: what stands on a command line, others can see.
    api_key: str


def parse(argv: Sequence[str]) -> Arguments:
    """Return the arguments; exit with status 2 where they can't be understood, and with 0 after --help."""
    parser = _parser()
    given = parser.parse_args(argv)
    urls = {service: ",".join(map(str.strip, getattr(given, f"{service}_url").split(","))) for service in SERVICES}
    api_key = os.environ.get("API_KEY", "")
    for wrong in _wrong(given, urls, api_key):
        parser.error(wrong)
    return Arguments(
        data=given.data,
        urls=urls,
        local=given.local,
        db_dir=given.db_dir,
        unique=UNIQUE if given.unique else {},
        compare=given.compare,
        threads=given.threads,
        batch=given.batch,
        give_up_after_s=given.give_up_after,
        answer_within_s=given.answer_within,
        json=given.json,
        report=given.report,
        verify=given.verify,
        api_key=api_key,
    )


def _wrong(given: argparse.Namespace, urls: Mapping[str, str], api_key: str) -> Iterator[str]:
    """Yield what is wrong with arguments that could be parsed."""
    for service, url in urls.items():
        if not all(map(_is_address, url.split(","))):
            yield f"the address of {service} must be like http://host:port"
    if not (api_key.isascii() and api_key.isprintable()):
        yield "API_KEY must be of visible ASCII characters"
    if given.threads is not None and not FEWEST_THREADS <= given.threads <= MOST_THREADS:
        yield f"--threads must be from {FEWEST_THREADS} to {MOST_THREADS}"
    if given.batch is not None and not 1 <= given.batch <= GREATEST_BATCH:
        yield f"--batch must be from 1 to {GREATEST_BATCH}"
    for option, wait_s in (("--give-up-after", given.give_up_after), ("--answer-within", given.answer_within)):
        if wait_s is not None and not 0 < wait_s <= LONGEST_WAIT_S:
            yield f"{option} must be more than 0 and at most {LONGEST_WAIT_S}"
    yield from _unwritable("--json", None if given.json == "-" else given.json)
    yield from _unwritable("--report", given.report)
    yield from _contradictory(given)


def _unwritable(option: str, file: str | None) -> Iterator[str]:
    if file and (file == "-" or Path(file).is_dir() or not Path(file).absolute().parent.is_dir()):
        yield f"{option}: {file} is no file that could be written"


def _contradictory(given: argparse.Namespace) -> Iterator[str]:
    files = [os.path.realpath(file) for file in (given.json, given.report) if file and file != "-"]
    if len(set(files)) < len(files):
        yield "--json and --report name the same file"
    if given.unique and not given.local:
        yield "--unique is for --local; services that run already have a setting for it, UNIQUE"
    if given.compare and not given.local:
        yield "--compare needs --local: it sends to databases of its own"
    if given.verify and (given.threads is not None or given.batch is not None or given.compare or given.report):
        yield "--verify sends nothing, so there is no use for --threads, --batch, --compare and --report"


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
        " acknowledged, or nothing differs; 1 not so; 2 bad usage or unreadable input; 130 interrupted. An API_KEY in"
        " the environment is sent to the services.",
    )
    parser.add_argument(
        "--data",
        metavar="PATH",
        type=Path,
        help="a folder with users.*, products.* and orders.* as csv, json or ndjson; any of them may be absent",
    )
    for service in SERVICES:
        parser.add_argument(
            f"--{service}-url",
            metavar="URL",
            default=os.environ.get(f"{service.upper()}_URL", _DEFAULT_URLS[service]),
            help=f"where the {service} service is: one address or several, separated by commas"
            f" (also {service.upper()}_URL; default {_DEFAULT_URLS[service]})",
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
        "--unique",
        action="store_true",
        help="have the services of --local refuse a second user with the same e-mail, and a second product with the"
        " same name and price",
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
    parser.add_argument(
        "--report", metavar="FILE", help="draw the run for people: one HTML file that any browser opens, offline"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="send nothing; read all three services, and tell which orders' users or products are missing and, with"
        " --data, what is not as that says",
    )
    return parser
