"""DynamoDB: until when a table can be restored, and to which moment a copy was."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from drills.aws.classify import mapped
from drills.services.recovery_point import NoPoint, Point, RecoveryPointSpec
from drills.work import Aws, Evidence


class Pitr(RecoveryPointSpec):
    """Read until when a DynamoDB table can be restored by point-in-time recovery: LatestRestorableDateTime.

    Usually some 5 minutes back.

    .. code-block:: yaml

        probe: dynamodb.pitr
        with:
          table: orders
    """

    name: ClassVar[str] = "dynamodb.pitr"
    told_by: ClassVar[str] = "DynamoDB LatestRestorableDateTime"
    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:DescribeContinuousBackups",)

    table: str = Field(min_length=1, description="Name (or ARN) of the table.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Read the table's continuous backups once."""
        dynamodb: Any = aws.client("dynamodb")
        with mapped(writes=False):
            answer = dynamodb.describe_continuous_backups(TableName=self.table)["ContinuousBackupsDescription"]
        pitr = answer.get("PointInTimeRecoveryDescription", {})
        status, at = pitr.get("PointInTimeRecoveryStatus", "not told"), pitr.get("LatestRestorableDateTime")
        if status != "ENABLED" or at is None:
            return NoPoint(f"point-in-time recovery of {self.table} is {status}: it has no restorable time")
        return Point(at, f"the latest restorable time of {self.table}")


class RestoredTo(RecoveryPointSpec):
    """Read to which moment a DynamoDB table was restored: the RestoreDateTime of its own restore.

    It does not exist before the restore, and is what was reached, not only what could be.

    .. code-block:: yaml

        probe: dynamodb.restored_to
        with:
          table: orders-restored
    """

    name: ClassVar[str] = "dynamodb.restored_to"
    told_by: ClassVar[str] = "DynamoDB RestoreDateTime"
    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:DescribeTable",)
    evidence: ClassVar[frozenset[Evidence]] = frozenset({Evidence.RESTORED_POINT})

    table: str = Field(min_length=1, description="Name of the restored table.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Read the table once."""
        dynamodb: Any = aws.client("dynamodb")
        with mapped(writes=False):
            table = dynamodb.describe_table(TableName=self.table)["Table"]
        summary = table.get("RestoreSummary", {})
        at = summary.get("RestoreDateTime")
        if at is None:
            return NoPoint(f"{self.table} was not made by a restore: it has no RestoreSummary")
        if summary.get("RestoreInProgress"):
            return NoPoint(f"{self.table} is still being restored")
        return Point(at, f"the restore of {self.table}")
