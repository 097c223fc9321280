"""What is read of a Server-Timing header, and what is not."""

import pytest

from client.server_timing import UNTIMED, Timing, timing_in


@pytest.mark.parametrize(
    ("header", "timing"),
    [
        ('check;dur=1.204, wait;dur=0.4, commit;dur=12;desc="42"', Timing(1.204, 0.4, 12.0, 42)),
        ('wait;dur=0.388,commit;dur=0.911;desc="7"', Timing(None, 0.388, 0.911, 7)),
        ('cdn;desc="a, b";dur=3, wait ; dur=1 , commit; dur=2; desc="3", edge', Timing(None, 1.0, 2.0, 3)),
        ("check;dur=5", Timing(check_ms=5.0)),
        ("commit;dur=5", Timing(commit_ms=5.0)),
    ],
)
def test_what_the_service_says_is_read_whatever_else_was_added(header: str, timing: Timing) -> None:
    assert timing_in(header) == timing


@pytest.mark.parametrize(
    "header",
    [
        "",
        "commit",
        "commit;dur=",
        "commit;dur=-1",
        "commit;dur=1e9",
        "commit;dur=NaN",
        'commit;dur=1;desc="<script>"',
        f"commit;dur={'9' * 400}",
        f'commit;dur=1;desc="{"9" * 5_000}"',
        "commit;dur=\u0661",
        "precommit;dur=1",
        "commit;dur=1.2.3",
        "," * 100_000 + "commit;dur=1",
    ],
)
def test_what_makes_no_sense_says_nothing(header: str) -> None:
    assert timing_in(header) == UNTIMED
