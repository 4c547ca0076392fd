"""What an Auto Scaling group would start, read from AWS: type, image, subnets, and how much is running already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from drills.work import Aws

PAGES: Final = 50
STANDARD: Final = "acdhimrtz"
QUOTAS: Final = {
    "dl": "L-6E869C2A",
    "f": "L-74FC7D96",
    "g": "L-DB2E81BA",
    "hpc": "L-F7808C92",
    "inf": "L-1945791B",
    "p": "L-417A185B",
    "trn": "L-2C3B7624",
    "u": "L-43DA4232",
    "vt": "L-DB2E81BA",
    "x": "L-7295265B",
    **dict.fromkeys(STANDARD, "L-1216C47A"),
}
"""Family of an instance type -> code of the quota of its running on-demand vCPUs."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What a group starts: an instance type (the first of several), an image, and in which subnets."""

    instance_type: str
    image: str
    subnets: tuple[str, ...]
    wanted: int
    suspended: tuple[str, ...]


def launch_of(aws: Aws, group: dict[str, Any]) -> Launch:
    """Read what a group starts; ``LookupError`` where that cannot be told."""
    config: dict[str, Any] = {}
    mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    template = group.get("LaunchTemplate") or mixed.get("LaunchTemplateSpecification")
    if template:
        config = _template(aws, template)
    elif group.get("LaunchConfigurationName"):
        named = [group["LaunchConfigurationName"]]
        found = aws.client("autoscaling").describe_launch_configurations(LaunchConfigurationNames=named)
        made: list[dict[str, Any]] = found["LaunchConfigurations"]
        config = made[0] if made else {}
    overrides = [one.get("InstanceType", "") for one in mixed.get("Overrides", []) if one.get("InstanceType")]
    instance_type = overrides[0] if overrides else str(config.get("InstanceType", ""))
    if not config:
        raise LookupError(f"{group['AutoScalingGroupName']} has a launch template that is not there")
    return Launch(
        instance_type,
        str(config.get("ImageId", "")),
        tuple(one.strip() for one in str(group.get("VPCZoneIdentifier", "")).split(",") if one.strip()),
        int(group.get("DesiredCapacity", 0)),
        tuple(one.get("ProcessName", "") for one in group.get("SuspendedProcesses", [])),
    )


def _template(aws: Aws, template: dict[str, Any]) -> dict[str, Any]:
    by = "LaunchTemplateId" if template.get("LaunchTemplateId") else "LaunchTemplateName"
    version = str(template.get("Version") or "$Default")
    found = aws.client("ec2").describe_launch_template_versions(**{by: template[by]}, Versions=[version])
    versions = found["LaunchTemplateVersions"]
    return {**versions[0]["LaunchTemplateData"]} if versions else {}


def quota_of(instance_type: str) -> str:
    """Give the code of the vCPU quota that an instance type counts against; empty when its family is not known."""
    family = instance_type.partition(".")[0]
    letters = "".join(one for one in family.partition("-")[0] if one.isalpha() or one.isdigit())
    prefix = ""
    for one in letters:
        if one.isdigit():
            break
        prefix += one
    for length in range(len(prefix), 0, -1):
        if prefix[:length] in QUOTAS:
            return QUOTAS[prefix[:length]]
    return ""


def vcpus(aws: Aws, types: Sequence[str]) -> dict[str, int]:
    """Give the vCPUs of each instance type; ``LookupError`` for one that the region does not have."""
    found: dict[str, int] = {}
    wanted = sorted(set(types))
    for begin in range(0, len(wanted), 100):
        answer = aws.client("ec2").describe_instance_types(InstanceTypes=wanted[begin : begin + 100])
        found |= {one["InstanceType"]: int(one["VCpuInfo"]["DefaultVCpus"]) for one in answer["InstanceTypes"]}
    missing = [one for one in wanted if one not in found]
    if missing:
        raise LookupError(f"{aws.place.region} has no instance type {', '.join(missing)}")
    return found


def running(aws: Aws) -> Iterator[dict[str, Any]]:
    """Give every on-demand instance that runs or is about to; ``OverflowError`` past the limit of pages."""
    states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    pages = (
        aws.client("ec2")
        .get_paginator("describe_instances")
        .paginate(Filters=states, PaginationConfig={"PageSize": 1000})
    )
    for number, page in enumerate(pages):
        if number >= PAGES:
            raise OverflowError(f"more than {PAGES} pages of instances")
        for reservation in page["Reservations"]:
            yield from (one for one in reservation["Instances"] if one.get("InstanceLifecycle") != "spot")


def used_vcpus(aws: Aws, code: str) -> int:
    """Give the vCPUs in use that count against the quota ``code``."""
    ours = [one for one in running(aws) if quota_of(one.get("InstanceType", "")) == code]
    sizes = vcpus(aws, [one["InstanceType"] for one in ours if not _cores(one)]) if ours else {}
    return sum(_cores(one) or sizes[one["InstanceType"]] for one in ours)


def _cores(instance: dict[str, Any]) -> int:
    options = instance.get("CpuOptions", {})
    return int(options.get("CoreCount", 0)) * int(options.get("ThreadsPerCore", 0))
