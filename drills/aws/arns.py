"""How IAM names what each action touches: ARN patterns with holes for the fields of a step.

From the Service Authorization Reference of AWS, action by action. An action that is not here, or whose target is known
only during the drill, is granted on ``*``, and the reason is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from drills.timeline.facts import Json

_ASG: Final = "arn:{partition}:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/{asg}"
_DB: Final = "arn:{partition}:rds:{region}:{account}:db:{db}"
_CLUSTER: Final = "arn:{partition}:rds:{region}:{account}:cluster:{cluster}"
_EC2: Final = "arn:{partition}:ec2:{region}:{account}:"
_INSTANCE: Final = f"{_EC2}instance/{{ids}}"
_ACL: Final = f"{_EC2}network-acl/*"
_GROUP: Final = f"{_EC2}security-group/*"
_ZONE: Final = "arn:{partition}:route53:::hostedzone/{zone}"
_TABLE: Final = "arn:{partition}:dynamodb:{region}:{account}:table/{table}"

PATTERNS: Final[dict[str, tuple[str, ...]]] = {
    "autoscaling:ResumeProcesses": (_ASG,),
    "autoscaling:SetDesiredCapacity": (_ASG,),
    "autoscaling:SuspendProcesses": (_ASG,),
    "autoscaling:UpdateAutoScalingGroup": (_ASG,),
    "dynamodb:DescribeContinuousBackups": (_TABLE,),
    "dynamodb:DescribeTable": (_TABLE,),
    "dynamodb:UpdateTable": (_TABLE,),
    "ec2:CreateNetworkAcl": (_ACL, f"{_EC2}vpc/{{vpc}}"),
    "ec2:CreateSecurityGroup": (_GROUP, f"{_EC2}vpc/*"),
    "ec2:CreateTags": (_ACL, _GROUP),
    "ec2:DeleteNetworkAcl": (_ACL,),
    "ec2:DeleteSecurityGroup": (_GROUP,),
    "ec2:RebootInstances": (_INSTANCE,),
    "ec2:ReplaceNetworkAclAssociation": (_ACL, f"{_EC2}subnet/*"),
    "ec2:RevokeSecurityGroupEgress": (_GROUP,),
    "ec2:StartInstances": (_INSTANCE,),
    "ec2:StopInstances": (_INSTANCE,),
    "elasticfilesystem:DescribeReplicationConfigurations": (
        "arn:{partition}:elasticfilesystem:{region}:{account}:file-system/{file_system}",
    ),
    "rds:DescribeDBClusters": (_CLUSTER,),
    "rds:DescribeDBInstances": (_DB,),
    "rds:FailoverDBCluster": (_CLUSTER,),
    "rds:ModifyDBCluster": (_CLUSTER,),
    "rds:ModifyDBInstance": (_DB,),
    "rds:PromoteReadReplica": (_DB,),
    "rds:PromoteReadReplicaDBCluster": (_CLUSTER,),
    "rds:RebootDBInstance": (_DB,),
    "route53:ChangeResourceRecordSets": (_ZONE,),
    "route53:GetChange": ("arn:{partition}:route53:::change/*",),
    "route53:GetHealthCheckStatus": ("arn:{partition}:route53:::healthcheck/{health_check}",),
    "route53:GetHostedZone": (_ZONE,),
    "route53:ListResourceRecordSets": (_ZONE,),
    "route53:ListTagsForResource": (_ZONE,),
    "s3:GetObject": ("arn:{partition}:s3:::{bucket}/*", "arn:{partition}:s3:::{source}/*"),
    "s3:ListBucket": ("arn:{partition}:s3:::{bucket}", "arn:{partition}:s3:::{source}"),
}
"""Action -> the resources it touches. A hole is a field of the step, or ``partition``, ``region``, ``account``."""

UNNAMED: Final = {
    "autoscaling:Describe*": "Auto Scaling's reads know no resource",
    "cloudwatch:DescribeAlarms": "composite alarms are answered on * only",
    "cloudwatch:GetMetric*": "CloudWatch's metrics know no resource",
    "ec2:Describe*": "EC2's reads know no resource",
    "kms:Decrypt": "which key a secret has is not in the plan; limited to the services that hold secrets",
    "route53:ListHostedZones*": "lists of zones know no resource",
    "sts:GetCallerIdentity": "it is allowed to everybody",
}
"""Actions for which IAM knows no resource, as patterns, and what is told of them."""

TAGGED: Final = frozenset(
    {
        "autoscaling:SetDesiredCapacity",
        "autoscaling:UpdateAutoScalingGroup",
        "ec2:RebootInstances",
        "ec2:StartInstances",
        "ec2:StopInstances",
        "rds:FailoverDBCluster",
        "rds:ModifyDBCluster",
        "rds:ModifyDBInstance",
        "rds:PromoteReadReplica",
        "rds:PromoteReadReplicaDBCluster",
        "rds:RebootDBInstance",
    }
)
"""Actions whose every resource carries the scope's tags, so that ``aws:ResourceTag`` can bind them."""

GLOBAL: Final = frozenset({"cloudfront", "globalaccelerator", "iam", "organizations", "route53", "s3", "sts"})
"""Services that are not of one region, or whose reads cross regions: no ``aws:RequestedRegion`` for them."""

_HOLE: Final = re.compile(r"\{(\w+)\}")
_ZONE_ID: Final = re.compile(r"Z[A-Z0-9]{1,31}")
_SECRET: Final = re.compile(r"(secretsmanager|ssm):([^#]+)")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a step acts, as ARNs say it."""

    account: str
    region: str

    @property
    def partition(self) -> str:
        """The AWS partition of the region."""
        heads = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
        return next((name for head, name in heads.items() if self.region.startswith(head)), "aws")


def resources(action: str, spot: Spot, fields: Mapping[str, Json]) -> tuple[str, ...]:
    """Give the ARNs that a step with these fields touches by an action; empty when they cannot be told."""
    if action in {"secretsmanager:GetSecretValue", "ssm:GetParameter"}:
        return tuple(sorted(set(_secrets(action.partition(":")[0], spot, fields))))
    found: list[str] = []
    for pattern in PATTERNS.get(action, ()):
        found += _filled(pattern, spot, fields)
    return tuple(sorted(set(found)))


def _filled(pattern: str, spot: Spot, fields: Mapping[str, Json]) -> Iterator[str]:
    """Fill the holes; a list gives one ARN for each of its items, what is not known becomes ``*``."""
    known = {"partition": [spot.partition], "region": [spot.region], "account": [spot.account]}
    holes = list(dict.fromkeys(_HOLE.findall(pattern)))
    if "source" in holes and not fields.get("source"):
        return  # an optional second target
    values = [known.get(hole) or _values(hole, fields) for hole in holes]
    for combined in product(*values):
        yield pattern.format(**dict(zip(holes, combined, strict=True)))


def _values(hole: str, fields: Mapping[str, Json]) -> list[str]:
    given = fields.get(hole)
    texts = [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, str)]
    plain = [one for one in texts if one and "${" not in one and "<" not in one]
    if hole == "zone":
        plain = [one for one in plain if _ZONE_ID.fullmatch(one)]  # a zone's name is in no ARN
    return plain or ["*"]


def _secrets(service: str, spot: Spot, fields: Mapping[str, Json]) -> Iterator[str]:
    for value in fields.values():
        found = _SECRET.fullmatch(value) if isinstance(value, str) else None
        if found is None or found[1] != service:
            continue
        name = found[2]
        if name.startswith("arn:"):
            yield name
        elif service == "secretsmanager":  # AWS puts six characters of its own after the name
            yield f"arn:{spot.partition}:secretsmanager:{spot.region}:{spot.account}:secret:{name}-??????"
        else:
            yield f"arn:{spot.partition}:ssm:{spot.region}:{spot.account}:parameter/{name.lstrip('/')}"
