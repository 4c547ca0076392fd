"""EC2: instances whose applications are real processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drills.sandbox.operations import op
from drills.sandbox.wire import ApiError

if TYPE_CHECKING:
    from drills.sandbox.operations import Visit
    from drills.sandbox.state import Site
    from drills.sandbox.wire import Reply

STOPPING = ("stopping", 64)
SHUTTING_DOWN = ("shutting-down", 32)
REFUSED = 400


@op("ec2", "StartInstances")
def start_instances(visit: Visit) -> Reply:
    """Start stopped instances; a terminated one is refused (moto would revive it)."""
    _refuse_terminated(visit)
    return visit.forward()


@op("ec2", "StopInstances")
def stop_instances(visit: Visit) -> Reply:
    """Stop instances: ``stopping`` until their applications are gone."""
    _refuse_terminated(visit)
    reply = visit.forward()
    if reply.status >= REFUSED:
        return reply
    forced = str(visit.call.parameters().get("Force", False)).lower() == "true"
    for instance, site in _ours(visit):
        if instance.id in site.seen.listening:
            instance._state.name, instance._state.code = STOPPING  # noqa: SLF001 - moto keeps the state there
        if forced:
            site.force_stop.add(instance.id)
    return reply


@op("ec2", "TerminateInstances")
def terminate_instances(visit: Visit) -> Reply:
    """Terminate instances: ``shutting-down`` until their applications are gone."""
    reply = visit.forward()
    for instance, site in _ours(visit):
        if instance.id in site.seen.listening and instance.state == "terminated":
            instance._state.name, instance._state.code = SHUTTING_DOWN  # noqa: SLF001 - moto keeps the state there
    return reply


def _named(visit: Visit) -> list[Any]:
    wanted = {str(name) for name in visit.call.parameters().get("InstanceIds", [])}
    return [one for one in visit.backend("ec2").all_instances() if one.id in wanted]


def _ours(visit: Visit) -> list[tuple[Any, Site]]:
    sites = {site.vpc: site for site in visit.world.sites.values() if site.account == visit.account}
    return [(one, sites[one.vpc_id]) for one in _named(visit) if one.vpc_id in sites]


def _refuse_terminated(visit: Visit) -> None:
    for instance in _named(visit):
        if instance.state in {"terminated", SHUTTING_DOWN[0]}:
            message = f"This instance '{instance.id}' is not in a state from which it can be started or stopped."
            raise ApiError("IncorrectInstanceState", message)
