"""Everything a report tells of one drill, computed from its timeline and its claims alone. Pure.

Moments are UTC ISO 8601 strings, durations seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from drills.engine import decide
from drills.report import claims as claimed
from drills.report import standing
from drills.report.remains import Remains, remains, remains_note
from drills.timeline import events as ev
from drills.timeline.facts import Facts
from drills.timeline.marks import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.clock import Stamp
    from drills.engine.plan import Objective, Plan
    from drills.engine.progress import Progress
    from drills.engine.state import State
    from drills.report.claims import Claims, ObjectiveClaim


@dataclass(frozen=True, slots=True)
class Source:
    """Where the timeline was read from: the drill's folder, the chain's head, whether a process drives it now."""

    folder: str = ""
    head: str = ""
    driven: bool | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step as it went."""

    id: str
    number: int
    section: str
    kind: str
    uses: str
    place: str
    status: str
    started: str | None
    ended: str | None
    took_s: float | None
    attempts: int
    detail: str
    say: str = ""
    by: str = ""
    adopted: bool = False
    mark: str = ""


@dataclass(frozen=True, slots=True)
class UndoResult:
    """One step that was taken back; ``left_alone`` says what was not touched."""

    step: str
    detail: str
    left_alone: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """Something a person or a guard said."""

    at: str
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """One observer's sealed file."""

    observer: str
    file: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DrillResult:
    """One drill, whole: what it was, how it ended, its numbers, and what is left of it."""

    drill: str
    runbook: str
    title: str
    environment: str
    environment_kind: str
    mode: str
    from_site: str
    to_site: str
    status: str
    exit_code: int
    meaning: str
    why: str
    phase: str
    finished: bool
    by: str
    tool: str
    started: str | None
    ended: str | None
    elapsed_s: float
    claims: Claims
    objectives: tuple[ObjectiveClaim, ...]
    steps: tuple[StepResult, ...]
    undone: tuple[UndoResult, ...]
    remains: tuple[Remains, ...]
    remains_note: str
    refusals: tuple[Word, ...]
    words: tuple[Word, ...]
    evidence: tuple[EvidenceFile, ...]
    events: int
    source: Source = field(default_factory=Source)
    sandbox_ended: bool = False


def summarize(
    events: Sequence[ev.Event], state: State, claims: Facts | None = None, source: Source | None = None
) -> DrillResult:
    """Compute what a report tells. ``claims`` are those of ``finished`` unless others are given (recomputed ones)."""
    plan, source = state.plan, source or Source()
    opened = events[0].body if events and isinstance(events[0].body, ev.Opened) else ev.Opened("", "", "", "")
    if claims is None:
        claims = state.finished.claims if state.finished is not None else Facts()
    read = claimed.read(claims)
    name = PurePath(source.folder).name or opened.drill
    word = standing.status(state, driven=source.driven)
    end = state.finished_at or state.last
    return DrillResult(
        drill=name,
        runbook=plan.runbook,
        title=plan.title,
        environment=plan.environment,
        environment_kind=plan.environment_kind,
        mode=plan.mode.value,
        from_site=plan.from_site,
        to_site=plan.to_site,
        status=word,
        exit_code=standing.exit_code(state),
        meaning=standing.meaning(state, driven=source.driven),
        why=state.world_gone or state.why or _first_failure(state),
        phase=decide.phase(state).value,
        finished=state.finished is not None,
        by=opened.by,
        tool=opened.tool,
        started=_iso(state.opened),
        ended=_iso(state.finished_at),
        elapsed_s=end.since(state.opened) if end is not None and state.opened is not None else 0.0,
        claims=read,
        objectives=_objectives(plan, read, finished=state.finished is not None),
        steps=tuple(_step(one) for one in state.progress.values()),
        undone=_undone(events),
        remains=() if (ended := standing.sandbox_ended(state, driven=source.driven)) else remains(state, name),
        remains_note=remains_note(state),
        refusals=_refusals(events),
        words=_words(events),
        evidence=tuple(EvidenceFile(one.observer, one.file, one.rows, one.sha256) for one in state.sealed.values()),
        events=state.count,
        source=source,
        sandbox_ended=ended,
    )


def unproven(events: Sequence[ev.Event], state: State, source: Source, why: str) -> DrillResult:
    """Compute what a report tells of a drill whose evidence is no longer what it was judged by."""
    told = summarize(events, state, Facts(error=why), source)
    if state.finished is None or state.finished.status not in (decide.Ending.MET, decide.Ending.MISSED):
        return told
    word = decide.Ending.UNPROVEN
    return replace(told, status=word.value, exit_code=decide.EXIT_CODES[word], meaning=standing.MEANINGS[word], why=why)


def _iso(stamp: Stamp | None) -> str | None:
    return None if stamp is None else stamp.iso()


def _first_failure(state: State) -> str:
    return next((f"{one.step.id}: {one.detail}" for one in state.failed_steps()), "")


def _objectives(plan: Plan, read: Claims, *, finished: bool) -> tuple[ObjectiveClaim, ...]:
    """Give every objective of the plan: as claimed, or UNPROVEN where nothing was."""
    by_name = {one.name: one for one in read.objectives} if finished else {}
    why = read.error or ("nothing was measured" if finished else "the drill is not over")
    return (*by_name.values(), *(_unjudged(one, why) for one in plan.objectives if one.name not in by_name))


def _unjudged(one: Objective, why: str) -> ObjectiveClaim:
    if one.limits is Limits.LOST_ROWS:
        count = claimed.CountClaim(None, None, None, one.most_rows)
        return claimed.ObjectiveClaim(one.name, "UNPROVEN", None, None, None, None, why, count=count)
    return claimed.ObjectiveClaim(one.name, "UNPROVEN", None, None, None, one.target_s, why)


def _step(one: Progress) -> StepResult:
    step = one.step
    took = one.ended.since(one.started) if one.ended is not None and one.started is not None else None
    return StepResult(
        step.id,
        step.number,
        step.section.value,
        step.kind.value,
        step.uses,
        step.place,
        one.status.value,
        _iso(one.started),
        _iso(one.ended),
        took,
        one.attempt,
        one.detail,
        step.say,
        one.by,
        one.adopted,
        step.mark.value if step.mark else "",
    )


def _undone(events: Sequence[ev.Event]) -> tuple[UndoResult, ...]:
    bodies = [event.body for event in events]
    last = {one.step: one for one in bodies if isinstance(one, ev.Undid)}  # a forced undo makes good what was left
    return tuple(UndoResult(one.step, one.detail, one.left_alone or "") for one in last.values())


def _refusals(events: Sequence[ev.Event]) -> tuple[Word, ...]:
    """Gates that did not say yes, and guards that said no."""
    found: list[Word] = []
    for event in events:
        match event.body:
            case ev.Guarded(guard=name, ok=ok, detail=detail):
                who = f"guard {name}"
            case ev.Gated(gate=name, ok=ok, detail=detail, advises=False) if ok is not True:
                who = f"gate {name}"
            case _:
                continue
        found.append(Word(event.at.iso(), who, f"{'no' if ok is False else 'no answer'}: {detail}"))
    return tuple(found)


def _words(events: Sequence[ev.Event]) -> tuple[Word, ...]:
    return tuple(
        Word(event.at.iso(), event.body.by, _said(event.body)) for event in events if isinstance(event.body, ev.Told)
    )


def _said(told: ev.Told) -> str:
    """Write what was said as the live log does: the word and its step, then what was added to it."""
    head = " ".join(filter(None, (told.word.value, told.step)))
    return f"{head}: {told.note}" if told.note else head
