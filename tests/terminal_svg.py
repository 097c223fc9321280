"""Draws what a terminal shows as a picture that needs no fonts but the reader's own."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from client.terminal import BOLD, CYAN, DIM, GREEN, RED, YELLOW
from tests.terminal import Cell

_PAPER, _BAR, _INK = "#0d1117", "#21262d", "#e6edf3"
_COLOURS = {
    0: _INK,
    BOLD: "#ffffff",
    DIM: "#8b949e",
    RED: "#ff7b72",
    GREEN: "#56d364",
    YELLOW: "#e3b341",
    CYAN: "#76e3ea",
}
_FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"
_SIZE, _ADVANCE, _LEADING = 13, 7.8, 17
_LEFT, _TOP = 16, 54


def svg_of(lines: Sequence[Sequence[Cell]], title: str) -> str:
    """Return the picture of a window with these lines, whose title is the command that wrote them."""
    width = round(2 * _LEFT + _ADVANCE * max(map(len, lines)))
    height = _TOP + _LEADING * len(lines)
    texts = "\n".join(text for number, line in enumerate(lines) for text in _texts(line, _TOP + _LEADING * number))
    # It brings its own dark paper, so that it looks the same on pages of any colour.
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"
  font-family="{_FONTS}" font-size="{_SIZE}">
<title>{escape(title)}</title>
<rect width="{width}" height="{height}" rx="8" fill="{_PAPER}"/>
<path d="M0 32V8a8 8 0 0 1 8-8H{width - 8}a8 8 0 0 1 8 8V32z" fill="{_BAR}"/>
<text x="{_LEFT}" y="21" fill="{_COLOURS[DIM]}">{escape(title)}</text>
{texts}
</svg>
"""


def _texts(line: Sequence[Cell], y: int) -> Iterator[str]:
    column = 0
    for colour, cells in groupby(line, key=lambda cell: cell[1]):
        run = "".join(character for character, _ in cells)
        # Neither begins nor ends with spaces, nor holds two that follow each other: they would be drawn as one.
        for words in re.finditer(r"\S+(?: \S+)*", run):
            # Stretched to its columns, however wide the reader's font is.
            x, length = _LEFT + _ADVANCE * (column + words.start()), _ADVANCE * len(words[0])
            place = f'x="{x:.1f}" y="{y}" textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs"'
            yield f'<text {place} fill="{_COLOURS[colour]}">{escape(words[0])}</text>'
        column += len(run)
