"""What the drill's steps cost by their kind, and whether the environment allows that much."""

from __future__ import annotations

from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from drills.engine.gates.question import no, yes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.engine.plan import Plan, Step
    from drills.timeline.events import Gated

NAME: Final = "cost"


class Cost(StrEnum):
    """What a step makes somebody pay for."""

    NONE = "none"
    TRANSFER = "data transfer"
    CAPACITY = "hours of running capacity"
    STORAGE = "restored storage, until somebody deletes it"


LEVELS: Final = {Cost.NONE: 0, Cost.TRANSFER: 1, Cost.CAPACITY: 2, Cost.STORAGE: 3}
BOUNDS: Final = {"low": 1, "medium": 2, "high": 3}
"""What ``scope.cost`` allows: low is data transfer at most, medium running capacity too, high anything."""

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


def of(step: Step) -> Cost:
    """Give the most expensive class among what a step may do. Looking is free."""
    if not step.changes:
        return Cost.NONE
    return max((_action(action) for action in step.permissions), key=LEVELS.__getitem__, default=Cost.NONE)


def of_plan(plan: Plan) -> Cost:
    """Give the class of a plan's most expensive step."""
    return max(map(of, plan.steps), key=LEVELS.__getitem__, default=Cost.NONE)


def _action(action: str) -> Cost:
    return next((cost for pattern, cost in BY_ACTION if fnmatchcase(action, pattern)), Cost.NONE)


def ask(question: Question) -> Iterator[Gated]:
    """Hold the most expensive step against ``scope.cost``; asks nobody."""
    most, bound = of_plan(question.plan), question.plan.rules.cost
    costly = [f"{step.id}: {of(step).value}" for step in question.plan.steps if of(step) is not Cost.NONE]
    told = "; ".join(costly) or "no step makes anybody pay"
    if not bound:
        yield yes(NAME, f"{told} (the scope bounds no cost)")
    elif LEVELS[most] > BOUNDS.get(bound, 0):
        yield no(NAME, f"{told}; the scope allows {bound} cost at most")
    else:
        yield yes(NAME, f"{told}; the scope allows {bound}")
