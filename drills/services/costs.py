"""What IAM actions make somebody pay for: asked for calls of any service, which declare no class of their own."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from drills.work import Cost

if TYPE_CHECKING:
    from collections.abc import Iterable

BY_ACTION: Final = (
    ("*:Restore*", Cost.STORAGE),
    ("backup:StartRestoreJob", Cost.STORAGE),
    ("drs:Start*", Cost.STORAGE),
    ("rds:CreateDBInstanceReadReplica", Cost.STORAGE),
    ("*:CreateSnapshot*", Cost.STORAGE),
    ("*:CreateBackup*", Cost.STORAGE),
    ("backup:StartBackupJob", Cost.STORAGE),
    ("backup:StartCopyJob", Cost.STORAGE),
    ("ec2:CreateVolume", Cost.STORAGE),
    ("autoscaling:UpdateAutoScalingGroup", Cost.CAPACITY),
    ("autoscaling:SetDesiredCapacity", Cost.CAPACITY),
    ("application-autoscaling:RegisterScalableTarget", Cost.CAPACITY),
    ("ec2:RunInstances", Cost.CAPACITY),
    ("ec2:StartInstances", Cost.CAPACITY),
    ("ec2:CreateFleet", Cost.CAPACITY),
    ("ec2:CreateNatGateway", Cost.CAPACITY),
    ("ecs:UpdateService", Cost.CAPACITY),
    ("eks:UpdateNodegroupConfig", Cost.CAPACITY),
    ("rds:CreateDB*", Cost.CAPACITY),
    ("rds:StartDB*", Cost.CAPACITY),
    ("elasticache:Increase*", Cost.CAPACITY),
    ("elasticache:CreateReplicationGroup", Cost.CAPACITY),
    ("cloudformation:CreateStack", Cost.CAPACITY),
    ("lambda:PutProvisionedConcurrencyConfig", Cost.CAPACITY),
    ("fis:StartExperiment", Cost.CAPACITY),
    ("dynamodb:UpdateTable", Cost.CAPACITY),
    ("route53:ChangeResourceRecordSets", Cost.TRANSFER),
    ("globalaccelerator:Update*", Cost.TRANSFER),
    ("s3:PutBucketReplication", Cost.TRANSFER),
    ("s3:ReplicateObject", Cost.TRANSFER),
    ("efs:CreateReplicationConfiguration", Cost.STORAGE),
)
"""What an IAM action makes somebody pay for, the first that fits; any other action of a change costs nothing itself."""


def of_actions(actions: Iterable[str]) -> Cost:
    """Give the most expensive class among these IAM actions."""
    order = tuple(Cost)
    return max(map(_of, actions), key=order.index, default=Cost.NONE)


def _of(action: str) -> Cost:
    return next((cost for pattern, cost in BY_ACTION if fnmatchcase(action, pattern)), Cost.NONE)
