"""What ends by itself outlasts the drill, or the point of no return would be refused in the middle of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drills import durations
from drills.engine.arming import behind_the_point
from drills.engine.gates.question import no, warns, yes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.timeline.events import Gated

NAME: Final = "self-expiry"


def ask(question: Question) -> Iterator[Gated]:
    """Hold what ends by itself before the point of no return against the deadline of the drill; asks nobody."""
    plan, found = question.plan, False
    point = plan.point_of_no_return
    behind = behind_the_point(plan)
    for step in question.changes():
        if step.expires_s is None:
            continue
        found = True
        told = f"ends by itself after {durations.show(step.expires_s)}"
        if point is not None and step.id in behind and step.holds_authority and step.expires_s <= plan.deadline_s:
            why = f"{told}: behind {point} it is refused when that is before the drill's deadline"
            yield warns(f"{NAME}:{step.id}", f"{why}; let it last longer, or write a shorter `deadline` in the runbook")
        elif point is None or step.id in behind or step.expires_s > plan.deadline_s:
            yield yes(f"{NAME}:{step.id}", told)
        else:
            most = durations.show(plan.deadline_s)
            why = f"{told}, and the drill may last {most}: {point} would be refused, for it could heal behind it"
            yield no(f"{NAME}:{step.id}", f"{why}; let it last longer, or write a shorter `deadline` in the runbook")
    if not found:
        yield yes(NAME, "no change ends by itself")
