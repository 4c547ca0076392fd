"""The total downtime of one outage, judged like a drill's, with its disaster and without, and held against the truth.

The truth is the sum of the stretches that the calibrated service was down, by its own stamps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from drills.calibrate.cases import FAR_NS, MARGIN_NS, Case, asked, told, verdict
from drills.calibrate.service import NS
from drills.measure.effect import Disaster
from drills.measure.question import Target
from drills.measure.verdict import Verdict
from drills.timeline.marks import Limits

if TYPE_CHECKING:
    from drills.calibrate.cases import Judge
    from drills.calibrate.lane import Seen
    from drills.calibrate.outages import Outage
    from drills.measure.judgement import JudgedObjective, Judgement

DOWNTIME = "downtime"
PLANNED = "downtime without a disaster"


def truth(outage: Outage) -> tuple[int, int]:
    """Bound in nanoseconds how long the service really was down in all."""
    ups = outage.flaps
    least = outage.restored.earliest - outage.effect.latest - sum(gone.latest - came.earliest for came, gone in ups)
    most = outage.restored.latest - outage.effect.earliest - sum(gone.earliest - came.latest for came, gone in ups)
    return max(0, least), max(0, most)


def served(outage: Outage) -> float:
    """Give for how many seconds it was up between its failure and its restoration."""
    return sum((gone.earliest + gone.latest - came.earliest - came.latest) / 2 for came, gone in outage.flaps) / NS


def downtimes(seen: Seen, outage: Outage, judge: Judge) -> tuple[Case, Case]:
    """Judge the downtime of one outage as that of a disaster, and as that of a switchover which nobody broke."""
    planned = Disaster(None, opened=outage.watched.earliest)
    return _case(DOWNTIME, seen, outage, told(outage), judge), _case(PLANNED, seen, outage, planned, judge)


def felt(seen: Seen, outage: Outage, target_ns: int, disaster: Disaster, judge: Judge) -> Judgement:
    """Ask for the downtime of one outage."""
    target = Target("downtime", None, None, target_ns, limits=Limits.DOWNTIME)
    return judge(replace(asked(seen, outage, target_ns, disaster), targets=(target,)))


def bounds(answer: Judgement) -> tuple[float | None, float | None]:
    """Give the bounds of the one objective of a question, in seconds."""
    one: JudgedObjective = answer.objectives[0]
    return one.low_s, one.high_s


def _case(name: str, seen: Seen, outage: Outage, disaster: Disaster, judge: Judge) -> Case:
    low, high = truth(outage)
    low_s, high_s = bounds(felt(seen, outage, FAR_NS, disaster, judge))
    below, above = low - MARGIN_NS, high + MARGIN_NS
    return Case(
        kind=f"{name}, {outage.kind.value}",
        every_s=seen.terms.every_s,
        truth_low_s=low / NS,
        truth_high_s=high / NS,
        low_s=low_s,
        high_s=high_s,
        covered=low_s is None or (low_s * NS <= high and (high_s is None or low <= high_s * NS)),
        false_met=below > 0 and verdict(felt(seen, outage, below, disaster, judge)) is Verdict.MET,
        false_missed=verdict(felt(seen, outage, above, disaster, judge)) is Verdict.MISSED,
    )
