"""FIS: experiments that do something (see ``experiments``), and the safety lever that moto has not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drills.sandbox.injections import why_not
from drills.sandbox.operations import not_simulated, op
from drills.sandbox.wire import ApiError

if TYPE_CHECKING:
    from drills.sandbox.operations import Visit
    from drills.sandbox.wire import Reply

LEVER = "default"


@op("fis", "StartExperiment")
def start_experiment(visit: Visit) -> Reply:
    """Start an experiment whose actions are all simulated; the reconcile loop carries it out."""
    template = visit.backend("fis").experiment_templates.get(str(visit.call.parameters()["experimentTemplateId"]))
    actions: dict[str, dict[str, Any]] = {} if template is None else template.actions
    for name, action in actions.items():
        reason = why_not(action)
        if reason:
            raise not_simulated(visit.call, f"{name}: {reason}")
    before = set(visit.backend("fis").experiments)
    reply = visit.forward()
    status, _ = visit.world.levers.get((visit.account, visit.region), ("disengaged", ""))
    if status != "disengaged":
        for identity in visit.backend("fis").experiments.keys() - before:
            one = visit.backend("fis").experiments[identity]
            one.STATUS_REASONS = {**one.STATUS_REASONS, "cancelled": "Experiment blocked by safety lever."}
            one.status = "cancelled"
    return reply


@op("fis", "GetSafetyLever")
def get_safety_lever(visit: Visit) -> Reply:
    """Tell how the account's lever stands in this region."""
    return _lever(visit)


@op("fis", "UpdateSafetyLeverState")
def update_safety_lever_state(visit: Visit) -> Reply:
    """Engage or disengage the lever; what runs is stopped by the reconcile loop."""
    state = visit.call.parameters()["state"]
    visit.world.levers[visit.account, visit.region] = (str(state["status"]), str(state["reason"]))
    return _lever(visit)


def _lever(visit: Visit) -> Reply:
    identity = str(visit.call.parameters()["id"])
    if identity != LEVER:
        raise ApiError("ResourceNotFoundException", f"Safety lever {identity} does not exist", 404)
    status, reason = visit.world.levers.get((visit.account, visit.region), ("disengaged", ""))
    arn = f"arn:aws:fis:{visit.region}:{visit.account}:safety-lever/{LEVER}"
    return visit.answer({"safetyLever": {"id": LEVER, "arn": arn, "state": {"status": status, "reason": reason}}})
