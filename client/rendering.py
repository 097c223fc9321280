"""The merged result for people: a table of records, a summary, and what the read-back found."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TextIO

from client.merge import Merged
from client.records import OUTCOMES, Outcome, Result

# Above this many records, only those that were not stored are listed, and no more than so many of them.
LISTED = 100
# ANSI colours (ECMA-48, SGR).
GREEN, CYAN, YELLOW, RED = 32, 36, 33, 31
_COLOURS: dict[Outcome, int] = {"created": GREEN, "unchanged": CYAN, "rejected": YELLOW, "undelivered": RED}
_GAP = "  "

Table = Sequence[Sequence[str]]
# A line and its colour.
Line = tuple[str, int | None]


def show(merged: Merged, out: TextIO) -> None:
    """Print the merged result."""
    print_lines(_lines(merged), out)


def print_lines(lines: Iterable[Line], out: TextIO) -> None:
    """Print the lines; in colour where a person looks on (no-color.org)."""
    colourful = out.isatty() and not os.environ.get("NO_COLOR") and sys.platform != "win32"
    for text, colour in lines:
        print(f"\x1b[{colour}m{text}\x1b[0m" if colour and colourful else text, file=out)


def _lines(merged: Merged) -> Iterator[Line]:
    listed = merged.listed(LISTED)
    if shown := list(islice(listed, LISTED)):
        yield from _records(shown)
    if more := sum(1 for _ in listed):
        yield f"... and {more:,} more; --json lists them all", None
    yield "", None
    yield from ((text, None) for text in table(_summaries(merged), right=set(range(1, 8))))
    yield "", None
    yield from _verdict(merged)


def _records(results: Sequence[Result]) -> Iterator[Line]:
    lines = table([("service", "id", "outcome", "why"), *map(_record, results)], right={1})
    colours = [None, None, *(_COLOURS[result.outcome] for result in results)]
    yield from zip(lines, colours, strict=True)


def _record(result: Result) -> tuple[str, ...]:
    name = result.record.origin if result.id is None else str(result.id)
    return result.record.service, name, result.outcome, "; ".join(result.reasons)


def _summaries(merged: Merged) -> Table:
    head = ("service", "sent", *OUTCOMES, "stored", "peak in flight")
    return [head] + [
        (
            name,
            f"{summary.sent:,}",
            *(f"{getattr(summary, outcome):,}" for outcome in OUTCOMES),
            "?" if summary.stored is None else f"{summary.stored:,}",
            str(summary.peak_in_flight),
        )
        for name, summary in merged.summaries.items()
    ]


def _verdict(merged: Merged) -> Iterator[Line]:
    rate = f", {merged.sent / merged.elapsed_s:,.0f} a second" if merged.sent > LISTED else ""
    sent = f"{merged.sent:,} records in {merged.elapsed_s:.3f} s{rate}."
    if not merged.differences:
        yield f"{sent} Read back: the services hold what they acknowledged.", None
        return
    yield f"{sent} Read back: NOT ALL IS AS IT WAS ACKNOWLEDGED.", RED
    yield from ((f"{_GAP}{difference}", RED) for difference in merged.differences)


def table(rows: Table, right: set[int]) -> Iterator[str]:
    """Yield the rows as lines with aligned columns, and a rule below the first."""
    printable = [["".join(c if c.isprintable() else "?" for c in cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*printable, strict=True)]
    for number, row in enumerate(printable):
        cells = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield _GAP.join(cells).rstrip()
        if number == 0:
            yield _GAP.join("-" * width for width in widths)
