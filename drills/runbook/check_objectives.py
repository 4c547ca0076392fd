"""What must hold of the objectives of a runbook: who judges them is there, and their times fit each other."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

from drills.durations import show
from drills.runbook.fields import mapping
from drills.runbook.problems import did_you_mean
from drills.timeline.marks import Limits, Mark
from drills.yamldoc import at

if TYPE_CHECKING:
    from drills.runbook.model import Runbook
    from drills.runbook.objectives import Target
    from drills.runbook.problems import Problems


def check_objectives(runbook: Runbook, problems: Problems) -> None:
    """Check the observers that objectives name, and that the recovery times fit into the tolerable downtime."""
    observers = {one.id for one in runbook.measure.availability}
    stores = {one.id for one in runbook.measure.data}
    watches = observers | stores | {one.id for one in runbook.measure.recovery_points}
    judges = {
        Limits.INTERVAL: (watches, "'measure'"),
        Limits.DOWNTIME: (observers, "'measure: availability'"),
        Limits.LOST_ROWS: (stores, "'measure: data'"),
    }
    for name, (limits, seen_by) in _seen_by(runbook, problems).items():
        known, place = judges[limits]
        for number, seen in enumerate(seen_by):
            if seen not in known:
                told = f"{name}: nothing under {place} is called {seen!r}; {did_you_mean(seen, known)}"
                problems.add(("objectives", name, "seen_by", number), told)
            elif seen in seen_by[:number]:
                problems.add(
                    ("objectives", name, "seen_by", number), f"{name}: {seen!r} stands there twice; remove one"
                )
    for name, goal in runbook.objectives.items():
        for field in ("seen_by", "joint"):
            if field in goal.model_fields_set and not getattr(goal, field):
                told = f"{name}: {field} is empty; name the observers, or remove it: then all of them count"
                problems.add(("objectives", name, field), told)
        _check_joint(name, goal, observers, problems)
    _check_downtime(runbook, problems)


def _seen_by(runbook: Runbook, problems: Problems) -> dict[str, tuple[Limits, tuple[str, ...]]]:
    """Give what each objective limits and who it names; of one that cannot be read, what can be."""
    found = {name: (goal.limits, goal.seen_by) for name, goal in runbook.objectives.items()}
    for name, node in (mapping(at(problems.doc.data, ("objectives",))) or {}).items():
        given = mapping(node) or {}
        listed = given.get("seen_by")
        seen_by = (
            tuple(one for one in cast("list[object]", listed) if isinstance(one, str))
            if isinstance(listed, list)
            else ()
        )
        limits = next((one for one in Limits if one.value in (name, given.get("limits"))), Limits.INTERVAL)
        found.setdefault(name, (limits, seen_by))
    return found


def _check_joint(name: str, goal: Target, observers: set[str], problems: Problems) -> None:
    """Check that ``joint`` makes one of several availability observers, and of a restoration."""
    where = ("objectives", name, "joint")
    for number, seen in enumerate(goal.joint):
        if seen not in observers:
            told = f"{name}: nothing under 'measure: availability' is called {seen!r}; {did_you_mean(seen, observers)}"
            problems.add((*where, number), told)
        elif seen in goal.joint[:number]:
            problems.add((*where, number), f"{name}: {seen!r} stands there twice; remove one")
    if len(goal.joint) == 1:
        problems.add(where, f"{name}: joint makes one of two or more observers; add another, or use seen_by")
    if goal.joint and goal.limits is Limits.INTERVAL and Mark.SERVICE_RESTORED not in (goal.begins, goal.ends):
        problems.add(where, f"{name}: joint says when the service is restored; remove it, or end at service_restored")


def _check_downtime(runbook: Runbook, problems: Problems) -> None:
    """Check that MTD = RTO + WRT: the parts must fit into the whole."""
    rto, wrt, mtd = (runbook.objectives.get(name) for name in ("rto", "wrt", "mtd"))
    if mtd is None or rto is None or mtd.within is None or rto.within is None:
        return
    parts = rto.within + ((wrt.within if wrt is not None else None) or timedelta(0))
    if parts > mtd.within:
        named = "rto + wrt" if wrt is not None else "rto"
        told = (
            f"{named} = {_show(parts)} is more than mtd = {_show(mtd.within)}: MTD = RTO + WRT; raise it, or lower them"
        )
        problems.add(("objectives", "mtd"), told)


def _show(span: timedelta) -> str:
    return show(span.total_seconds())
