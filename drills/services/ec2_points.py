"""EBS snapshots and AMIs: when the newest one was begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field

from drills.services.recovery_point import NoPoint, Point, RecoveryPointSpec, newest, pages, read_time
from drills.work import Aws

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_ec2 import EC2Client

COPIED_VOLUME: Final = "vol-ffffffff"
"""The volume that AWS names for a snapshot which is a copy."""


class LatestEbsSnapshot(RecoveryPointSpec):
    """Read when the newest completed EBS snapshot of a volume was begun: what is written later is not in it.

    Copies do not count: they are begun later, and hold no newer data.

    .. code-block:: yaml

        probe: ec2.latest_ebs_snapshot
        with:
          volume: vol-0123456789abcdef0
    """

    name: ClassVar[str] = "ec2.latest_ebs_snapshot"
    told_by: ClassVar[str] = "EBS snapshot StartTime"
    permissions: ClassVar[tuple[str, ...]] = ("ec2:DescribeSnapshots",)

    volume: str = Field(pattern=r"^(vol-|\$\{)", description="Id of the volume of which the snapshots are.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Read the volume's snapshots once."""
        ec2: EC2Client = aws.client("ec2")
        wanted = [{"Name": "volume-id", "Values": [self.volume]}]
        listed = pages(ec2, "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=wanted)
        return newest(self._usable(listed), f"{self.volume} has no snapshot of its own that is completed")

    def _usable(self, listed: Iterator[Any]) -> Iterator[Point]:
        for one in listed:
            copied = one.get("TransferType") or one.get("VolumeId") == COPIED_VOLUME
            if one.get("State") == "completed" and not copied and one.get("StartTime"):
                yield Point(one["StartTime"], f"snapshot {one.get('SnapshotId')}")


class LatestAmi(RecoveryPointSpec):
    """Read when the newest available image (AMI) with some tags was created.

    Copies do not count: of a copied image AWS tells only when the copy was made.

    .. code-block:: yaml

        probe: ec2.latest_ami
        with:
          tags: {service: orders}
    """

    name: ClassVar[str] = "ec2.latest_ami"
    told_by: ClassVar[str] = "AMI CreationDate"
    permissions: ClassVar[tuple[str, ...]] = ("ec2:DescribeImages",)

    tags: dict[str, str] = Field(min_length=1, max_length=50, description="Tags that the image carries, all of them.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Read the account's own images once."""
        ec2: EC2Client = aws.client("ec2")
        wanted = [{"Name": f"tag:{key}", "Values": [value]} for key, value in self.tags.items()]
        listed = [*pages(ec2, "describe_images", "Images", Owners=["self"], Filters=wanted)]
        usable = [one for one in listed if one.get("State") == "available" and one.get("CreationDate")]
        own = [one for one in usable if one.get("SourceInstanceId") or not one.get("SourceImageId")]
        found = (Point(read_time(one["CreationDate"]), f"image {one.get('ImageId')}") for one in own)
        told = ", ".join(f"{key}={value}" for key, value in self.tags.items())
        copies = f"; {len(usable)} copies do not tell their data's time, ask where they come from" if usable else ""
        return newest(found, f"there is no available image of this account with {told}{copies}")
