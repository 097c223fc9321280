"""Draws bars as SVG, by hand: a few lines are less than a plotting package."""

from collections.abc import Sequence
from html import escape
from statistics import median

from benchmarks.settings import PROJECT

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 860, 230, 90, 40, 56
_INK, _FAINT, _OURS, _PALE, _OTHER = "#1f2328", "#59636e", "#0969da", "#9cc7f5", "#8c959f"


def bars(name: str, title: str, rows: Sequence[tuple[str, Sequence[float]]]) -> None:
    """Draw a bar for the median of each row, and a line from its least to its most."""
    scale = (_WIDTH - _LEFT - _RIGHT) / max(max(values) for _, values in rows)
    height = _TOP + _ROW * len(rows) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">',
        f'<title>{escape(title)}</title>\n<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="30" font-size="17" font-weight="600" fill="{_INK}">{escape(title)}</text>',
    ]
    for n, (label, values) in enumerate(rows):
        parts += _bar(_TOP + n * _ROW, label, values, scale)
    note = "Bar: median of the turns. Line: from the least to the most."
    parts += [f'<text x="{_LEFT}" y="{height - 12}" font-size="12" fill="{_FAINT}">{note}</text>', "</svg>\n"]
    folder = PROJECT / "docs" / "benchmarks"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.svg").write_text("\n".join(parts))


def _bar(top: float, label: str, values: Sequence[float], scale: float) -> list[str]:
    ours = label.startswith(("ours", "client"))
    middle, colour = top + 14, _OTHER if not ours else _PALE if "without" in label else _OURS
    low, mid, high = (_LEFT + value * scale for value in (min(values), median(values), max(values)))
    line = f"M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 5}v10M{high:.1f} {middle - 5}v10"
    text = f'y="{middle + 5}" font-size="14" fill="{_INK}"'
    return [
        f'<text x="{_LEFT - 10}" text-anchor="end" {text}>{escape(label)}</text>',
        f'<rect x="{_LEFT}" y="{top}" width="{mid - _LEFT:.1f}" height="28" fill="{colour}"/>',
        f'<path d="{line}" stroke="{_INK}" fill="none"/>',
        f'<text x="{max(mid, high) + 8:.1f}" {text}>{median(values):,.0f}</text>',
    ]
