"""Auto Scaling: sizes AWS would refuse are refused, and what is not carried out is not accepted."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from drills.sandbox.operations import not_simulated, op
from drills.sandbox.wire import ApiError

if TYPE_CHECKING:
    from drills.sandbox.operations import Visit
    from drills.sandbox.wire import Reply

_UNHEEDED = {"Launch", "Terminate", "AddToLoadBalancer", "AZRebalance"}
"""Processes moto goes on with although they are suspended."""


@op("autoscaling", "SetDesiredCapacity")
def set_desired_capacity(visit: Visit) -> Reply:
    """Refuse a desired capacity outside minimum and maximum, which moto accepts."""
    parameters = visit.call.parameters()
    group = _group(visit, parameters)
    if group is not None:
        desired = int(parameters["DesiredCapacity"])
        name = "SetDesiredCapacity"
        if desired > int(group.max_size):
            raise _invalid(f"New {name} value {desired} is above max value {group.max_size} for the AutoScalingGroup.")
        if desired < int(group.min_size):
            raise _invalid(f"New {name} value {desired} is below min value {group.min_size} for the AutoScalingGroup.")
    return visit.forward()


@op("autoscaling", "UpdateAutoScalingGroup")
def update_auto_scaling_group(visit: Visit) -> Reply:
    """Refuse sizes that contradict each other; without a desired capacity AWS moves it inside the new limits."""
    parameters = visit.call.parameters()
    group = _group(visit, parameters)
    if group is not None:
        least = int(parameters.get("MinSize", group.min_size))
        most = int(parameters.get("MaxSize", group.max_size))
        if least > most:
            raise _invalid("Min bound is greater than max bound")
        desired = parameters.get("DesiredCapacity")
        if desired is not None and not least <= int(desired) <= most:
            raise _invalid(
                f"Desired capacity:{desired} must be between the specified min size:{least} and max size:{most}"
            )
    return visit.forward()


@op("autoscaling", "SetInstanceHealth")
def set_instance_health(visit: Visit) -> Reply:
    """Remember who was declared unhealthy: such an instance is replaced although its application listens.

    One that no group manages has no health, as in AWS; moto breaks on it. A call that moto refuses leaves no mark.
    """
    parameters = visit.call.parameters()
    instance = str(parameters.get("InstanceId", ""))
    groups = visit.backend("autoscaling").autoscaling_groups.values()
    if not any(state.instance.id == instance for group in groups for state in group.instance_states):
        raise _invalid(f"Instance Id not found - No managed instance found for instance ID: {instance}")
    reply = visit.forward()
    if reply.status >= HTTPStatus.BAD_REQUEST:
        return reply
    for site in visit.world.sites.values():
        if (site.account, site.region) == (visit.account, visit.region) and instance in site.started:
            mark = site.condemned.add if parameters.get("HealthStatus") == "Unhealthy" else site.condemned.discard
            mark(instance)
    return reply


@op("autoscaling", "SuspendProcesses")
def suspend_processes(visit: Visit) -> Reply:
    """Refuse to suspend what would go on anyway."""
    named = {str(name) for name in visit.call.parameters().get("ScalingProcesses") or _UNHEEDED}
    if named & _UNHEEDED:
        raise not_simulated(visit.call, f"{', '.join(sorted(named & _UNHEEDED))} would go on")
    return visit.forward()


def _group(visit: Visit, parameters: dict[str, Any]) -> Any | None:
    return visit.backend("autoscaling").autoscaling_groups.get(str(parameters.get("AutoScalingGroupName", "")))


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationError", message)
