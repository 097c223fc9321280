"""The merged result for people: a table of records, a summary, and what the read-back found."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TextIO

from client.merge import Comparison, Merged, Summary
from client.records import OUTCOMES, Result
from client.table import GAP, Row, table, width_of, wrapped
from client.terminal import COLOURS, DIM, GREEN, RED, Line, is_colourful, painted, size_of

# Above this many records, only those that were not stored are listed, and no more than so many of them.
LISTED = 100


def show(merged: Merged, out: TextIO) -> None:
    """Print the merged result."""
    print_lines(partial(lines_of, merged), out)


def print_lines(lines_of_width: Callable[[int | None], Iterable[Line]], out: TextIO) -> None:
    """Print lines; on a terminal no wider than that, and in colour if that is welcome."""
    colourful = is_colourful(out)
    for line in lines_of_width(size_of(out)[0] if out.isatty() else None):
        print(painted(line, colourful=colourful), file=out)


def lines_of(merged: Merged, columns: int | None) -> Iterator[Line]:
    """Yield what is shown, in lines no longer than that; without a limit, one for each record."""
    listed = merged.listed(LISTED)
    if shown := list(islice(listed, LISTED)):
        rows = [plain("service", "id", "outcome", "why"), *map(_record, shown)]
        yield from table(rows, right={1}, columns=columns)
    if more := sum(1 for _ in listed):
        yield from text_of(f"... and {more:,} more; --json lists them all", columns)
    yield ()
    yield from _summaries([*merged.summaries.items(), ("total", merged.total)], columns)
    yield ()
    yield from _verdict(merged, columns)
    if merged.comparison:
        yield from _compared(merged.comparison, columns)


def plain(*texts: str) -> Row:
    """Return a row without colours."""
    return [(text, None) for text in texts]


def counted(number: int, noun: str) -> str:
    """Return how many there are, in words."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def text_of(text: str, columns: int | None, colour: int | None = None) -> Iterator[Line]:
    """Yield the text in lines no longer than that."""
    yield from ([(part, colour)] for part in wrapped(text, columns))


def _record(result: Result) -> Row:
    """Return what is said of a record; of one that is not stored, all in colour."""
    colour = COLOURS[result.outcome]
    rest = None if result.outcome in {"created", "unchanged"} else colour
    name = result.record.origin if result.id is None else str(result.id)
    return [(result.record.service, rest), (name, rest), (result.outcome, colour), ("; ".join(result.reasons), rest)]


def _summaries(summaries: Sequence[tuple[str, Summary]], columns: int | None) -> Iterator[Line]:
    """Yield the figures as a table, closer together or without what is nothing where need be, or else in words."""
    full = [plain("service", "sent", *OUTCOMES, "stored", "peak in flight"), *(_figures(*each) for each in summaries)]
    nothing = {OUTCOMES.index(outcome) + 2 for outcome in OUTCOMES if not getattr(summaries[-1][1], outcome)}
    short = [[cell for place, cell in enumerate(row) if place not in nothing] for row in full]
    for rows, gap in ((full, GAP), (full, " "), (short, GAP), (short, " ")):
        if columns is None or width_of(rows, gap) <= columns:
            return table(rows, right=set(range(1, len(rows[0]))), gap=gap)
    return table([plain("service", "records"), *(_words(*each) for each in summaries)], columns=columns)


def _figures(name: str, summary: Summary) -> Row:
    return [
        (name, None),
        (f"{summary.sent:,}", None),
        *((f"{count:,}", COLOURS[outcome] if count else DIM) for outcome, count in summary.outcomes),
        (_or_unknown(summary.stored), None),
        ("" if summary.peak_in_flight is None else f"{summary.peak_in_flight}", None),
    ]


def _words(name: str, summary: Summary) -> Row:
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in summary.outcomes if count)
    peak = "" if summary.peak_in_flight is None else f", {summary.peak_in_flight} in flight at the peak"
    words = f"{summary.sent:,} sent{': ' if outcomes else ''}{outcomes}; {_or_unknown(summary.stored)} stored{peak}"
    return plain(name, words)


def _or_unknown(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def _verdict(merged: Merged, columns: int | None) -> Iterator[Line]:
    # A run that is interrupted before its threads are released takes no time.
    rated = merged.sent > LISTED and merged.elapsed_s > 0
    rate = f", {merged.sent / merged.elapsed_s:,.0f} a second" if rated else ""
    sent = f"{counted(merged.sent, 'record')} in {merged.elapsed_s:.3f} s{rate}."
    if not merged.differences:
        said = f"{sent} Read back: the services hold what they acknowledged."
        yield from text_of(said, columns, GREEN if merged.complete else None)
        return
    yield from text_of(f"{sent} Read back: NOT ALL IS AS IT WAS ACKNOWLEDGED.", columns, RED)
    for difference in merged.differences:
        yield from text_of(f"{GAP}{difference}", columns, RED)


def _compared(comparison: Comparison, columns: int | None) -> Iterator[Line]:
    saved_s = comparison.sequential_s - comparison.concurrent_s
    times = f"{comparison.sequential_s / comparison.concurrent_s:.1f} times as fast, {saved_s:.3f} s saved"
    yield from text_of(
        f"Compared, threads and connections included: {comparison.concurrent_s:.3f} s at the same time,"
        f" {comparison.sequential_s:.3f} s one after another: {times if saved_s > 0 else 'nothing saved'}.",
        columns,
    )
    if not comparison.same_outcomes:
        yield from text_of("One after another, NOT EVERY RECORD ENDED THE SAME.", columns, RED)
