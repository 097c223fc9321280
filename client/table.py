"""Rows of cells to aligned lines, as wide as there is room."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from textwrap import wrap

from client.terminal import Line, Piece

GAP = "  "
# Narrower columns than this are no pleasure to read down.
_NARROWEST = 16
_INDENT = 4

Row = Sequence[Piece]


def table(
    rows: Sequence[Row], *, right: AbstractSet[int] = frozenset(), columns: int | None = None, gap: str = GAP
) -> Iterator[Line]:
    """Yield the rows as lines, with a rule below the first and the columns of `right` to the right.

    Where there are so many columns of the terminal and no more, a last cell that has no room goes on below itself, or
    begins below its row where even that would be too narrow.
    """
    rows = [[(_printable(text), colour) for text, colour in row] for row in rows]
    widths = _widths(rows)
    indent = sum(widths[:-1]) + len(gap) * len(widths[:-1])
    room = widths[-1] if columns is None else min(widths[-1], columns - indent)
    below = room < min(widths[-1], _NARROWEST)
    if columns and below:
        indent, room = _INDENT, min(widths[-1], max(1, columns - _INDENT))
    for number, row in enumerate(rows):
        *cells, (last, colour) = _justified(row, widths, right)
        parts = wrapped(last, room)
        first = [] if below else [(parts.pop(0), colour)]
        yield _joined([*cells, *first], gap)
        if number == 0:
            yield _joined([("-" * width, None) for width in [*widths[:-1], *([] if below else [room])]], gap)
        elif first or last.strip():
            yield from ([(" " * indent + part, colour)] for part in parts)


def width_of(rows: Sequence[Row], gap: str = GAP) -> int:
    """Return how many columns of the terminal the rows take."""
    widths = _widths(rows)
    return sum(widths) + len(gap) * (len(widths) - 1)


def wrapped(text: str, columns: int | None) -> list[str]:
    """Return the text in parts, one or more, none longer than that."""
    if columns is None or len(text.rstrip()) <= columns:
        return [text.rstrip()]
    return wrap(text, max(1, columns))


def _widths(rows: Sequence[Row]) -> list[int]:
    return [max(len(text) for text, _ in column) for column in zip(*rows, strict=True)]


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _justified(row: Row, widths: Sequence[int], right: AbstractSet[int]) -> list[Piece]:
    return [
        (text.rjust(width) if column in right else text.ljust(width), colour)
        for column, ((text, colour), width) in enumerate(zip(row, widths, strict=True))
    ]


def _joined(cells: Row, gap: str) -> Line:
    """Return the cells as one line, with nothing after the last that says something."""
    pieces: list[Piece] = []
    for text, colour in cells:
        pieces += [(text, colour), (gap, None)]
    while pieces and not pieces[-1][0].strip():
        pieces.pop()
    return [*pieces[:-1], (pieces[-1][0].rstrip(), pieces[-1][1])] if pieces else []
