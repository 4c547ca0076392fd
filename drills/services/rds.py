"""RDS instances: promote a replica, see who writes, and how far behind a replica is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import Field

from drills import durations
from drills.aws.classify import mapped
from drills.clock import NS, SystemClock
from drills.services.spec import ActionSpec, Duration, ProbeSpec
from drills.services.tags import labels
from drills.timeline.facts import Before, Facts, Receipt
from drills.work import Aws, Cost, Evidence, Observation, Target

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_rds.type_defs import DBInstanceTypeDef

AVAILABLE: Final = "available"
BROKEN: Final = frozenset(
    {
        "deleted",
        "deleting",
        "failed",
        "inaccessible-encryption-credentials",
        "incompatible-network",
        "incompatible-option-group",
        "incompatible-parameters",
        "incompatible-restore",
        "restore-error",
        "storage-full",
    }
)
"""Statuses that no waiting mends."""
LAG_WINDOW: Final = timedelta(minutes=5)


def describe(aws: Aws, db: str) -> DBInstanceTypeDef:
    """Read one instance; ``Missing`` when there is none of that name in the place."""
    rds: RDSClient = aws.client("rds")
    with mapped(writes=False):
        return rds.describe_db_instances(DBInstanceIdentifier=db)["DBInstances"][0]


def source_of(instance: DBInstanceTypeDef) -> str:
    """Give the instance (or cluster) that this one replicates from; empty when it is a writer."""
    cluster = instance.get("ReadReplicaSourceDBClusterIdentifier", "")
    return instance.get("ReadReplicaSourceDBInstanceIdentifier", "") or cluster


def targets(aws: Aws, db: str) -> tuple[Target, ...]:
    """Name one instance with its tags."""
    return (Target(db, labels(describe(aws, db).get("TagList", []))),)


class PromoteReadReplica(ActionSpec):
    """Make a read replica a writer of its own. There is no way back: this is the point of no return.

    What the replica has not received by then is lost. The instance restarts; wait with ``sql.accepts_writes``.

    .. code-block:: yaml

        action: rds.promote_read_replica
        with:
          db: orders-b
    """

    name: ClassVar[str] = "rds.promote_read_replica"
    cost: ClassVar[Cost] = Cost.NONE
    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBInstances", "rds:PromoteReadReplica")
    one_way: ClassVar[str | None] = (
        "a promoted replica never follows its source again; rebuild one with "
        "`aws rds create-db-instance-read-replica` in the old region, then switch back as planned"
    )
    authority: ClassVar[bool] = True

    db: str = Field(min_length=1, description="Identifier of the replica.")
    backup_retention_days: int | None = Field(default=None, ge=1, le=35, description="Days of backups from now on.")

    def targets(self, aws: Aws) -> tuple[Target, ...]:
        """Name the replica."""
        return targets(aws, self.db)

    def capture(self, aws: Aws) -> Before:
        """Remember which source it followed."""
        instance = describe(aws, self.db)
        return Before(db=self.db, region=aws.place.region, source=source_of(instance))

    def already(self, aws: Aws) -> Observation:
        """Say whether it follows nobody and is available."""
        return _writer(describe(aws, self.db), self.db)

    def perform(self, aws: Aws, before: Before) -> Receipt:
        """Ask for the promotion; AWS carries it out over the next minutes."""
        rds: RDSClient = aws.client("rds")
        with mapped(writes=True):
            if self.backup_retention_days is None:
                answer = rds.promote_read_replica(DBInstanceIdentifier=self.db)
            else:
                answer = rds.promote_read_replica(
                    DBInstanceIdentifier=self.db, BackupRetentionPeriod=self.backup_retention_days
                )
        return Receipt(
            db=self.db, source=before.get("source", ""), status=answer["DBInstance"].get("DBInstanceStatus", "")
        )


class IsWriter(ProbeSpec):
    """Say whether an instance is a writer: it follows nobody and is available.

    .. code-block:: yaml

        probe: rds.is_writer
        with:
          db: orders-b
    """

    name: ClassVar[str] = "rds.is_writer"
    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBInstances",)

    db: str = Field(min_length=1, description="Identifier of the DB instance.")

    def observe(self, aws: Aws) -> Observation:
        """Look at the instance once."""
        return _writer(describe(aws, self.db), self.db)


class Available(ProbeSpec):
    """Say whether an instance is available; a status that no waiting mends ends the wait.

    .. code-block:: yaml

        probe: rds.available
        with:
          db: orders-b
    """

    name: ClassVar[str] = "rds.available"
    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBInstances",)

    db: str = Field(min_length=1, description="Identifier of the DB instance.")

    def observe(self, aws: Aws) -> Observation:
        """Look at the instance once."""
        status = describe(aws, self.db).get("DBInstanceStatus", "")
        return Observation(
            ok=status == AVAILABLE, detail=f"{self.db} is {status}", value=Facts(status=status), final=status in BROKEN
        )


class ReplicaLag(ProbeSpec):
    """Say whether a replica follows its source closely: a gate and a prediction, never an achieved RPO.

    Reads CloudWatch ``ReplicaLag`` (seconds, of the last 5 minutes) and the replica's own status. -1 means that it
    does not replicate; no figure at all is no answer.

    .. code-block:: yaml

        probe: rds.replica_lag
        with:
          db: orders-b
          at_most: 30s
    """

    name: ClassVar[str] = "rds.replica_lag"
    permissions: ClassVar[tuple[str, ...]] = ("cloudwatch:GetMetricStatistics", "rds:DescribeDBInstances")
    evidence: ClassVar[frozenset[Evidence]] = frozenset({Evidence.LAG})

    db: str = Field(min_length=1, description="Identifier of the replica.")
    at_most: Duration = Field(description="The largest lag that is accepted.")

    def observe(self, aws: Aws) -> Observation:
        """Look at the replica and at its metric once."""
        instance = describe(aws, self.db)
        if not source_of(instance):
            return Observation(ok=False, detail=f"{self.db} is no replica: it follows nobody")
        for info in instance.get("StatusInfos", []):
            if info.get("StatusType") == "read replication" and info.get("Normal") is False:
                return Observation(
                    ok=False, detail=f"{self.db}: replication {info.get('Status')}: {info.get('Message')}"
                )
        lag_s = self._lag_s(aws)
        if lag_s is None:
            return Observation(ok=None, detail=f"{self.db}: no ReplicaLag in the last {LAG_WINDOW}")
        if lag_s < 0:
            return Observation(ok=False, detail=f"{self.db} does not replicate (ReplicaLag {lag_s:g})")
        limit_s = self.at_most.total_seconds()
        detail = f"{self.db} is {durations.show(lag_s)} behind; {durations.show(limit_s)} is accepted"
        return Observation(ok=lag_s <= limit_s, detail=detail, value=Facts(lag_s=lag_s))

    def _lag_s(self, aws: Aws) -> float | None:
        cloudwatch: CloudWatchClient = aws.client("cloudwatch")
        now = datetime.fromtimestamp(SystemClock().now().utc_ns / NS, UTC)
        with mapped(writes=False):
            points = cloudwatch.get_metric_statistics(
                Namespace="AWS/RDS",
                MetricName="ReplicaLag",
                Dimensions=[{"Name": "DBInstanceIdentifier", "Value": self.db}],
                StartTime=now - LAG_WINDOW,
                EndTime=now + timedelta(minutes=1),
                Period=60,
                Statistics=["Maximum"],
            )["Datapoints"]
        # The newest minute: an old good figure must not hide a lag that grows.
        newest = max(points, key=lambda point: str(point.get("Timestamp")), default=None)
        return None if newest is None else newest.get("Maximum")


def _writer(instance: DBInstanceTypeDef, db: str) -> Observation:
    source, status = source_of(instance), instance.get("DBInstanceStatus", "")
    detail = f"{db} follows {source}" if source else f"{db} follows nobody and is {status}"
    return Observation(
        ok=not source and status == AVAILABLE,
        detail=detail,
        value=Facts(source=source, status=status),
        final=status in BROKEN,
    )
