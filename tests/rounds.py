"""How long the tests of faults go on: a few rounds, or all, when FAULTS=long."""

import os
from collections.abc import Callable

# Takes what a long run has measured; it is shown at the end.
Cite = Callable[[str], None]


def rounds(few: int, many: int) -> int:
    """Return how many rounds a test goes: few, or many where FAULTS=long."""
    return many if os.environ.get("FAULTS") == "long" else few
