"""The picture of a run that is under way: a lane for each service, as lines of a given width. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client.records import OUTCOMES, SERVICES, Outcome
from client.terminal import BOLD, COLOURS, DIM, Line, Piece

_GAP = "  "
_NAME_COLUMNS = max(map(len, SERVICES))
# What stands beside a bar is left out, from its end, rather than that the bar gets shorter than this.
_SHORTEST_BAR, _LONGEST_BAR = 10, 40


@dataclass(frozen=True, slots=True)
class Lane:
    """How far one service's records are."""

    name: str
    # How many have which outcome.
    outcomes: Mapping[Outcome, int]
    in_flight: int
    # How many there are in all, as far as that is known.
    total: int
    estimated: bool
    # From the start to the last answer, or to now.
    elapsed_s: float

    @property
    def done(self) -> int:
        """How many have their outcome."""
        return sum(self.outcomes.values())

    @property
    def rate(self) -> str:
        """How many a second, in words."""
        return f"{self.done / self.elapsed_s if self.elapsed_s > 0 else 0:,.0f}/s"

    @property
    def in_all(self) -> str:
        """How many there are, in words; an estimate says no more than two digits."""
        return f"~{round(self.total, 2 - len(str(self.total))):,}" if self.estimated else f"{self.total:,}"

    @property
    def over(self) -> bool:
        """Whether all have their outcome."""
        return 0 < self.total <= self.done and not self.estimated


def in_words(lane: Lane) -> str:
    """Return the lane where nothing can be drawn."""
    return f"{lane.name} {lane.done:,} of {lane.in_all} ({lane.rate})"


def frame(lanes: Sequence[Lane], columns: int, *, title: str = "", ascii_only: bool = False) -> list[Line]:
    """Return a line for each lane, below the title if there is one; none is longer than that."""
    facts = [_facts(lane) for lane in lanes]
    # As wide in every lane, so that they stand below each other.
    widths = [max(map(len, column)) for column in zip(*facts, strict=True)]
    while widths and _room_for_bar(columns, widths) < _SHORTEST_BAR:
        widths.pop()
    bar_columns = max(0, min(_LONGEST_BAR, _room_for_bar(columns, widths)))
    glyphs = ("#", "-") if ascii_only else ("━", "─")
    lines: list[Line] = [[(title, BOLD)]] if title else []
    for lane, texts in zip(lanes, facts, strict=True):
        name = (lane.name.ljust(_NAME_COLUMNS) + _GAP, None)
        beside = [(_GAP + text.rjust(width), None) for text, width in zip(texts, widths, strict=False)]
        lines.append([name, *_bar(lane, bar_columns, *glyphs), *beside])
    return [_clipped(line, columns) for line in lines]


def _facts(lane: Lane) -> tuple[str, ...]:
    """Return what stands beside the bar, the most important first; of the same width from frame to frame."""
    now = f"{lane.in_flight} in flight" if not lane.over else f"in {lane.elapsed_s:.2f} s"
    return (
        f"{_of(lane, 100):3}%",
        f"{lane.done:,}/{lane.in_all}".rjust(2 * len(lane.in_all)),
        lane.rate.rjust(len("99,999/s")),
        now.rjust(len("10 in flight")),
    )


def _room_for_bar(columns: int, widths: Sequence[int]) -> int:
    return columns - _NAME_COLUMNS - len(_GAP) - sum(widths) - len(_GAP) * len(widths)


def _of(lane: Lane, whole: int) -> int:
    """Return which part of the whole is done; all of it only at the very end."""
    return min(whole, whole * lane.done // lane.total) if lane.total else 0


def _bar(lane: Lane, columns: int, full: str, empty: str) -> list[Piece]:
    left = filled = _of(lane, columns)
    shares: dict[Outcome, int] = {}
    for outcome in OUTCOMES[:0:-1]:
        # Rounded up, so that one that was refused among a million is seen; what was created takes what is left.
        shares[outcome] = min(left, -(-columns * lane.outcomes[outcome] // max(1, lane.total)))
        left -= shares[outcome]
    shares["created"] = left
    return [*((full * shares[outcome], COLOURS[outcome]) for outcome in OUTCOMES), (empty * (columns - filled), DIM)]


def _clipped(line: Line, columns: int) -> Line:
    """Return what of the line has room."""
    pieces: list[Piece] = []
    for text, colour in line:
        pieces.append((text[:columns], colour))
        columns -= len(pieces[-1][0])
    return [piece for piece in pieces if piece[0]]
