"""What a runbook may name: explicit tables from a name to its class, loaded only when a runbook names it.

To add work, write its class in ``drills/services/`` and its line here; a meta-test loads all of them and checks
that each has runnable YAML, permissions, and a way back or a reason why not.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from drills.errors import DrillsError
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drills.services.spec import Spec

ACTIONS: Final[dict[str, str]] = {
    "autoscaling.set_capacity": "drills.services.autoscaling:SetCapacity",
    "aws.call": "drills.services.aws_call:AwsCall",
    "ec2.start_instances": "drills.services.ec2:StartInstances",
    "flow.nothing": "drills.services.flow:Nothing",
    "rds.fence_writer": "drills.services.rds_fence:FenceWriter",
    "rds.promote_read_replica": "drills.services.rds:PromoteReadReplica",
    "route53.failover_to": "drills.services.route53:FailoverTo",
}

FAULTS: Final[dict[str, str]] = {
    "ec2.stop_instances": "drills.services.ec2:StopInstances",
    "fis.experiment": "drills.services.fis:Experiment",
    "site.isolate": "drills.services.site:Isolate",
}

PROBES: Final[dict[str, str]] = {
    "aurora.latest_snapshot": "drills.services.rds_points:AuroraLatestSnapshot",
    "aurora.restorable_time": "drills.services.rds_points:AuroraRestorableTime",
    "autoscaling.in_service": "drills.services.autoscaling:InService",
    "aws.read": "drills.services.aws_read:AwsRead",
    "backup.latest_recovery_point": "drills.services.backup_points:LatestRecoveryPoint",
    "backup.restored_point": "drills.services.backup_points:RestoredPoint",
    "cloudwatch.alarm_quiet": "drills.services.cloudwatch:AlarmQuiet",
    "dns.answers": "drills.services.dns:DnsAnswers",
    "drs.latest_snapshot": "drills.services.drs_points:LatestSnapshot",
    "dynamodb.pitr": "drills.services.dynamodb_points:Pitr",
    "dynamodb.restored_to": "drills.services.dynamodb_points:RestoredTo",
    "ec2.instances_running": "drills.services.ec2:InstancesRunning",
    "ec2.latest_ami": "drills.services.ec2_points:LatestAmi",
    "ec2.latest_ebs_snapshot": "drills.services.ec2_points:LatestEbsSnapshot",
    "efs.last_replicated": "drills.services.efs_points:LastReplicated",
    "fis.experiment_state": "drills.services.fis_probes:ExperimentState",
    "fis.safety_lever": "drills.services.fis_probes:SafetyLever",
    "flow.wait": "drills.services.flow:Wait",
    "http.answers": "drills.services.http:HttpAnswers",
    "rds.available": "drills.services.rds:Available",
    "rds.is_writer": "drills.services.rds:IsWriter",
    "rds.latest_snapshot": "drills.services.rds_points:LatestSnapshot",
    "rds.replica_lag": "drills.services.rds:ReplicaLag",
    "rds.replicated_backup": "drills.services.rds_points:ReplicatedBackup",
    "rds.restorable_time": "drills.services.rds_points:RestorableTime",
    "route53.health_check_status": "drills.services.route53:HealthCheckStatus",
    "route53.in_sync": "drills.services.route53:InSync",
    "s3.replication_status": "drills.services.s3_points:ReplicationStatus",
    "sql.accepts_writes": "drills.services.sql:AcceptsWrites",
    "sql.caught_up": "drills.services.sql_standby:CaughtUp",
    "sql.has_standby": "drills.services.sql_standby:HasStandby",
    "sql.query": "drills.services.sql:Query",
    "sql.receiver_stopped": "drills.services.sql:ReceiverStopped",
    "sql.replicating": "drills.services.sql:Replicating",
    "sql.writes_refused": "drills.services.sql:WritesRefused",
    "sts.caller_is_account": "drills.services.sts:CallerIsAccount",
}

OPERATORS: Final[dict[str, str]] = {
    "confirm": "drills.services.operator:Confirm",
    "task": "drills.services.operator:Task",
}

_TABLES: Final[Mapping[Kind, dict[str, str]]] = MappingProxyType(
    {Kind.ACTION: ACTIONS, Kind.FAULT: FAULTS, Kind.PROBE: PROBES, Kind.OPERATOR: OPERATORS}
)


class UnknownWork(DrillsError):
    """A runbook names work that the catalogue does not have."""

    exit_code = 5


def names(kind: Kind) -> tuple[str, ...]:
    """Give the names of all work of ``kind``, sorted; imports no service."""
    return tuple(sorted(_TABLES[kind]))


def load(kind: Kind, name: str) -> type[Spec]:
    """Import the one module that holds ``name`` and give its class.

    Raises ``UnknownWork`` with the nearest name, or with the kind under which the name does exist.
    """
    where = _TABLES[kind].get(name)
    if where is None:
        raise UnknownWork(_unknown(kind, name))
    return _imported(where)


@cache
def _imported(where: str) -> type[Spec]:
    module, _, attribute = where.partition(":")
    found: type[Spec] = getattr(import_module(module), attribute)
    return found


def _unknown(kind: Kind, name: str) -> str:
    for other, table in _TABLES.items():
        if other is not kind and name in table:
            return f"{name} is of kind {other}, not {kind}; write '{other}: {name}'"
    near = get_close_matches(name, _TABLES[kind], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names(kind))}"
    return f"there is no {kind} {name!r}; {hint}"
