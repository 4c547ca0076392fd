"""Which site is the active one. Asked before there is a plan, for the plan is bound in one direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.errors import DrillsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from drills.engine.means import Accounts
    from drills.engine.plan import Step
    from drills.work import Kind, Observation, Place


def direction(
    steps: Sequence[Step], places: Sequence[Place], accounts: Accounts, load: Callable[[Kind, str], Any]
) -> tuple[str, dict[str, str]]:
    """Ask each site whether it is the active one; give the one that says yes, and what each said.

    The name is empty unless exactly one said yes and all others said no: a site that gave no answer may be active.
    """
    said: dict[str, str] = {}
    active: list[str] = []
    doubtful = False
    by_name = {place.name: place for place in places}
    for step in steps:
        try:
            probe = load(step.kind, step.uses).model_validate(dict(step.params))
            seen: Observation = probe.observe(accounts.read(by_name[step.place]))
        except DrillsError as error:
            said[step.place] = f"no answer: {error}"
            doubtful = True
            continue
        said[step.place] = seen.detail
        doubtful |= seen.ok is None
        if seen.ok is True:
            active.append(step.place)
    return (active[0] if len(active) == 1 and not doubtful else ""), said
