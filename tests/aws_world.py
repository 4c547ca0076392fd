"""A real moto server for each test session, and the sessions of one site of it."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.request import Request, urlopen
from uuid import uuid4

import boto3
from moto.server import ThreadedMotoServer

from drills.aws.place import Place
from drills.aws.sessions import Accounts

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_route53 import Route53Client


def prepare_fis() -> None:
    """Let an experiment go on until it is stopped, one state each time it is read, and give the account its lever."""
    from moto.fis import urls
    from moto.fis.responses import FISResponse
    from moto.moto_api import state_manager

    def get_safety_lever(_: object) -> str:
        return json.dumps({"safetyLever": {"id": "default", "arn": "of-no-value", "state": {"status": "disengaged"}}})

    state_manager.set_transition("fis::experiment", {"progression": "manual", "times": 1})
    cast("Any", FISResponse).get_safety_lever = get_safety_lever
    urls.url_paths["{0}/safetyLevers/(?P<id>.+)$"] = cast("Any", FISResponse).dispatch


@contextmanager
def moto_server() -> Generator[str]:
    """Run moto in a thread, on a free port of this machine, with nothing in it; gives its address.

    Its resources are the process's own: what the tests of another file left behind is forgotten.
    """
    prepare_fis()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        with urlopen(Request(f"{endpoint}/moto-api/reset", method="POST"), timeout=30):
            yield endpoint
    finally:
        server.stop()


class World:
    """One site in moto, seeded by its methods; each test takes names of its own."""

    def __init__(self, endpoint: str, region: str = "us-east-1") -> None:
        self.place = Place("east", "123456789012", region, endpoint_url=endpoint, access_key="AKIATEST00000000")
        self.calls: list[tuple[str, str, bool]] = []
        self.accounts = Accounts(on_call=lambda _, service, name, writes: self.calls.append((service, name, writes)))
        self.read = self.accounts.read(self.place)
        self.write = self.accounts.write(self.place)

    def client(self, service: str) -> Any:
        return self.write.client(service)

    def seed(self, service: str) -> Any:
        """Give a client of nobody's session, for what no drill may do."""
        make = cast("Any", boto3).client
        place = self.place
        keys = {"aws_access_key_id": place.access_key, "aws_secret_access_key": "of-no-value"}
        return make(service, region_name=place.region, endpoint_url=place.endpoint_url, **keys)

    def name(self, word: str) -> str:
        return f"{word}-{uuid4().hex[:8]}"

    def vpc(self, subnets: int = 2) -> tuple[str, list[str]]:
        ec2: EC2Client = self.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"].get("VpcId", "")
        made = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24")["Subnet"].get("SubnetId", "")
            for number in range(subnets)
        ]
        return vpc, sorted(made)

    def acl_of(self, vpc: str) -> dict[str, str]:
        ec2: EC2Client = self.client("ec2")
        acls = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]
        return {
            held.get("SubnetId", ""): acl.get("NetworkAclId", "")
            for acl in acls
            for held in acl.get("Associations", [])
        }

    def acls(self, vpc: str) -> list[str]:
        ec2: EC2Client = self.client("ec2")
        acls = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]
        return [acl.get("NetworkAclId", "") for acl in acls]

    def put_acl(self, vpc: str, subnet: str, acl: str) -> None:
        ec2: EC2Client = self.client("ec2")
        acls = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]
        held = {one.get("SubnetId"): one.get("NetworkAclAssociationId", "") for a in acls for one in a["Associations"]}  # pyright: ignore[reportTypedDictNotRequiredAccess] - moto always answers it
        ec2.replace_network_acl_association(AssociationId=held[subnet], NetworkAclId=acl)

    def db(self, *, replica_of: str = "") -> str:
        rds: RDSClient = self.client("rds")
        name = self.name("orders")
        if replica_of:
            rds.create_db_instance_read_replica(DBInstanceIdentifier=name, SourceDBInstanceIdentifier=replica_of)
            return name
        ec2: EC2Client = self.client("ec2")
        vpc, subnets = self.vpc()
        group = self.name("subnets")
        rds.create_db_subnet_group(DBSubnetGroupName=group, DBSubnetGroupDescription="of a test", SubnetIds=subnets)
        security = ec2.create_security_group(GroupName=self.name("db"), Description="of a test", VpcId=vpc)["GroupId"]
        rds.create_db_instance(
            DBInstanceIdentifier=name,
            DBInstanceClass="db.t3.micro",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="orders",
            MasterUserPassword="of-no-value",
            DBSubnetGroupName=group,
            VpcSecurityGroupIds=[security],
        )
        return name

    def groups_of(self, db: str) -> list[str]:
        rds: RDSClient = self.client("rds")
        found = rds.describe_db_instances(DBInstanceIdentifier=db)["DBInstances"][0]
        return [group.get("VpcSecurityGroupId", "") for group in found.get("VpcSecurityGroups", [])]

    def instances(self, count: int, tags: dict[str, str] | None = None) -> list[str]:
        ec2: EC2Client = self.client("ec2")
        made = ec2.run_instances(ImageId="ami-12c6146b", MinCount=count, MaxCount=count)["Instances"]
        ids = sorted(one.get("InstanceId", "") for one in made)
        if tags:
            ec2.create_tags(Resources=ids, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
        return ids

    def states(self, ids: list[str]) -> list[str]:
        ec2: EC2Client = self.client("ec2")
        found = ec2.describe_instances(InstanceIds=ids)["Reservations"]
        return [i["State"].get("Name", "") for r in found for i in r.get("Instances", []) if "State" in i]

    def alarm(self, name: str) -> None:
        """Create an alarm that is OK."""
        self.seed("cloudwatch").put_metric_alarm(
            AlarmName=name,
            MetricName="Errors",
            Namespace="Orders",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )

    def asg(self, low: int = 1, desired: int = 1, high: int = 2) -> str:
        autoscaling: AutoScalingClient = self.client("autoscaling")
        ec2: EC2Client = self.client("ec2")
        name = self.name("app")
        ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"ImageId": "ami-12c6146b"})
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=low,
            DesiredCapacity=desired,
            MaxSize=high,
            LaunchTemplate={"LaunchTemplateName": name, "Version": "$Latest"},
            AvailabilityZones=[f"{self.place.region}a"],
        )
        return name

    def sizes(self, asg: str) -> tuple[int, int, int]:
        autoscaling: AutoScalingClient = self.client("autoscaling")
        group = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[asg])["AutoScalingGroups"][0]
        return group["MinSize"], group["DesiredCapacity"], group["MaxSize"]

    def zone(self) -> tuple[str, str]:
        """Create a hosted zone; gives its id and its name."""
        route53: Route53Client = self.client("route53")
        name = f"{self.name('z')}.test"
        made = route53.create_hosted_zone(Name=name, CallerReference=name)
        return made["HostedZone"]["Id"].rpartition("/")[2], name

    def put_sets(self, zone: str, record: str, sets: list[dict[str, Any]]) -> None:
        route53: Route53Client = self.client("route53")
        changes: list[Any] = [
            {"Action": "UPSERT", "ResourceRecordSet": {"Name": record, "Type": "A", "TTL": 5, **one}} for one in sets
        ]
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})

    def shares(self, zone: str, record: str) -> dict[str, Any]:
        route53: Route53Client = self.client("route53")
        sets = route53.list_resource_record_sets(HostedZoneId=zone, StartRecordName=record)["ResourceRecordSets"]
        return {
            one["SetIdentifier"]: one.get("Weight", one.get("Failover"))
            for one in sets
            if one["Name"] == f"{record}." and "SetIdentifier" in one
        }
