"""What must happen next, and how it all ended: pure functions of the state."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from drills.engine.plan import Finally, Mode, Section
from drills.engine.progress import HOLD, Phase, Status, Stop
from drills.timeline.events import Body, Finished, TimedOut, Told, Word
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from drills.clock import Stamp
    from drills.engine.progress import Progress
    from drills.engine.state import State
    from drills.timeline.facts import Facts

SANDBOX_ANSWERS_AFTER_S = 1.0
"""A rehearsal answers its own questions after this long, and says so."""
JUDGED_WITHIN_S = 10.0
"""A drill that failed is judged by `after` no longer than this: what is to be undone waits for it."""
ADVISORY_S = 3.0
"""In an incident no check before the first step may take longer."""
_RESTING = frozenset({Phase.OVER, Phase.HELD})


class Start(msgspec.Struct, frozen=True):
    """Begin a step whose needs are met."""

    step: str


class Recheck(msgspec.Struct, frozen=True):
    """A step was begun and nobody wrote down its end: look first, then decide."""

    step: str


class Ask(msgspec.Struct, frozen=True):
    """Put a question to a person."""

    step: str


class TakeBack(msgspec.Struct, frozen=True):
    """Undo one step."""

    step: str


class Observe(msgspec.Struct, frozen=True):
    """Do one stage of observing: watch, baseline, settled, collected."""

    stage: str


class Disarm(msgspec.Struct, frozen=True):
    """Delete the schedules that would take a step back."""

    step: str


class Conclude(msgspec.Struct, frozen=True):
    """Judge, and write the last event."""


Command: TypeAlias = Start | Recheck | Ask | TakeBack | Observe | Disarm | Conclude


def phase(state: State) -> Phase:
    """Say what the drill as a whole is doing."""
    if state.finished is not None:
        return Phase.OVER
    watched = state.plan.watched
    if state.world_gone:
        return Phase.CLOSING if "collected" in state.stages or not watched else Phase.COLLECTING
    if state.stop is not None:
        return _phase_of_retreat(state)
    if watched and "watch" not in state.stages:
        return Phase.WATCHING
    if state.open_steps(Section.BEFORE) or (watched and "baseline" not in state.stages):
        return Phase.BEFORE
    if state.open_steps(Section.STEPS) or state.running:
        return Phase.STEPS if state.open_steps(Section.STEPS) else _late(state)
    if watched and "settled" not in state.stages:
        return Phase.SETTLING
    if state.open_steps(Section.AFTER):
        return Phase.AFTER
    if watched and "collected" not in state.stages:
        return Phase.COLLECTING
    if state.plan.finally_ is Finally.UNDO and state.to_undo():
        return Phase.UNDOING
    return Phase.CLOSING


def _late(state: State) -> Phase:
    """Only steps that the drill did not wait for (best effort), or those of ``after``, still run."""
    return (
        Phase.AFTER
        if any(state.progress[name].step.section is Section.AFTER for name in state.running)
        else Phase.STEPS
    )


def _phase_of_retreat(state: State) -> Phase:
    collected = "collected" in state.stages or not state.plan.watched
    if state.stop is Stop.REFUSED:
        return Phase.CLOSING if collected else Phase.COLLECTING
    if state.running:
        return Phase.AFTER if state.stop is Stop.FAILED and _after_runs(state) else Phase.UNDOING
    judged = state.hands_off or state.stop is Stop.ABORTED or not state.open_steps(Section.AFTER)
    if not judged:
        return Phase.AFTER
    if state.stop is Stop.FAILED and not collected and not state.undo_wanted:
        return Phase.COLLECTING
    if state.to_undo():
        return Phase.UNDOING
    if not collected:
        return Phase.COLLECTING
    # Held past the point of no return, nothing is taken back by itself: not by a schedule either.
    return Phase.HELD if state.held and not (state.past_return and state.to_disarm()) else Phase.CLOSING


def rests(state: State) -> bool:
    """Say whether nothing is to be done any more, or not until a person decides."""
    if state.finished is None and state.stop is None:  # the way of most turns
        return False
    return phase(state) in _RESTING


def _after_runs(state: State) -> bool:
    return all(state.progress[name].step.section is Section.AFTER for name in state.running)


def commands(state: State) -> Iterator[Command]:
    """Give everything that is to be begun now. Asking twice without new facts gives the same."""
    now = phase(state)
    for name in tuple(state.running):
        if state.progress[name].in_doubt and not state.world_gone:
            yield Recheck(name)
    match now:
        case Phase.WATCHING:
            yield Observe("watch")
        case Phase.BEFORE:
            yield from _ready(state, Section.BEFORE)
            if state.plan.watched and "baseline" not in state.stages:
                yield Observe("baseline")
        case Phase.STEPS:
            yield from _ready(state, Section.STEPS)
        case Phase.SETTLING:
            yield Observe("settled")
        case Phase.AFTER:
            yield from _ready(state, Section.AFTER)
        case Phase.COLLECTING:
            yield Observe("collected")
        case Phase.UNDOING if not state.running and not any(one.undo_started for one in state.progress.values()):
            for one in state.to_undo()[:1]:
                yield TakeBack(one.step.id)
        case Phase.CLOSING:
            todo = state.to_disarm()
            yield from (Disarm(one.step.id) for one in todo)
            if not todo:
                yield Conclude()
        case _:
            pass


def waits(state: State, section: Section) -> bool:
    """Say whether nothing of a section may be begun now, though its needs are met. A way back is not paused."""
    if state.stop is not None:
        return section is not Section.AFTER
    return state.paused or (bool(state.held_for) and section is Section.STEPS)


def _ready(state: State, section: Section) -> Iterator[Command]:
    if waits(state, section):
        return
    for name in tuple(state.ready(section)):
        one = state.progress[name]
        if one.status is Status.WAITING:
            yield Ask(name) if one.step.kind is Kind.OPERATOR else Start(name)


def due(state: State, now: Stamp) -> Iterator[Body]:
    """Give what has come about because time has passed."""
    for wait_s, body in _deadlines(state, now):
        if wait_s <= 0:
            yield body


def next_due_s(state: State, now: Stamp) -> float | None:
    """Seconds until time alone will bring something about; None if nothing waits for time."""
    return min((wait_s for wait_s, _ in _deadlines(state, now)), default=None)


def _deadlines(state: State, now: Stamp) -> Iterator[tuple[float, Body]]:
    plan = state.plan
    waits_for_people = plan.mode is Mode.INCIDENT and plan.ask
    for name in tuple(state.running):
        one = state.progress[name]
        if one.attempted is not None:
            yield from _step_deadlines(state, one, now.since(one.attempted))
    if state.held_since is not None and state.held_for and state.stop is None and not waits_for_people:
        yield plan.hold_for_s - now.since(state.held_since), TimedOut(HOLD, plan.hold_for_s)
    if state.opened is not None and state.stop is None and state.finished is None and not waits_for_people:
        yield plan.deadline_s + state.idle_s - now.since(state.opened), TimedOut("", plan.deadline_s)


def _step_deadlines(state: State, one: Progress, ran_s: float) -> Iterator[tuple[float, Body]]:
    step, plan = one.step, state.plan
    if step.kind is Kind.OPERATOR and not plan.ask:
        yield (
            SANDBOX_ANSWERS_AFTER_S - ran_s,
            Told(Word.APPROVE, "sandbox", 0, step.id, "nobody is asked in a rehearsal"),
        )
        return
    if step.kind is Kind.OPERATOR and plan.mode is Mode.INCIDENT:
        return
    if step.best_effort_s is not None and not one.released and step.best_effort_s < step.timeout_s:
        yield step.best_effort_s - ran_s, TimedOut(step.id, step.best_effort_s)
    limit_s = step.timeout_s
    if step.section is Section.BEFORE and plan.mode is Mode.INCIDENT:
        limit_s = min(limit_s, ADVISORY_S)
    if step.section is Section.AFTER and state.stop is not None:
        limit_s = min(limit_s, JUDGED_WITHIN_S)
    yield limit_s - ran_s, TimedOut(step.id, limit_s)


class Ending(StrEnum):
    """How a drill ended, in one word."""

    MET = "met"
    MISSED = "missed"
    UNPROVEN = "unproven"
    ABORTED = "aborted"
    FAILED = "failed"
    HELD = "held"
    UNDO_INCOMPLETE = "undo incomplete"
    REFUSED = "refused"
    RUNNING = "running"
    RESTORED = "restored"


EXIT_CODES = {
    Ending.MET: 0,
    Ending.RESTORED: 0,
    Ending.MISSED: 1,
    Ending.UNPROVEN: 3,
    Ending.REFUSED: 4,
    Ending.ABORTED: 6,
    Ending.UNDO_INCOMPLETE: 7,
    Ending.HELD: 8,
    Ending.FAILED: 9,
    Ending.RUNNING: 3,
}


def concluded(claims: Facts, state: State, verdicts: Sequence[str]) -> Finished:
    """Say how a drill ended that claims this: the ending and exit code that follow from its objectives' verdicts."""
    settled = state.stages.get("settled")
    end = ending(state, verdicts, restored=settled is not None and settled.ok is True)
    return Finished(end.value, EXIT_CODES[end], claims)


def ending(state: State, verdicts: Sequence[str], *, restored: bool = False) -> Ending:
    """Say how it ended, the first that applies (README, "Exit codes"); ``verdicts`` are those of the objectives.

    No objective at all proves nothing. ``restored`` (incident mode): the service was seen restored.
    """
    if state.world_gone:
        return Ending.UNPROVEN
    if any(one.undo_error for one in state.progress.values()) or state.schedules.errors:
        return Ending.UNDO_INCOMPLETE
    if state.stop is Stop.REFUSED:
        return Ending.REFUSED
    if state.held:
        return Ending.HELD
    if state.stop is Stop.ABORTED and state.owed() and not state.was_over:
        return Ending.UNDO_INCOMPLETE
    if state.stop is Stop.FAILED or state.failed_steps():
        return Ending.FAILED
    if state.stop is Stop.ABORTED:
        return Ending.ABORTED
    if state.plan.mode is Mode.INCIDENT and restored:
        return Ending.RESTORED
    if "MISSED" in verdicts:
        return Ending.MISSED
    if verdicts and all(verdict == "MET" for verdict in verdicts):
        return Ending.MET
    return Ending.UNPROVEN
