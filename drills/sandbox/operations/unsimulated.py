"""Operations that moto accepts although nothing follows from them: refused, so that no drill is told a lie.

Each was seen to answer success without its effect in moto 5.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.sandbox.operations import not_simulated, op

if TYPE_CHECKING:
    from drills.sandbox.operations import Visit
    from drills.sandbox.wire import Reply

_NO_JOB = "moto would say it is done, and no data would have moved"
_NO_POWER = "moto would change a word, and the real PostgreSQL would go on"
_ONE_DB = "each site has one PostgreSQL; this would be a database without a server behind it"

UNSIMULATED: dict[str, dict[str, str]] = {
    "rds": {
        "CreateDBInstance": _ONE_DB,
        "RestoreDBInstanceFromDBSnapshot": _ONE_DB,
        "RestoreDBInstanceToPointInTime": "moto would restore today's data for any time asked",
        "CreateDBCluster": _ONE_DB,
        "RestoreDBClusterFromSnapshot": _ONE_DB,
        "RestoreDBClusterToPointInTime": _ONE_DB,
        "CreateGlobalCluster": "no writer ever moves in moto's global clusters",
        "FailoverDBCluster": _NO_POWER,
        "PromoteReadReplicaDBCluster": _NO_POWER,
        "RemoveFromGlobalCluster": _NO_POWER,
        "CreateBlueGreenDeployment": _ONE_DB,
        "SwitchoverBlueGreenDeployment": _NO_POWER,
        "StartDBInstance": _NO_POWER,
        "StopDBInstance": _NO_POWER,
        "RebootDBInstance": _NO_POWER,
        "CreateDBSnapshot": _NO_JOB,
        "CopyDBSnapshot": _NO_JOB,
        "StartExportTask": _NO_JOB,
    },
    "dynamodb": {
        "RestoreTableToPointInTime": "moto would restore today's content for any time asked",
        "CreateGlobalTable": "no item is replicated",
    },
    "s3": {"PutBucketReplication": "the rule is kept and no object is replicated"},
    "ssm": {"SendCommand": "the command would succeed without being run"},
    "elbv2": {"DescribeTargetHealth": "the targets' health is not checked"},
    "cloudwatch": {
        "PutCompositeAlarm": "composite alarms are not evaluated",
        "PutAnomalyDetector": "no anomaly is detected",
    },
    "elasticache": {"ModifyReplicationGroup": "the primary does not move"},
    "kms": {
        "DisableKey": "a disabled key would go on decrypting",
        "ScheduleKeyDeletion": "the key would go on working",
    },
    "events": {"DisableRule": "the disabled rule would go on delivering"},
    "lambda": {"PutFunctionConcurrency": "the function would not be throttled"},
}


def _refuse(visit: Visit) -> Reply:
    raise not_simulated(visit.call, UNSIMULATED[visit.call.service][visit.call.operation])


for _service, _operations in UNSIMULATED.items():
    op(_service, *_operations)(_refuse)


@op("dynamodb", "UpdateTable")
def update_table(visit: Visit) -> Reply:
    """Refuse replicas, which moto drops without a word; let every other change through."""
    if visit.call.parameters().get("ReplicaUpdates"):
        raise not_simulated(visit.call, "no item is replicated")
    return visit.forward()


@op("cloudwatch", "PutMetricAlarm")
def put_metric_alarm(visit: Visit) -> Reply:
    """Refuse metric math and percentiles, which are not evaluated; every other alarm is."""
    parameters = visit.call.parameters()
    if parameters.get("Metrics") or parameters.get("ExtendedStatistic") or parameters.get("ThresholdMetricId"):
        raise not_simulated(visit.call, "alarms on metric math, percentiles or anomalies are not evaluated")
    return visit.forward()
