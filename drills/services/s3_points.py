"""S3: which version of an object has arrived in the replica bucket."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from pydantic import Field

from drills.aws.classify import mapped
from drills.errors import Rejected, WorkError
from drills.services.recovery_point import NoPoint, Point, RecoveryPointSpec
from drills.work import Aws

ARRIVED: Final = "REPLICA"


class ReplicationStatus(RecoveryPointSpec):
    """Read of which moment the version of an object is that S3 replication has brought into the replica bucket.

    A replica keeps the time at which the original was made. It speaks for this one key: S3 replicates in no order.
    What the source bucket says of its own version (PENDING, COMPLETED, FAILED) is told beside it.

    .. code-block:: yaml

        probe: s3.replication_status
        with:
          bucket: orders-replica
          source: orders
          key: heartbeat.json
    """

    name: ClassVar[str] = "s3.replication_status"
    told_by: ClassVar[str] = "S3 Last-Modified of the replica"
    permissions: ClassVar[tuple[str, ...]] = ("s3:GetObject", "s3:ListBucket")

    bucket: str = Field(min_length=1, description="Name of the bucket that receives.")
    source: str = Field(default="", description="Name of the bucket that is replicated; not asked, without it.")
    key: str = Field(min_length=1, description="Key of an object that is written often, such as a heartbeat.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Ask for the object in both buckets once."""
        s3: Any = aws.client("s3")
        told = f"; {self._source(s3)}" if self.source else ""
        try:
            with mapped(writes=False):
                found = s3.head_object(Bucket=self.bucket, Key=self.key)
        except Rejected as error:
            if "404" not in str(error):
                raise
            return NoPoint(f"there is no {self.key} in {self.bucket}: it was never replicated{told}")
        status = found.get("ReplicationStatus", "not replicated")
        if status != ARRIVED:
            return NoPoint(f"{self.key} in {self.bucket} is no replica (its status is {status}){told}")
        return Point(found["LastModified"], f"{self.key} as it arrived in {self.bucket}{told}")

    def _source(self, s3: Any) -> str:
        try:
            with mapped(writes=False):
                found = s3.head_object(Bucket=self.source, Key=self.key)
        except WorkError as error:
            return f"{self.source} gives no answer ({error})"
        status = found.get("ReplicationStatus", "not replicated")
        return f"in {self.source} it is of {found['LastModified'].isoformat()}, {status}"
