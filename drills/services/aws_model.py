"""What botocore's own service models tell of an operation: without credentials, without a client."""

from __future__ import annotations

import base64
import re
from datetime import date, datetime
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from drills.aws.models import loader
from drills.aws.readonly import only_reads
from drills.timeline.facts import Json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botocore.model import OperationModel, ServiceModel, Shape

REFERENCE: Final = re.compile(r"\$\{[^{}]+\}")
STRUCK: Final = "[secret]"
FEW: Final = 16
"""Names up to this many are all told where none is near."""
_IN_THE_OPEN: Final = {"Parameter": ("Type", "Value", frozenset({"String", "StringList"}))}
"""Members that AWS marks as sensitive, and that are no secret where another member says so: SSM's SecureString is."""

_IAM_PREFIX: Final = {
    "cloudwatch": "cloudwatch",
    "email": "ses",
    "monitoring": "cloudwatch",
    "s3-control": "s3",
    "states": "states",
    "tagging": "tag",
}
"""IAM's prefix where it is not the name a service signs with."""
_IAM_ACTION: Final = {
    "lambda:Invoke": ("lambda:InvokeFunction",),
    "s3:CopyObject": ("s3:GetObject", "s3:PutObject"),
    "s3:DeleteBucketReplication": ("s3:PutReplicationConfiguration",),
    "s3:DeleteObjects": ("s3:DeleteObject",),
    "s3:GetBucketReplication": ("s3:GetReplicationConfiguration",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:HeadObject": ("s3:GetObject",),
    "s3:ListBuckets": ("s3:ListAllMyBuckets",),
    "s3:ListObjectVersions": ("s3:ListBucketVersions",),
    "s3:ListObjects": ("s3:ListBucket",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    "s3:PutBucketReplication": ("s3:PutReplicationConfiguration",),
    "sts:GetCallerIdentity": (),
}
_CLI: Final = {"codedeploy": "deploy", "config": "configservice", "s3": "s3api"}


@cache
def service_model(service: str) -> ServiceModel:
    """Load the model of a service as boto3 calls it; ``ValueError`` with the nearest name when there is none."""
    from botocore.exceptions import UnknownServiceError
    from botocore.model import ServiceModel as Model

    try:
        return Model(loader().load_service_model(service, "service-2"), service)
    except UnknownServiceError:
        names = loader().list_available_services("service-2")
        raise ValueError(f"boto3 knows no service {service!r}{near(service, names)}") from None


@lru_cache(maxsize=1024)
def operation_model(service: str, operation: str) -> OperationModel:
    """Find an operation by its name in either spelling (``StopDBInstance``, ``stop_db_instance``)."""
    from botocore import xform_name

    model = service_model(service)
    names: list[str] = [str(name) for name in model.operation_names]
    if operation in names:
        return model.operation_model(operation)
    snake = {xform_name(name): name for name in names}
    if operation in snake:
        return model.operation_model(snake[operation])
    raise ValueError(f"{service} has no operation {operation!r}{near(operation, [*names, *snake])}")


@lru_cache(maxsize=1024)
def method_name(operation: str) -> str:
    """Give the name of the client's method for an operation."""
    from botocore import xform_name

    return str(xform_name(operation))


@lru_cache(maxsize=1024)
def signs_of_more(service: str, operation: str) -> tuple[str, ...]:
    """Give the JMESPaths of which one is true where an answer is the first of several pages; none without pages."""
    from botocore.exceptions import DataNotFoundError

    try:
        pages = loader().load_service_model(service, "paginators-1")["pagination"].get(operation)
    except DataNotFoundError:
        return ()
    if pages is None:
        return ()
    signs: str | list[str] = pages.get("more_results") or pages["output_token"]
    return (signs,) if isinstance(signs, str) else tuple(signs)


def reads_only(model: OperationModel) -> bool:
    """Say whether a read-only session lets this operation through."""
    return only_reads(str(model.service_model.service_name), str(model.name))


def permissions(model: OperationModel) -> tuple[str, ...]:
    """Give the IAM actions an operation needs, as far as the service model tells."""
    service = model.service_model
    signs = str(service.metadata.get("signingName") or service.metadata.get("endpointPrefix"))
    prefix = _IAM_PREFIX.get(str(service.service_name)) or _IAM_PREFIX.get(signs, signs)
    action = f"{prefix}:{model.name}"
    return _IAM_ACTION.get(action, (action,))


def command(model: OperationModel, parameters: Mapping[str, Json], region: str) -> str:
    """Write a call as a command of the AWS CLI."""
    import json
    import shlex

    from botocore import xform_name

    service = str(model.service_model.service_name)
    name = xform_name(str(model.name), "-")
    given = shlex.quote(json.dumps(dict(parameters), separators=(",", ":")))
    return f"aws {_CLI.get(service, service)} {name} --region {region} --cli-input-json {given}"


def told(service: str, operation: str, parameters: Mapping[str, Json], region: str) -> str:
    """Write a call by its names as a command of the AWS CLI."""
    return command(operation_model(service, operation), parameters, region)


def token_member(model: OperationModel) -> str:
    """Give the member that makes repeating the call harmless; empty when the operation has none."""
    shape = model.input_shape
    members: Iterable[str] = getattr(model, "idempotent_members", ()) if shape is not None else ()
    return next(iter(members), "")


def plain(shape: Shape | None, value: Any) -> Json:
    """Make an answer storable: times as ISO 8601, bytes as base64, members that AWS marks sensitive struck out."""
    if shape is not None and shape.metadata.get("sensitive"):
        return STRUCK
    if isinstance(value, dict):
        return _plain_members(shape, cast("dict[str, Any]", value))
    if isinstance(value, list | tuple | set | frozenset):
        member: Shape | None = getattr(shape, "member", None) if shape is not None else None
        return [plain(member, item) for item in cast("Iterable[Any]", value)]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode("ascii")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return f"[{type(value).__name__}]"


def struck(value: Json) -> bool:
    """Say whether something in a stored answer was struck out."""
    if isinstance(value, dict):
        return any(struck(item) for item in value.values())
    return value == STRUCK or (isinstance(value, list) and any(struck(item) for item in value))


def nearest(name: str, names: Iterable[str]) -> str:
    """Give the known name that is most like one that is not known; empty when none is."""
    by_lower = {one.lower(): one for one in names}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""


def near(name: str, names: Iterable[str]) -> str:
    """End a sentence about an unknown name: the nearest one, or all of them when there are few."""
    known = sorted(names)
    found = nearest(name, known)
    if found:
        return f"; did you mean {found!r}?"
    return f"; there are: {', '.join(known)}" if 0 < len(known) <= FEW else ""


def _plain_members(shape: Shape | None, value: Mapping[str, Any]) -> Json:
    members: Mapping[str, Shape] = getattr(shape, "members", {}) if shape is not None else {}
    inner: Shape | None = getattr(shape, "value", None) if shape is not None else None
    made = {key: plain(members.get(key, inner), item) for key, item in value.items() if key != "ResponseMetadata"}
    kind, member, harmless = _IN_THE_OPEN.get(str(getattr(shape, "name", "")), ("", "", frozenset[str]()))
    if member in made and value.get(kind) in harmless:
        made[member] = str(value[member])
    return made
