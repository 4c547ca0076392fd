"""What is allowed and yet likely to hurt: warnings, each with the rule behind it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from drills.durations import show
from drills.runbook.lint_experiments import experiments
from drills.runbook.names import references
from drills.runbook.order import topological
from drills.runbook.problems import did_you_mean
from drills.timeline.marks import Limits, Mark
from drills.work import Evidence, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drills.runbook.availability import Availability
    from drills.runbook.check import Checked
    from drills.runbook.model import Listed, Runbook
    from drills.runbook.problems import Problems

_STABLE: Final = 5
"""``stable_for`` must be at least this many times (timeout + every): else a flap hides between two samples."""
_FINE: Final = 20
"""A target must be at least this many probe intervals long: else the bracket is wider than the verdict can bear."""
_TRAFFIC: Final = ("route53.", "dns.", "globalaccelerator.", "cloudfront.", "arc.", "elbv2.", "aws.")
"""Work that moves traffic belongs behind the point of no return; ``aws.call`` may be anything."""


def lint(runbook: Runbook, checked: Checked, problems: Problems) -> None:
    """Add all warnings about ``runbook``."""
    listed = tuple(runbook.listed())
    for one in listed:
        _step(one, checked, problems)
        _place(one, problems)
    _past_no_return(listed, checked, problems)
    _measure(runbook, problems)
    _order(runbook, problems)
    _objectives(runbook, listed, checked, problems)
    experiments(listed, problems)


def _step(one: Listed, checked: Checked, problems: Problems) -> None:
    step, found = one.step, checked.traits.get(one.where)
    if found is None:
        return
    if step.expect is not None and step.timeout is not None and step.expect > step.timeout:
        problems.warn((*one.where, "expect"), f"{step.id}: expected to take longer than its timeout; raise the timeout")
    if step.every is not None and step.timeout is not None and step.every >= step.timeout:
        problems.warn((*one.where, "every"), f"{step.id}: is looked at only once before its timeout; lower 'every'")
    if step.best_effort is not None and step.timeout is not None and step.best_effort > step.timeout:
        problems.warn((*one.where, "best_effort"), f"{step.id}: 'best_effort' is longer than the timeout; lower it")
    if step.by_hand is None and (found.one_way is not None or found.kind is Kind.OPERATOR):
        what = "has no way back" if found.one_way is not None else "is done by a person"
        problems.warn(one.where, f"{step.id} {what}; add 'by_hand:' for the day when this tool is what is down")
    if step.at is None and any(each.head in ("from", "to") for each in references(step.with_)):
        problems.warn(one.where, f"{step.id} uses a site's values but has no 'at'; it acts at 'to'")


def _place(one: Listed, problems: Problems) -> None:
    """Warn of a place that looks like a misspelt direction: only an environment knows what places there are."""
    at = one.step.at
    if at is None or at in ("from", "to"):
        return
    hint = did_you_mean(at, ("from", "to"))
    if "mean" in hint:
        problems.warn((*one.where, "at"), f"{one.step.id}: {at!r} is taken for a place of the environment; {hint}")


def _past_no_return(listed: Iterable[Listed], checked: Checked, problems: Problems) -> None:
    """Warn of what can fail and be undone behind the first promotion: there nothing is undone any more."""
    by_id = {one.step.id: one for one in listed if one.step.id is not None and one.section == "steps"}
    behind: set[str] = set()
    for step in topological(checked.needs)[0]:
        found = checked.traits.get(by_id[step].where) if step in by_id else None
        after = any(need in behind for need in checked.needs[step])
        if after or (found is not None and found.authority):
            behind.add(step)
        if after and found is not None and found.kind is Kind.ACTION and found.reversible:
            name = found.work.name
            if found.holds_authority or not name.startswith(_TRAFFIC):
                problems.warn(
                    by_id[step].where,
                    f"{step} ({name}) can fail and be undone, but stands behind the point of no return; move it up",
                )


def _measure(runbook: Runbook, problems: Problems) -> None:
    for number, one in enumerate(runbook.measure.availability):
        where = ("measure", "availability", number)
        need = _STABLE * (one.timeout + one.every)
        if one.stable_for < need:
            problems.warn(
                (*where, "stable_for"),
                f"{one.id}: stable_for {_show(one.stable_for)} is shorter than 5 x (timeout + every) = {_show(need)}; "
                "a flap could hide: raise it, or lower timeout and every",
            )
        for name in ("rto", "downtime"):
            goal = runbook.objectives.get(name)
            if goal is None or goal.within is None:
                continue
            if one.every * _FINE > goal.within and _judges(one, (*goal.seen_by, *goal.joint)):
                told = f"{one.id}: every must be at most a twentieth of the {name} to judge it; lower it"
                problems.warn((*where, "every"), told)
        if one.http is not None and one.served_by is None:
            problems.warn(
                where,
                f"{one.id}: cannot tell which site answers, so an old site that flaps looks restored; add served_by",
            )


def _judges(one: Availability, seen_by: tuple[str, ...]) -> bool:
    return not seen_by or one.id in seen_by


def _objectives(runbook: Runbook, listed: Iterable[Listed], checked: Checked, problems: Problems) -> None:
    marks = {one.step.mark for one in listed}
    cut = any(Evidence.REPLICATION_CUT in found.evidence for found in checked.traits.values())
    planned = _planned(runbook, marks)
    for name, goal in runbook.objectives.items():
        rows, down = goal.limits is Limits.LOST_ROWS, goal.limits is Limits.DOWNTIME
        wanted = [Mark.RECOVERY_POINT] if rows else [Mark.SERVICE_RESTORED] if down else [goal.begins, goal.ends]
        for mark in wanted:
            missing = _unmarked(mark, runbook, marks) if mark is not None else ""
            missing += planned if missing and mark is Mark.DISASTER else ""
            if missing:
                problems.warn(("objectives", name), f"{name} will be UNPROVEN: {missing}")
        if Mark.RECOVERY_POINT in (goal.begins, goal.ends) and runbook.measure.data and not cut:
            problems.warn(
                ("objectives", name),
                f"{name} will be UNPROVEN: no step shows that replication was cut; add 'probe: sql.receiver_stopped'",
            )


def _planned(runbook: Runbook, marks: set[Mark | None]) -> str:
    """Say what can be judged where no step marks a disaster, as in a planned switchover."""
    if Mark.DISASTER in marks:
        return ""
    can = [name for name, goal in runbook.objectives.items() if goal.limits is not Limits.INTERVAL]
    if can:
        return f"; without a disaster {' and '.join(can)} can be judged"
    return "; a planned switchover, which has no disaster, is judged by 'downtime: 30s' and 'lost_rows: 0'"


def _order(runbook: Runbook, problems: Problems) -> None:
    """Warn of an RPO that can be missed and never met: nothing bounds what an unordered store has lost."""
    rpo = any(Mark.RECOVERY_POINT in (goal.begins, goal.ends) for goal in runbook.objectives.values())
    for number, one in enumerate(runbook.measure.data):
        if rpo and not one.is_ordered and not one.every_write:
            problems.warn(
                ("measure", "data", number),
                f"{one.id}: the rpo of {one.kind} can be MISSED but never MET, because it keeps no order: add "
                "'every_write: true' if nothing else is written there, or 'ordered: true' if you know its order",
            )


def _unmarked(mark: Mark, runbook: Runbook, marks: set[Mark | None]) -> str:
    if mark is Mark.SERVICE_RESTORED:
        return "" if runbook.measure.availability else "nobody watches; add 'measure: availability:'"
    if mark is Mark.RECOVERY_POINT:
        return "" if runbook.measure.data else "nobody writes markers; add 'measure: data:'"
    return "" if mark in marks else f"no step sets the mark {mark.value!r}; add 'mark: {mark.value}' to one"


def _show(span: timedelta) -> str:
    return show(span.total_seconds())
