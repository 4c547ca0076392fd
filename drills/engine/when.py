"""Whether a step with a ``when`` is wanted: JMESPath over what the drill knows so far. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills import expression
from drills.timeline.events import Outcome

if TYPE_CHECKING:
    from drills.engine.plan import Step
    from drills.engine.state import State


def unwanted(state: State, step: Step) -> tuple[Outcome, str] | None:
    """Say how a step ends that is not begun for its ``when``, and why; None when it is to be begun.

    ``when`` may ask about ``steps.ID.status``, ``steps.ID.output``, ``parameters``, ``mode``, ``from`` and ``to``.
    Anything JMESPath calls false (null, false, empty) means that the step is skipped. One that does not fit what it
    finds, such as the length of a number, says neither yes nor no: the step has failed, and nothing was changed.
    """
    if not step.when:
        return None
    known = {
        "steps": {
            name: {"status": one.status.value, "output": dict(one.output), "adopted": one.adopted}
            for name, one in state.progress.items()
        },
        "parameters": dict(state.plan.parameters),
        "mode": state.plan.mode.value,
        "from": state.plan.from_site,
        "to": state.plan.to_site,
    }
    try:
        found = expression.search(step.when, known)
    except expression.Unfit as error:
        return Outcome.FAILED, f"not begun, nothing was changed: its `when` says neither yes nor no: {error}"
    says_no = found is None or found is False or found in ("", [], {})  # a 0 is no such thing: JMESPath calls it true
    return (Outcome.SKIPPED, "its `when` says no") if says_no else None
