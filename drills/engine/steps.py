"""The steps of a plan: those of a mode, in order, bound, each with the probe that follows it where it has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from drills import catalog
from drills.engine.plan import Mode, OnFailure, Section, Step
from drills.runbook.model import Only
from drills.runbook.order import bridged
from drills.runbook.works import declared
from drills.services.spec import ActionSpec
from drills.timeline.facts import Facts
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import timedelta

    from drills.engine.bind import Binder
    from drills.runbook.load import LoadedRunbook
    from drills.runbook.model import Listed
    from drills.runbook.works import Traits
    from drills.services.spec import Follow

TIMEOUT_S: Final = {Section.BEFORE: 30.0, Section.GUARD: 10.0, Section.AFTER: 60.0}
"""How long a probe of these sections may take where the runbook does not say."""
STEP_TIMEOUT_S: Final = {Kind.ACTION: 60.0, Kind.FAULT: 60.0, Kind.PROBE: 300.0, Kind.OPERATOR: 3600.0}
"""How long a step may take where the runbook does not say."""
EVERY_S: Final = {Section.GUARD: 5.0}
LOOK_S: Final = STEP_TIMEOUT_S[Kind.PROBE]
CALL_S: Final = 1.0
"""What is expected of a call whose effect is waited for in a step of its own."""
GUARDS: Final = ".guard"
FOLLOWS: Final = ".wait"
"""The ends of the ids of steps that another brings with it. No id in a runbook holds a dot."""


def bound_steps(runbook: LoadedRunbook, mode: Mode, binder: Binder) -> tuple[Step, ...]:
    """Bind every step that belongs to ``mode``; who needed one that does not waits for what that one waited for.

    A step whose work is followed by a probe becomes two: who needed the step waits for the probe.
    """
    checked = runbook.checked
    kept: list[Listed] = []
    left_out: set[str] = set()
    after: dict[str, tuple[str, ...]] = {}
    for one in runbook.model.listed():
        name = one.step.id or ""
        if one.section == "after":
            after[name] = tuple(one.step.needs or ())
        if _belongs(one, mode):
            kept.append(one)
        else:
            left_out.add(name)
    needs = bridged(checked.needs, left_out) | bridged(after, left_out)
    names = {one.step.id for one in kept}
    made = [_step(one, checked.traits[one.where], binder, names) for one in kept]
    last = {pair[0].id: pair[-1].id for pair in made}
    steps: list[Step] = []
    for first, *following in made:
        waits_for = tuple(last.get(need, need) for need in needs.get(first.id, ()))
        number, reserve = len(steps) + 1, first.id in checked.reserve
        steps.append(replace(first, number=number, needs=waits_for, reserve=reserve))
        steps += [replace(step, number=number + place) for place, step in enumerate(following, 1)]
    guards = [found for step in steps if (found := _guard(step)) is not None]
    return (*steps, *(replace(one, number=len(steps) + place) for place, one in enumerate(guards, 1)))


def bound_points(runbook: LoadedRunbook, binder: Binder) -> tuple[Step, ...]:
    """Bind the probes that say when a recovery point is, as steps of their own that no other waits for."""
    traits = runbook.checked.traits
    return tuple(_step(one, traits[one.where], binder, ())[0] for one in runbook.model.points())


def _belongs(one: Listed, mode: Mode) -> bool:
    """Say whether a step is part of a plan in ``mode``: a fault never is in an incident, which is the fault."""
    if mode is Mode.INCIDENT and one.step.fault is not None:
        return False
    return not one.step.only or Only(mode.value) in one.step.only


def _step(one: Listed, found: Traits, binder: Binder, kept: Collection[str | None]) -> tuple[Step, ...]:
    step, section = one.step, Section(one.section)
    on_failure, instead = OnFailure(step.on_failure.do.value), step.on_failure.run or ""
    if on_failure is OnFailure.RUN and instead not in kept:
        on_failure, instead = OnFailure.HOLD, ""
    bound = binder.work(step.with_, (*one.where, "with"), found, step.id or "")
    told = bound.traits
    binder.check_people(bound.params, (*one.where, "with"))
    made = Step(
        id=step.id or "",
        number=0,
        kind=told.kind,
        uses=step.uses,
        place=binder.place(one),
        section=section,
        params=bound.params,
        say=binder.text(step.say or "", (*one.where, "say")),
        by_hand=binder.text(step.by_hand or "", (*one.where, "by_hand")),
        timeout_s=_seconds(step.timeout, TIMEOUT_S.get(section, STEP_TIMEOUT_S[told.kind])),
        every_s=_seconds(step.every, EVERY_S.get(section, 1.0)),
        attempts=step.retry.attempts,
        on_failure=on_failure,
        run_on_failure=instead,
        best_effort_s=None if step.best_effort is None else step.best_effort.total_seconds(),
        expect_s=None if step.expect is None else step.expect.total_seconds(),
        mark=step.mark,
        when=step.when or "",
        show=step.show,
        tolerance=step.tolerance,
        permissions=told.permissions,
        evidence=told.evidence,
        one_way=told.one_way,
        authority=told.authority,
        holds_authority=told.holds_authority,
        idempotent=told.idempotent,
        cost=told.cost,
        expires_s=told.expires_s,
    )
    return (made,) if bound.follow is None else _followed(made, bound.follow, _seconds(step.timeout, LOOK_S))


def _followed(step: Step, follow: Follow, timeout_s: float) -> tuple[Step, Step]:
    """Make two steps of one: the change, and the probe that waits for its effect, which ends the whole.

    The mark, the pace and the times a person wrote are those of the whole, so they belong to the probe. It is
    skipped unless the change was made.
    """
    probe = Step(
        id=step.id + FOLLOWS,
        number=0,
        kind=Kind.PROBE,
        uses=follow.uses,
        place=step.place,
        params=Facts(**follow.fields),
        needs=(step.id,),
        say=follow.say,
        timeout_s=timeout_s,
        every_s=step.every_s,
        attempts=step.attempts,
        on_failure=step.on_failure,
        run_on_failure=step.run_on_failure,
        best_effort_s=step.best_effort_s,
        expect_s=step.expect_s,
        mark=step.mark,
        when=f"steps.\"{step.id}\".status == 'done'",
        permissions=declared(Kind.PROBE, follow.uses, follow.fields).permissions,
    )
    change = replace(
        step,
        mark=None,
        timeout_s=min(step.timeout_s, STEP_TIMEOUT_S[step.kind]),
        expect_s=None if step.expect_s is None else min(step.expect_s, CALL_S),
    )
    return change, probe


def _guard(step: Step) -> Step | None:
    """Make the guard that a step brings with it: it watches where the step acts, from before it until the end."""
    work = catalog.load(step.kind, step.uses)
    follow = work.guard(step.params, step.id) if issubclass(work, ActionSpec) else None
    if follow is None:
        return None
    return Step(
        id=step.id + GUARDS,
        number=0,
        kind=Kind.PROBE,
        uses=follow.uses,
        place=step.place,
        section=Section.GUARD,
        params=Facts(**follow.fields),
        say=follow.say,
        timeout_s=TIMEOUT_S[Section.GUARD],
        every_s=follow.every_s or EVERY_S[Section.GUARD],
        permissions=declared(Kind.PROBE, follow.uses, follow.fields).permissions,
    )


def _seconds(span: timedelta | None, otherwise: float) -> float:
    return otherwise if span is None else span.total_seconds()
