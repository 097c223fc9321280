"""Where in a request's bar its parts at the service are drawn: their lengths are known, and their places nearly.

The clocks of the two ends are not compared. A request can't have been in a transaction before it was sent, checked and
had waited, nor after its answer was there; requests that shared a transaction narrow this down together. It is drawn in
the middle of what is left, as if the ways there and back took equally long, and never before the one before it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from client.records import Attempt


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a request's time at the service: `check`, `wait` or `commit`."""

    name: str
    began_s: float
    ended_s: float


# A transaction: the address that made it, and its number there.
Commit = tuple[str, int]


def commit_of(attempt: Attempt) -> Commit | None:
    """Return the transaction that the attempt's record was in, as far as that is known."""
    timing = attempt.timing
    return None if timing.commit is None or not is_credible(attempt) else (timing.address, timing.commit)


def commits_in(attempts: Iterable[Attempt]) -> dict[Commit, float]:
    """Return when each transaction of a service began, on the client's clock.

    Where the requests that say they shared one can't have, it is left out.
    """
    shared: defaultdict[Commit, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if commit := commit_of(attempt):
            shared[commit].append(attempt)
    began: dict[Commit, float] = {}
    # Each address makes one transaction after the other.
    free_s: defaultdict[str, float] = defaultdict(float)
    for commit in sorted(shared):
        address, _ = commit
        earliest_s = max(a.sent_s + _before_ms(a) / 1000 for a in shared[commit])
        latest_s = min(a.answered_s - _commit_ms(a) / 1000 for a in shared[commit])
        if earliest_s <= latest_s:
            began[commit] = min(max((earliest_s + latest_s) / 2, free_s[address]), latest_s)
            free_s[address] = began[commit] + max(map(_commit_ms, shared[commit])) / 1000
    return began


def parts_of(attempt: Attempt, commits: Mapping[Commit, float]) -> list[Part]:
    """Return the parts, in order and without gaps; none where the service says more than there was time for."""
    timing = attempt.timing
    if not is_credible(attempt):
        return []
    before_s = _before_ms(attempt) / 1000
    taken_s = before_s + _commit_ms(attempt) / 1000
    # What shares no transaction has but its own bar to go by.
    middle_s = attempt.sent_s + (attempt.answered_s - attempt.sent_s - taken_s) / 2
    commit = commit_of(attempt)
    at_s = commits[commit] - before_s if commit and commit in commits else middle_s
    parts = []
    for name, ms in (("check", timing.check_ms), ("wait", timing.wait_ms), ("commit", timing.commit_ms)):
        if ms is not None:
            parts.append(Part(name, at_s, at_s + ms / 1000))
            at_s += ms / 1000
    return parts


def is_credible(attempt: Attempt) -> bool:
    """Tell whether the service's time fits into the time that the answer took."""
    return _before_ms(attempt) + _commit_ms(attempt) <= 1000 * (attempt.answered_s - attempt.sent_s)


def _before_ms(attempt: Attempt) -> float:
    return (attempt.timing.check_ms or 0.0) + (attempt.timing.wait_ms or 0.0)


def _commit_ms(attempt: Attempt) -> float:
    return attempt.timing.commit_ms or 0.0
