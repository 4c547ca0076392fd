"""Which resources the targets of an experiment choose, as AWS FIS resolves them: once, before any action."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from drills import expression

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SHARE: Final = re.compile(r"(COUNT|PERCENT)\((\d+)\)")
_KINDS: Final = {
    "aws:ec2:instance": ("describe_instances", "Reservations[].Instances[]", "InstanceId"),
    "aws:ec2:subnet": ("describe_subnets", "Subnets[]", "SubnetId"),
}


def chosen(ec2: Any, target: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the ids that a target chooses, in order of their names; nothing when it chooses nothing."""
    method, path, key = _KINDS[str(target["resourceType"])]
    asked: dict[str, Any] = {}
    if target.get("resourceTags"):
        asked["Filters"] = [
            {"Name": f"tag:{name}", "Values": [value]} for name, value in target["resourceTags"].items()
        ]
    pages = ec2.get_paginator(method).paginate(**asked, PaginationConfig={"MaxItems": 1000})
    arns = {str(arn).rpartition("/")[2] for arn in target.get("resourceArns") or ()}
    found = [one for page in pages for one in cast("list[dict[str, Any]]", expression.search(path, page) or [])]
    fit = [one for one in found if (not arns or one[key] in arns) and _fits(one, target)]
    return _share(sorted(str(one[key]) for one in fit), str(target.get("selectionMode", "ALL")))


def _share(names: list[str], mode: str) -> tuple[str, ...]:
    share = _SHARE.fullmatch(mode)
    if share is None:
        return tuple(names)
    # A percentage is rounded down, and may come to nothing (FIS user guide, "Targets").
    count = int(share[2]) if share[1] == "COUNT" else len(names) * int(share[2]) // 100
    return tuple(names[:count])


def _fits(one: Mapping[str, Any], target: Mapping[str, Any]) -> bool:
    if next(_at(one, ["State", "Name"]), "") in {"terminated", "shutting-down"}:
        return False
    parameters: Mapping[str, str] = target.get("parameters") or {}
    zone, vpc = parameters.get("availabilityZoneIdentifier"), parameters.get("vpc")
    if zone is not None and zone not in {one.get("AvailabilityZone"), one.get("AvailabilityZoneId")}:
        return False
    if vpc is not None and vpc.rpartition("/")[2] != one.get("VpcId"):
        return False
    return all(
        any(
            str(value) in {str(each) for each in condition["values"]}
            for value in _at(one, condition["path"].split("."))
        )
        for condition in target.get("filters") or ()
    )


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:  # pyright: ignore[reportUnknownVariableType] - plain data
            yield from _at(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])
