"""A picture of the run: one HTML file with all that it shows inside it, which asks nothing of any network."""

import json
import math
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

from client.merge import GIVEN_IN_FULL, Merged
from client.placing import Commit, commit_of, commits_in, parts_of
from client.records import SERVICES, Attempt, Record, Result
from client.timeline import Bar, fewer, in_rows, timeline_of

_HERE = Path(__file__).resolve().parent
# So much of the file is for records, and so much for bars, so that it opens at once however many there are.
_MOST_BYTES_OF_RECORDS = 800_000
_MOST_BYTES_OF_BARS = 1_000_000
_FEWEST_BARS = 100
_MOST_RECORDS = 2_000
_LONGEST_TEXT = 300
_LONGEST_REASON = 80
_BINS_A_DECADE = 10
_SHORTEST_MS = 0.01

Json = dict[str, Any]


def write_picture(merged: Merged, out: TextIO) -> None:
    """Write the picture."""
    style, script = _read("picture.css"), _read("picture.js")
    # Nothing may run or be loaded but what stands here; a policy in a page takes the hash of what it allows.
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'"
    parts = {"{policy}": policy + "; form-action 'none'", "/*style*/": style, "/*script*/": script}
    page = _read("picture.html")
    for place, part in parts.items():
        page = page.replace(place, part)
    # Last, so that nothing in it is taken for a place of another.
    out.write(page.replace("/*run*/", as_json(_all_of(merged))))


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def as_json(value: object) -> str:
    """Return JSON that may stand in a script element: ASCII alone, and nothing that could end it or begin another."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _all_of(merged: Merged) -> Json:
    """Return all that the page shows; times are milliseconds since the first request was sent."""
    timeline = merged.batches or timeline_of(merged.results)
    records, places = _records(merged)
    return {
        "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "sent": merged.sent,
        "elapsed_ms": _ms(merged.elapsed_s),
        "batches": merged.batches is not None,
        "differences": [_short(difference) for difference in merged.differences[:_MOST_RECORDS]],
        "complete": merged.complete,
        "summaries": {name: asdict(summary) for name, summary in merged.summaries.items()},
        "lanes": _lanes(timeline.bars(), places),
        "latencies": {name: distribution(ms) for name, ms in timeline.answers_ms.items() if ms},
        "records": records,
        "records_omitted": _listable(merged) - len(records),
    }


def _listable(merged: Merged) -> int:
    if merged.sent <= GIVEN_IN_FULL:
        return merged.sent
    return sum(summary.rejected + summary.undelivered for summary in merged.summaries.values())


def _records(merged: Merged) -> tuple[list[Json], dict[Record, int]]:
    """Return what is listed of the records, as many as there is room for, and the place of each."""
    listed: list[Json] = []
    places: dict[Record, int] = {}
    left = _MOST_BYTES_OF_RECORDS
    for result in merged.listed(GIVEN_IN_FULL):
        row = _record(result)
        left -= len(as_json(row))
        if left < 0 or len(listed) == _MOST_RECORDS:
            break
        places[result.record] = len(listed)
        listed.append(row)
    return listed, places


def _record(result: Result) -> Json:
    return {
        "service": result.record.service,
        "id": None if result.id is None else str(result.id),
        "origin": _short(result.record.origin),
        "outcome": result.outcome,
        "status": result.status,
        "why": _short("; ".join(result.reasons)),
        "attempts": result.attempts,
        "ms": round(result.elapsed_ms, 1),
        # Of a row of a batch, its file and line say where it stands.
        "body": _short(result.record.body.decode(errors="replace")),
    }


def _lanes(bars: Sequence[Bar], places: Mapping[Record, int]) -> Json:
    """Return each service's bars; fewer that stand for more, where what is said of them would take too much room."""
    zero_s = min((bar.began_s for bar in bars), default=0.0)
    most = len(bars)
    while True:
        lanes = {name: _lane([bar for bar in bars if bar.service == name], zero_s, places) for name in SERVICES}
        if len(as_json(lanes)) <= _MOST_BYTES_OF_BARS or most < _FEWEST_BARS:
            return lanes
        most //= 2
        bars = fewer(bars, most)


def _lane(bars: Sequence[Bar], zero_s: float, places: Mapping[Record, int]) -> list[Json]:
    """Return one service's bars, row by row, each with its place."""
    commits = commits_in(attempt for bar in bars for attempt in bar.attempts)
    return [
        {
            "row": number,
            "origin": _short(bar.origin),
            "ends": bar.ends,
            "requests": bar.stands_for,
            "record": places.get(bar.record) if bar.record else None,
            "attempts": [_attempt(attempt, commits, zero_s) for attempt in bar.attempts],
        }
        for number, row in enumerate(in_rows(bars))
        for bar in row
    ]


def _attempt(attempt: Attempt, commits: Mapping[Commit, float], zero_s: float) -> Json:
    return {
        "began": _ms(attempt.began_s - zero_s),
        "sent": _ms(attempt.sent_s - zero_s),
        "answered": _ms(attempt.answered_s - zero_s),
        "status": attempt.status,
        "why": _short("; ".join(attempt.reasons), _LONGEST_REASON),
        "commit": _named(commit_of(attempt)),
        "parts": [
            {"name": part.name, "from": _ms(part.began_s - zero_s), "to": _ms(part.ended_s - zero_s)}
            for part in parts_of(attempt, commits)
        ],
    }


def _named(commit: Commit | None) -> str | None:
    """Return what a transaction is called: its number, and whose it is where there are several."""
    return " of ".join(filter(None, (str(commit[1]), commit[0]))) if commit else None


def distribution(answers_ms: Iterable[float]) -> Json:
    """Return how answers' times are spread: the figures that are named, and how many fall into each bin of a decade."""
    ordered = sorted(max(ms, _SHORTEST_MS) for ms in answers_ms)
    bins = Counter(math.floor(math.log10(ms) * _BINS_A_DECADE) for ms in ordered)
    return {
        "count": len(ordered),
        "median": round(_quantile(ordered, 0.5), 2),
        "p99": round(_quantile(ordered, 0.99), 2),
        "longest": round(ordered[-1], 2),
        "bins": [
            {"from": 10 ** (at / _BINS_A_DECADE), "to": 10 ** ((at + 1) / _BINS_A_DECADE), "count": bins[at]}
            for at in sorted(bins)
        ],
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value within which at least that share lies (nearest rank)."""
    return ordered[math.ceil(share * len(ordered)) - 1]


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)


def _short(text: str, longest: int = _LONGEST_TEXT) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
