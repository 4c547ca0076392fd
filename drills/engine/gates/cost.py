"""What the drill's steps cost, each by the class its work declares, and whether the environment allows the sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drills.engine.gates.question import no, yes
from drills.work import Cost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.engine.plan import Plan
    from drills.timeline.events import Gated

NAME: Final = "cost"
BOUNDS: Final = {"low": Cost.TRANSFER, "medium": Cost.CAPACITY, "high": Cost.STORAGE}
"""What ``scope.cost`` allows: low is data transfer at most, medium running capacity too, high anything."""
ORDER: Final = tuple(Cost)


def summed(plan: Plan) -> dict[Cost, tuple[str, ...]]:
    """Give the steps of a plan that make somebody pay, by class, the most expensive class first."""
    steps = [step for step in plan.steps if step.changes and step.left_out is None]
    found = {cost: tuple(step.id for step in steps if step.cost is cost) for cost in reversed(ORDER)}
    return {cost: names for cost, names in found.items() if names and cost is not Cost.NONE}


def ask(question: Question) -> Iterator[Gated]:
    """Hold the sum of the plan against ``scope.cost``; asks nobody."""
    costly, bound = summed(question.plan), question.plan.rules.cost
    told = "; ".join(f"{cost.value}: {', '.join(names)}" for cost, names in costly.items())
    told = told or "no step makes anybody pay"
    most = next(iter(costly), Cost.NONE)
    if not bound:
        yield yes(NAME, f"{told} (the scope bounds no cost)")
    elif ORDER.index(most) > ORDER.index(BOUNDS.get(bound, Cost.NONE)):
        yield no(NAME, f"{told}; the scope allows {bound} cost at most")
    else:
        yield yes(NAME, f"{told}; the scope allows {bound}")
