"""What a service says of where a request's time went: its Server-Timing header (w3.org/TR/server-timing)."""

import re
from dataclasses import dataclass

# What is of this form is read; whatever else something on the way has written is left alone.
_METRIC = re.compile(
    r"""(?:^|,)\s*(check|wait|commit)\s*
        ;\s*dur=(\d{1,9}(?:\.\d{1,9})?)\s*
        (?:;\s*desc="(\d{1,18})"\s*)?(?=,|$)""",
    re.ASCII | re.VERBOSE,
)
_LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of checking references, of waiting for the transaction, and of it; None is what was not said."""

    check_ms: float | None = None
    wait_ms: float | None = None
    commit_ms: float | None = None
    # The transaction's number: requests with the same one at the same address shared it.
    commit: int | None = None
    # Where that was, of a service with several addresses.
    address: str = ""


UNTIMED = Timing()


def timing_in(header: str, address: str = "") -> Timing:
    """Return what the header says, and who said it; what can't be read says nothing."""
    found = {name: (float(ms), number) for name, ms, number in _METRIC.findall(header[:_LONGEST])}
    ms = {name: value for name, (value, _) in found.items()}
    _, number = found.get("commit", (0.0, ""))
    return Timing(ms.get("check"), ms.get("wait"), ms.get("commit"), int(number) if number else None, address)
