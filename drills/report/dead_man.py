"""What a plan says of its dead man: what goes back by itself, and what does not and why. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drills.report import figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.plan import Plan


def document_of(plan: Plan) -> dict[str, Any] | None:
    """Give the same for JSON; None for a plan without a dead man. Seconds."""
    if plan.dead_man is None:
        return None
    return {
        "after_s": plan.dead_man.after_s,
        "undoes": [step.id for step in plan.steps if step.armed],
        "leaves": {step.id: step.unarmed for step in plan.steps if step.unarmed},
    }


def dead_man(plan: Plan) -> Iterator[str]:
    """Give the sentences; none for a plan without a dead man."""
    if plan.dead_man is None:
        return
    named = ", ".join(step.id for step in plan.steps if step.armed) or "nothing"
    yield f"dead man: when nobody drives the drill for {figures.chosen(plan.dead_man.after_s)}, schedules undo: {named}"
    point = plan.point_of_no_return
    if point is not None:
        down = ", ".join(step.id for step in plan.steps if step.armed and plan.lays_down(step)) or "nothing"
        left = ", ".join(step.id for step in plan.steps if step.armed and not plan.lays_down(step))
        more = f"; what is left goes back only after the drill's deadline: {left}" if left else ""
        yield f"before {point} begins, the dead man lets go of: {down}{more}"
    yield from (f"no dead man for {step.id}: {step.unarmed}" for step in plan.steps if step.unarmed)
