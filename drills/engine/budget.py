"""How long a plan should take, how long it may, and which steps that depends on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.engine.plan import Section
from drills.runbook.order import topological
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from drills.engine.plan import Plan, Step


def critical_path(plan: Plan) -> tuple[float, tuple[str, ...]]:
    """Give the seconds that ``steps`` should take along their longest path, and the steps on it, in order.

    A step counts with what is expected of it, else with its timeout.
    """
    steps = [step for step in plan.steps if step.section is Section.STEPS and not step.reserve]
    return _longest(steps, expected_s)


def remaining_s(plan: Plan, over: frozenset[str]) -> float:
    """Give the seconds that the steps not ``over`` should take along their longest path; questions take none."""
    left = [step for step in plan.steps if step.section is Section.STEPS and not step.reserve and step.id not in over]
    return _longest(left, lambda step: 0.0 if step.kind is Kind.OPERATOR else expected_s(step))[0]


def expected_s(step: Step) -> float:
    """How long a step should take: what the runbook expects, else the longest it may."""
    if step.expect_s is not None:
        return step.expect_s
    return step.timeout_s if step.best_effort_s is None else min(step.best_effort_s, step.timeout_s)


def worst_s(plan: Plan) -> float:
    """How long a drill may take at most: gates, baseline, every timeout on the longest path, judging, and the undo."""
    reserve = sum(step.timeout_s for step in plan.steps if step.reserve)
    sections = sum(
        _longest([one for one in plan.steps if one.section is section and not one.reserve], _timeout_s)[0]
        for section in (Section.BEFORE, Section.STEPS, Section.SETTLE, Section.AFTER)
    )
    stable = max((watch.stable_for_s for watch in plan.availability), default=0.0)
    asked = max((point.timeout_s for point in plan.recovery_points), default=0.0)
    return plan.baseline_s + sections + reserve + undo_s(plan) + 2 * stable + 2 * asked


def undo_s(plan: Plan) -> float:
    """How long taking back all that can be taken back may take at most: one step after the other."""
    return sum(step.timeout_s for step in plan.steps if step.reversible)


def _timeout_s(step: Step) -> float:
    return step.timeout_s


def _longest(steps: Iterable[Step], seconds: Callable[[Step], float]) -> tuple[float, tuple[str, ...]]:
    by_id = {step.id: step for step in steps}
    needs = {step.id: tuple(need for need in step.needs if need in by_id) for step in by_id.values()}
    ends: dict[str, float] = {}
    before: dict[str, str] = {}
    for name in topological(needs)[0]:
        last = max(needs[name], key=ends.__getitem__, default="")
        before[name] = last
        ends[name] = ends.get(last, 0.0) + seconds(by_id[name])
    if not ends:
        return 0.0, ()
    path = [max(ends, key=ends.__getitem__)]
    total = ends[path[0]]
    while before[path[-1]]:
        path.append(before[path[-1]])
    return total, tuple(reversed(path))
