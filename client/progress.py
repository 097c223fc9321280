"""How far a large run is, on standard error: one line, written over on a terminal, and now and then anew elsewhere."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread

from client.tally import Tally

_ON_A_TERMINAL_S = 0.2
_ELSEWHERE_S = 5.0


@contextmanager
def shown(tallies: Mapping[str, Tally]) -> Iterator[None]:
    """Show how many records have their outcome, and how many of them a second, until this is left."""
    done = Event()
    thread = Thread(target=_show, args=(tallies, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _show(tallies: Mapping[str, Tally], done: Event) -> None:
    on_a_terminal = sys.stderr.isatty()
    before, after = ("\r", "\x1b[K") if on_a_terminal else ("", "\n")
    began_s = time.perf_counter()
    while not done.wait(_ON_A_TERMINAL_S if on_a_terminal else _ELSEWHERE_S):
        elapsed_s = time.perf_counter() - began_s
        line = "   ".join(f"{name} {t.sent:,} ({t.sent / elapsed_s:,.0f}/s)" for name, t in tallies.items())
        print(before, line, after, sep="", end="", file=sys.stderr, flush=True)
    if on_a_terminal:
        print(before, after, sep="", end="", file=sys.stderr, flush=True)
