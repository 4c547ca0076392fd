"""Whoever starts must have been told what cannot be taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.engine.gates.question import yes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.timeline.events import Gated

NAME = "one-way"


def ask(question: Question) -> Iterator[Gated]:
    """List the steps without a way back; always a yes, for the plan says so of each of them."""
    ways = [f"{step.id} ({step.one_way})" for step in question.plan.steps if step.one_way is not None]
    yield yes(NAME, "cannot be taken back: " + "; ".join(ways) if ways else "every change can be taken back")
