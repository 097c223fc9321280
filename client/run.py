"""The command: python client/run.py. Arguments in, exit status out."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO, TypeVar

if not __package__:
    # Run as a script, Python looks for modules beside this file; the package is one folder up.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from client.arguments import DEFAULT_BATCH, LARGE_BYTES, SAMPLE, Arguments, parse
from client.connections import connected, names_of_those_up, on_copies
from client.inputs import InputError, files_in, read_all
from client.local import StartError
from client.merge import write_json
from client.one_by_one import run_one_by_one
from client.rendering import show

Found = TypeVar("Found")

COMPLETE, INCOMPLETE, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    arguments = parse(argv)
    try:
        return _verify(arguments) if arguments.verify else _run(arguments)
    except InputError as error:
        _say(str(error))
        return USAGE
    except StartError as error:
        _say(str(error))
        return INCOMPLETE
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(arguments: Arguments) -> int:
    """Send the input, write what became of it, and return the exit status."""
    files = files_in(arguments.data or SAMPLE)
    large = (arguments.batch or 0) > 1 or (arguments.batch is None and _size_of(files) > LARGE_BYTES)
    # Nothing is sent before all of it could be read, unless it may be larger than memory.
    records = [] if large else read_all(files)
    with connected(arguments) as services:
        up = names_of_those_up(services, arguments.give_up_after_s)
        if not up:
            return INCOMPLETE
        with on_copies(arguments) as others:
            if large:
                # Imported here, since thirty records need not wait for what a million take.
                from client.in_batches import run_in_batches  # noqa: PLC0415

                run = run_in_batches(files, services, up, others, arguments)
            else:
                run = run_one_by_one(records, services, up, others, arguments)
            written = _write(run.merged, arguments.json, show, write_json)
            if arguments.report:
                # Imported here, since most runs are not drawn.
                from client.picture import write_picture  # noqa: PLC0415

                written &= _write_file(run.merged, arguments.report, write_picture)
    for message in run.unreadable:
        _say(message)
    if run.interrupted:
        return INTERRUPTED
    if run.unreadable:
        return USAGE
    return COMPLETE if run.merged.complete and written else INCOMPLETE


def _verify(arguments: Arguments) -> int:
    """Read the services, write what is not as it should be, and return the exit status."""
    # Imported here, since thirty records need not wait for what nobody asked for.
    from client import findings  # noqa: PLC0415
    from client.batches import batches_of  # noqa: PLC0415
    from client.verify import verify  # noqa: PLC0415

    files = files_in(arguments.data) if arguments.data else {}
    inputs = {name: batches_of(file, name, DEFAULT_BATCH) for name, file in files.items()}
    with connected(arguments) as services:
        verified = verify({service.name: service.export for service in services}, inputs)
    written = _write(verified, arguments.json, findings.show, findings.write_json)
    return COMPLETE if verified.well and written else INCOMPLETE


def _size_of(files: Mapping[str, Path]) -> int:
    try:
        return sum(file.stat().st_size for file in files.values())
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}.") from error


def _write(
    result: Found,
    json_file: str | None,
    show: Callable[[Found, TextIO], None],
    write_json: Callable[[Found, TextIO], None],
) -> bool:
    """Print the result, and write it for programs; tell whether all that was asked for could be written."""
    if json_file == "-":
        write_json(result, sys.stdout)
        return True
    show(result, sys.stdout)
    return not json_file or _write_file(result, json_file, write_json)


def _write_file(result: Found, file: str, write: Callable[[Found, TextIO], None]) -> bool:
    try:
        with Path(file).open("w", encoding="utf-8") as out:
            write(result, out)
    except OSError as error:
        _say(f"{file} could not be written: {error.strerror}.")
        return False
    return True


def _say(message: str) -> None:
    print(message, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
