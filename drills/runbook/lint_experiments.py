"""Warnings about experiments of AWS FIS beside the guards of their runbook."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from drills.fis.template import alarm_name, alarms, fill
from drills.runbook.interpolate import finish

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drills.fis.template import Table
    from drills.runbook.model import Listed, Step
    from drills.runbook.problems import Problems


def experiments(listed: Iterable[Listed], problems: Problems) -> None:
    """Warn of a guard's alarm that FIS does not know of: it stops the drill, and not the experiment by itself.

    Only an alarm of the place where the experiment runs can be among its stop conditions.
    """
    listed = tuple(listed)
    for one in listed:
        if one.step.uses != "fis.experiment" or not isinstance(one.step.with_.get("template"), dict):
            continue
        known = _stops(one.step)
        if "" in known:
            continue  # the ARN of an alarm comes later, and may be that of the guard's
        for guard in listed:
            alarm = guard.step.with_.get("alarm")
            watched = guard.section == "guard" and guard.step.uses == "cloudwatch.alarm_quiet"
            if watched and guard.step.at == one.step.at and isinstance(alarm, str) and alarm not in known:
                told = (
                    f"{one.step.id}: the alarm of the guard {guard.step.id} ({alarm}) is not among the stop conditions "
                    "of the template; add it, so that FIS ends the experiment even when nobody drives the drill"
                )
                problems.warn((*one.where, "with", "template"), told)


def _stops(step: Step) -> frozenset[str]:
    """Give the names of the alarms that stop the experiment, as they are written in the runbook."""
    parameters = cast("Table", step.with_.get("parameters") or {})
    template = cast("Table", fill(finish(step.with_["template"]), parameters))
    return frozenset(alarm_name(arn) for arn in alarms(template))
