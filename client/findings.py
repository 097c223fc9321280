"""What a verification found: a table for people, and everything for programs."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TextIO

from client.rendering import LISTED, counted, plain, print_lines, text_of
from client.spool import Difference, Kind
from client.table import Row, table
from client.terminal import RED, YELLOW, Line
from client.verify import Summary, Verified

_WORDS: dict[Kind, str] = {
    "not-stored": "not stored",
    "stored-otherwise": "stored otherwise",
    "not-in-input": "not in the input",
    "orphaned": "orphaned",
}


def show(verified: Verified, out: TextIO) -> None:
    """Print what was found."""
    print_lines(partial(_lines, verified), out)


def _lines(verified: Verified, columns: int | None) -> Iterator[Line]:
    if shown := list(islice(verified.differences, LISTED)):
        rows = [plain("service", "id", "difference", "what"), *map(_row, shown)]
        yield from table(rows, right={1}, columns=columns)
        if verified.count > LISTED:
            yield from text_of(f"... and {verified.count - LISTED:,} more; --json lists them all", columns)
        yield ()
    yield from table(_summaries(verified), right=set(range(1, 7)))
    yield ()
    for text, colour in _verdict(verified):
        yield from text_of(text, columns, colour)


def _row(difference: Difference) -> Row:
    name = "" if difference.id is None else str(difference.id)
    what = "; ".join(f"{missing} does not exist" for missing in difference.missing)
    if difference.origin:
        what = ": ".join(filter(None, (difference.origin, ", ".join(difference.fields))))
    # What is not stored was most often refused, as it should be.
    colour = YELLOW if difference.kind == "not-stored" else RED
    return [(text, colour) for text in (difference.service, name, _WORDS[difference.kind], what)]


def _summaries(verified: Verified) -> Sequence[Row]:
    compared = any(summary.in_input is not None for summary in verified.summaries.values())
    kinds = [kind for kind in _WORDS if compared or kind == "orphaned"]
    head = ("service", "held", *(["in the input"] if compared else []), *map(_WORDS.__getitem__, kinds))
    rows = [plain(*head)]
    for name, summary in verified.summaries.items():
        counts = [summary.held, *([summary.in_input] if compared else [])]
        found = [_count(name, summary, kind) for kind in kinds]
        rows.append(plain(name, *("-" if count is None else f"{count:,}" for count in counts), *found))
    return rows


def _count(name: str, summary: Summary, kind: Kind) -> str:
    looked_for = name == "orders" if kind == "orphaned" else summary.in_input is not None
    return f"{summary.differences[kind]:,}" if looked_for else "-"


def _verdict(verified: Verified) -> Iterator[tuple[str, int | None]]:
    if verified.well:
        compared = [name for name, summary in verified.summaries.items() if summary.in_input is not None]
        same = f" What the input says, and nothing else, is held by {' and '.join(compared)}." if compared else ""
        yield f"Every order's user and product exist.{same}", None
        return
    yield from ((message, RED) for message in verified.unreadable)
    if verified.count:
        yield f"{counted(verified.count, 'difference')}.", RED
    if any(summary.differences["not-stored"] for summary in verified.summaries.values()):
        yield "What is not stored may have been refused; a run without --verify says why.", None


def write_json(verified: Verified, out: TextIO) -> None:
    """Write what was found for programs, a difference at a time."""
    summary = {
        name: {
            "held": summary.held,
            "in_input": summary.in_input,
            **{kind.replace("-", "_"): summary.differences[kind] for kind in _WORDS},
        }
        for name, summary in verified.summaries.items()
    }
    out.write(
        f'{{"summary": {json.dumps(summary)},\n"unreadable": {json.dumps(verified.unreadable)},\n"differences": ['
    )
    before = "\n"
    for difference in verified.differences:
        out.write(before + json.dumps(_as_json(difference)))
        before = ",\n"
    out.write("\n]}\n")


def _as_json(difference: Difference) -> dict[str, object]:
    return {
        "service": difference.service,
        "id": difference.id,
        "difference": difference.kind,
        "origin": difference.origin or None,
        "fields": list(difference.fields),
        "missing": list(difference.missing),
    }
