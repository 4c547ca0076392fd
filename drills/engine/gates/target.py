"""What the steps would change is there. A target that AWS says does not exist refuses even an incident.

Not binding in an incident: what nobody could tell, what lies at the site that is lost, and what an earlier step of the
plan may make first (a restore, a call of any service).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drills.engine.gates.question import no, unknown, warns, why, yes
from drills.engine.plan import Mode
from drills.errors import Missing
from drills.work import Cost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.engine.plan import Plan, Step
    from drills.timeline.events import Gated

NAME: Final = "target"
ANY_CALL: Final = "aws.call"


def ask(question: Question) -> Iterator[Gated]:
    """Look for the targets of every change."""
    plan, there = question.plan, list[str]()
    for step in question.changes():
        name = f"{NAME}:{step.id}"
        try:
            question.touched(step)
        except Missing as error:
            maker = _maker(plan, step)
            if maker:
                yield warns(name, f"{error}; {maker} may make it first")
            elif plan.mode is Mode.INCIDENT and step.place == plan.from_site != plan.to_site:
                yield warns(name, f"{error}; it lies at {step.place}, which is lost")
            else:
                yield no(name, f"{error}: name what is there, or leave the step out")
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said that it is there
            yield unknown(name, f"whether its target exists could not be learned ({why(error)})")
        else:
            there.append(step.id)
    if there:
        yield yes(NAME, f"what these steps change is there: {', '.join(there)}")


def _maker(plan: Plan, step: Step) -> str:
    """Name a step before this one that may make its target; empty when none does."""
    behind, steps = set(step.needs), {one.id: one for one in plan.steps}
    todo = [*step.needs]
    while todo:
        more = set(steps[todo.pop()].needs) - behind
        behind |= more
        todo += more
    makers = (one for name, one in steps.items() if name in behind and one.changes)
    return next((one.id for one in makers if one.uses == ANY_CALL or one.cost is Cost.STORAGE), "")
