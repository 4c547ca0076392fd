"""EFS: up to which moment a file system has been replicated."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from pydantic import Field

from drills.services.recovery_point import NoPoint, Point, RecoveryPointSpec, pages
from drills.work import Aws

COUNTS: Final = frozenset({"ENABLED", "PAUSED", "PAUSING"})
"""States of a replication whose last time still holds. A paused one stands still."""


class LastReplicated(RecoveryPointSpec):
    """Read up to which moment an EFS file system has been replicated: LastReplicatedTimestamp.

    All that was changed before that moment is at the destination. Of several destinations the oldest counts.

    .. code-block:: yaml

        probe: efs.last_replicated
        with:
          file_system: fs-0123456789abcdef0
    """

    name: ClassVar[str] = "efs.last_replicated"
    told_by: ClassVar[str] = "EFS LastReplicatedTimestamp"
    permissions: ClassVar[tuple[str, ...]] = ("elasticfilesystem:DescribeReplicationConfigurations",)

    file_system: str = Field(min_length=1, description="Id of the source, or of the destination.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Read the replication once."""
        efs: Any = aws.client("efs")
        key = "Replications[].Destinations"
        ends = [*pages(efs, "describe_replication_configurations", key, FileSystemId=self.file_system)]
        usable = [one for one in ends if one.get("Status") in COUNTS and one.get("LastReplicatedTimestamp")]
        if not usable:
            states = ", ".join(f"{one.get('FileSystemId')} {one.get('Status')}" for one in ends) or "no destination"
            return NoPoint(f"{self.file_system} has not been replicated yet, or not any more: {states}")
        oldest = min(usable, key=lambda one: one["LastReplicatedTimestamp"])
        return Point(oldest["LastReplicatedTimestamp"], f"the replica {oldest.get('FileSystemId')}")
