"""What a stream shows to people: whether it is a terminal, how wide it is, and in which colours."""

import os
import sys
from collections.abc import Sequence
from typing import TextIO

from client.records import Outcome

# ANSI codes (ECMA-48, SGR).
BOLD, DIM, RED, GREEN, YELLOW, CYAN = 1, 2, 31, 32, 33, 36
COLOURS: dict[Outcome, int] = {"created": GREEN, "unchanged": CYAN, "rejected": YELLOW, "undelivered": RED}

# A text and its colour.
Piece = tuple[str, int | None]
Line = Sequence[Piece]

# Of a terminal that does not say.
_COLUMNS, _ROWS = 80, 24


def understands_ansi(out: TextIO) -> bool:
    """Tell whether it is a terminal that can be written over and coloured; one of Windows need not be."""
    return out.isatty() and os.environ.get("TERM") != "dumb" and sys.platform != "win32"


def is_colourful(out: TextIO) -> bool:
    """Tell whether a person looks on who has nothing against colours (no-color.org)."""
    return understands_ansi(out) and not os.environ.get("NO_COLOR")


def size_of(out: TextIO) -> tuple[int, int]:
    """Return the terminal's columns and rows as they are now."""
    columns, rows = os.get_terminal_size(out.fileno())
    return columns or _COLUMNS, rows or _ROWS


def painted(line: Line, *, colourful: bool) -> str:
    """Return the line as it is written."""
    return "".join(f"\x1b[{colour}m{text}\x1b[0m" if colour and colourful else text for text, colour in line)
