"""What the tests of the sandbox share: a booted world, plain boto3 clients of a site, and ways to look at it."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from drills.clock import SystemClock
from drills.runbook.load import load_environment
from drills.sandbox import lifecycle
from drills.sandbox.booted import Booted
from drills.sandbox.spec import WorldSpec, world_spec

ENVIRONMENT = Path(__file__).parent.parent / "environments" / "sandbox.yaml"
OTHER_ACCOUNT = "444455556666"


def spec() -> WorldSpec:
    """Give the world of the shipped sandbox environment, and one more account."""
    return replace(world_spec(load_environment(ENVIRONMENT).model), accounts=(OTHER_ACCOUNT,))


@contextmanager
def running(folder: Path, outage: str | None = None) -> Generator[Booted]:
    """Boot a private sandbox and end it; none of its processes may be left."""
    sandbox = lifecycle.boot(spec(), folder, private=True, outage=outage)
    try:
        yield sandbox.facts
        pids = [*lifecycle.status(sandbox.facts)["processes"].values()]
    finally:
        sandbox.stop()
    eventually(lambda: not [pid for pid in pids if alive(pid)], within_s=2)


def client(world: Booted, service: str, site: str = "east", *, attempts: int = 1, key: str = "") -> Any:
    """Give a plain boto3 client of a site, with the key of its account or another."""
    import boto3
    from botocore.config import Config

    place = world.sites[site]
    make = cast("Any", boto3).client  # the stubs know only literal names
    return make(
        service,
        region_name=place.region,
        endpoint_url=world.endpoint_url,
        aws_access_key_id=key or place.account,
        aws_secret_access_key="any",  # noqa: S106 - never checked
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, read_timeout=10),
    )


def eventually(true: Callable[[], object], within_s: float = 15.0) -> float:
    """Wait until it is true, and give how long that took; fail when it is not in time."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within_s, f"not true within {within_s:g} s"
        SystemClock().sleep(0.02)
    return time.monotonic() - began


def database(world: Booted, site: str) -> Any:
    """Describe a site's DB instance."""
    found = client(world, "rds", site).describe_db_instances(DBInstanceIdentifier=world.sites[site].db)
    return found["DBInstances"][0]


def members(world: Booted, site: str) -> dict[str, tuple[str, str]]:
    """Give the site's Auto Scaling group: instance -> lifecycle state and health."""
    scaling = client(world, "autoscaling", site)
    group = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[world.sites[site].asg])["AutoScalingGroups"][0]
    return {one["InstanceId"]: (one["LifecycleState"], one["HealthStatus"]) for one in group["Instances"]}


def state(world: Booted, site: str) -> dict[str, Any]:
    """Ask the sandbox itself how a site really is."""
    return lifecycle.status(world)["sites"][site]


def isolate(world: Booted, site: str) -> dict[str, str]:
    """Give every subnet of the site an ACL without any allow rule; gives what each had."""
    ec2, vpc = client(world, "ec2", site), world.sites[site].vpc
    closed = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    old: dict[str, str] = {}
    for acl in ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]:
        for one in acl["Associations"]:
            old[one["SubnetId"]] = acl["NetworkAclId"]
            ec2.replace_network_acl_association(AssociationId=one["NetworkAclAssociationId"], NetworkAclId=closed)
    return old


def restore(world: Booted, site: str, old: dict[str, str]) -> None:
    """Give every subnet of the site the ACL it had."""
    ec2, vpc = client(world, "ec2", site), world.sites[site].vpc
    for acl in ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]:
        for one in acl["Associations"]:
            ec2.replace_network_acl_association(
                AssociationId=one["NetworkAclAssociationId"], NetworkAclId=old[one["SubnetId"]]
            )


def answer(world: Booted, site: str) -> int:
    """Ask a site's entrance; 0 when nobody answers."""
    connection = http.client.HTTPConnection(world.sites[site].direct.removeprefix("http://"), timeout=0.5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def resolve(world: Booted, name: str = "") -> list[str]:
    """Ask the sandbox's name server for the record, or for another name."""
    import dns.message
    import dns.query

    host, _, port = world.resolver.rpartition(":")
    found = dns.query.udp(dns.message.make_query(name or world.record, "A"), host, timeout=2, port=int(port))
    return [line.split()[-1] for group in found.answer for line in group.to_text().splitlines()]


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
