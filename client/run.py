"""The command: python client/run.py. Arguments in, exit status out."""

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

if not __package__:
    # Run as a script, Python looks for modules beside this file; the package is one folder up.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from client.arguments import DEFAULT_BATCH, DEFAULT_THREADS, FEWEST_THREADS, LARGE_BYTES, Arguments, parse
from client.fan_out import FanOut
from client.inputs import InputError, files_in, read_all
from client.local import StartError, local_services
from client.merge import Comparison, Merged, merge, write_json
from client.progress import shown
from client.read_back import Held, count_of, read_back
from client.records import SERVICES, Record, Result
from client.rendering import show
from client.services import ANSWER_TIMEOUT_S, Service, connect

COMPLETE, INCOMPLETE, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    arguments = parse(argv)
    try:
        files = files_in(arguments.data)
        batch = arguments.batch or (DEFAULT_BATCH if _size_of(files) > LARGE_BYTES else 1)
        # Nothing is sent before all of it could be read, unless it may be larger than memory.
        records = read_all(files) if batch == 1 else []
        with (
            local_services(arguments.db_dir) if arguments.local else nullcontext(arguments.urls) as urls,
            ExitStack() as connections,
        ):
            services = _connected(urls, arguments, connections)
            up = _up(services, arguments.give_up_after_s)
            if not up:
                return INCOMPLETE
            others = _others(arguments, connections)
            if batch == 1:
                return _send(records, services, up, others, arguments)
            return _send_batches(files, services, up, others, arguments)
    except InputError as error:
        _say(str(error))
        return USAGE
    except StartError as error:
        _say(str(error))
        return INCOMPLETE
    except KeyboardInterrupt:
        return INTERRUPTED


def _size_of(files: Mapping[str, Path]) -> int:
    try:
        return sum(file.stat().st_size for file in files.values())
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}.") from error


def _connected(urls: Mapping[str, str], arguments: Arguments, connections: ExitStack) -> list[Service]:
    within_s = arguments.answer_within_s
    return [
        Service(
            name,
            urls[name],
            connections.enter_context(connect(urls[name], within_s or ANSWER_TIMEOUT_S)),
            arguments.api_key,
            within_s,
        )
        for name in SERVICES
    ]


def _others(arguments: Arguments, connections: ExitStack) -> list[Service]:
    """Return the services that the records are sent to one after another, where that is asked for."""
    if not arguments.compare:
        return []
    # Imported here, since it is seldom asked for.
    from client.compare import services_on_copies  # noqa: PLC0415

    urls = connections.enter_context(services_on_copies(arguments.db_dir))
    services = _connected(urls, arguments, connections)
    # Both ways begin with services that have answered.
    _up(services, arguments.give_up_after_s)
    return services


def _up(services: Sequence[Service], give_up_after_s: float) -> set[str]:
    """Return the names of the services that answer, and say what to do about the others."""
    # Asked at the same time, so that silent ones are waited for once and not three times.
    with ThreadPoolExecutor(len(services)) as threads:
        answering = threads.map(lambda service: service.answers(give_up_after_s), services)
        answers = dict(zip(services, answering, strict=True))
    if not all(answers.values()):
        for service in (service for service, answer in answers.items() if not answer):
            _say(f"{service.name} does not answer at {service.url}.")
        _say("Start the services with: docker compose up -d\nor let this command start its own: run.py --local")
    return {service.name for service, answer in answers.items() if answer}


def _send(
    records: Sequence[Record],
    services: Sequence[Service],
    up: set[str],
    others: Sequence[Service],
    arguments: Arguments,
) -> int:
    """Send the records one by one, read them back, write what became of them, and return the exit status."""
    running = [service for service in services if service.name in up]
    threads = arguments.threads or DEFAULT_THREADS
    fan_out = FanOut(running, threads=threads, give_up_after_s=arguments.give_up_after_s)
    with shown(fan_out.lanes):
        sent = fan_out.send([record for record in records if record.service in up])
    unsent = [
        Result(record, "undelivered", reasons=("the service does not answer",))
        for record in records
        if record.service not in up
    ]
    held: list[Held] = []
    comparison: Comparison | None = None
    interrupted = sent.interrupted
    try:
        silent = {r.record.service for r in sent.results if r.outcome == "undelivered"}
        for service in running:
            patience_s = 0.0 if sent.interrupted or service.name in silent else arguments.give_up_after_s
            held.append(read_back(service, sent.results, patience_s))
        if others and not interrupted:
            from client.compare import compare_records  # noqa: PLC0415

            comparison = compare_records(sent, records, others, arguments.give_up_after_s)
    except KeyboardInterrupt:
        # What is known is still shown.
        interrupted = True
    merged = replace(merge([*sent.results, *unsent], held, sent.elapsed_s), comparison=comparison)
    return _finish(merged, interrupted=interrupted, arguments=arguments)


def _send_batches(
    files: Mapping[str, Path],
    services: Sequence[Service],
    up: set[str],
    others: Sequence[Service],
    arguments: Arguments,
) -> int:
    """Send the files in batches while they are read, write what became of them, and return the exit status."""
    # Imported here, since thirty records need not wait for what a million take.
    from client.bulk import Bulk  # noqa: PLC0415

    size, threads = arguments.batch or DEFAULT_BATCH, arguments.threads or FEWEST_THREADS
    bulk = Bulk(services, up, threads=threads, give_up_after_s=arguments.give_up_after_s)
    with shown(bulk.lanes):
        interrupted = bulk.send(files, size)
    counts: dict[str, int | None] = {}
    comparison: Comparison | None = None
    try:
        for service in (service for service in services if service.name in up):
            tally = bulk.tallies[service.name]
            patience_s = 0.0 if interrupted or tally.outcomes["undelivered"] else arguments.give_up_after_s
            counts[service.name], unreadable = count_of(service, patience_s)
            tally.differences += unreadable
        if others and not interrupted:
            from client.compare import compare_batches  # noqa: PLC0415

            comparison = compare_batches(bulk, files, size, others, arguments.give_up_after_s)
    except KeyboardInterrupt:
        # What is known is still shown.
        interrupted = True
    merged = replace(bulk.merged(counts), comparison=comparison)
    status = _finish(merged, interrupted=interrupted, arguments=arguments)
    for error in bulk.unreadable.values():
        _say(f"{error} What follows was not sent.")
    return USAGE if bulk.unreadable and not interrupted else status


def _finish(merged: Merged, *, interrupted: bool, arguments: Arguments) -> int:
    """Write the merged result, and return the exit status."""
    written = _write(merged, arguments.json)
    if interrupted:
        return INTERRUPTED
    return COMPLETE if merged.complete and written else INCOMPLETE


def _write(merged: Merged, json_file: str | None) -> bool:
    """Print the merged result, and write it for programs; tell whether all that was asked for could be written."""
    if json_file == "-":
        write_json(merged, sys.stdout)
        return True
    show(merged, sys.stdout)
    try:
        if json_file:
            with Path(json_file).open("w", encoding="utf-8") as out:
                write_json(merged, out)
    except OSError as error:
        _say(f"{json_file} could not be written: {error.strerror}.")
        return False
    return True


def _say(message: str) -> None:
    print(message, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
