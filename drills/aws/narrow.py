"""Session policies: what an assumed role may do in one drill, no more than the plan's own permissions.

STS takes a session policy of at most 2,048 characters as plain text, and packs it into a binary form with a limit of
its own (AWS STS API reference, ``AssumeRole``: ``Policy``, ``PackedPolicySize``). A policy that does not fit is never
cut: then the session has the whole role, and that is said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

import msgspec

from drills.aws.readonly import READ_VERBS

LONGEST: Final = 2048
"""Characters of plain text that STS takes."""
SECRET_READS: Final = frozenset({"secretsmanager:GetSecretValue", "ssm:GetParameter", "kms:Decrypt"})
"""What reading a secret needs; it is part of the reading session, where secrets are resolved."""
OWN: Final = (
    "ssm:DeleteParameter",
    "ssm:DeleteParameters",
    "ssm:GetParameter",
    "ssm:GetParameterHistory",
    "ssm:GetParameters",
    "ssm:GetParametersByPath",
    "ssm:PutParameter",
)
"""What drills itself needs for its lock, its stop flag and answers from elsewhere: parameters under ``/drills/``."""
OWN_RESOURCE: Final = "arn:*:ssm:*:*:parameter/drills/*"


class Needed(msgspec.Struct, frozen=True):
    """The IAM actions of one place: all its steps', and those that drills itself needs there."""

    actions: frozenset[str] = frozenset()
    own: bool = False

    def reads(self) -> frozenset[str]:
        """Give those that only read, secrets that are resolved included."""
        return frozenset(one for one in self.actions if is_read(one))


class Narrowed(msgspec.Struct, frozen=True):
    """A session policy as text (empty: none fits), and in words what it does."""

    policy: str
    told: str


def is_read(action: str) -> bool:
    """Say whether an IAM action (``rds:DescribeDBInstances``) only reads, or reads a secret."""
    return READ_VERBS.match(action.partition(":")[2]) is not None or action in SECRET_READS


def narrow(needed: Needed, *, writes: bool) -> Narrowed:
    """Give the session policy of a reading or a writing session.

    First each action by its name; if that is too long, reads of one service and verb together
    (``rds:Describe*``); if that is too long as well, none: nothing is left out to make it fit.
    """
    actions = needed.actions if writes else needed.reads()
    own = [one for one in OWN if needed.own and (writes or is_read(one))]
    exact = _policy(sorted(actions), own)
    if len(exact) <= LONGEST:
        return Narrowed(exact, f"narrowed to {len(actions)} actions")
    grouped = sorted(_grouped(actions))
    together = _policy(grouped, own)
    if len(together) <= LONGEST:
        return Narrowed(together, f"narrowed to {len(actions)} actions, reads of one service by their verb")
    why = f"a session policy for {len(actions)} actions has {len(together)} characters, and STS takes {LONGEST}"
    return Narrowed("", f"not narrowed: {why}")


def _grouped(actions: Iterable[str]) -> set[str]:
    """Write reads of one service as ``service:Verb*``; secrets and writes stay by name."""
    found: set[str] = set()
    for action in actions:
        service, _, name = action.partition(":")
        verb = READ_VERBS.match(name)
        found.add(action if verb is None or action in SECRET_READS else f"{service}:{verb.group()}*")
    return found


def _policy(actions: list[str], own: list[str]) -> str:
    statements: list[dict[str, object]] = [{"Effect": "Allow", "Action": actions, "Resource": "*"}] if actions else []
    if own:
        statements.append({"Effect": "Allow", "Action": own, "Resource": OWN_RESOURCE})
    if not statements:
        # An empty list of statements is no policy. This one allows what needs no permission anyway.
        statements = [{"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
