"""Where a drill stands in words: its status, the recovery time so far, and what an abort would do now. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import structs

from drills.engine import decide
from drills.engine.plan import Mode
from drills.engine.progress import Phase, Status
from drills.timeline.marks import Mark
from drills.work import Kind

if TYPE_CHECKING:
    from drills.clock import Stamp
    from drills.engine.plan import Objective
    from drills.engine.progress import Progress
    from drills.engine.state import State


class Open(StrEnum):
    """The status of a drill that has not finished; a finished one says how it ended (``decide.Ending``)."""

    RUNNING = "running"
    PAUSED = "paused"
    HELD = "held"
    PARKED = "parked"
    INCOMPLETE = "incomplete"


MEANINGS = {
    "met": "every objective was met",
    "restored": "the service was seen restored",
    "missed": "an objective was missed",
    "unproven": "not every objective could be judged",
    "refused": "a gate or a check said no; nothing was changed",
    "aborted": "stopped before its end; what could be undone was undone",
    "undo incomplete": "an undo failed: a person is needed",
    "held": "stopped past the point of no return: nothing is undone and nothing new starts",
    "failed": "a step failed",
    "running": "not over yet: nothing is judged before the end",
    "paused": "paused by a person: nothing new starts",
    "parked": "put aside on purpose: `drills resume` goes on",
    "incomplete": "it never finished and nobody drives it: nothing is judged",
}
"""What each status means, in one line."""


def status(state: State, *, driven: bool | None) -> str:
    """Say where a drill stands in one word; ``driven``: whether a process drives it now (None: not known)."""
    if state.finished is not None:
        return state.finished.status
    if decide.phase(state) is Phase.HELD:
        return Open.HELD.value
    if driven is False:
        return (Open.PARKED if state.parked else Open.INCOMPLETE).value
    return (Open.PAUSED if state.paused else Open.RUNNING).value


def sandbox_ended(state: State, *, driven: bool | None) -> bool:
    """Say whether the drill is not over, but stood in a sandbox of its own, which ended with its process."""
    return driven is False and state.finished is None and state.plan.world_private


SANDBOX_ENDED = "its sandbox ended with the process that drove it, so it cannot go on"
"""Why a drill that ``sandbox_ended`` tells of takes no word any more."""


WORLD_GONE = "the sandbox that this drill ran in has ended; nothing is owed"
"""What is left of a drill whose sandbox was found to be gone."""


def meaning(state: State, *, driven: bool | None) -> str:
    """Say in one line what the status means for this drill."""
    word = status(state, driven=driven)
    if not sandbox_ended(state, driven=driven):
        return MEANINGS.get(word, "")
    return f"{SANDBOX_ENDED}: what was observed is kept; rehearse it again"


def exit_code(state: State) -> int:
    """Give the drill's exit code; of one that has not finished, 8 when held and else 3 (nothing is proven)."""
    if state.finished is not None:
        return state.finished.exit_code
    held = decide.phase(state) is Phase.HELD
    return decide.EXIT_CODES[decide.Ending.HELD if held else decide.Ending.RUNNING]


def disaster(state: State) -> Stamp | None:
    """Give the moment from which the recovery time runs: the start of the step marked ``disaster``, or as declared.

    What people break by hand is lost once they have said so: until then they may not have begun.
    """
    for one in state.progress.values():
        if one.step.mark is not Mark.DISASTER:
            continue
        if one.step.kind is Kind.OPERATOR:
            return one.ended if one.status is Status.DONE else None
        if one.status in (Status.RUNNING, Status.DONE, Status.UNKNOWN):
            return one.attempted
    if state.began is not None and state.opened is not None:
        ago = state.opened.utc_ns - state.began.earliest
        return structs.replace(state.opened, utc_ns=state.began.earliest, mono_ns=state.opened.mono_ns - ago)
    return None


@dataclass(frozen=True, slots=True)
class SoFar:
    """The recovery time of a drill that is not over: it stands since ``settling``, or goes on while that is None."""

    passed_s: float
    settling: Stamp | None


def so_far(state: State, now: Stamp) -> SoFar | None:
    """Give the time since the disaster, which stands while the service is seen restored; None where none runs."""
    begun = disaster(state)
    if begun is None or recovery_objective(state) is None or state.finished is not None:
        return None
    return SoFar((state.settling or now).since(begun), state.settling)


def recovery_objective(state: State) -> Objective | None:
    """Give the objective that runs from the disaster to the restored service, if the runbook has one."""
    for one in state.plan.objectives:
        if one.begins is Mark.DISASTER and one.ends is Mark.SERVICE_RESTORED:
            return one
    return None


def running_names(state: State) -> tuple[str, ...]:
    """Name the steps that run now, in order of their numbers."""
    return tuple(sorted(state.running, key=lambda name: state.progress[name].step.number))


def asking(state: State) -> tuple[Progress, ...]:
    """Give the steps that wait for a person's answer."""
    return tuple(one for one in state.progress.values() if one.asked and one.status is Status.RUNNING)


def lacking(state: State) -> tuple[Progress, ...]:
    """Give the steps that wait for new credentials."""
    return tuple(one for one in state.progress.values() if one.renew)


@dataclass(frozen=True, slots=True)
class Retreat:
    """What an abort would do now: what would be undone, first things first, and what would stay and why."""

    undone: tuple[str, ...]
    stays: tuple[str, ...]
    why: str


def retreat(state: State) -> Retreat:
    """Say what an abort would do now."""
    owed = tuple(f"{one.step.id} ({one.step.uses} at {one.step.place})" for one in state.owed())
    standing = tuple(
        f"{one.step.id} ({one.step.uses} at {one.step.place}): {one.step.one_way}"
        for one in state.progress.values()
        if one.standing
    )
    if state.past_return:
        name = next(one.step.id for one in state.progress.values() if one.step.authority and one.standing)
        why = f"the point of no return ({name}) is passed: nothing will be undone, the drill will be HELD"
        return Retreat((), (*standing, *owed), why)
    if state.preempted:
        why = f"{state.preempted}: nothing is taken back here while the target belongs to somebody else"
        return Retreat((), (*standing, *owed), why)
    if state.plan.mode is Mode.INCIDENT:
        return Retreat((), (*standing, *owed), "in an incident nothing is undone by itself")
    if not owed:
        return Retreat((), standing, "nothing has been changed that would have to be undone")
    return Retreat(owed, standing, f"{len(owed)} change{'s' if len(owed) > 1 else ''} will be undone, in this order")
