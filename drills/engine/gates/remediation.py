"""What would fight the drill: whatever starts, replaces or mends what a step stops or changes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from drills.engine.gates.question import Gated, no, unknown, why, yes
from drills.timeline.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.engine.plan import Step
    from drills.work import Aws, Target

NAME: Final = "remediation"
PERMISSIONS: Final = (
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeAutoScalingInstances",
    "config:DescribeConfigRules",
    "config:DescribeRemediationConfigurations",
    "events:ListRules",
    "events:ListTargetsByRule",
    "scheduler:GetSchedule",
    "scheduler:ListSchedules",
)
FIGHTS: Final = ("HealthCheck", "ReplaceUnhealthy", "Launch")
"""Processes of a group, any one of which suspended leaves a stopped instance alone."""
TAGS: Final = {
    "Schedule": "Instance Scheduler on AWS starts and stops it",
    "karpenter.sh/nodepool": "Karpenter replaces it",
    "karpenter.sh/provisioner-name": "Karpenter replaces it",
    "spotinst:aws:ec2:group:id": "Spot Ocean replaces it",
    "aws:eks:cluster-name": "its EKS node group replaces it",
    "aws:ecs:clusterName": "ECS moves its tasks elsewhere",
    "AutoStart": "a scheduler may start it",
    "auto-start": "a scheduler may start it",
}
"""Tags by which well-known schedulers find what they look after."""
MOST: Final = 200
"""Schedules and rules of a place that are read; what lies behind is not known."""
IDS: Final = 50
_INSTANCE: Final = re.compile(r"i-[0-9a-f]{8,17}")
TYPES: Final = {
    "ec2": ("AWS::EC2::Instance", "AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::NetworkAcl"),
    "rds": ("AWS::RDS::DBInstance", "AWS::RDS::DBCluster"),
    "autoscaling": ("AWS::AutoScaling::AutoScalingGroup",),
    "dynamodb": ("AWS::DynamoDB::Table",),
    "s3": ("AWS::S3::Bucket",),
}


def ask(question: Question) -> Iterator[Gated]:
    """Look for each changing step at groups, tags, schedules, rules and remediations that reach its targets."""
    fought = False
    for step in question.changes():
        name, waiver = f"{NAME}:{step.id}", question.plan.rules.waived(NAME, step.id)
        try:
            targets, aws = question.touched(step), question.aws(step.place)
            found = [*_groups(aws, targets), *_tags(targets)]
            found += [*_scheduled(aws, targets), *_ruled(aws, targets), *_mended(aws, step)]
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said yes
            fought = True
            told = f"what would fight it could not be learned ({why(error)})"
            yield yes(name, f"waived ({waiver.why}): {told}") if waiver else unknown(name, told)
            continue
        if found:
            fought = True
            told = "; ".join(found)
            yield yes(name, f"waived ({waiver.why}): {told}") if waiver else no(name, told)
        if "rds:StopDB" in "".join(step.permissions):
            yield Gated(name, ok=False, detail="AWS starts a stopped database by itself after 7 days", advises=True)
    if not fought:
        yield yes(NAME, "no group, schedule, rule or remediation was found that would change the targets back")


def _groups(aws: Aws, targets: tuple[Target, ...]) -> Iterator[str]:
    """Name the groups that would replace an instance that is stopped."""
    ids = [target.id for target in targets if _INSTANCE.fullmatch(target.id)]
    members: dict[str, list[str]] = {}
    for begin in range(0, len(ids), IDS):
        answer = aws.client("autoscaling").describe_auto_scaling_instances(InstanceIds=ids[begin : begin + IDS])
        for one in answer["AutoScalingInstances"]:
            if one.get("LifecycleState") not in ("Standby", "EnteringStandby"):
                members.setdefault(one["AutoScalingGroupName"], []).append(one["InstanceId"])
    names = sorted(members)
    if not names:
        return
    for group in aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=names)[
        "AutoScalingGroups"
    ]:
        held = {one.get("ProcessName") for one in group.get("SuspendedProcesses", [])}
        if not held.intersection(FIGHTS):
            name = group["AutoScalingGroupName"]
            yield (
                f"the group {name} would replace {', '.join(members[name])}; suspend its ReplaceUnhealthy, "
                "or put the instances on standby"
            )


def _tags(targets: tuple[Target, ...]) -> Iterator[str]:
    for target in targets:
        for key, value in (target.tags or Facts()).items():
            if key in TAGS:
                yield f"{target.id} carries {key}={value}: {TAGS[key]}"


def _named(text: str, targets: tuple[Target, ...]) -> list[str]:
    return [one.id for one in targets if re.search(rf"(?<![\w-]){re.escape(one.id)}(?![\w-])", text)]


def _scheduled(aws: Aws, targets: tuple[Target, ...]) -> Iterator[str]:
    """Name the schedules of EventBridge Scheduler that speak of a target."""
    if not targets:
        return
    scheduler, count = aws.client("scheduler"), 0
    for page in scheduler.get_paginator("list_schedules").paginate(State="ENABLED"):
        for one in page["Schedules"]:
            count += 1
            if count > MOST:
                raise OverflowError(f"more than {MOST} schedules; waive {NAME} if none concerns the drill")
            found = scheduler.get_schedule(Name=one["Name"], GroupName=one.get("GroupName", "default"))
            acts = found["Target"]
            named = _named(f"{acts['Arn']} {acts.get('Input', '')}", targets)
            if named:
                yield f"the schedule {one['Name']} acts on {', '.join(named)}; disable it for the drill"


def _ruled(aws: Aws, targets: tuple[Target, ...]) -> Iterator[str]:
    """Name the rules of EventBridge whose targets or patterns speak of a target."""
    if not targets:
        return
    events, count = aws.client("events"), 0
    for page in events.get_paginator("list_rules").paginate():
        for rule in page["Rules"]:
            count += 1
            if count > MOST:
                raise OverflowError(f"more than {MOST} rules; waive {NAME} if none concerns the drill")
            if rule.get("State") == "DISABLED":
                continue
            told = _rule_text(events, rule)
            named = _named(told, targets)
            if named:
                yield f"the rule {rule['Name']} acts on {', '.join(named)}; disable it for the drill"


def _rule_text(events: Any, rule: dict[str, Any]) -> str:
    answer = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    return " ".join([rule.get("EventPattern", ""), *(f"{one.get('Arn', '')} {one.get('Input', '')}" for one in answer)])


def _mended(aws: Aws, step: Step) -> Iterator[str]:
    """Name the rules of AWS Config that mend by themselves the kind of thing that a step changes."""
    kinds = {kind for action in step.permissions for kind in TYPES.get(action.partition(":")[0], ())}
    if not kinds:
        return
    config = aws.client("config")
    rules = [one for page in config.get_paginator("describe_config_rules").paginate() for one in page["ConfigRules"]]
    concerned = {
        one["ConfigRuleName"]: set(one.get("Scope", {}).get("ComplianceResourceTypes", [])) & kinds for one in rules
    }
    names = sorted(name for name, common in concerned.items() if common)
    for begin in range(0, len(names), 25):
        answer = config.describe_remediation_configurations(ConfigRuleNames=names[begin : begin + 25])
        for one in answer["RemediationConfigurations"]:
            if one.get("Automatic"):
                rule = one["ConfigRuleName"]
                yield f"AWS Config mends {', '.join(sorted(concerned[rule]))} by itself ({rule}); switch that off"
