"""Elastic Disaster Recovery: the newest recovery snapshot of a source server."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from drills.services.recovery_point import NoPoint, Point, RecoveryPointSpec, newest, pages, read_time
from drills.work import Aws


class LatestSnapshot(RecoveryPointSpec):
    """Read when the newest recovery snapshot of a source server was taken. Ask in the recovery region.

    .. code-block:: yaml

        probe: drs.latest_snapshot
        with:
          server: s-0123456789abcdef0
    """

    name: ClassVar[str] = "drs.latest_snapshot"
    told_by: ClassVar[str] = "DRS recovery snapshot time"
    permissions: ClassVar[tuple[str, ...]] = ("drs:DescribeRecoverySnapshots",)

    server: str = Field(pattern=r"^(s-[0-9a-zA-Z]{17}$|.*\$\{)", description="Id of the source server.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Read the server's recovery snapshots once. One that is only expected has no time yet."""
        drs: Any = aws.client("drs")
        listed = pages(drs, "describe_recovery_snapshots", "items", sourceServerID=self.server)
        found = (
            Point(read_time(one["timestamp"]), f"recovery snapshot {one.get('snapshotID')}")
            for one in listed
            if one.get("timestamp")
        )
        return newest(found, f"{self.server} has no recovery snapshot that was taken")
