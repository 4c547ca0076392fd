"""The same figure over several drills, each with its bounds: what may be said of it, and what needs more drills.

The ends of the bounds are treated apart: the truth of each drill lies between them, so every order statistic of
the truths lies between that of the lower and that of the upper ends. Rules of "Few drills": no median below six
drills, no percentile without the drills it takes, no regression unless both ends show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, inf
from typing import TYPE_CHECKING

from drills.measure import few
from drills.measure.verdict import Verdict
from drills.timeline.marks import Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

QUANTILE = 0.9
"""The percentile for which the largest of enough drills is an upper bound."""
ALPHA = round(1 - few.CONFIDENCE, 6)


@dataclass(frozen=True, slots=True)
class Figure:
    """One drill's figure: it lies in [low, high] seconds, or rows; ``high`` None: nothing bounds it."""

    low: float
    high: float | None
    unit: Unit = Unit.SECONDS

    @property
    def top(self) -> float:
        """The upper end as a number."""
        return inf if self.high is None else self.high


@dataclass(frozen=True, slots=True)
class Series:
    """What n drills say. Bounds of the largest; from six drills on bounds of the median and its 95 % interval.

    ``interval`` is [the interval's lower end over the lower ends, its upper end over the upper ends];
    ``p90_at_most`` is None until 29 drills are there. ``needs`` says which claims need how many drills.
    """

    points: tuple[Figure, ...]
    largest: Figure
    median: Figure | None
    interval: Figure | None
    confidence: float | None
    p90_at_most: float | None
    needs: tuple[str, ...]


def series(points: Sequence[Figure]) -> Series:
    """Summarize figures in the order of their drills; ``ValueError`` when there are none."""
    lows, highs = few.summarize([one.low for one in points]), few.summarize([one.top for one in points])
    count = len(points)
    unit = points[0].unit
    largest = _figure(lows.largest, highs.largest, unit)
    median = interval = None
    if lows.interval is not None and highs.interval is not None and None not in (lows.median, highs.median):
        median = _figure(lows.median or 0.0, highs.median or 0.0, unit)
        interval = _figure(lows.interval[0], highs.interval[1], unit)
    enough = few.drills_needed(QUANTILE)
    needs: list[str] = []
    if interval is None:
        needs.append(f"a median with its interval needs {few.FEWEST_FOR_MEDIAN} drills")
    if count < enough:
        needs.append(f"a 90th percentile needs {enough}")
    return Series(
        tuple(points),
        largest,
        median,
        interval,
        lows.interval_confidence,
        largest.high if count >= enough else None,
        tuple(needs),
    )


def _figure(low: float, high: float, unit: Unit) -> Figure:
    return Figure(low, None if high == inf else high, unit)


@dataclass(frozen=True, slots=True)
class Misses:
    """How often a target was missed, and how often it may be, at 95 %.

    ``at_most`` is over the drills that were decided; ``at_most_if_doubts_miss`` counts every UNPROVEN one as a
    miss, for nobody knows why it could not be decided. None without a drill.
    """

    met: int
    missed: int
    unproven: int
    at_most: float | None
    at_most_if_doubts_miss: float | None


def misses(verdicts: Sequence[Verdict]) -> Misses:
    """Count verdicts; MET is met, MISSED is missed, and UNPROVEN is neither."""
    met, missed, unproven = (verdicts.count(one) for one in (Verdict.MET, Verdict.MISSED, Verdict.UNPROVEN))
    decided = met + missed
    return Misses(
        met,
        missed,
        unproven,
        few.miss_probability(decided, missed) if decided else None,
        few.miss_probability(len(verdicts), missed + unproven) if verdicts else None,
    )


@dataclass(frozen=True, slots=True)
class Change:
    """Two groups compared. ``slower`` and ``faster`` are claims at 5 %; ``p_low`` and ``p_high`` are of slower.

    ``needs`` is empty when so many drills can show a change at all, else it says how many could.
    """

    slower: bool
    faster: bool
    p_low: float | None
    p_high: float | None
    why: str
    needs: str


def change(before: Sequence[Figure], after: Sequence[Figure]) -> Change:
    """Ask whether drills became slower or faster: a claim needs the lower and the upper ends to agree.

    One new drill is placed in the range seen, p = 1 / (n + 1); two or more by one-sided Mann-Whitney.
    """
    then, now = [(one.low, one.high) for one in before], [(one.low, one.high) for one in after]
    up = few.regression(then, now)
    mirrored = few.regression([_mirror(one) for one in before], [_mirror(one) for one in after])
    needs = _needs(len(before), len(after))
    why = up.why
    if len(after) > 1 and before and up.p_low is not None and up.p_high is not None:
        why = f"{up.why}, p = {max(up.p_low, up.p_high):.2g}"
    for side, found in (("above", up), ("below", mirrored)):
        if len(after) == 1 and found.p_low is not None and found.p_high is not None:
            count = f"{len(before)} drill{'' if len(before) == 1 else 's'}"
            why = f"outside the range seen ({side} it), {count}, p = {found.p_low:.2g}"
    return Change(up.claimed, mirrored.claimed, up.p_low, up.p_high, why, needs)


def _mirror(one: Figure) -> tuple[float, float | None]:
    """Turn fast into slow: what lies in [low, high] lies mirrored in [-high, -low]."""
    return -one.top, -one.low


def _needs(before: int, after: int) -> str:
    """Say how many drills could show a change, if so few cannot: the smallest p possible is 1 / C(n + m, m)."""
    if not before or not after:
        return "a comparison needs a drill on both sides"
    if 1 / comb(before + after, after) <= ALPHA:
        return ""
    if after == 1:
        return f"one drill can only stand out at 5 % from {round(1 / ALPHA) - 1} others; there are {before}"
    more = next(count for count in range(after, 100) if 1 / comb(before + count, count) <= ALPHA)
    return f"{before} and {after} drills cannot show a change at 5 %; {before} and {more} could"


SHOWN_S = 0.001
"""Times are shown to the millisecond; two that differ by less look the same, and are called so."""


def apart(one: Figure, other: Figure) -> tuple[Figure | None, str]:
    """Bound by how much ``other`` took longer (or lost more) than ``one``, and say what two drills alone show.

    The bounds are None when nothing bounds ``one`` from above.
    """
    low, high = other.low - one.top, other.top - one.low
    bounds = None if low == -inf else _figure(low, high, one.unit)
    rows = one.unit is Unit.ROWS
    least = 1 if rows else SHOWN_S
    if low >= least:
        return bounds, "more" if rows else "longer"
    if high <= -least:
        return bounds, "fewer" if rows else "shorter"
    return bounds, "not told apart"
