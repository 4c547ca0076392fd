"""What would be lost now is no more than the RPO's target. A prediction from lags and ages, never an achieved RPO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drills.durations import show
from drills.engine.gates.question import Gated, no, unknown, why, yes
from drills.engine.plan import Section
from drills.timeline.marks import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.engine.plan import Plan, Step
    from drills.timeline.facts import Facts
    from drills.work import Observation

NAME: Final = "freshness"
SECONDS: Final = ("lag_s", "age_s")
"""Fields of an observation that say how much would be lost, in seconds."""
KNOWN: Final = frozenset({"rds.replica_lag"})
"""Probes that say so; those of a runbook's ``before`` are asked by this gate too. Others are named by ``freshness``."""


def ask(question: Question) -> Iterator[Gated]:
    """Ask the environment's freshness probes, and those that the runbook asks before its steps."""
    target_s = _target_s(question.plan)
    before = [one for one in question.plan.steps if one.section is Section.BEFORE and one.uses in KNOWN]
    probes = (*question.plan.freshness, *before)
    if target_s is None:
        return
    if not probes:
        told = f"the objective allows a loss of {show(target_s)}, and no probe says how much would be lost now"
        yield Gated(NAME, ok=None, detail=f"{told}; name one under `freshness`", advises=True)
    for step in probes:
        yield _probe(question, step, target_s)


def _target_s(plan: Plan) -> float | None:
    goals = [one.target_s for one in plan.objectives if (one.begins, one.ends) == (Mark.RECOVERY_POINT, Mark.DISASTER)]
    return min(goals, default=None)


def _probe(question: Question, step: Step, target_s: float) -> Gated:
    name = f"{NAME}:{step.id}"
    try:
        seen: Observation = question.work(step).observe(question.aws(step.place))
    except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said yes
        return unknown(name, f"{step.uses} gave no answer ({why(error)})")
    lost_s = _lost_s(seen.value)
    if lost_s is not None and lost_s > target_s:
        told = f"{seen.detail}: {show(round(lost_s, 1))} would be lost, and the objective allows {show(target_s)}"
        return no(name, f"{told} (a prediction, not an achieved RPO)")
    if seen.ok is not True:
        return Gated(name, seen.ok, seen.detail)
    return yes(name, f"{seen.detail}; the objective allows {show(target_s)} (a prediction, not an achieved RPO)")


def _lost_s(value: Facts) -> float | None:
    for field in SECONDS:
        found = value.get(field)
        if isinstance(found, int | float) and not isinstance(found, bool):
            return float(found)
    return None
