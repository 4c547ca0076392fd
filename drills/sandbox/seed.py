"""Puts into moto what an environment says there is: networks, databases, groups, records, health checks, alarms.

Made by real boto3 calls that go straight to moto (not through the gateway, which refuses to make databases that have
no PostgreSQL behind them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from drills.sandbox.cloud import DbRef
from drills.sandbox.monitor import OTHERS
from drills.sandbox.operations.rds import own_replica
from drills.sandbox.wire import SECRET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_route53 import Route53Client

    from drills.sandbox.cloud import Cloud
    from drills.sandbox.spec import SiteSpec, WorldSpec
    from drills.sandbox.state import Site

TAGS: dict[str, str] = {"drills": "allowed"}
"""On every resource: what the scope of a sandbox environment allows."""
DB_PORT = 5432


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where a site's application answers."""

    host: str
    port: int


def clients(cloud: Cloud, account: str, region: str) -> Any:
    """Give a boto3 session whose requests moto answers in this process, without a socket."""
    import boto3
    from botocore.awsrequest import AWSResponse
    from moto.core.request import Request

    session: Any = boto3.Session(aws_access_key_id=account, aws_secret_access_key=SECRET, region_name=region)

    def answer(request: Any, **_: object) -> AWSResponse:
        made = Request.from_primitives(request.method, request.url, request.headers, request.body)
        reply = cloud.forward(made.environ, made.get_data(), account)
        return AWSResponse(request.url, reply.status, cast("Any", dict(reply.headers)), cast("Any", _Raw(reply.body)))

    session.events.register("before-send.*.*", answer)
    return session


class _Raw:
    """The body of an answer as urllib3 would hand it out."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: object, **__: object) -> list[bytes]:
        return [self._body]

    def read(self, *_: object) -> bytes:
        return self._body


def seed_places(cloud: Cloud, spec: WorldSpec) -> dict[str, Site]:
    """Make networks, instances' groups, databases and alarms of every site; the primary's database first."""
    from drills.sandbox.state import Site

    ordered = sorted(spec.sites, key=lambda one: one.name != spec.primary)
    sites: dict[str, Site] = {}
    for number, one in enumerate(ordered):
        session = clients(cloud, one.account, one.region)
        site = Site(one.name, one.account, one.region, asg=one.asg, db=DbRef(one.account, one.region, one.db))
        site.vpc, subnets, app, database = _network(session.client("ec2"), one, number)
        _database(session.client("rds"), one, sites.get(spec.primary), database, subnets)
        if one.name != spec.primary:
            own_replica(cloud.database(DbRef(one.account, one.region, one.db)), one.region)
        _group(session.client("ec2"), session.client("autoscaling"), one, subnets, app)
        _alarm(session.client("cloudwatch"), one)
        sites[one.name] = site
    return {one.name: sites[one.name] for one in spec.sites}


def seed_names(cloud: Cloud, spec: WorldSpec, entrances: Mapping[str, Entrance]) -> str:
    """Make the hosted zone, a health check and a weighted record of each site (all weight on the primary).

    Gives the hosted zone's id. Record sets carry the site's name as SetIdentifier. They name no health check: with one,
    Route 53 would go on answering with the old site until the new one had been found healthy often enough, whatever
    the weights say, and the shift would not be the person's.
    """
    home = next(one for one in spec.sites if one.name == spec.primary)
    route53: Route53Client = clients(cloud, home.account, "us-east-1").client("route53")
    domain = spec.record.partition(".")[2]
    zone = route53.create_hosted_zone(Name=domain, CallerReference="drills-sandbox")["HostedZone"]["Id"]
    zone_id = zone.rpartition("/")[2]
    route53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone_id, AddTags=_pairs())
    for one in spec.sites:
        entrance = entrances[one.name]
        check = route53.create_health_check(
            CallerReference=f"drills-{one.name}",
            HealthCheckConfig={
                "Type": "HTTP",
                "IPAddress": entrance.host,
                "Port": entrance.port,
                "ResourcePath": "/healthz",
                "RequestInterval": 30,
                "FailureThreshold": 3,
            },
        )["HealthCheck"]["Id"]
        route53.change_tags_for_resource(
            ResourceType="healthcheck", ResourceId=check, AddTags=[*_pairs(), {"Key": "Name", "Value": one.name}]
        )
        record: Any = {
            "Name": spec.record,
            "Type": "A",
            "SetIdentifier": one.name,
            "Weight": 100 if one.name == spec.primary else 0,
            "TTL": spec.ttl_s,
            "ResourceRecords": [{"Value": entrance.host}],
        }
        route53.change_resource_record_sets(
            HostedZoneId=zone_id, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
        )
    return zone_id


def _network(ec2: EC2Client, one: SiteSpec, number: int) -> tuple[str, list[str], str, str]:
    """Make a VPC with two subnets, and a security group for the application and one for the database."""
    vpc = _must(
        ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16", TagSpecifications=_tagged("vpc", one.name))["Vpc"], "VpcId"
    )
    subnets = [
        _must(
            ec2.create_subnet(
                VpcId=vpc,
                CidrBlock=f"10.{number}.{part}.0/24",
                AvailabilityZone=f"{one.region}{zone}",
                TagSpecifications=_tagged("subnet", f"{one.name}-{zone}"),
            )["Subnet"],
            "SubnetId",
        )
        for part, zone in enumerate("ab")
    ]
    acls = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]
    ec2.create_tags(Resources=[_must(acl, "NetworkAclId") for acl in acls], Tags=_pairs())
    groups: list[str] = []
    for name, port in ((f"{one.asg}-app", 80), (f"{one.db}-db", DB_PORT)):
        group = ec2.create_security_group(
            GroupName=name, Description=name, VpcId=vpc, TagSpecifications=_tagged("security-group", name)
        )["GroupId"]
        rule: Any = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        groups.append(group)
    return vpc, subnets, groups[0], groups[1]


def _database(rds: RDSClient, one: SiteSpec, primary: Site | None, group: str, subnets: list[str]) -> None:
    name = f"{one.db}-subnets"
    rds.create_db_subnet_group(DBSubnetGroupName=name, DBSubnetGroupDescription=name, SubnetIds=subnets, Tags=_pairs())
    if primary is None or primary.db is None:
        rds.create_db_instance(
            DBInstanceIdentifier=one.db,
            DBInstanceClass="db.r6g.large",
            Engine="postgres",
            EngineVersion="16.4",
            AllocatedStorage=20,
            DBName="orders",
            MasterUsername="drills",
            MasterUserPassword=SECRET,
            VpcSecurityGroupIds=[group],
            DBSubnetGroupName=name,
            Tags=_pairs(),
        )
        return
    near = (primary.account, primary.region) == (one.account, one.region)
    rds.create_db_instance_read_replica(
        DBInstanceIdentifier=one.db,
        SourceDBInstanceIdentifier=primary.db.id if near else primary.db.arn,
        VpcSecurityGroupIds=[group],
        DBSubnetGroupName=name,
        Tags=_pairs(),
    )


def _group(ec2: EC2Client, scaling: AutoScalingClient, one: SiteSpec, subnets: list[str], group: str) -> None:
    image = ec2.register_image(Name=f"{one.asg}-image", Architecture="x86_64", RootDeviceName="/dev/xvda")["ImageId"]
    template = f"{one.asg}-template"
    ec2.create_launch_template(
        LaunchTemplateName=template,
        LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro", "SecurityGroupIds": [group]},
        TagSpecifications=_tagged("launch-template", template),
    )
    tags: Any = [
        {
            "Key": key,
            "Value": value,
            "PropagateAtLaunch": True,
            "ResourceId": one.asg,
            "ResourceType": "auto-scaling-group",
        }
        for key, value in {**TAGS, "Name": one.asg}.items()
    ]
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=one.asg,
        LaunchTemplate={"LaunchTemplateName": template, "Version": "$Default"},
        MinSize=min(1, one.capacity),
        MaxSize=max(8, one.capacity),
        DesiredCapacity=one.capacity,
        VPCZoneIdentifier=",".join(subnets),
        Tags=tags,
    )


def _alarm(cloudwatch: CloudWatchClient, one: SiteSpec) -> None:
    """Make the alarm on other customers of the site: what a drill elsewhere must not set off."""
    namespace, _, metric = OTHERS.partition(":")
    cloudwatch.put_metric_alarm(
        AlarmName=one.others_alarm,
        AlarmDescription=f"requests of other customers of {one.name} fail",
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": "Site", "Value": one.name}],
        Statistic="Maximum",
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        Threshold=1,
        Period=60,
        EvaluationPeriods=2,
        DatapointsToAlarm=1,
        TreatMissingData="notBreaching",
        Tags=_pairs(),
    )


def _pairs() -> Any:
    return [{"Key": key, "Value": value} for key, value in TAGS.items()]


def _tagged(kind: str, name: str) -> Any:
    return [{"ResourceType": kind, "Tags": [*_pairs(), {"Key": "Name", "Value": name}]}]


def _must(answer: Any, field: str) -> str:
    return str(answer[field])
