"""Auto Scaling groups: set the capacity, and see that it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import Field, PrivateAttr, model_validator

from drills.aws.classify import mapped
from drills.errors import Missing
from drills.services.spec import ActionSpec, ProbeSpec, Wrong, refuse
from drills.services.tags import labels
from drills.services.undo_calls import commands
from drills.timeline.facts import Before, Facts, Receipt
from drills.work import Aws, Cost, Observation, Target, UndoCall, Undone

if TYPE_CHECKING:
    from typing import Self

    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_autoscaling.type_defs import AutoScalingGroupTypeDef

UNDER_WAY: Final = frozenset(
    {
        "InProgress",
        "MidLifecycleAction",
        "PendingSpotBidPlacement",
        "PreInService",
        "WaitingForConnectionDraining",
        "WaitingForELBConnectionDraining",
        "WaitingForInstanceId",
        "WaitingForInstanceWarmup",
        "WaitingForSpotInstanceId",
        "WaitingForSpotInstanceRequestId",
    }
)


def describe(aws: Aws, asg: str) -> AutoScalingGroupTypeDef:
    """Read one group; ``Missing`` when there is none of that name in the place."""
    autoscaling: AutoScalingClient = aws.client("autoscaling")
    with mapped(writes=False):
        found = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[asg])["AutoScalingGroups"]
    if not found:
        raise Missing(f"there is no Auto Scaling group {asg!r} in {aws.place.region} of account {aws.place.account}")
    return found[0]


class SetCapacity(ActionSpec):
    """Set minimum, desired and maximum of a group in one call; taking it back restores all three.

    .. code-block:: yaml

        action: autoscaling.set_capacity
        with:
          asg: orders-app
          min: 2
          desired: 4
          max: 8
    """

    name: ClassVar[str] = "autoscaling.set_capacity"
    cost: ClassVar[Cost] = Cost.CAPACITY
    permissions: ClassVar[tuple[str, ...]] = (
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:UpdateAutoScalingGroup",
    )

    asg: str = Field(min_length=1, description="Name of the group.")
    min: int = Field(ge=0, description="Smallest size.")
    desired: int = Field(ge=0, description="Size wanted now.")
    max: int = Field(ge=0, description="Largest size.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.min <= self.desired <= self.max:
            told = f"min {self.min} <= desired {self.desired} <= max {self.max} must hold; mend one of them"
            refuse(self.name, [Wrong(("desired",), told)])
        return self

    @property
    def _ours(self) -> tuple[int, int, int]:
        return (self.min, self.desired, self.max)

    def targets(self, aws: Aws) -> tuple[Target, ...]:
        """Name the group."""
        return (Target(self.asg, labels(describe(aws, self.asg).get("Tags", []))),)

    def capture(self, aws: Aws) -> Before:
        """Remember the three sizes."""
        low, wanted, high = _sizes(describe(aws, self.asg))
        return Before(asg=self.asg, region=aws.place.region, min=low, desired=wanted, max=high)

    def already(self, aws: Aws) -> Observation:
        """Say whether the three sizes are set."""
        now = _sizes(describe(aws, self.asg))
        return Observation(ok=now == self._ours, detail=_tell(self.asg, now))

    def perform(self, aws: Aws, before: Before) -> Receipt:
        """Set the three sizes; instances come over the next minutes."""
        del before
        self._set(aws, self._ours)
        return Receipt(asg=self.asg, min=self.min, desired=self.desired, max=self.max)

    def undo(self, aws: Aws, before: Before, receipt: Receipt | None) -> Undone:
        """Set the old sizes, unless somebody set others since."""
        del receipt
        old, now = _were(before), _sizes(describe(aws, self.asg))
        if now == old:
            return Undone(f"nothing to do: {_tell(self.asg, now)}")
        if now != self._ours:
            return Undone("not changed back", f"{_tell(self.asg, now)}, set by somebody else since")
        self._set(aws, old)
        return Undone(_tell(self.asg, old))

    def restore(self, aws: Aws, before: Before) -> Undone:
        """Set the old sizes, whoever set the present ones."""
        self._set(aws, _were(before))
        return Undone(_tell(self.asg, _were(before)))

    def restored(self, aws: Aws, before: Before) -> Observation:
        """Say whether the old sizes are set."""
        now = _sizes(describe(aws, self.asg))
        return Observation(ok=now == _were(before), detail=_tell(self.asg, now))

    def by_hand(self, before: Before) -> tuple[str, ...]:
        """Give the command that sets the old sizes."""
        return commands(self.undo_calls(before), before)

    def undo_calls(self, before: Before) -> tuple[UndoCall, ...]:
        """Set the old sizes."""
        low, wanted, high = _were(before) if "min" in before else ("MIN", "DESIRED", "MAX")
        sizes = Facts(AutoScalingGroupName=self.asg, MinSize=low, DesiredCapacity=wanted, MaxSize=high)
        return (UndoCall("autoscaling", "UpdateAutoScalingGroup", sizes),)

    def _set(self, aws: Aws, sizes: tuple[int, int, int]) -> None:
        autoscaling: AutoScalingClient = aws.client("autoscaling")
        low, wanted, high = sizes
        with mapped(writes=True):
            autoscaling.update_auto_scaling_group(
                AutoScalingGroupName=self.asg, MinSize=low, DesiredCapacity=wanted, MaxSize=high
            )


class InService(ProbeSpec):
    """Say whether ``count`` instances of a group are in service and healthy.

    A scaling activity that failed since the first look, with none under way, ends the wait at once: no capacity, a
    broken launch template and a missing permission do not mend themselves.

    .. code-block:: yaml

        probe: autoscaling.in_service
        with:
          asg: orders-app
          count: 4
    """

    name: ClassVar[str] = "autoscaling.in_service"
    permissions: ClassVar[tuple[str, ...]] = (
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeScalingActivities",
    )

    asg: str = Field(min_length=1, description="Name of the group.")
    count: int = Field(ge=1, description="How many must serve.")

    _failed_before: frozenset[str] | None = PrivateAttr(default=None)

    def observe(self, aws: Aws) -> Observation:
        """Look at the group and, while it is short, at its activities."""
        group = describe(aws, self.asg)
        serving = sum(
            one.get("LifecycleState") == "InService" and one.get("HealthStatus") == "Healthy"
            for one in group.get("Instances", [])
        )
        detail = f"{serving} of {self.count} instances of {self.asg} are in service"
        value = Facts(in_service=serving, desired=group.get("DesiredCapacity", 0))
        if serving >= self.count:
            return Observation(ok=True, detail=detail, value=value)
        if group.get("MaxSize", 0) < self.count:
            return Observation(ok=False, detail=f"{detail}; its maximum is {group.get('MaxSize')}", value=value)
        why = self._failure(aws)
        return Observation(ok=False, detail=f"{detail}; {why}" if why else detail, value=value, final=bool(why))

    def _failure(self, aws: Aws) -> str:
        autoscaling: AutoScalingClient = aws.client("autoscaling")
        with mapped(writes=False):
            activities = autoscaling.describe_scaling_activities(AutoScalingGroupName=self.asg, MaxRecords=50)[
                "Activities"
            ]
        failed = {one.get("ActivityId", ""): one for one in activities if one.get("StatusCode") == "Failed"}
        if self._failed_before is None:
            self._failed_before = frozenset(failed)
            return ""
        fresh = [one for activity, one in failed.items() if activity not in self._failed_before]
        if not fresh or any(one.get("StatusCode") in UNDER_WAY for one in activities):
            return ""
        return (
            f"{fresh[0].get('Description', 'an activity')} failed: {fresh[0].get('StatusMessage', 'no reason given')}"
        )


def _sizes(group: AutoScalingGroupTypeDef) -> tuple[int, int, int]:
    return (group.get("MinSize", 0), group.get("DesiredCapacity", 0), group.get("MaxSize", 0))


def _were(before: Before) -> tuple[int, int, int]:
    return (before.integer("min"), before.integer("desired"), before.integer("max"))


def _tell(asg: str, sizes: tuple[int, int, int]) -> str:
    return f"{asg} has min {sizes[0]}, desired {sizes[1]}, max {sizes[2]}"
