"""Fills the figures into the document, each block between two marks; all other words there are written by hand."""

import re
from collections.abc import Iterable, Sequence

from benchmarks.results import Part
from benchmarks.settings import PROJECT

_DOCUMENT = PROJECT / "docs" / "benchmarks.md"


def fill(name: str, block: str) -> None:
    """Put the block in place of the one of that name."""
    mark = f"<!-- {name} -->"
    filled = f"{mark}\n\n{block}\n\n{mark}"
    text, places = re.subn(f"{mark}.*?{mark}", lambda _: filled, _DOCUMENT.read_text(), flags=re.DOTALL)
    assert places == 1, f"{_DOCUMENT.name} has no place for {name}"
    _DOCUMENT.write_text(text)


def footer(part: Part) -> str:
    """Return when and how a part was measured, who was left out, and what went wrong."""
    lines = [f"*Measured {part.measured}, turns: {len(part.turns)}, {part.cpu}: `{part.command}`*"]
    lines += [f"- Left out: {name}, since {reason}." for name, reason in part.left_out.items()]
    lines += [f"- **{failure}**" for failure in part.failures]
    return "\n".join(lines)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, figures to the right."""
    rules = [":--", *("--:" for _ in heads[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, rules, *rows])


def us(value: float) -> str:
    """Return microseconds."""
    return f"{value:,.0f} µs" if value >= 10 else f"{value:.1f} µs"
