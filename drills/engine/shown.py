"""What stands before a person's eyes when a step asks: computed from the timeline, stored with the question. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills import durations
from drills.engine import budget
from drills.engine.progress import Status
from drills.timeline.facts import Facts
from drills.work import Evidence, Kind, Shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.plan import Step
    from drills.engine.state import State
    from drills.timeline.facts import Json


def shown(state: State, step: Step) -> Facts:
    """Give a value for each name under ``show``.

    A parameter's value; of an earlier step what it saw last; ``data_at_risk``: how far behind the survivor was when
    its lag was last looked at (a prediction, never the achieved RPO); ``next_one_way``: what cannot be taken back next;
    ``forecast_end``: how long the rest should take; ``if_no``: what a no does.
    """
    return Facts(**{name: _value(state, step, name) for name in step.show})


def criteria(state: State, step: Step) -> tuple[str, ...]:
    """Name the probes among what a question shows: they are asked anew when it is put, and when it is answered."""
    return tuple(name for name in step.show if name in state.progress and state.progress[name].step.kind is Kind.PROBE)


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
    if name == Shown.FORECAST_END:
        left_s = budget.remaining_s(state.plan, frozenset(n for n, one in state.progress.items() if one.ended))
        return f"{durations.show(round(left_s))} after a yes, if every step takes what is expected of it"
    if name == Shown.IF_NO:
        return _if_no(state)
    if name in state.plan.parameters:
        return state.plan.parameters[name]
    one = state.progress.get(name)
    return f"{one.status.value}{f': {one.detail}' if one.detail else ''}" if one is not None else "not known"


def _if_no(state: State) -> str:
    """Say what a no does: an abort, as things stand."""
    owed = ", ".join(one.step.id for one in state.owed())
    if state.hands_off:
        return "the drill turns back; nothing is undone by itself"
    return f"the drill is aborted and takes back {owed}" if owed else "the drill is aborted; there is nothing to undo"
