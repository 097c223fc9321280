"""How much is measured, and where: each figure can be set in the environment."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
# Ignored by git: rivals, generated records, databases while they are measured, raw results.
WORK = PROJECT / ".bench"
RIVALS = PROJECT / "benchmarks" / "rivals"


@dataclass(frozen=True)
class Settings:
    """The defaults take about 25 minutes altogether."""

    turns: int = 5
    seconds: int = 4
    rows: int = 1_000_000
    # For what takes a commit a row.
    slow_rows: int = 5_000
    # About 1 GB of NDJSON.
    big_rows: int = 12_000_000

    @classmethod
    def from_environment(cls) -> "Settings":
        """Return the settings: TURNS, SECONDS, ROWS, SLOW_ROWS and BIG_ROWS where they are set."""
        return cls(**{name: int(os.environ.get(name.upper(), value)) for name, value in asdict(cls()).items()})

    def command(self, part: str) -> str:
        """Return the command that measures this part with these settings."""
        own = [f"{k.upper()}={v}" for k, v in asdict(self).items() if v != getattr(Settings, k)]
        return " ".join(["make bench", f"ONLY={part}", *own])
