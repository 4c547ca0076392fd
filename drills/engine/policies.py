"""Least-privilege IAM policies for a plan: one set for each account and role. Pure; asks nobody.

Reads and writes are statements of their own. Resources are the ARNs of what the steps name, else ``*`` with a reason.
What no drill ever does is denied outright, whatever else the role may have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from drills.aws import arns, forbidden
from drills.aws.narrow import OWN, is_read
from drills.engine.gates.table import GATES
from drills.engine.permissions import needed

if TYPE_CHECKING:
    from drills.engine.plan import Plan, Step
    from drills.timeline.facts import Json
    from drills.work import Place

LONGEST: Final = 6144
"""Characters of a managed policy, white space not counted (IAM and STS quotas)."""
ATTACHED: Final = 10
"""Managed policies that a role holds by default."""
_PREFIX: Final = {
    "acm*": "acm",
    "cloudhsm*": "cloudhsm",
    "docdb": "rds",
    "efs": "elasticfilesystem",
    "neptune": "rds",
    "opensearch": "es",
    "s3control": "s3",
    "sso-admin": "sso",
}
"""Services whose IAM prefix is not the name that the list of forbidden calls has for them."""
NEVER: Final = tuple(
    sorted(
        {
            f"{_PREFIX.get(rule.service, rule.service)}:{rule.operation}"
            for rule in forbidden.RULES
            # What depends on a call's parameters IAM cannot tell; what begins with * would deny reads as well.
            if rule.when is None and not rule.own and not rule.operation.startswith("*")
        }
    )
)
"""What no drill ever does, as IAM names it."""
_HOLDERS: Final = ("secretsmanager", "ssm")
Document: TypeAlias = "dict[str, Any]"
"""A policy document, as IAM reads it."""


@dataclass(frozen=True, slots=True)
class Wide:
    """An action that is granted on ``*``, and why."""

    action: str
    why: str


@dataclass(frozen=True, slots=True)
class RolePolicies:
    """What one role needs: managed policies, each within IAM's limit, and what in them is wide."""

    account: str
    role: str
    documents: tuple[Document, ...]
    wide: tuple[Wide, ...]


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What binds a grant beside its resources."""

    reads: bool
    tags: tuple[tuple[str, str], ...] = ()
    regional: bool = False
    via: bool = False


@dataclass(slots=True)
class _Grants:
    resources: dict[tuple[_Bounds, str], set[str]] = field(default_factory=dict[tuple[_Bounds, str], set[str]])
    regions: set[str] = field(default_factory=set[str])
    wide: dict[str, str] = field(default_factory=dict[str, str])

    def add(
        self, action: str, resources: Iterable[str], region: str, *, tags: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Grant an action on some resources; on ``*`` it is bound to the regions where that means something."""
        found = tuple(resources)
        wide = found == ("*",)
        service = action.partition(":")[0]
        via = action == "kms:Decrypt"
        bounds = _Bounds(is_read(action), tags, wide and not via and service not in arns.GLOBAL, via)
        self.resources.setdefault((bounds, action), set()).update(found)
        self.regions.add(region)

    def grouped(self) -> Iterator[tuple[_Bounds, tuple[str, ...], list[str]]]:
        """Give actions together that have the same bounds and the same resources: reads first."""
        found: dict[tuple[_Bounds, tuple[str, ...]], list[str]] = {}
        for (bounds, action), resources in sorted(self.resources.items(), key=lambda item: item[0][1]):
            found.setdefault((bounds, tuple(sorted(resources))), []).append(action)
        for (bounds, resources), actions in sorted(found.items(), key=lambda item: (not item[0][0].reads, item[1])):
            yield bounds, resources, actions


def policies(plans: Iterable[Plan]) -> tuple[RolePolicies, ...]:
    """Give what each account and role needs for all of these plans, which are of one environment (both ways, say)."""
    found: dict[tuple[str, str], _Grants] = {}
    for plan in plans:
        wanted = needed(plan)
        for place in plan.places:
            grants = found.setdefault((place.account, place.role or ""), _Grants())
            steps = [step for step in (*plan.steps, *plan.recovery_points) if step.place == place.name]
            for step in steps:
                for action in step.permissions:
                    _grant(grants, action, place, step, plan)
            _secrets(grants, wanted[place.name].actions, place, plan)
            if steps:
                _own(grants, place, plan)
    return tuple(
        RolePolicies(account, role, _split(_statements(grants)), _wide(grants))
        for (account, role), grants in found.items()
        if grants.resources
    )


def _grant(grants: _Grants, action: str, place: Place, step: Step, plan: Plan) -> None:
    spot = arns.Spot(place.account, place.region)
    resources = _dead_man(action, spot, plan) or arns.resources(action, spot, step.params) or ("*",)
    tags: tuple[tuple[str, str], ...] = ()
    if action in arns.TAGGED and plan.scope is not None and not _by_id(plan.scope.allow, step.params):
        tags = tuple(sorted((key, str(value)) for key, value in plan.scope.tags.items()))
    if resources == ("*",):
        grants.wide.setdefault(action, _why(action))
    grants.add(action, resources, place.region, tags=tags)


def _dead_man(action: str, spot: arns.Spot, plan: Plan) -> tuple[str, ...]:
    """Name what the dead man's own actions touch: the schedules' role, and schedules whose names are ours."""
    man = plan.dead_man
    if man is None:
        return ()
    if action == "iam:PassRole":
        return (man.role,)
    if action.startswith("scheduler:"):
        return (f"arn:{spot.partition}:scheduler:*:{spot.account}:schedule/{man.group}/drills-*",)
    return ()


def _by_id(allow: Iterable[str], fields: Mapping[str, Json]) -> bool:
    """Say whether a step's target may be one that is allowed by its id, and so need not carry the tags."""
    texts = [one for value in fields.values() for one in (value if isinstance(value, list) else [value])]
    return any(one in texts for one in allow)


def _secrets(grants: _Grants, actions: Iterable[str], place: Place, plan: Plan) -> None:
    """Grant reading the secrets that steps and observers name."""
    texts = [value for step in plan.steps if step.place == place.name for value in step.params.values()]
    if place.name == plan.to_site:
        texts += [text for one in plan.data for text in (one.write, one.read)]
    fields: dict[str, Json] = {str(number): text for number, text in enumerate(texts)}
    for action in actions:
        if action == "kms:Decrypt":
            grants.wide.setdefault(action, _why(action))
            grants.add(action, ["*"], place.region)
        elif action in {"secretsmanager:GetSecretValue", "ssm:GetParameter"}:
            found = arns.resources(action, arns.Spot(place.account, place.region), fields)
            if found:
                grants.add(action, found, place.region)


def _own(grants: _Grants, place: Place, plan: Plan) -> None:
    """Grant what gates read by, and drills' own parameters in the home region."""
    for gate in GATES:
        for action in gate.permissions:
            if action not in OWN and not action.startswith("sts:"):  # the caller's own, before there is a role
                grants.wide.setdefault(action, f"the gate {gate.name!r} asks it before the drill")
                grants.add(action, ["*"], place.region)
    for action in OWN:
        partition = arns.Spot("", place.region).partition
        grants.add(action, [f"arn:{partition}:ssm:{plan.home}:{place.account}:parameter/drills/*"], place.region)


def _why(action: str) -> str:
    for pattern, told in arns.UNNAMED.items():
        if fnmatchcase(action, pattern):
            return told
    if action in arns.PATTERNS:
        return "its target is known only during the drill"
    return "how IAM names its target is not in the table of drills"


def _wide(grants: _Grants) -> tuple[Wide, ...]:
    return tuple(Wide(action, why) for action, why in sorted(grants.wide.items()))


def _statements(grants: _Grants) -> Iterator[Document]:
    """Write the statements: reads, then changes, then what is denied always."""
    regions = sorted(grants.regions)
    for number, (bounds, resources, actions) in enumerate(grants.grouped(), 1):
        equals: dict[str, list[str] | str] = {f"aws:ResourceTag/{name}": value for name, value in bounds.tags}
        if bounds.regional:
            equals["aws:RequestedRegion"] = regions
        if bounds.via:
            equals["kms:ViaService"] = [f"{name}.{one}.amazonaws.com" for name in _HOLDERS for one in regions]
        yield {
            "Sid": f"{'Read' if bounds.reads else 'Change'}{number}",
            "Effect": "Allow",
            "Action": actions,
            "Resource": list(resources),
            **({"Condition": {"StringEquals": equals}} if equals else {}),
        }
    yield {"Sid": "Never", "Effect": "Deny", "Action": list(NEVER), "Resource": ["*"]}


def size(document: Document) -> int:
    """Count the characters of a policy as IAM does, without white space."""
    return len("".join(json.dumps(document, separators=(",", ":")).split()))


def _split(statements: Iterable[Document]) -> tuple[Document, ...]:
    """Put statements into as few documents as hold them in order; one that is too long is cut between its resources."""
    documents: list[Document] = []
    queue = list(statements)
    while queue:
        one = queue.pop(0)
        if size(_document([one])) > LONGEST:
            queue[:0] = _halves(one)
            continue
        if documents and size(_document([*documents[-1]["Statement"], one])) <= LONGEST:
            documents[-1]["Statement"].append(one)
        else:
            documents.append(_document([one]))
    return tuple(documents)


def _document(statements: list[Document]) -> Document:
    return {"Version": "2012-10-17", "Statement": statements}


def _halves(statement: Document) -> list[Document]:
    """Cut a statement in two that grant, or deny, the same together."""
    name = max(("Action", "Resource"), key=lambda part: len(json.dumps(statement[part])) * (len(statement[part]) > 1))
    listed: list[str] = statement[name]
    middle = len(listed) // 2
    return [
        {**statement, "Sid": f"{statement['Sid']}{letter}", name: part}
        for letter, part in (("a", listed[:middle]), ("b", listed[middle:]))
    ]


def trust(caller: str, external_id: str | None) -> Document:
    """Give an example of a trust policy: who may assume the role (``caller``: an ARN), and as what."""
    asked = {"Condition": {"StringEquals": {"sts:ExternalId": external_id}}} if external_id else {}
    return _document(
        [
            {
                "Sid": "WhoMayDrill",
                "Effect": "Allow",
                "Principal": {"AWS": caller},
                "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
                **asked,
            }
        ]
    )
