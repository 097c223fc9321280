"""What was measured, kept as JSON in the work folder, so that the document can be written again from it."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from statistics import median

from benchmarks.settings import WORK

# What one contestant did in one turn, by the figure's name.
Values = dict[str, float]


@dataclass
class Part:
    """One part's results."""

    command: str
    cpu: str
    measured: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d"))
    # Every contestant once in each.
    turns: list[dict[str, Values]] = field(default_factory=list)
    # Who was left out, and why.
    left_out: dict[str, str] = field(default_factory=dict)
    # What should not have happened, in words.
    failures: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        """Return who took part."""
        return list(self.turns[0])

    def all(self, name: str, key: str) -> list[float]:
        """Return the figure of each turn."""
        return [turn[name][key] for turn in self.turns]

    def median(self, name: str, key: str) -> float:
        """Return the median over all turns."""
        return median(self.all(name, key))

    def ratio(self, name: str, base: str, key: str) -> str:
        """Return the figure against another's of the same turn: the median of all turns, the least and the most."""
        ratios = [one / other for one, other in zip(self.all(name, key), self.all(base, key), strict=True)]
        return f"**{median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"

    def expect(self, truth: object, failure: str) -> None:
        """Note a failure, on the screen too, where it is not true."""
        if not truth:
            print(f"  FAILED: {failure}", flush=True)
            self.failures.append(failure)


def keep(name: str, part: Part) -> None:
    """Write a part's results to the work folder."""
    (WORK / f"{name}.json").write_text(json.dumps(asdict(part), indent=1))


def kept(name: str) -> Part | None:
    """Return what was last measured of a part here."""
    file = WORK / f"{name}.json"
    return Part(**json.loads(file.read_text())) if file.exists() else None
