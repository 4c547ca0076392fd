"""What many cases come to: coverage, bias, spread against theory, lateness, and the resolution they certify."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING

from drills.calibrate.outages import HARD
from drills.calibrate.service import NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.calibrate.cases import Case
    from drills.calibrate.lane import Seen

FEWEST = 5
"""Cases of one interval from which a resolution is certified."""
_P95 = 0.95


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late requests were sent, against the most punctual one of the same prober; seconds."""

    p50_s: float
    p99_s: float
    most_s: float
    scheduler: str


@dataclass(frozen=True, slots=True)
class Cell:
    """All cases of one interval; seconds.

    Bias and spread are of the failures that are answered at once: ``bias_s`` the mean of midpoint minus truth with
    the fault's moment known, ``spread_s`` the standard deviation of the same where it is not, over ``spread_cases``,
    and ``theory_s`` what it is by theory: h/sqrt(6), the sum of two uniform errors. ``certified_s``: 19 of 20
    brackets of such failures are no wider; None with fewer than 5 of them, or when one missed.
    """

    every_s: float
    cases: int
    covered: int
    bounded: int
    width_median_s: float | None
    bias_s: float | None
    spread_s: float | None
    spread_cases: int
    theory_s: float
    certified_s: float | None
    lateness: Lateness | None


def cell(every_s: float, cases: Sequence[Case], seen: Sequence[Seen]) -> Cell:
    """Sum up the cases of one interval."""
    hard = [one for one in cases if one.kind in HARD]
    widths = [one.width_s for one in cases if one.width_s is not None]
    sharp = [one.width_s for one in hard if one.width_s is not None]
    middles = [one.middle_s for one in hard if one.middle_s is not None]
    blind = [one.blind_s for one in cases if one.blind_s is not None]
    right = not any(one.wrong for one in cases)
    return Cell(
        every_s=every_s,
        cases=len(cases),
        covered=sum(1 for one in cases if one.covered),
        bounded=sum(1 for one in cases if one.bounded),
        width_median_s=median(widths) if widths else None,
        bias_s=fmean(middles) if middles else None,
        spread_s=stdev(blind) if len(blind) > 1 else None,
        spread_cases=len(blind),
        theory_s=every_s / sqrt(6),
        certified_s=share(sharp, _P95) if right and len(sharp) >= FEWEST else None,
        lateness=lateness(seen),
    )


def share(values: Sequence[float], part: float) -> float:
    """Give the value that ``part`` of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def lateness(seen: Sequence[Seen]) -> Lateness | None:
    """Measure lateness from the sends themselves: slot i was due i intervals after the first."""
    late: list[float] = []
    for one in seen:
        every = one.header.every_ns
        behind = [sent - slot * every for slot, sent in enumerate(one.samples.sent)]
        soonest = min(behind, default=0)
        late += [(each - soonest) / NS for each in behind]
    if not late:
        return None
    return Lateness(median(late), share(late, 0.99), max(late), seen[0].header.scheduler)
