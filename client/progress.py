"""How far a run is, on standard error: lanes that are drawn anew on a terminal, and now and then a line elsewhere."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Thread

from client.lanes import Lane, frame, in_words
from client.terminal import Line, is_colourful, painted, size_of, understands_ansi

_ON_A_TERMINAL_S = 0.1
_ELSEWHERE_S = 5.0

Lanes = Callable[[], Sequence[Lane]]


@contextmanager
def shown(lanes: Lanes, title: str = "") -> Iterator[None]:
    """Show how far it is until this is left; on a terminal, the last picture stays."""
    done = Event()
    show = _draw if understands_ansi(sys.stderr) else _say
    thread = Thread(target=show, args=(lanes, title, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _say(lanes: Lanes, title: str, done: Event) -> None:
    before = f"{title}: " if title else ""
    while not done.wait(_ELSEWHERE_S):
        print(before + "   ".join(map(in_words, lanes())), file=sys.stderr)


def _draw(lanes: Lanes, title: str, done: Event) -> None:
    # A terminal that has gone away is no reason to end the run.
    with suppress(OSError):
        drawn: Sequence[Line] = []
        # A run that is over sooner has its last picture alone, and nothing flickers.
        while not done.wait(_ON_A_TERMINAL_S):
            drawn = _drawn(lanes(), title, drawn)
        _drawn(lanes(), title, drawn)
        print(file=sys.stderr)


def _drawn(lanes: Sequence[Lane], title: str, before: Sequence[Line]) -> Sequence[Line]:
    """Draw the lanes over those that were drawn before, and return their lines.

    The cursor is below them whenever nothing is being written, and neither hidden nor kept: there is nothing to put
    right, however the run ends.
    """
    columns, rows = size_of(sys.stderr)
    # Not the last column: what comes after it is taken to stand on the next line by some terminals, by some not. And
    # not more lines than can be gone up.
    lines = frame(lanes, columns - 1, title=title, ascii_only=not _has_blocks())[: rows - 1]
    up = sum(_rows_of(line, columns) for line in before)
    colourful = is_colourful(sys.stderr)
    text = "".join(f"{painted(line, colourful=colourful)}\x1b[K\n" for line in lines)
    # In one piece, so that no picture is ever seen half drawn.
    # What a narrower window has broken is taken away first: terminals remember which rows belong together.
    sys.stderr.write((f"\r\x1b[{up}A" if up else "") + ("\x1b[J" if up > len(before) else "") + text + "\x1b[J")
    sys.stderr.flush()
    return lines


def _rows_of(line: Line, columns: int) -> int:
    """Return how many rows the line has: it was broken where the window has become narrower since."""
    return max(1, -(-sum(len(text) for text, _ in line) // columns))


def _has_blocks() -> bool:
    with suppress(LookupError, UnicodeError):
        "━─".encode(sys.stderr.encoding)
        return True
    return False
