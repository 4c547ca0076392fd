"""Fence an RDS instance, so that two writers never take writes at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from drills.aws.classify import error_code, mapped
from drills.errors import Partly, Rejected, WorkError
from drills.services.rds import describe, targets
from drills.services.spec import ActionSpec
from drills.services.tags import BEFORE, MANAGED_BY, OWNER, is_ours, remembered, sentence
from drills.services.undo_calls import commands
from drills.timeline.facts import Before, Facts, Json, Receipt
from drills.work import Aws, Cost, Observation, Target, UndoCall, Undone

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import SecurityGroupTypeDef
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_rds.type_defs import DBInstanceTypeDef


class FenceWriter(ActionSpec):
    """Fence an instance: take its security groups away, so that nobody can reach it and nothing new is written.

    An empty group of our own takes the place of its groups. New connections are refused at once; AWS may let
    connections that stand go on for a while, so prove the fence with ``sql.writes_refused``, or use
    ``site.isolate``, which cuts them too.

    .. code-block:: yaml

        action: rds.fence_writer
        with:
          db: orders-a
    """

    name: ClassVar[str] = "rds.fence_writer"
    cost: ClassVar[Cost] = Cost.NONE
    permissions: ClassVar[tuple[str, ...]] = (
        "ec2:CreateSecurityGroup",
        "ec2:CreateTags",
        "ec2:DeleteSecurityGroup",
        "ec2:DescribeSecurityGroups",
        "ec2:RevokeSecurityGroupEgress",
        "rds:DescribeDBInstances",
        "rds:ModifyDBInstance",
    )
    restore_timeout: ClassVar[timedelta] = timedelta(minutes=5)  # RDS changes groups while it is "modifying"
    holds_authority: ClassVar[bool] = True

    db: str = Field(min_length=1, description="Identifier of the DB instance.")

    @property
    def _group_name(self) -> str:
        return f"drills-fence-{self.db}"

    def targets(self, aws: Aws) -> tuple[Target, ...]:
        """Name the instance."""
        return targets(aws, self.db)

    def capture(self, aws: Aws) -> Before:
        """Remember the groups it has; those behind a fence that stands already are read from the fence's tags."""
        instance = describe(aws, self.db)
        groups = _groups(instance)
        vpc = self._vpc(aws, instance)
        with mapped(writes=False):
            fence = self._fence(aws, vpc)
        if fence is not None and fence.get("GroupId", "") in groups:
            groups = list(remembered(_tags(fence)))
            if not groups:
                raise Rejected(f"{self.db} is fenced, and the groups it had are not known; mend that first")
        return Before(db=self.db, region=aws.place.region, vpc=vpc, groups=[*groups])

    def already(self, aws: Aws) -> Observation:
        """Say whether our empty group is its only one."""
        instance = describe(aws, self.db)
        with mapped(writes=False):
            fence = self._fence(aws, self._vpc(aws, instance))
        groups = _groups(instance)
        fenced = fence is not None and groups == [fence.get("GroupId")]
        return Observation(
            ok=fenced,
            detail=f"{self.db} {'is fenced' if fenced else 'can be reached'} through {sentence(groups)}",
            value=Facts(groups=[*groups]),
        )

    def perform(self, aws: Aws, before: Before) -> Receipt:
        """Create the empty group, or find our own, and make it the instance's only one."""
        rds: RDSClient = aws.client("rds")
        with mapped(writes=True):
            fence = self._fence(aws, before.text("vpc"))
            group = fence.get("GroupId", "") if fence else self._create(aws, before)
        try:
            with mapped(writes=True):
                self._close(aws, group)
                rds.modify_db_instance(DBInstanceIdentifier=self.db, VpcSecurityGroupIds=[group], ApplyImmediately=True)
        except WorkError as error:
            raise Partly(
                f"the group {group} stands, {self.db} may not have it: {error}", Receipt(group=group)
            ) from error
        return Receipt(group=group, db=self.db)

    def undo(self, aws: Aws, before: Before, receipt: Receipt | None) -> Undone:
        """Give the instance its groups back, unless it was given others since."""
        del receipt  # The tags say which group is ours.
        return self._give_back(aws, before, only_ours=True)

    def restore(self, aws: Aws, before: Before) -> Undone:
        """Give the instance its groups back, whoever gave it those that it has."""
        return self._give_back(aws, before, only_ours=False)

    def _give_back(self, aws: Aws, before: Before, *, only_ours: bool) -> Undone:
        rds: RDSClient = aws.client("rds")
        instance = describe(aws, self.db)
        now, old = _groups(instance), list(before.texts("groups"))
        with mapped(writes=True):
            fence = self._fence(aws, before.text("vpc"))
            group = fence.get("GroupId", "") if fence else ""
            ours = group in now or not only_ours
            if ours:
                rds.modify_db_instance(DBInstanceIdentifier=self.db, VpcSecurityGroupIds=old, ApplyImmediately=True)
            note = self._delete(aws, group) if group else ""
        if not ours and sorted(now) != sorted(old):
            left = f"{self.db} was given {sentence(now)} since, and keeps it"
            return Undone(f"{self.db} is not fenced by drills{note}", left)
        return Undone(f"{self.db} has its groups {sentence(old)}{note}")

    def restored(self, aws: Aws, before: Before) -> Observation:
        """Say whether it has the groups it had."""
        now = _groups(describe(aws, self.db))
        return Observation(
            ok=sorted(now) == sorted(before.texts("groups")), detail=f"{self.db} can be reached through {sentence(now)}"
        )

    def by_hand(self, before: Before) -> tuple[str, ...]:
        """Give the command that puts its groups back."""
        return commands(self.undo_calls(before), before)

    def undo_calls(self, before: Before) -> tuple[UndoCall, ...]:
        """Put its groups back; our empty group stays until ``undo`` or a person deletes it."""
        groups: list[Json] = [*before.texts("groups")] if "groups" in before else ["GROUPS"]
        back = Facts(DBInstanceIdentifier=self.db, VpcSecurityGroupIds=groups, ApplyImmediately=True)
        return (UndoCall("rds", "ModifyDBInstance", back),)

    def _vpc(self, aws: Aws, instance: DBInstanceTypeDef) -> str:
        vpc = instance.get("DBSubnetGroup", {}).get("VpcId", "")
        if vpc:
            return vpc
        ec2: EC2Client = aws.client("ec2")
        groups = _groups(instance)
        if not groups:
            raise Rejected(f"{self.db} has no security group: it cannot be fenced by one")
        with mapped(writes=False):
            return ec2.describe_security_groups(GroupIds=groups[:1])["SecurityGroups"][0].get("VpcId", "")

    def _fence(self, aws: Aws, vpc: str) -> SecurityGroupTypeDef | None:
        ec2: EC2Client = aws.client("ec2")
        answer = ec2.describe_security_groups(
            Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": [self._group_name]}]
        )
        return next((group for group in answer["SecurityGroups"] if is_ours(_tags(group))), None)

    def _create(self, aws: Aws, before: Before) -> str:
        ec2: EC2Client = aws.client("ec2")
        memory = [{"Key": f"{BEFORE}{group}", "Value": self.db} for group in before.texts("groups")]
        answer = ec2.create_security_group(
            GroupName=self._group_name,
            Description=f"drills: fence of {self.db}, empty on purpose",
            VpcId=before.text("vpc"),
            TagSpecifications=[
                {
                    "ResourceType": "security-group",
                    "Tags": [{"Key": MANAGED_BY, "Value": OWNER}, *memory],  # pyright: ignore[reportArgumentType] - a list of plain pairs is what boto3 takes
                }
            ],
        )
        return answer["GroupId"]

    def _close(self, aws: Aws, group: str) -> None:
        """Take the rule away that lets a new group send everything."""
        ec2: EC2Client = aws.client("ec2")
        for one in ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]:
            rules = one.get("IpPermissionsEgress", [])
            if rules:
                ec2.revoke_security_group_egress(GroupId=group, IpPermissions=rules)  # pyright: ignore[reportArgumentType] - what describe answers is what revoke takes

    def _delete(self, aws: Aws, group: str) -> str:
        ec2: EC2Client = aws.client("ec2")
        try:
            ec2.delete_security_group(GroupId=group)
        except ec2.exceptions.ClientError as error:
            if error_code(error) == "DependencyViolation":
                return f"; {group} is empty and goes once AWS has let go of it"
            if error_code(error) != "InvalidGroup.NotFound":
                raise
        return ""


def _groups(instance: DBInstanceTypeDef) -> list[str]:
    return [group.get("VpcSecurityGroupId", "") for group in instance.get("VpcSecurityGroups", [])]


def _tags(group: SecurityGroupTypeDef) -> dict[str, str]:
    return {tag.get("Key", ""): tag.get("Value", "") for tag in group.get("Tags", [])}
