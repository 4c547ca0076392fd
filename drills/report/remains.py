"""What of a drill's changes is still in place, why, and what a person may do about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from drills.engine import decide
from drills.engine.plan import Finally, Mode
from drills.engine.progress import Phase, Status

if TYPE_CHECKING:
    from drills.engine.progress import Progress
    from drills.engine.state import State


@dataclass(frozen=True, slots=True)
class Remains:
    """One change that is still in place, and why.

    ``by_hand``: what a person may still do, and with ``trouble`` has to: the commands that take it back; of a one-way
    change of which nobody knows whether it took place, how it is done. Empty of a one-way change that is done, for it
    is not owed, and of what ended with the drill's own sandbox. ``trouble``: an undo failed or nobody knows whether the
    change took place, and a person has to look.
    """

    step: str
    what: str
    why: str
    one_way: bool
    trouble: bool
    by_hand: tuple[str, ...]


def remains(state: State, drill: str) -> tuple[Remains, ...]:
    """Give what is still in place: first what is owed, last completed first, then what stands one way."""
    if state.world_gone:
        return ()
    owed = [_owed(state, one, drill) for one in state.owed()]
    stands = [
        Remains(
            one.step.id,
            _what(one),
            one.step.one_way or "",
            one_way=True,
            trouble=one.status is Status.UNKNOWN,
            by_hand=_lines(one.step.by_hand) if one.status is Status.UNKNOWN else (),
        )
        for one in state.progress.values()
        if one.standing
    ]
    found = (*owed, *stands)
    return tuple(replace(one, by_hand=()) for one in found) if _ended_with_it(state) else found


def _owed(state: State, one: Progress, drill: str) -> Remains:
    if one.undo_error:
        why, by_hand = f"undo failed: {one.undo_error}", one.undo_by_hand or _lines(one.step.by_hand)
        return Remains(one.step.id, _what(one), why, one_way=False, trouble=True, by_hand=by_hand)
    loses = " --accept-data-loss" if state.past_return and one.step.holds_authority else ""
    command = f"drills undo {drill} {one.step.id}{loses}"
    doubt = one.status is Status.UNKNOWN
    why = f"UNKNOWN whether it took place: {one.detail}" if doubt else _why_kept(state)
    return Remains(one.step.id, _what(one), why, one_way=False, trouble=doubt, by_hand=(command,))


def _why_kept(state: State) -> str:
    if state.finished is None and decide.phase(state) is not Phase.HELD:
        return "not over yet"
    if state.past_return and state.stop is not None:
        return "kept: the point of no return is passed"
    if state.plan.mode is Mode.INCIDENT:
        return "kept: in an incident nothing is undone by itself"
    return "not undone" if state.plan.finally_ is Finally.UNDO else "kept, as the runbook says"


def remains_note(state: State) -> str:
    """Say what is true of all that remains; empty where each says it for itself."""
    if state.world_gone:
        return state.world_gone
    if _ended_with_it(state):
        if not state.owed() and not any(one.standing for one in state.progress.values()):
            return ""
        return "all of it stood in the drill's own sandbox, which ended with it: nothing is owed"
    if state.plan.finally_ is Finally.FAILBACK and state.finished is not None:
        return f"the way back is a drill of its own: {state.plan.failback}"
    return ""


def _ended_with_it(state: State) -> bool:
    """Say whether what stood has ended with the drill's own sandbox."""
    return state.plan.world_private and state.finished is not None


def _what(one: Progress) -> str:
    return f"{one.step.uses} at {one.step.place}"


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())
