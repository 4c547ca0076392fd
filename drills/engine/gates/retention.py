"""Nothing in the plan ends a retention or destroys what a recovery needs. There is no waiver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from drills.aws import forbidden
from drills.engine.gates.question import no, unknown, why, yes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from drills.engine.gates.question import Question
    from drills.engine.plan import Step
    from drills.timeline.events import Gated

NAME: Final = "retention"
ANY_CALL: Final = "aws.call"


def ask(question: Question) -> Iterator[Gated]:
    """Hold every call that a runbook writes out against the list of what no drill does; asks nobody."""
    found = False
    for step in question.changes():
        name = f"{NAME}:{step.id}"
        try:
            denied = [told for call in _calls(step) if (told := forbidden.reason(*call))]
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said yes
            denied = []
            yield unknown(name, f"what it calls could not be read ({why(error)})")
        for told in denied:
            found = True
            yield no(name, f"denied always: {told}")
    if not found:
        yield yes(NAME, f"no step makes one of the {len(forbidden.RULES)} kinds of call that no drill makes")


def _calls(step: Step) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Give service, operation and parameters of each call that the runbook itself writes out."""
    if step.uses != ANY_CALL:
        return
    from drills.services.aws_model import operation_model

    service = step.params.text("service")
    yield service, operation_model(service, step.params.text("operation")).name, _given(step.params.get("parameters"))
    undo = step.params.get("undo")
    if isinstance(undo, dict):
        yield service, operation_model(service, str(undo.get("operation"))).name, _given(undo.get("parameters"))


def _given(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType] - JSON of any shape
