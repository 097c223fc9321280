"""A terminal for tests: what a command writes to it, and what a person then sees."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TextIO

from tests.processes import PROJECT

CLIENT = [sys.executable, str(PROJECT / "client" / "run.py")]
# A character and its ANSI code, or 0.
Cell = tuple[str, int]

_CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


@dataclass
class Terminal:
    """One end is read here, and the other is a command's standard error, and most often its standard output."""

    master: int
    end: int
    written: str = ""

    def resize(self, columns: int, rows: int = 50) -> None:
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def run(
        self,
        *options: str,
        stdout: int | None = None,
        when: tuple[str, Callable[[subprocess.Popen[str]], None]] | None = None,
        **environment: str,
    ) -> tuple[int, str]:
        """Run the client to its end; return its status and what came on standard output, if that is not this.

        `when` is a pattern, and what is to be done once it was written.
        """
        env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        env |= {"TERM": "xterm-256color", **environment}
        out = self.end if stdout is None else stdout
        with subprocess.Popen([*CLIENT, *options], stdout=out, stderr=self.end, env=env, text=True) as client:
            for text in self._until_it_ends(client):
                self.written += text
                if when and re.search(when[0], self.written):
                    when[1](client)
                    when = None
            rest = client.stdout.read() if client.stdout else ""
        return client.returncode, rest

    def _until_it_ends(self, client: subprocess.Popen[str]) -> Iterator[str]:
        os.set_blocking(self.master, False)
        over = False
        while True:
            try:
                yield os.read(self.master, 1 << 16).decode()
            except BlockingIOError:
                if over:
                    return
                try:
                    # What was written before it ended is read after it has.
                    client.wait(timeout=0.01)
                    over = True
                except subprocess.TimeoutExpired:
                    pass

    def read(self) -> None:
        """Take what has been written so far."""
        os.set_blocking(self.master, False)
        with suppress(BlockingIOError):
            while True:
                self.written += os.read(self.master, 1 << 16).decode()

    def screen(self) -> list[str]:
        """Return the lines that a person sees."""
        return ["".join(character for character, _ in line) for line in self.cells()]

    def cells(self) -> list[list[Cell]]:
        """Return the lines that a person sees, with their colours."""
        lines: list[list[Cell]] = [[]]
        row = column = colour = 0
        for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)", self.written):
            control = _CONTROL.fullmatch(part)
            if part == "\r":
                column = 0
            elif part == "\n":
                row += 1
                lines += [[]] * (row >= len(lines))
            elif control and control[2] == "A":
                row -= int(control[1])
                assert row >= 0
            elif control and control[2] in "KJ":
                lines[row] = lines[row][:column]
                lines = lines[: row + 1] if control[2] == "J" else lines
            elif control and control[2] == "m":
                colour = int(control[1] or 0)
            elif not control:
                blank = [(" ", 0)] * (column - len(lines[row]))
                after = lines[row][column + len(part) :]
                lines[row] = [*lines[row][:column], *blank, *((character, colour) for character in part), *after]
                column += len(part)
        return lines


@contextmanager
def terminal(columns: int, rows: int = 50) -> Iterator[Terminal]:
    """Yield a terminal of that size; check on leaving that it is set as it was."""
    master, end = pty.openpty()
    try:
        it = Terminal(master, end)
        it.resize(columns, rows)
        before = termios.tcgetattr(end)
        yield it
        assert termios.tcgetattr(end) == before
        assert not re.search(r"\x1b\[\?", it.written), "a mode of the terminal was changed"
    finally:
        os.close(master)
        os.close(end)


def stream_on(it: Terminal) -> TextIO:
    """Return a stream that writes to it."""
    return os.fdopen(os.dup(it.end), "w", encoding="utf-8")
