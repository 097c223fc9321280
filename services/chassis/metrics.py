"""What the service counts, as Prometheus reads it (prometheus.io/docs/instrumenting/exposition_formats)."""

from collections import Counter
from dataclasses import dataclass, field

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Metrics:
    """The figures of one service since it was started."""

    in_flight: int = 0
    answers: Counter[int] = field(default_factory=Counter)

    def text(self, commits: int) -> str:
        """Return all figures in the text format."""
        lines = [
            "# HELP parallel_insert_in_flight Inserts that are being worked on now.",
            "# TYPE parallel_insert_in_flight gauge",
            f"parallel_insert_in_flight {self.in_flight}",
            "# HELP parallel_insert_answers_total Answers to inserts, by status.",
            "# TYPE parallel_insert_answers_total counter",
            *(f'parallel_insert_answers_total{{status="{status}"}} {n}' for status, n in sorted(self.answers.items())),
            "# HELP parallel_insert_batches_total Transactions that those inserts shared.",
            "# TYPE parallel_insert_batches_total counter",
            f"parallel_insert_batches_total {commits}",
        ]
        return "\n".join(lines) + "\n"
