"""The merged result for people: a table of records, a summary, and what the read-back found."""

from collections.abc import Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from client.merge import Merged
from client.records import OUTCOMES, Result

# Above this many records only those that were not stored are listed.
LISTED_IN_FULL = 100
_STYLES = {"created": "green", "unchanged": "cyan", "rejected": "yellow", "undelivered": "bold red"}


def show(console: Console, merged: Merged) -> None:
    """Print the merged result."""
    console.print(Group(*_parts(merged)))


def _parts(merged: Merged) -> Iterator[RenderableType]:
    listed = merged.results
    if len(listed) > LISTED_IN_FULL:
        listed = [result for result in listed if result.outcome not in {"created", "unchanged"}]
    if listed:
        yield _records(listed[:LISTED_IN_FULL])
    if len(listed) > LISTED_IN_FULL:
        yield Text(f"  … and {len(listed) - LISTED_IN_FULL} more; --json lists them all")
    yield _summaries(merged)
    yield _verdict(merged)


def _records(results: list[Result]) -> Table:
    table = Table("service", Column("id", justify="right"), "outcome", "why", box=box.SIMPLE_HEAD)
    for result in results:
        name = str(result.id) if result.id is not None else result.record.origin
        outcome = Text(result.outcome, style=_STYLES[result.outcome])
        table.add_row(result.record.service, name, outcome, Text("; ".join(result.reasons)))
    return table


def _summaries(merged: Merged) -> Table:
    table = Table("service", box=box.SIMPLE_HEAD)
    for title in ("sent", *OUTCOMES, "stored", "peak in flight"):
        table.add_column(title, justify="right")
    for name, summary in merged.summaries.items():
        counts = [getattr(summary, outcome) for outcome in OUTCOMES]
        stored = "?" if summary.stored is None else str(summary.stored)
        table.add_row(
            name,
            str(summary.sent),
            *(Text(str(n), style=_STYLES[o] if n else "dim") for o, n in zip(OUTCOMES, counts, strict=True)),
            stored,
            str(summary.peak_in_flight),
        )
    return table


def _verdict(merged: Merged) -> Text:
    line = f"  {len(merged.results)} records in {merged.elapsed_s:.3f} s. "
    if merged.differences:
        text = Text(line + "The read-back differs:", style="bold red")
        for difference in merged.differences:
            text.append(f"\n    {difference}")
        return text
    return Text(line + "Read back: the services hold what they acknowledged.")
