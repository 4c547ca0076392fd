"""Judge a drill from what is on disk: its timeline and its observers' files, and from nothing else.

The same function writes the claims when a drill ends and recomputes them for ``drills verify``.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from drills.clock import NS
from drills.engine.decide import concluded
from drills.engine.plan import Section
from drills.engine.progress import Status
from drills.measure.effect import Disaster
from drills.measure.evidence import Bracket
from drills.measure.judge import judge
from drills.measure.question import Moment, PointSeen, Question, StepSpan, Target
from drills.measure.rpo import ENDLESS
from drills.measure.skew import drift
from drills.observe.store import read_header
from drills.report.claims import read
from drills.report.rules import rules
from drills.report.standstill import standstills
from drills.report.switch import cut_before_promote, moved, stopping
from drills.report.watched import files_of, ledger, of_one_clock, rings_of, told_by, watch
from drills.runtime.journal import read_drill
from drills.timeline import events as ev
from drills.timeline.facts import Facts
from drills.timeline.marks import OBSERVED, Mark
from drills.work import Evidence, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from drills.clock import Stamp
    from drills.engine.plan import Step
    from drills.engine.state import State

TRAFFIC = ("route53.", "dns.", "globalaccelerator.", "cloudfront.", "arc.", "elbv2.")
"""Work that sends users from one site to another, or waits until they are."""


def judged_claims(folder: Path, state: State) -> Facts:
    """Compute the claims of the drill in ``folder``: objectives with bounds and verdicts, rows, phases and caveats."""
    events, _ = read_drill(folder)
    return claims_of(events, state)


def claims_of(events: Sequence[ev.Event], state: State) -> Facts:
    """Compute the claims of a drill from its events and the files they name.

    A drill that was refused or never began to watch has nothing to be judged by, and claims nothing.
    """
    return judge(question(events, state)).claims() if state.watching or state.points else Facts()


def finished(claims: Facts, state: State) -> ev.Finished:
    """Say how a drill ended: its claims, and the ending and exit code that follow from their verdicts."""
    return replace(concluded(claims, state, [one.verdict for one in read(claims).objectives]), rules=rules())


def question(events: Sequence[ev.Event], state: State) -> Question:
    """Put together what the judge is asked, from the timeline and the files it names."""
    assert state.opened is not None  # noqa: S101 - the caller has looked
    clock = state.opened.clock
    plan = state.plan
    files = files_of(events)
    rings = rings_of(events)
    until = _until(events, clock)
    return Question(
        clock=clock,
        time_namespace=_time_namespace(files),
        disaster=_disaster(state, clock, until),
        until=until,
        from_site=plan.from_site,
        to_site=plan.to_site,
        watches=tuple(
            watch(of_one_clock(files[one.id], clock), round(one.stable_for_s * NS), rings)
            for one in plan.availability
            if one.id in files
        ),
        ledgers=tuple(ledger(one, files[one.id], clock) for one in plan.data if one.id in files),
        targets=tuple(
            Target(
                one.name,
                one.begins,
                one.ends,
                round(one.target_s * NS),
                one.seen_by,
                one.basis,
                one.joint,
                one.limits,
                one.most_rows,
            )
            for one in plan.objectives
        ),
        moments=tuple(_moments(state, clock)),
        steps=tuple(_spans(state, clock)),
        standstills=tuple(standstills(plan, events, clock)),
        cut_before_promote=cut_before_promote(state),
        unwatched=tuple(one.id for one in plan.availability if one.id not in files and one.resolve != "direct"),
        unwritten=tuple(one.id for one in plan.data if one.id not in files),
        wall_moved_ns=_wall_moved(events, clock),
        points=tuple(_points(state, clock)),
        content_checked=tuple(_content_checked(state, clock)),
        stopping=stopping(state, clock),
        moved=moved(state, clock),
        lints=(*_lints(events, clock), *(note for file in sorted(rings) for note in told_by(file))),
    )


def _time_namespace(files: dict[str, list[Path]]) -> str:
    """All observers must share one; the judge compares each with this."""
    return next((read_header(paths[0]).time_namespace for paths in files.values() if paths), "")


def _disaster(state: State, clock: str, until: int) -> Disaster | None:
    """Say when the clock started: [the call, its answer] of the fault; an adopted or imposed one has no such clock.

    Of what people broke by hand the samples say when: between the question and its answer.
    """
    marked = [one for one in state.progress.values() if one.step.mark is Mark.DISASTER and one.status is Status.DONE]
    if not marked:
        return _unplanned(state)
    one = marked[0]
    if one.started is None or one.started.clock != clock:
        return None
    by_people = one.step.hand is not None or one.step.kind is Kind.OPERATOR
    if by_people and one.ended is not None and one.ended.clock == clock:
        asked, answered = one.started.mono_ns, one.ended.mono_ns
        return Disaster(None, mark=Bracket(asked, answered), opened=asked)
    if one.adopted:
        return Disaster(None)
    answered = one.performed or one.ended or one.started
    latest = answered.mono_ns if answered.clock == clock else until  # it was answered once this clock had ended
    effective = one.effective
    confirmed = effective.mono_ns if effective is not None and effective.clock == clock else None
    return Disaster(Bracket(one.started.mono_ns, latest), confirmed=confirmed)


def _unplanned(state: State) -> Disaster:
    """Of an incident the samples say when it began, and perhaps a person; their UTC is put on the drill's clock."""
    opened, said = state.opened, state.began
    assert opened is not None  # noqa: S101 - the caller has looked
    if said is None:
        return Disaster(None, opened=opened.mono_ns)
    ahead = opened.mono_ns - opened.utc_ns
    declared = Bracket(said.earliest + ahead, said.latest + ahead)
    return Disaster(None, opened=opened.mono_ns, declared=declared, said=said.sentence())


def _until(events: Sequence[ev.Event], clock: str) -> int:
    """End the judged span where the drill began to take things back, or where it ended."""
    last = 0
    for event in events:
        if event.at.clock != clock:
            continue
        last = max(last, event.at.mono_ns)
        if isinstance(event.body, ev.UndoStarted):
            break
    return last


def _wall_moved(events: Sequence[ev.Event], clock: str) -> int:
    """Give the largest jump of UTC against the monotonic clock between two events, beyond what clocks drift."""
    stamps = [event.at for event in events if event.at.clock == clock]
    jumps = [
        abs((two.utc_ns - one.utc_ns) - (two.mono_ns - one.mono_ns)) - drift(two.mono_ns - one.mono_ns)
        for one, two in pairwise(stamps)
    ]
    return max(0, *jumps) if jumps else 0


def _moments(state: State, clock: str) -> Iterator[Moment]:
    """Bracket the marks that steps set: no sooner than their beginning, but for what was found to be so already."""
    for one in state.progress.values():
        mark = one.step.mark
        if mark is None or mark is Mark.DISASTER or mark in OBSERVED or one.status is not Status.DONE:
            continue
        if one.started is not None and one.ended is not None and one.started.clock == one.ended.clock == clock:
            word = one.step.kind is Kind.OPERATOR and one.step.hand is None  # a person's word has a moment
            found = one.adopted or (one.step.kind is Kind.PROBE and one.step.hand is None and not one.denied)
            earliest = -ENDLESS if found else (one.ended if word else one.started).mono_ns
            yield Moment(mark, Bracket(earliest, one.ended.mono_ns))


def _spans(state: State, clock: str) -> Iterator[StepSpan]:
    """Give the steps that recover (not the probes around them) with their times and the part each belongs to."""
    ran = [one for one in state.progress.values() if one.step.section is Section.STEPS]
    changes = [one.started.mono_ns for one in ran if one.step.changes and one.started is not None]
    last_change = max(changes, default=0)
    for one in ran:
        if one.started is None or one.started.clock != clock:
            continue
        ended = one.ended.mono_ns if one.ended is not None and one.ended.clock == clock else None
        phase = _phase(one.step, after_changes=one.started.mono_ns > last_change)
        yield StepSpan(one.step.id, one.started.mono_ns, ended, one.step.mark, phase)


def _phase(step: Step, *, after_changes: bool) -> str:
    """Name the part of the recovery time that a step is by its kind; empty: automation, or what its mark says."""
    if step.uses.startswith(TRAFFIC):
        return "traffic switch"
    if step.kind is Kind.OPERATOR:
        return "human wait" if step.hand is None else ""
    return "validate" if step.kind is Kind.PROBE and after_changes and step.mark is None else ""


def _points(state: State, clock: str) -> Iterator[PointSeen]:
    """Give what services told of their recovery points, those asked before the disaster first."""
    for step in state.plan.recovery_points:
        for after in (False, True):
            told = state.points.get((step.id, after))
            if told is None:
                continue
            ours = told.asked.clock == clock
            bounded = ours and told.skew_low_ns is not None and told.skew_high_ns is not None
            why = told.detail if told.at_ns is None else f"no bound on the clock of {step.uses}: {told.skew_detail}"
            yield PointSeen(
                name=step.id,
                source=told.source,
                after=after,
                restored=Evidence.RESTORED_POINT in step.evidence,
                asked=told.asked.mono_ns,
                asked_utc=told.asked.utc_ns,
                at=told.at_ns,
                skew=Bracket(told.skew_low_ns or 0, told.skew_high_ns or 0) if bounded else None,
                why=why if ours else "it was asked on another clock than the drill's",
            )


def _content_checked(state: State, clock: str) -> Iterator[str]:
    """Give the steps that proved content after the disaster, and not before the data was said to be restored."""
    begun = _began(state, Mark.DISASTER)
    restored = next(
        (one.ended for one in state.progress.values() if one.step.mark is Mark.DATA_RESTORED and one.ended), None
    )
    for one in state.progress.values():
        if Evidence.CONTENT_CHECKED not in one.step.evidence or one.status is not Status.DONE or one.ended is None:
            continue
        after = begun is None or (one.started is not None and one.started.since(begun) >= 0)
        if after and one.ended.clock == clock and (restored is None or one.ended.since(restored) >= 0):
            yield one.step.id


def _began(state: State, mark: Mark) -> Stamp | None:
    """Give when the step that marks a moment was started; None where none does."""
    return next((one.started for one in state.progress.values() if one.step.mark is mark), None)


def _lints(events: Sequence[ev.Event], clock: str) -> Iterator[str]:
    others = {event.at.clock for event in events} - {clock}
    if others:
        yield f"part of this drill ran on another clock ({', '.join(sorted(others))}): what lies there is not measured"
    if any(isinstance(event.body, ev.Resumed) for event in events):
        gone = any(isinstance(event.body, ev.WorldGone) for event in events)
        meanwhile = "its sandbox had ended" if gone else "observers went on watching"
        yield f"the driving process was replaced during the drill; {meanwhile}"
