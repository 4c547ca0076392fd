"""What the timeline tells of a switchover: when writes were to stop, when authority moved, and what was cut before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.engine.progress import Status
from drills.measure.evidence import Bracket
from drills.timeline.marks import Mark
from drills.work import Evidence

if TYPE_CHECKING:
    from drills.clock import Stamp
    from drills.engine.plan import Step
    from drills.engine.progress import Progress
    from drills.engine.state import State


def _moves(step: Step) -> bool:
    return step.authority or (step.hand is not None and step.hand.authority)


def stopping(state: State, clock: str) -> int | None:
    """Give when the drill set about to stop writes to the old primary at the soonest; None if it never did."""
    begun = [
        one.started.mono_ns
        for one in state.progress.values()
        if one.started is not None
        and one.started.clock == clock
        and (one.step.mark in (Mark.DISASTER, Mark.WRITES_STOPPED) or one.step.holds_authority or _moves(one.step))
    ]
    return min(begun, default=None)


def moved(state: State, clock: str) -> Bracket | None:
    """Bracket the move of authority over the data, by the first step that is done with it.

    Nobody knows since when it has been what was found moved already.
    """
    if any(_moves(one.step) and one.adopted for one in state.progress.values()):
        return None
    for one in state.progress.values():
        if not _moves(one.step) or one.status is not Status.DONE or one.started is None or one.ended is None:
            continue
        if one.started.clock == one.ended.clock == clock:
            return Bracket(one.started.mono_ns, one.ended.mono_ns)
    return None


def cut_before_promote(state: State) -> bool:
    """Say whether the survivor is shown to have stopped receiving before authority moved.

    Where authority was found moved already nobody knows since when: then nothing shows it.
    """
    if any(_moves(one.step) and one.adopted for one in state.progress.values()):
        return False
    moved = [one.started for one in state.progress.values() if _moves(one.step) and one.started is not None]
    for one in state.progress.values():
        if Evidence.REPLICATION_CUT not in one.step.evidence or one.status is not Status.DONE:
            continue
        shown = _shown(one)
        if shown is not None and all(shown.since(stamp) <= 0 for stamp in moved):
            return True
    return False


def _shown(one: Progress) -> Stamp | None:
    """Give when a step proved what it proves: a fault when it was seen in effect, a probe when it said yes."""
    return one.effective if one.performed is not None else one.ended
