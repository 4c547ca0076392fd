"""Least-privilege IAM policies for a plan: one set for each account and role. Pure; asks nobody.

Reads and writes are statements of their own. Resources are the ARNs of what the steps name, else ``*`` with a reason.
What no drill ever does is denied outright, whatever else the role may have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from drills.aws import arns
from drills.aws.narrow import OWN, OWN_RESOURCE, is_read
from drills.engine.gates.table import GATES
from drills.engine.permissions import needed

if TYPE_CHECKING:
    from drills.engine.plan import Plan, Step
    from drills.timeline.facts import Json
    from drills.work import Place

LONGEST: Final = 6144
"""Characters of a managed policy, white space not counted (IAM and STS quotas)."""
Document = dict[str, Any]
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
class _Key:
    """What binds a statement: actions with the same key stand in one."""

    reads: bool
    resources: tuple[str, ...]
    tags: tuple[tuple[str, str], ...] = ()
    regional: bool = True
    via: bool = False


@dataclass(slots=True)
class _Grants:
    actions: dict[_Key, set[str]] = field(default_factory=dict[_Key, set[str]])
    regions: dict[_Key, set[str]] = field(default_factory=dict[_Key, set[str]])
    wide: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, key: _Key, action: str, region: str) -> None:
        """Grant one more action under a key."""
        self.actions.setdefault(key, set()).add(action)
        self.regions.setdefault(key, set()).add(region)


def policies(plans: Iterable[Plan]) -> tuple[RolePolicies, ...]:
    """Give what each account and role needs for all of these plans, which are of one environment (both ways, say)."""
    found: dict[tuple[str, str], _Grants] = {}
    for plan in plans:
        wanted = needed(plan)
        for place in plan.places:
            grants = found.setdefault((place.account, place.role or ""), _Grants())
            steps = [step for step in plan.steps if step.place == place.name]
            for step in steps:
                for action in step.permissions:
                    _grant(grants, action, place, step, plan)
            _secrets(grants, wanted[place.name].actions, place, plan)
            if steps:
                _own(grants, place, plan)
    return tuple(
        RolePolicies(account, role, _split(_statements(grants)), _wide(grants))
        for (account, role), grants in found.items()
        if grants.actions
    )


def _grant(grants: _Grants, action: str, place: Place, step: Step, plan: Plan) -> None:
    spot = arns.Spot(place.account, place.region)
    resources = arns.resources(action, spot, step.params) or ("*",)
    regional = action.partition(":")[0] not in arns.GLOBAL
    tags: tuple[tuple[str, str], ...] = ()
    if action in arns.TAGGED and plan.scope is not None and not _by_id(plan.scope.allow, step.params):
        tags = tuple(sorted((key, str(value)) for key, value in plan.scope.tags.items()))
    if resources == ("*",):
        grants.wide.setdefault(action, _why(action))
    via = action == "kms:Decrypt"
    grants.add(_Key(is_read(action), resources, tags, regional, via), action, place.region)


def _by_id(allow: Iterable[str], fields: Mapping[str, Json]) -> bool:
    """Say whether a step's target may be one that is allowed by its id, and so need not carry the tags."""
    allowed = set(allow)
    texts = {one for value in fields.values() for one in (value if isinstance(value, list) else [value])}  # pyright: ignore[reportUnhashable] - only texts are kept below
    return bool(allowed & {one for one in texts if isinstance(one, str)})


def _secrets(grants: _Grants, actions: Iterable[str], place: Place, plan: Plan) -> None:
    """Grant reading the secrets that steps and observers name."""
    spot = arns.Spot(place.account, place.region)
    texts = [value for step in plan.steps if step.place == place.name for value in step.params.values()]
    if place.name == plan.to_site:
        texts += [text for one in plan.data for text in (one.write, one.read)]
    fields: dict[str, Json] = {str(number): text for number, text in enumerate(texts)}
    for action in actions:
        if action == "kms:Decrypt":
            grants.wide.setdefault(action, _why(action))
            grants.add(_Key(reads=True, resources=("*",), via=True), action, place.region)
        elif action in {"secretsmanager:GetSecretValue", "ssm:GetParameter"}:
            found = arns.resources(action, spot, fields)
            if found:
                grants.add(_Key(reads=True, resources=found), action, place.region)


def _own(grants: _Grants, place: Place, plan: Plan) -> None:
    """Grant what gates read by, and drills' own parameters in the home region."""
    for gate in GATES:
        for action in gate.permissions:
            if action not in {"sts:GetCallerIdentity", "sts:AssumeRole"}:
                grants.wide.setdefault(action, f"the gate {gate.name!r} asks before the drill")
                regional = action.partition(":")[0] not in arns.GLOBAL
                grants.add(_Key(is_read(action), ("*",), regional=regional), action, place.region)
    for action in OWN:
        resource = OWN_RESOURCE.replace("*:ssm:*:*", f"{arns.Spot('', place.region).partition}:ssm:{plan.home}:*")
        grants.add(_Key(is_read(action), (resource,), regional=False), action, plan.home)


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
    order = sorted(grants.actions, key=lambda key: (not key.reads, key.resources, key.tags, key.regional, key.via))
    for number, key in enumerate(order, 1):
        conditions: dict[str, dict[str, list[str] | str]] = {}
        if key.regional and not key.via:
            conditions["aws:RequestedRegion"] = {"StringEquals": sorted(grants.regions[key])}
        for name, value in key.tags:
            conditions[f"aws:ResourceTag/{name}"] = {"StringEquals": value}
        if key.via:
            hosts = [f"{name}.{one}.amazonaws.com" for name in ("secretsmanager", "ssm") for one in grants.regions[key]]
            conditions["kms:ViaService"] = {"StringEquals": sorted(hosts)}
        equals = {name: one["StringEquals"] for name, one in conditions.items()}
        yield {
            "Sid": f"{'Read' if key.reads else 'Change'}{number}",
            "Effect": "Allow",
            "Action": sorted(grants.actions[key]),
            "Resource": list(key.resources),
            **({"Condition": {"StringEquals": equals}} if equals else {}),
        }
    yield {"Sid": "Never", "Effect": "Deny", "Action": sorted(never()), "Resource": ["*"]}


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
    condition: dict[str, Any] = {"StringLike": {"sts:RoleSessionName": "*"}}
    if external_id:
        condition["StringEquals"] = {"sts:ExternalId": external_id}
    return _document(
        [
            {
                "Sid": "WhoMayDrill",
                "Effect": "Allow",
                "Principal": {"AWS": caller},
                "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
                "Condition": condition,
            }
        ]
    )
