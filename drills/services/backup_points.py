"""AWS Backup: the newest recovery point of a resource, and the one that a restore job brought back."""

from __future__ import annotations

from itertools import islice
from typing import Any, ClassVar, Final

from pydantic import Field

from drills.aws.classify import mapped
from drills.services.recovery_point import NoPoint, Point, RecoveryPointSpec, pages
from drills.work import Aws, Evidence

COMPLETED: Final = "COMPLETED"
MOST_COPIES: Final = 10
"""Recovery points that are asked, newest first, until one is no copy."""


class LatestRecoveryPoint(RecoveryPointSpec):
    """Read when the newest completed AWS Backup recovery point of a resource was begun.

    A recovery point that was copied from another vault does not count: its data is older than the copy. Ask for
    the resource in the place where it is backed up.

    .. code-block:: yaml

        probe: backup.latest_recovery_point
        with:
          resource: arn:aws:rds:us-east-1:111122223333:db:orders-a
    """

    name: ClassVar[str] = "backup.latest_recovery_point"
    told_by: ClassVar[str] = "AWS Backup CreationDate"
    permissions: ClassVar[tuple[str, ...]] = ("backup:DescribeRecoveryPoint", "backup:ListRecoveryPointsByResource")

    resource: str = Field(pattern=r"^(arn:|\$\{)", description="ARN of the resource that is backed up.")
    vault: str = Field(default="", description="Only recovery points in the vault of this name; all, without it.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Read the resource's recovery points once, and the newest ones one by one until one is no copy."""
        backup: Any = aws.client("backup")
        listed = pages(backup, "list_recovery_points_by_resource", "RecoveryPoints", ResourceArn=self.resource)
        usable = [
            one
            for one in listed
            if one.get("Status") == COMPLETED
            and one.get("CreationDate") is not None
            and self.vault in ("", one.get("BackupVaultName"))
        ]
        where = f" in vault {self.vault}" if self.vault else ""
        if not usable:
            return NoPoint(f"{self.resource} has no recovery point{where} that is {COMPLETED}")
        usable.sort(key=lambda one: one["CreationDate"], reverse=True)
        for one in islice(usable, MOST_COPIES):
            with mapped(writes=False):
                whole = backup.describe_recovery_point(
                    BackupVaultName=one["BackupVaultName"], RecoveryPointArn=one["RecoveryPointArn"]
                )
            if whole.get("SourceBackupVaultArn") in (None, "", whole.get("BackupVaultArn")):
                return Point(one["CreationDate"], f"recovery point {one['RecoveryPointArn']}")
        return NoPoint(f"the newest recovery points of {self.resource}{where} are copies: ask where it is backed up")


class RestoredPoint(RecoveryPointSpec):
    """Read of which moment the recovery point is that an AWS Backup restore job has brought back.

    It does not exist before the restore, and is what was reached, not only what could be.

    .. code-block:: yaml

        probe: backup.restored_point
        with:
          resource: arn:aws:rds:us-east-1:111122223333:db:orders-a
    """

    name: ClassVar[str] = "backup.restored_point"
    told_by: ClassVar[str] = "AWS Backup RecoveryPointCreationDate"
    permissions: ClassVar[tuple[str, ...]] = ("backup:ListRestoreJobsByProtectedResource",)
    evidence: ClassVar[frozenset[Evidence]] = frozenset({Evidence.RESTORED_POINT})

    resource: str = Field(pattern=r"^(arn:|\$\{)", description="ARN of the resource that was backed up.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Read the restore jobs of the resource once; the one that was begun last counts."""
        backup: Any = aws.client("backup")
        jobs = [
            *pages(backup, "list_restore_jobs_by_protected_resource", "RestoreJobs", ResourceArn=self.resource),
        ]
        last = max(jobs, key=lambda job: job["CreationDate"], default=None)
        if last is None:
            return NoPoint(f"{self.resource} was never restored by AWS Backup")
        job, status, at = last.get("RestoreJobId"), last.get("Status"), last.get("RecoveryPointCreationDate")
        if status != COMPLETED or at is None:
            return NoPoint(f"restore job {job} is {status}: nothing is restored yet")
        return Point(at, f"what restore job {job} brought back")
