"""What a plan needs from IAM, place by place: the base of session policies and of printed ones. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drills.aws.narrow import Needed
from drills.timeline.stores import StoreKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from drills.engine.plan import DataWatch, Plan
    from drills.timeline.facts import Json

SECRETS: Final = {
    "secretsmanager:": ("kms:Decrypt", "secretsmanager:GetSecretValue"),
    "ssm:": ("kms:Decrypt", "ssm:GetParameter"),
}
"""What it takes to read a secret, by how its reference begins."""

LEDGERS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    StoreKind.DYNAMODB: (
        ("dynamodb:DescribeTable", "dynamodb:PutItem"),
        ("dynamodb:BatchGetItem", "dynamodb:DescribeTable", "dynamodb:Query"),
    ),
    StoreKind.S3: (("s3:ListBucket", "s3:PutObject"), ("s3:ListBucket",)),
    StoreKind.SQS: (
        ("sqs:GetQueueUrl", "sqs:SendMessage"),
        (
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:ReceiveMessage",
        ),
    ),
}
"""What it takes to write markers into a store of AWS, and to read them back."""


def needed(plan: Plan) -> dict[str, Needed]:
    """Give the IAM actions of each place: those its steps declare, and reading the secrets that are named there.

    Every place may come to hold what drills itself needs (its lock, the stop flag), which has no step.
    """
    found: dict[str, set[str]] = {place.name: set() for place in plan.places}
    for step in (*plan.steps, *plan.recovery_points):
        if step.place in found:
            found[step.place] |= {*step.permissions, *_secrets(step.params.values())}
    for one in plan.data:
        for place, actions in ledger_permissions(one):
            if place in found:
                found[place] |= {*actions}
    if plan.to_site in found:  # observers' secrets are read on the surviving side
        found[plan.to_site] |= {*_secrets(secret for one in plan.data for secret in one.references())}
        found[plan.to_site] |= {*_secrets(one.dsn for one in plan.availability)}
    return {name: Needed(frozenset(actions), own=True) for name, actions in found.items()}


def ledger_permissions(watch: DataWatch) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Give what markers need in the place where they are written, and in the one where they are read."""
    write, read = LEDGERS.get(watch.store, ((), ()))
    return ((watch.write_at, write), (watch.read_at, read)) if write else ()


def _secrets(values: Iterable[Json]) -> Iterator[str]:
    """Find references to secrets anywhere in JSON values."""
    for value in values:
        if isinstance(value, str):
            for scheme, actions in SECRETS.items():
                if value.startswith(scheme):
                    yield from actions
        elif isinstance(value, dict):
            yield from _secrets(value.values())
        elif isinstance(value, list):
            yield from _secrets(value)
