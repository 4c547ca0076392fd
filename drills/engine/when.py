"""Whether a step with a ``when`` is wanted: JMESPath over what the drill knows so far. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drills.engine.plan import Step
    from drills.engine.state import State


def wanted(state: State, step: Step) -> bool:
    """Say whether ``when`` of a step holds.

    It may ask about ``steps.ID.status``, ``steps.ID.output``, ``parameters``, ``mode``, ``from`` and ``to``.
    Anything JMESPath calls false (null, false, empty) means that the step is skipped. The expression was checked
    when the runbook was loaded.
    """
    if not step.when:
        return True
    import jmespath

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
    found: object = jmespath.search(step.when, known)
    return bool(found) or found == 0
