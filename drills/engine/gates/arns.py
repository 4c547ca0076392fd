"""ARNs of what a plan touches, made from the ids that its steps name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from drills.engine.gates.question import Question
    from drills.work import Place

EC2: Final = {
    "acl": "network-acl",
    "eni": "network-interface",
    "i": "instance",
    "rtb": "route-table",
    "sg": "security-group",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
}
_EC2_ID: Final = re.compile(r"([a-z]+)-[0-9a-f]{8,17}")


def arns_of(question: Question, place: Place, action: str, partition: str) -> list[str]:
    """Give the ARNs on which an action will be used; empty when one of them cannot be told."""
    service, _, operation = action.partition(":")
    found: list[str] = []
    for step in question.changes():
        if step.place != place.name or action not in step.permissions:
            continue
        for target in question.touched(step):
            arn = arn_of(service, operation, target.id, place, partition)
            if arn:
                found.append(arn)
    return sorted(set(found))


def arn_of(service: str, operation: str, target: str, place: Place, partition: str) -> str:
    """Give the ARN of one target as ``service`` names it; empty when it is none of that service's."""
    if target.startswith("arn:"):
        return target if target.split(":")[2] == service else ""
    here = f"arn:{partition}:{service}:{place.region}:{place.account}"
    ec2 = _EC2_ID.fullmatch(target)
    if ec2 is not None:
        return f"{here}:{EC2[ec2[1]]}/{target}" if service == "ec2" and ec2[1] in EC2 else ""
    if service == "rds":
        return f"{here}:{'cluster' if 'Cluster' in operation else 'db'}:{target}"
    if service == "autoscaling":
        return f"{here}:autoScalingGroup:*:autoScalingGroupName/{target}"
    if service == "route53":
        return f"arn:{partition}:route53:::hostedzone/{target.partition('/')[0]}"
    if service == "dynamodb":
        return f"{here}:table/{target}"
    return ""
