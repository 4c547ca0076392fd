"""What the drill starts, the region can hold: quotas, free addresses, images, and groups that may launch."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from drills.aws.classify import error_code
from drills.engine.gates import capacity
from drills.engine.gates.question import no, unknown, why, yes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.capacity import Launch
    from drills.engine.gates.question import Question
    from drills.engine.plan import Plan, Step
    from drills.timeline.events import Gated
    from drills.work import Aws

NAME: Final = "quotas"
PERMISSIONS: Final = (
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeLaunchConfigurations",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeSubnets",
    "rds:DescribeAccountAttributes",
    "servicequotas:GetAWSDefaultServiceQuota",
    "servicequotas:GetServiceQuota",
)
SCALES: Final = "autoscaling.set_capacity"
NEW_DATABASE: Final = ("rds:CreateDB*", "rds:RestoreDB*")
NEEDED: Final = ("Launch", "AddToLoadBalancer")
"""Processes of a group without which new instances never serve."""


def concerns(plan: Plan) -> bool:
    """Say whether a plan starts instances or databases."""
    return any(step.uses == SCALES or _makes_database(step) for step in plan.steps if step.changes)


def ask(question: Question) -> Iterator[Gated]:
    """Look at every step that starts instances or databases, at the place where it does."""
    for step in question.changes():
        name = f"{NAME}:{step.id}"
        try:
            if step.uses == SCALES:
                yield _scaled(question, step, name)
            elif _makes_database(step):
                yield _database(question, step, name)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said yes
            waiver = question.plan.rules.waived(NAME, step.id)
            told = f"what the region can hold could not be learned ({why(error)})"
            yield yes(name, f"waived ({waiver.why}): {told}") if waiver else unknown(name, told)


def _makes_database(step: Step) -> bool:
    return any(fnmatchcase(action, one) for action in step.permissions for one in NEW_DATABASE)


def _scaled(question: Question, step: Step, name: str) -> Gated:
    work, aws = question.work(step), question.aws(step.place)
    groups = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[work.asg])
    if not groups["AutoScalingGroups"]:
        return no(name, f"there is no Auto Scaling group {work.asg} in {aws.place.region}")
    launch = capacity.launch_of(aws, groups["AutoScalingGroups"][0])
    more = max(0, int(work.desired) - launch.wanted)
    if not more:
        return yes(name, f"{work.asg} is as large already, nothing is started")
    wrong = [*_held_up(launch), *_image(aws, launch), *_addresses(aws, launch, more), *_vcpus(aws, launch, more)]
    told = f"{work.asg} would start {more} of {launch.instance_type or 'a type not named'}"
    return no(name, f"{told}: {'; '.join(wrong)}") if wrong else yes(name, f"{told}, and {aws.place.region} has room")


def _held_up(launch: Launch) -> Iterator[str]:
    held = [one for one in launch.suspended if one in NEEDED]
    if held:
        yield f"the group's {' and '.join(held)} is suspended; resume it"


def _image(aws: Aws, launch: Launch) -> Iterator[str]:
    if launch.image.startswith("resolve:"):
        return  # read by EC2 from a parameter at launch
    found: list[dict[str, Any]] = []
    if launch.image:
        try:
            found = aws.client("ec2").describe_images(ImageIds=[launch.image])["Images"]
        except Exception as error:
            if not error_code(error).startswith("InvalidAMIID"):
                raise
    if not found:
        yield f"image {launch.image or '(none)'} is not in {aws.place.region}; copy it there"
    elif found[0].get("State", "available") != "available":
        yield f"image {launch.image} is {found[0].get('State')}"


def _addresses(aws: Aws, launch: Launch, more: int) -> Iterator[str]:
    if not launch.subnets:
        return  # the default subnets of its zones
    found = aws.client("ec2").describe_subnets(SubnetIds=list(launch.subnets))["Subnets"]
    free = sum(int(one.get("AvailableIpAddressCount", 0)) for one in found)
    if free < more:
        yield f"its subnets have {free} free addresses"


def _vcpus(aws: Aws, launch: Launch, more: int) -> Iterator[str]:
    if not launch.instance_type:
        yield "its launch template names no instance type, so what it needs is not known"
        return
    code = capacity.quota_of(launch.instance_type)
    if not code:
        yield f"the quota that {launch.instance_type} counts against is not known"
        return
    needed = more * capacity.vcpus(aws, [launch.instance_type])[launch.instance_type]
    used, limit = capacity.used_vcpus(aws, code), quota(aws, "ec2", code)
    if used + needed > limit:
        yield f"it needs {needed} vCPUs, {used} are in use, and the quota {code} is {limit:g}; raise it"


def quota(aws: Aws, service: str, code: str) -> float:
    """Give a quota of the account: its own, else AWS's default."""
    quotas = aws.client("service-quotas")
    try:
        return float(quotas.get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]["Value"])
    except Exception as error:
        if error_code(error) != "NoSuchResourceException":
            raise
    return float(quotas.get_aws_default_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]["Value"])


def _database(question: Question, step: Step, name: str) -> Gated:
    """RDS tells quota and use in one answer."""
    aws = question.aws(step.place)
    answer = aws.client("rds").describe_account_attributes()["AccountQuotas"]
    found = {one["AccountQuotaName"]: (int(one["Used"]), int(one["Max"])) for one in answer}
    full = [f"{key}: {used} of {most} in use" for key, (used, most) in found.items() if key in _ROOM and used >= most]
    if full:
        return no(name, f"{aws.place.region} has no room for another database ({'; '.join(full)}); raise the quota")
    used, most = found["DBInstances"]
    return yes(name, f"{used} of {most} database instances are in use in {aws.place.region}")


_ROOM: Final = ("DBInstances", "DBClusters")
