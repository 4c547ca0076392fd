"""The least that reading AWS can cost: one boto3 client and a loop.

Usage: bare.py ENDPOINT COUNT
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def main(endpoint: str, count: int) -> None:
    """Ask ``count`` times what ``inputs.READ`` asks."""
    client: EC2Client = boto3.client("ec2", region_name="us-west-2", endpoint_url=endpoint)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportAssignmentType] - boto3 itself has no types
    for _ in range(count):
        answer = client.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
        if answer["Reservations"]:
            raise SystemExit("moto has instances that nobody made")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
