"""Recovery points in a runbook: probes that say when one is, and objectives that are judged by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.runbook.problems import did_you_mean
from drills.runbook.works import check_fields
from drills.timeline.marks import Basis, Mark
from drills.work import Evidence, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from drills.runbook.model import Listed, Runbook
    from drills.runbook.objectives import Target
    from drills.runbook.problems import Problems
    from drills.runbook.works import Traits, Works
    from drills.yamldoc import Node, Where

TELLS = frozenset({Evidence.RECOVERY_POINT, Evidence.RESTORED_POINT})
"""What a probe must be able to say to stand under ``recovery_points``."""


def check_points(runbook: Runbook, works: Works, scope: Mapping[str, Node], problems: Problems) -> dict[Where, Traits]:
    """Check each probe under ``measure.recovery_points``; give what it declares, by where it stands."""
    traits: dict[Where, Traits] = {}
    for one in runbook.points():
        found = works.find(Kind.PROBE, one.step.uses)
        if isinstance(found, str):
            problems.add((*one.where, "probe"), found)
            continue
        if not TELLS & set(found.evidence):
            problems.add((*one.where, "probe"), _no_point(one.step.uses, found))
            continue
        traits[one.where] = check_fields(found, one.step.with_, scope, (*one.where, "with"), problems)
    return traits


def _no_point(name: str, found: Traits) -> str:
    if Evidence.LAG in found.evidence:
        return (
            f"{name} tells a lag: a prediction, which proves no recovery point; put it under 'before' or 'guard', "
            "and ask here for example rds.restorable_time"
        )
    return f"{name} does not say when a recovery point is; ask for example rds.restorable_time or dynamodb.pitr"


def check_basis(runbook: Runbook, listed: Iterable[Listed], traits: Mapping[Where, Traits], problems: Problems) -> None:
    """Check that an objective judged by a restored point has one, and a step that proves the content of the copy."""
    points = {one.id for one in runbook.measure.recovery_points}
    checks = [one for one in listed if one.section in ("steps", "after") and _checks(traits.get(one.where))]
    for name, goal in runbook.objectives.items():
        where = ("objectives", name)
        if goal.basis is Basis.MARKERS:
            for number, seen in enumerate(goal.seen_by):
                if seen in points:
                    told = f"{name}: {seen!r} is a recovery point: evidence, which judges with 'basis: restored_point'"
                    problems.add((*where, "seen_by", number), told)
            continue
        for message in _wrong_basis(name, goal, points):
            problems.add((*where, "basis"), message)
        if not checks:
            told = (
                f"{name}: a restored point judges only after the content of the copy was checked; add a step such as "
                "'probe: sql.query' to 'steps' or 'after'"
            )
            problems.add((*where, "basis"), told)


def _wrong_basis(name: str, goal: Target, points: set[str]) -> Iterable[str]:
    if (goal.begins, goal.ends) != (Mark.RECOVERY_POINT, Mark.DISASTER):
        yield f"{name}: only an objective from recovery_point to disaster has a basis; remove it"
    elif not points:
        yield f"{name}: nothing says when the recovery point is; add a probe under 'measure: recovery_points:'"
    else:
        for seen in goal.seen_by:
            if seen not in points:
                yield f"{name}: {seen!r} is no recovery point; {did_you_mean(seen, points)}"


def _checks(found: Traits | None) -> bool:
    """Say whether a step can prove content; of work that varies, its class may not know yet."""
    return found is not None and Evidence.CONTENT_CHECKED in found.evidence
