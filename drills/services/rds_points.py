"""RDS instances and Aurora clusters: when the newest recovery point is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field

from drills.aws.classify import mapped
from drills.services.rds import AVAILABLE, describe
from drills.services.recovery_point import NoPoint, Point, RecoveryPointSpec, newest, pages
from drills.work import Aws

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_rds import RDSClient

USABLE_BACKUPS: Final = frozenset({"active", "retained"})
"""Statuses of automated backups from which an instance can be restored."""


class RestorableTime(RecoveryPointSpec):
    """Read until when an RDS instance can be restored: its LatestRestorableTime.

    Usually some 5 minutes back. Gone with the instance, so what was told before the disaster counts.

    .. code-block:: yaml

        probe: rds.restorable_time
        with:
          db: orders-a
    """

    name: ClassVar[str] = "rds.restorable_time"
    told_by: ClassVar[str] = "RDS LatestRestorableTime"
    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBInstances",)

    db: str = Field(min_length=1, description="Identifier of the DB instance.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Read the instance once."""
        at = describe(aws, self.db).get("LatestRestorableTime")
        if at is None:
            return NoPoint(f"{self.db} has no LatestRestorableTime: are its automated backups switched on?")
        return Point(at, f"the latest restorable time of {self.db}")


class LatestSnapshot(RecoveryPointSpec):
    """Read when the newest usable snapshot of an RDS instance was taken, by hand or automatically.

    Of a copy the time of the original counts: a copy is made later, and holds no newer data.

    .. code-block:: yaml

        probe: rds.latest_snapshot
        with:
          db: orders-a
    """

    name: ClassVar[str] = "rds.latest_snapshot"
    told_by: ClassVar[str] = "RDS snapshot time"
    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBSnapshots",)

    db: str = Field(min_length=1, description="Identifier of the DB instance of which the snapshots are.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Read all snapshots of the instance once."""
        rds: RDSClient = aws.client("rds")
        listed = pages(rds, "describe_db_snapshots", "DBSnapshots", DBInstanceIdentifier=self.db)
        return newest(self._usable(listed), f"{self.db} has no snapshot that is {AVAILABLE}")

    def _usable(self, listed: Iterator[Any]) -> Iterator[Point]:
        for one in listed:
            at = one.get("OriginalSnapshotCreateTime") or one.get("SnapshotCreateTime")
            if one.get("Status") == AVAILABLE and at is not None:
                yield Point(at, f"snapshot {one.get('DBSnapshotIdentifier')}")


class ReplicatedBackup(RecoveryPointSpec):
    """Read until when the replicated automated backups of an RDS instance reach, in the region they are copied to.

    .. code-block:: yaml

        probe: rds.replicated_backup
        with:
          db: orders-a
    """

    name: ClassVar[str] = "rds.replicated_backup"
    told_by: ClassVar[str] = "RDS RestoreWindow.LatestTime"
    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBInstanceAutomatedBackups",)

    db: str = Field(min_length=1, description="Identifier of the source DB instance.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Read the automated backups once."""
        rds: RDSClient = aws.client("rds")
        key = "DBInstanceAutomatedBackups"
        listed = pages(rds, "describe_db_instance_automated_backups", key, DBInstanceIdentifier=self.db)
        usable = [one for one in listed if one.get("Status", "").lower() in USABLE_BACKUPS]
        ends = [one.get("RestoreWindow", {}).get("LatestTime") for one in usable]
        found = (Point(at, f"the replicated backup of {self.db}") for at in ends if at is not None)
        return newest(found, f"{self.db} has no automated backup in {aws.place.region} that can be restored from")


class AuroraRestorableTime(RecoveryPointSpec):
    """Read until when an Aurora cluster can be restored: its LatestRestorableTime.

    .. code-block:: yaml

        probe: aurora.restorable_time
        with:
          cluster: orders-a
    """

    name: ClassVar[str] = "aurora.restorable_time"
    told_by: ClassVar[str] = "Aurora LatestRestorableTime"
    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBClusters",)

    cluster: str = Field(min_length=1, description="Identifier of the DB cluster.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Read the cluster once."""
        rds: RDSClient = aws.client("rds")
        with mapped(writes=False):
            found = rds.describe_db_clusters(DBClusterIdentifier=self.cluster)["DBClusters"][0]
        at = found.get("LatestRestorableTime")
        if at is None:
            return NoPoint(f"{self.cluster} has no LatestRestorableTime: is it a cluster with backups?")
        return Point(at, f"the latest restorable time of {self.cluster}")


class AuroraLatestSnapshot(RecoveryPointSpec):
    """Read when the newest usable snapshot of an Aurora cluster was taken.

    Copies do not count: of a copied cluster snapshot AWS tells only when the copy was made.

    .. code-block:: yaml

        probe: aurora.latest_snapshot
        with:
          cluster: orders-a
    """

    name: ClassVar[str] = "aurora.latest_snapshot"
    told_by: ClassVar[str] = "Aurora snapshot time"
    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBClusterSnapshots",)

    cluster: str = Field(min_length=1, description="Identifier of the DB cluster of which the snapshots are.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Read all snapshots of the cluster once."""
        rds: RDSClient = aws.client("rds")
        key = "DBClusterSnapshots"
        listed = [*pages(rds, "describe_db_cluster_snapshots", key, DBClusterIdentifier=self.cluster)]
        usable = [one for one in listed if one.get("Status") == AVAILABLE and one.get("SnapshotCreateTime")]
        own = [one for one in usable if not one.get("SourceDBClusterSnapshotArn")]
        found = (Point(one["SnapshotCreateTime"], f"snapshot {one['DBClusterSnapshotIdentifier']}") for one in own)
        copies = f"; {len(usable)} copies do not tell their data's time, ask where they come from" if usable else ""
        return newest(found, f"{self.cluster} has no snapshot of its own that is {AVAILABLE}{copies}")
