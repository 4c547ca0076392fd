"""Writes into moto what the real processes are like, so that a waiter waits and a probe sees what is so.

Everything here is called with ``Cloud.lock`` held, and touches memory only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drills.clock import NS
from drills.sandbox.repairs import REAL_ADDRESS
from drills.sandbox.state import Outage, Work

if TYPE_CHECKING:
    from drills.sandbox.state import Site, World

_ENDS = {"stopping": ("stopped", 80), "shutting-down": ("terminated", 48)}
_STATUS = {Work.PROMOTING: "modifying", Work.CREATING: "creating", Work.FAILED: "failed"}
_OURS = {"available", "modifying", "creating", "failed"}
_REPLACING = {"HealthCheck", "ReplaceUnhealthy"}


def write_back(world: World) -> None:
    """Bring moto's picture of databases, instances and groups up to what was last seen."""
    for site in world.sites.values():
        database_status(world, site)
        group_members(world, site)
        instance_states(world, site)
        replace_unhealthy(world, site)


def database_status(world: World, site: Site) -> None:
    """Set DBInstanceStatus and StatusInfos.

    A killed site's database is ``failed``: its server is gone, as after the loss of its storage. A black hole's is
    ``available``: RDS still sees its server, only nobody reaches it.
    """
    database = None if site.db is None else world.cloud.database(site.db)
    if database is None:
        return
    status = _STATUS.get(site.work) or ("failed" if site.lost is Outage.KILL else "available")
    if database.status in _OURS:
        database.status = status
    host, database.port = world.databases[site.name]
    setattr(database, REAL_ADDRESS, host)
    database.status_infos = [_replication(site)] if database.is_replica and site.work is not Work.CREATING else []


def _replication(site: Site) -> dict[str, object]:
    normal = site.seen.streaming
    told: dict[str, object] = {
        "StatusType": "read replication",
        "Normal": normal,
        "Status": "replicating" if normal else "error",
    }
    return told if normal else {**told, "Message": "the standby receives nothing from its source"}


def group_members(world: World, site: Site) -> None:
    """Set LifecycleState and HealthStatus: Pending until the application listens, Unhealthy when it does no more."""
    site.served |= site.seen.listening
    for state in world.cloud.group_members(site.account, site.region, site.vpc):
        name = str(state.instance.id)
        up = name in site.seen.listening and state.instance.state == "running"
        if state.lifecycle_state == "InService" and name not in site.served:
            state.lifecycle_state = "Pending"
        elif state.lifecycle_state == "Pending" and up:
            state.lifecycle_state = "InService"
        if state.lifecycle_state == "InService":
            well = up and name not in site.condemned
            state.health_status = "Healthy" if well else "Unhealthy"
            if well:
                site.unwell_since_ns.pop(name, None)
            else:
                site.unwell_since_ns.setdefault(name, world.now_ns())


def instance_states(world: World, site: Site) -> None:
    """Finish ``stopping`` and ``shutting-down`` once the application is gone."""
    for instance in world.cloud.all_instances(site.account, site.region, site.vpc):
        end = _ENDS.get(instance.state)
        if end is not None and instance.id not in site.seen.listening:
            instance._state.name, instance._state.code = end  # noqa: SLF001 - moto keeps the state there


def replace_unhealthy(world: World, site: Site) -> None:
    """Terminate an instance that was unhealthy for long enough; moto's group then launches another.

    A lost site replaces nothing: there is no capacity to launch in.
    """
    if site.lost is not None:
        site.unwell_since_ns.clear()
        return
    limit_ns = world.now_ns() - int(world.profile.replace_unhealthy_after_s * NS)
    old = {name for name, since in site.unwell_since_ns.items() if since <= limit_ns}
    for state in list(world.cloud.group_members(site.account, site.region, site.vpc)):
        name = str(state.instance.id)
        if name not in old or _suspended(state.auto_scaling_group):
            continue
        world.cloud.backend("ec2", site.account, site.region).terminate_instances([name])
        # moto's EC2 tells its Auto Scaling only when it is asked over HTTP.
        world.cloud.backend("autoscaling", site.account, site.region).notify_terminate_instances([name])
        site.unwell_since_ns.pop(name, None)
        site.condemned.discard(name)
        world.effects.add(site.name, "instance_replaced", name)


def _suspended(group: Any) -> bool:
    return any(item["ProcessName"] in _REPLACING for item in group.suspended_processes)
