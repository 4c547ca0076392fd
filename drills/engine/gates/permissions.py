"""The caller may do all that the plan needs: simulated by IAM where that is allowed, else one read of each service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from drills.aws.classify import DENIED, error_code
from drills.engine.gates.arns import arns_of
from drills.engine.gates.question import no, unknown, why, yes
from drills.engine.permissions import needed
from drills.timeline.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from drills.engine.gates.question import Question
    from drills.timeline.events import Gated
    from drills.work import Aws, Place

NAME: Final = "permissions"
PERMISSIONS: Final = ("iam:GetRole", "iam:SimulatePrincipalPolicy", "sts:GetCallerIdentity")
BATCH: Final = 50
"""Actions of one simulation: its answer stays far below the 1,000 results of a page."""
PAGES: Final = 40
TOLD: Final = 6
"""Denied actions that are named; the rest is counted."""

READS: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "autoscaling": ("autoscaling", "describe_auto_scaling_groups", {"MaxRecords": 1}),
    "backup": ("backup", "list_backup_vaults", {"MaxResults": 1}),
    "cloudwatch": ("cloudwatch", "describe_alarms", {"MaxRecords": 1}),
    "dynamodb": ("dynamodb", "list_tables", {"Limit": 1}),
    "ec2": ("ec2", "describe_vpcs", {"MaxResults": 5}),
    "ecs": ("ecs", "list_clusters", {"maxResults": 1}),
    "eks": ("eks", "list_clusters", {"maxResults": 1}),
    "elasticache": ("elasticache", "describe_replication_groups", {"MaxRecords": 20}),
    "elasticloadbalancing": ("elbv2", "describe_load_balancers", {"PageSize": 1}),
    "fis": ("fis", "list_experiment_templates", {"maxResults": 1}),
    "lambda": ("lambda", "list_functions", {"MaxItems": 1}),
    "rds": ("rds", "describe_db_instances", {"MaxRecords": 20}),
    "route53": ("route53", "list_hosted_zones", {"MaxItems": "1"}),
    "s3": ("s3", "list_buckets", {}),
    "secretsmanager": ("secretsmanager", "list_secrets", {"MaxResults": 1}),
    "sns": ("sns", "list_topics", {}),
    "sqs": ("sqs", "list_queues", {"MaxResults": 1}),
    "ssm": ("ssm", "describe_parameters", {"MaxResults": 1}),
    "sts": ("sts", "get_caller_identity", {}),
}
"""One cheap read for each service, by the prefix of its IAM actions."""


@dataclass(frozen=True, slots=True)
class Denied:
    """An action that the simulation did not allow, on what, and by which kind of policy."""

    action: str
    on: str
    by: str


class NotSimulated(Exception):
    """IAM will not simulate this caller; the message says why."""


def ask(question: Question) -> Iterator[Gated]:
    """Ask for each place that steps use, with the account, role and region that they act with."""
    wanted = needed(question.plan)
    for place in question.used():
        actions = sorted(wanted[place.name].actions)
        if actions:
            yield _place(question, place, actions)


def _place(question: Question, place: Place, actions: Sequence[str]) -> Gated:
    name = f"{NAME}:{place.name}"
    try:
        denied = _simulated(question, place, actions)
    except NotSimulated as answer:
        return _probed(question, place, actions, str(answer))
    except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said yes
        return unknown(name, f"the permissions could not be simulated ({why(error)})")
    if not denied:
        return yes(name, f"simulated: all {len(actions)} actions are allowed in {place.region}")
    told = "; ".join(f"{one.action} on {one.on}: {one.by}" for one in denied[:TOLD])
    more = f"; and {len(denied) - TOLD} more" if len(denied) > TOLD else ""
    return no(name, f"not allowed: {told}{more}; `drills plan` lists all that is needed")


def _simulated(question: Question, place: Place, actions: Sequence[str]) -> list[Denied]:
    """Simulate on all resources, and what is denied there once more on the very targets of the plan."""
    aws = question.accounts.read(place)
    principal = _principal(aws)
    first = _simulate(question, aws, principal, actions, ["*"])
    denied: list[Denied] = []
    for one in first:
        targets = arns_of(question, place, one.action, principal.split(":")[1])
        denied += _simulate(question, aws, principal, [one.action], targets) if targets else [one]
    return denied


def _principal(aws: Aws) -> str:
    """Give the ARN of the role or user that the caller is; a session's own ARN has lost the path of its role."""
    caller = str(aws.client("sts").get_caller_identity()["Arn"])
    kind, _, rest = caller.split(":", 5)[5].partition("/")
    if kind == "user" and ":iam:" in caller:
        return caller
    if kind != "assumed-role":
        raise NotSimulated(f"IAM simulates roles and users, and the caller is {caller}")
    role = rest.partition("/")[0]
    if aws.place.role and aws.place.role.rpartition("/")[2] == role:
        return aws.place.role
    try:
        return str(aws.client("iam").get_role(RoleName=role)["Role"]["Arn"])
    except Exception as error:
        if error_code(error) in DENIED:
            raise NotSimulated(f"iam:GetRole of {role} is denied") from error
        raise


def _simulate(
    question: Question, aws: Aws, principal: str, actions: Sequence[str], arns: Sequence[str]
) -> list[Denied]:
    found: list[Denied] = []
    answered: set[str] = set()
    for begin in range(0, len(actions), BATCH):
        batch = list(actions[begin : begin + BATCH])
        for result in _pages(question, aws, principal, batch, arns):
            answered.add(str(result["EvalActionName"]).lower())
            found += _denied(result)
    silent = [action for action in actions if action.lower() not in answered]
    return found + [Denied(action, "*", "the simulation did not mention it") for action in silent]


def _pages(
    question: Question, aws: Aws, principal: str, actions: list[str], arns: Sequence[str]
) -> Iterator[dict[str, Any]]:
    marker: dict[str, str] = {}
    for _ in range(PAGES):
        try:
            page = aws.client("iam").simulate_principal_policy(
                PolicySourceArn=principal,
                ActionNames=actions,
                ResourceArns=list(arns),
                ContextEntries=_context(question, aws.place),
                **marker,
            )
        except Exception as error:
            if error_code(error) in DENIED:
                raise NotSimulated("iam:SimulatePrincipalPolicy is denied") from error
            raise
        yield from page.get("EvaluationResults", [])
        if not page.get("IsTruncated"):
            return
        marker = {"Marker": page["Marker"]}
    raise OverflowError(f"the simulation has more than {PAGES} pages")


def _context(question: Question, place: Place) -> list[dict[str, Any]]:
    """Tell the simulation what each call will carry; the tags are those that the gate of the scope has seen."""
    values = {"aws:RequestedRegion": place.region, "aws:PrincipalAccount": place.account}
    tags = question.plan.scope.tags if question.plan.scope else Facts()
    for key, value in tags.items():
        for prefix in (
            "aws:ResourceTag",
            "ec2:ResourceTag",
            "autoscaling:ResourceTag",
            "rds:db-tag",
            "rds:cluster-tag",
        ):
            values[f"{prefix}/{key}"] = str(value)
    return [
        {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]}
        for key, value in values.items()
    ]


def _denied(result: dict[str, Any]) -> Iterator[Denied]:
    """Give what one evaluation did not allow, on the whole or on some of its resources."""
    action = str(result["EvalActionName"])
    some = result.get("ResourceSpecificResults", [])
    for one in some:
        if one.get("EvalResourceDecision") != "allowed":
            yield Denied(action, str(one.get("EvalResourceName", "*")), _by(one.get("EvalResourceDecision"), one))
    if result.get("EvalDecision") != "allowed" and not some:
        yield Denied(action, str(result.get("EvalResourceName", "*")), _by(result.get("EvalDecision"), result))


def _by(decision: Any, result: dict[str, Any]) -> str:
    """Tell which kind of policy says no."""
    if result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations") is False:
        return "denied by a service control policy of the organization"
    if result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary") is False:
        return "denied by the permissions boundary"
    if decision == "explicitDeny":
        named = [str(one.get("SourcePolicyId", "")) for one in result.get("MatchedStatements", [])]
        return f"denied by a statement{f' of {named[0]}' if named and named[0] else ''}"
    missing = ", ".join(result.get("MissingContextValues", []))
    return f"no policy allows it{f' (without knowing {missing})' if missing else ''}"


def _probed(question: Question, place: Place, actions: Sequence[str], reason: str) -> Gated:
    """Read once from each service: it proves less than a simulation, and says so."""
    name = f"{NAME}:{place.name}"
    services = sorted({action.partition(":")[0] for action in actions})
    aws = question.accounts.read(place)
    for service in services:
        if service in READS:
            client, method, given = READS[service]
            try:
                getattr(aws.client(client), method)(**given)
            except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said yes
                answer = no if error_code(error) in DENIED else unknown
                return answer(name, f"not simulated ({reason}), and {service} did not answer a read ({why(error)})")
    asked = [one for one in services if one in READS]
    rest = [one for one in services if one not in READS]
    told = f"not simulated ({reason}): a read of {', '.join(asked) or 'nothing'} was answered"
    told += f", {', '.join(rest)} was not asked" if rest else ""
    return yes(name, f"{told}; that the changes are allowed is not proven")
