"""Lost primaries judged by the real estimators, and held against the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.calibrate.cases import FAR_NS, MARGIN_NS, Case, verdict
from drills.calibrate.service import NS
from drills.calibrate.stores import EVERY_S
from drills.measure.verdict import Verdict

if TYPE_CHECKING:
    from drills.calibrate.cases import Judge
    from drills.calibrate.stores import Lost, NeverCut
    from drills.measure.judgement import Judgement

NEVER_CUT_TARGET_NS = NS


@dataclass(frozen=True, slots=True)
class Loss:
    """What one lost primary came to. ``server_clock_s``: how far an RPO by the server's stamps is off."""

    case: Case
    lost: int
    truly_lost: int
    server_clock_s: float


@dataclass(frozen=True, slots=True)
class Uncut:
    """A disaster that never cut replication: the bounds, the verdict on them, and the one a careless judge gives."""

    low_s: float | None
    high_s: float | None
    verdict: Verdict
    careless: Verdict


def loss(one: Lost, judge: Judge) -> Loss:
    """Judge one lost primary."""
    low, high = one.truth
    answer = judge(one.ledgers.question(one.struck, FAR_NS, cut=True))
    low_s, high_s = _bounds(answer)
    targets = (low - MARGIN_NS, high + MARGIN_NS)
    below, above = (verdict(judge(one.ledgers.question(one.struck, target, cut=True))) for target in targets)
    case = Case(
        kind=one.shape.name,
        every_s=EVERY_S,
        truth_low_s=low / NS,
        truth_high_s=high / NS,
        low_s=low_s,
        high_s=high_s,
        covered=low_s is None or (low_s * NS <= high and (high_s is None or low <= high_s * NS)),
        false_met=targets[0] > 0 and below is Verdict.MET,
        false_missed=above is Verdict.MISSED,
        note="" if high_s is not None else answer.objectives[0].why,
    )
    counted = None if answer.rows is None else answer.rows.lost
    return Loss(case, -1 if counted is None else counted, one.truly_lost, one.server_clock_s)


def uncut(one: NeverCut, judge: Judge) -> Uncut:
    """Judge a disaster that never cut replication, as it was, and as if somebody had said that it did."""
    honest, careless = (judge(one.ledgers.question(one.struck, NEVER_CUT_TARGET_NS, cut=cut)) for cut in (False, True))
    low_s, high_s = _bounds(honest)
    return Uncut(low_s, high_s, verdict(honest), verdict(careless))


def _bounds(answer: Judgement) -> tuple[float | None, float | None]:
    return answer.objectives[0].low_s, answer.objectives[0].high_s
