"""What the service counts, as Prometheus reads it (prometheus.io/docs/instrumenting/exposition_formats).

Everything is counted on the event loop, so nothing is locked: all of it takes two microseconds of a request.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)


class Histogram:
    """How many of the values that were observed stayed within each bound."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Take the bounds, ascending."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def samples(self, labels: str = "") -> Iterator[tuple[str, float]]:
        """Yield suffix with labels, and value, of each of its lines."""
        separator = "," if labels else ""
        for bound, count in zip((*self._bounds, "+Inf"), accumulate(self._counts), strict=True):
            yield f'_bucket{{{labels}{separator}le="{bound}"}}', count
        enclosed = f"{{{labels}}}" if labels else ""
        yield f"_sum{enclosed}", self._sum
        yield f"_count{enclosed}", sum(self._counts)


def _seconds() -> Histogram:
    return Histogram(_SECONDS)


@dataclass
class Metrics:
    """The figures of one service since it was started."""

    in_flight: int = 0
    # By method, route and status; and how long they took, by route.
    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    request_s: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(_seconds))
    # By outcome, of every record that came to the store; and by the problem's name, of every one that was refused.
    records: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    batch_records: Histogram = field(default_factory=lambda: Histogram(_RECORDS))
    commit_s: Histogram = field(default_factory=_seconds)
    # By the service that was asked.
    lookup_s: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(_seconds))
    lookup_failures: Counter[str] = field(default_factory=Counter)

    def text(self, waiting: int) -> str:
        """Return all figures in the text format."""
        return "".join(f"{line}\n" for line in self._lines(waiting))

    def _lines(self, waiting: int) -> Iterator[str]:
        yield from _gauge("in_flight", "Inserts that are being worked on now.", self.in_flight)
        yield from _gauge("waiting", "Inserts that wait for a transaction now.", waiting)
        requests = {
            f'method="{method}",route="{route}",status="{status}"': n
            for (method, route, status), n in self.requests.items()
        }
        yield from _counter("requests_total", "Requests that were answered.", requests)
        yield from _histograms("request_seconds", "From a request's head to its answer.", "route", self.request_s)
        yield from _counter("records_total", "Records that came to the store.", _labelled("outcome", self.records))
        yield from _counter("refusals_total", "What was refused, by problem.", _labelled("problem", self.refusals))
        yield from _histogram("batch_records", "Records that shared a transaction.", self.batch_records)
        yield from _histogram("commit_seconds", "From a transaction's begin to the disk.", self.commit_s)
        yield from _histograms("lookup_seconds", "Calls to look references up.", "service", self.lookup_s)
        failures = _labelled("service", self.lookup_failures)
        yield from _counter("lookup_failures_total", "Those of them that had no usable answer.", failures)


def _labelled(label: str, values: Mapping[str, int]) -> dict[str, int]:
    return {f'{label}="{name}"': value for name, value in values.items()}


def _head(name: str, meaning: str, kind: str) -> Iterator[str]:
    yield f"# HELP parallel_insert_{name} {meaning}"
    yield f"# TYPE parallel_insert_{name} {kind}"


def _gauge(name: str, meaning: str, value: int) -> Iterator[str]:
    yield from _head(name, meaning, "gauge")
    yield f"parallel_insert_{name} {value}"


def _counter(name: str, meaning: str, values: Mapping[str, int]) -> Iterator[str]:
    yield from _head(name, meaning, "counter")
    for labels, value in sorted(values.items()):
        yield f"parallel_insert_{name}{{{labels}}} {value}"


def _histogram(name: str, meaning: str, histogram: Histogram) -> Iterator[str]:
    yield from _head(name, meaning, "histogram")
    for suffix, value in histogram.samples():
        yield f"parallel_insert_{name}{suffix} {value}"


def _histograms(name: str, meaning: str, label: str, histograms: Mapping[str, Histogram]) -> Iterator[str]:
    yield from _head(name, meaning, "histogram")
    for value_of_label, histogram in sorted(histograms.items()):
        for suffix, value in histogram.samples(f'{label}="{value_of_label}"'):
            yield f"parallel_insert_{name}{suffix} {value}"
