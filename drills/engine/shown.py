"""What stands before a person's eyes when a step asks: computed from the timeline, stored with the question. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.engine.progress import Status
from drills.timeline.facts import Facts
from drills.work import Evidence, Shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.plan import Step
    from drills.engine.state import State
    from drills.timeline.facts import Json


def shown(state: State, step: Step) -> Facts:
    """Give a value for each name under ``show``.

    A parameter's value; of an earlier step what it saw last; ``data_at_risk``: how far behind the survivor was when
    its lag was last looked at (a prediction, never the achieved RPO); ``next_one_way``: what cannot be taken back next.
    """
    return Facts(**{name: _value(state, step, name) for name in step.show})


def _at_risk(state: State) -> Iterator[str]:
    """Give what lags predict, and how old the recovery points were when they were last asked for."""
    for one in state.progress.values():
        if Evidence.LAG in one.step.evidence and one.detail:
            yield f"predicted by {one.step.id}: {one.detail}"
    for told in state.points.values():
        if not told.after:
            yield f"{told.point}: {told.detail} (evidence)"


def _value(state: State, step: Step, name: str) -> Json:
    if name == Shown.DATA_AT_RISK:
        return "; ".join(_at_risk(state)) or "not known: no step has looked at a lag"
    if name == Shown.NEXT_ONE_WAY:
        ahead = (one for one in state.progress.values() if one.step.one_way and one.step.number > step.number)
        following = next((one for one in ahead if one.status is Status.WAITING), None)
        return f"{following.step.id}: {following.step.one_way}" if following is not None else "nothing"
    if name in state.plan.parameters:
        return state.plan.parameters[name]
    one = state.progress.get(name)
    return f"{one.status.value}{f': {one.detail}' if one.detail else ''}" if one is not None else "not known"
