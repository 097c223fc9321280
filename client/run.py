"""The command: python client/run.py. Arguments in, exit status out."""

import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from pathlib import Path

if not __package__:
    # Run as a script, Python looks for modules beside this file; the package is one folder up.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from client.arguments import Arguments, parse
from client.fan_out import FanOut
from client.inputs import InputError, read_folder
from client.local import StartError, local_services
from client.merge import Merged, as_json, merge
from client.read_back import read_back
from client.records import SERVICES, Record, Result
from client.rendering import show
from client.services import Service, connect

COMPLETE, INCOMPLETE, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    arguments = parse(argv)
    try:
        records = read_folder(arguments.data)
        with local_services(arguments.db_dir) if arguments.local else nullcontext(arguments.urls) as urls:
            return _run(records, urls, arguments)
    except InputError as error:
        _say(str(error))
        return USAGE
    except StartError as error:
        _say(str(error))
        return INCOMPLETE
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(records: Sequence[Record], urls: Mapping[str, str], arguments: Arguments) -> int:
    """Send the records, write what became of them, and return the exit status."""
    with ExitStack() as connections:
        services = [Service(name, urls[name], connections.enter_context(connect(urls[name]))) for name in SERVICES]
        up = [service for service, answers in zip(services, _ask_all(services), strict=True) if answers]
        if silent := [service for service in services if service not in up]:
            for service in silent:
                _say(f"{service.name} does not answer at {service.url}.")
            _say("Start the services with: docker compose up -d\nor let this command start its own: run.py --local")
        if not up:
            return INCOMPLETE
        merged, interrupted = _send(records, up, arguments)
    written = _write(merged, arguments.json)
    if interrupted:
        return INTERRUPTED
    return COMPLETE if merged.complete and written else INCOMPLETE


def _ask_all(services: Sequence[Service]) -> list[bool]:
    """Tell which services answer, asked at the same time, so that silent ones cost one time-out and not three."""
    with ThreadPoolExecutor(len(services)) as threads:
        return list(threads.map(Service.answers, services))


def _send(records: Sequence[Record], up: Sequence[Service], arguments: Arguments) -> tuple[Merged, bool]:
    """Send what can be sent, read it back, and merge; tell, too, whether it was interrupted."""
    names = {service.name for service in up}
    fan_out = FanOut(up, threads=arguments.threads, give_up_after_s=arguments.give_up_after_s)
    sent = fan_out.send([record for record in records if record.service in names])
    unsent = [
        Result(record, "undelivered", reasons=("the service does not answer",))
        for record in records
        if record.service not in names
    ]
    held, interrupted = [], sent.interrupted
    try:
        held = [read_back(service, sent.results) for service in up]
    except KeyboardInterrupt:
        # What is known is still shown.
        interrupted = True
    return merge([*sent.results, *unsent], held, sent.elapsed_s), interrupted


def _write(merged: Merged, json_file: str | None) -> bool:
    """Print the merged result, and write it for programs; tell whether all that was asked for could be written."""
    text = json.dumps(as_json(merged), indent=2)
    if json_file == "-":
        print(text)
        return True
    show(merged, sys.stdout)
    try:
        if json_file:
            Path(json_file).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        _say(f"{json_file} could not be written: {error.strerror}.")
        return False
    return True


def _say(message: str) -> None:
    print(message, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
