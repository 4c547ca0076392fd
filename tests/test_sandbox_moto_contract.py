"""Each gap of moto that the sandbox closes, shown to be there still: an upgrade that closes one fails here.

When a test here fails, moto has learnt it: take the repair away (``drills/sandbox/repairs.py``, ``operations/``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.utils import get_service_model

from drills.clock import NS, SystemClock
from drills.sandbox.operations import table


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


def client(service: str, region: str = "us-east-1") -> Any:
    make = cast("Any", boto3).client  # the stubs know only literal names
    return make(service, region_name=region)


def backend(service: str, region: str = "us-east-1") -> Any:
    from moto.backends import get_backend

    find: Any = get_backend
    return find(service)["123456789012"][region]


def primary() -> Any:
    return client("rds").create_db_instance(
        DBInstanceIdentifier="a",
        DBInstanceClass="db.r6g.large",
        Engine="postgres",
        EngineVersion="16.4",
        AllocatedStorage=20,
        MasterUsername="drills",
        MasterUserPassword="password",
    )["DBInstance"]


def replica(**more: str) -> Any:
    return client("rds", "us-west-2").create_db_instance_read_replica(
        DBInstanceIdentifier="b", SourceDBInstanceIdentifier=primary()["DBInstanceArn"], **more
    )["DBInstance"]


def group(*, size: int = 1, most: int = 4) -> Any:
    ec2, scaling = client("ec2"), client("autoscaling")
    subnet = ec2.create_subnet(VpcId=ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"], CidrBlock="10.0.0.0/24")
    image = ec2.register_image(Name="image", Architecture="x86_64", RootDeviceName="/dev/xvda")["ImageId"]
    ec2.create_launch_template(
        LaunchTemplateName="template", LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"}
    )
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="app",
        LaunchTemplate={"LaunchTemplateName": "template", "Version": "$Default"},
        MinSize=0,
        MaxSize=most,
        DesiredCapacity=size,
        VPCZoneIdentifier=subnet["Subnet"]["SubnetId"],
    )
    return scaling


def members() -> Any:
    return client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"]


@pytest.mark.usefixtures("aws")
def test_a_promotion_is_done_at_once_and_keeps_both_links() -> None:
    replica()
    west = client("rds", "us-west-2")
    assert west.promote_read_replica(DBInstanceIdentifier="b")["DBInstance"]["DBInstanceStatus"] == "available"
    assert west.describe_db_instances()["DBInstances"][0]["ReadReplicaSourceDBInstanceIdentifier"]
    assert client("rds").describe_db_instances()["DBInstances"][0]["ReadReplicaDBInstanceIdentifiers"]


@pytest.mark.usefixtures("aws")
def test_a_primary_can_be_promoted() -> None:
    primary()
    assert client("rds").promote_read_replica(DBInstanceIdentifier="a")["DBInstance"]["DBInstanceIdentifier"] == "a"


@pytest.mark.usefixtures("aws")
def test_a_cross_region_replica_stands_in_its_sources_zone_and_is_the_same_resource() -> None:
    made = replica()
    assert made["AvailabilityZone"] == "us-east-1a"
    assert made["DbiResourceId"] == client("rds").describe_db_instances()["DBInstances"][0]["DbiResourceId"]


@pytest.mark.usefixtures("aws")
def test_a_cross_region_replicas_subnet_group_is_looked_for_in_the_wrong_region() -> None:
    ec2 = client("ec2", "us-west-2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24")["Subnet"]["SubnetId"] for n in (0, 1)]
    client("rds", "us-west-2").create_db_subnet_group(
        DBSubnetGroupName="there", DBSubnetGroupDescription="there", SubnetIds=subnets
    )
    with pytest.raises(ClientError, match="DBSubnetGroupNotFound"):
        replica(DBSubnetGroupName="there")


@pytest.mark.usefixtures("aws")
def test_everything_could_be_restored_up_to_now_at_an_address_nobody_has() -> None:
    made = primary()
    age = datetime.fromtimestamp(SystemClock().now().utc_ns / NS, UTC) - made["LatestRestorableTime"]
    assert age < timedelta(seconds=30)
    assert made["Endpoint"]["Address"].endswith(".rds.amazonaws.com")


@pytest.mark.usefixtures("aws")
def test_pending_instances_do_not_count_and_are_launched_again() -> None:
    scaling = group(size=1)
    for state in backend("autoscaling").autoscaling_groups["app"].instance_states:
        state.lifecycle_state = "Pending"
    scaling.set_desired_capacity(AutoScalingGroupName="app", DesiredCapacity=1)
    assert len(members()) == 2


@pytest.mark.usefixtures("aws")
def test_a_group_grows_beyond_its_maximum_and_while_launching_is_suspended() -> None:
    scaling = group(size=1, most=2)
    scaling.suspend_processes(AutoScalingGroupName="app", ScalingProcesses=["Launch"])
    scaling.set_desired_capacity(AutoScalingGroupName="app", DesiredCapacity=5)
    assert len(members()) == 5


@pytest.mark.usefixtures("aws")
def test_instances_are_in_service_and_healthy_whatever_becomes_of_them() -> None:
    group(size=1)
    name = members()[0]["InstanceId"]
    assert members()[0]["LifecycleState"] == "InService"
    client("ec2").stop_instances(InstanceIds=[name])
    assert [(one["InstanceId"], one["HealthStatus"]) for one in members()] == [(name, "Healthy")]


@pytest.mark.usefixtures("aws")
def test_the_backend_of_ec2_does_not_tell_auto_scaling_of_a_termination() -> None:
    group(size=1)
    name = members()[0]["InstanceId"]
    backend("ec2").terminate_instances([name])
    assert [one["InstanceId"] for one in members()] == [name]
    backend("autoscaling").notify_terminate_instances([name])
    assert [one["InstanceId"] for one in members()] != [name]


@pytest.mark.usefixtures("aws")
def test_a_terminated_instance_can_be_started() -> None:
    group(size=1)
    name = members()[0]["InstanceId"]
    ec2 = client("ec2")
    ec2.terminate_instances(InstanceIds=[name])
    assert ec2.start_instances(InstanceIds=[name])["StartingInstances"][0]["InstanceId"] == name


@pytest.mark.usefixtures("aws")
def test_health_checks_of_a_dead_target_succeed() -> None:
    route53 = client("route53")
    check = route53.create_health_check(
        CallerReference="x", HealthCheckConfig={"Type": "TCP", "IPAddress": "127.0.0.1", "Port": 1}
    )["HealthCheck"]["Id"]
    found = route53.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"]
    assert found[0]["StatusReport"]["Status"].startswith("Success")


@pytest.mark.usefixtures("aws")
def test_changes_are_in_sync_at_once_and_a_set_identifier_deletes_other_names() -> None:
    route53 = client("route53")
    zone = route53.create_hosted_zone(Name="drills.test", CallerReference="x")["HostedZone"]["Id"]

    def change(action: str, name: str) -> str:
        record: dict[str, Any] = {"Name": name, "Type": "A", "TTL": 1, "SetIdentifier": "east", "Weight": 1}
        record["ResourceRecords"] = [{"Value": "127.0.0.1"}]
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        return route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)["ChangeInfo"]["Status"]

    assert change("CREATE", "one.drills.test") == "INSYNC"
    change("CREATE", "two.drills.test")
    change("DELETE", "one.drills.test")
    names = [one["Name"] for one in route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]]
    assert "two.drills.test." not in names
    assert route53.get_change(Id="C00NOBODY")["ChangeInfo"]["Status"] == "INSYNC"


@pytest.mark.usefixtures("aws")
def test_alarms_are_never_judged() -> None:
    cloudwatch = client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="high",
        Namespace="N",
        MetricName="M",
        Statistic="Maximum",
        ComparisonOperator="GreaterThanThreshold",
        Threshold=1,
        Period=10,
        EvaluationPeriods=1,
    )
    cloudwatch.put_metric_data(Namespace="N", MetricData=[{"MetricName": "M", "Value": 5}])
    assert cloudwatch.describe_alarms()["MetricAlarms"][0]["StateValue"] == "OK"


def test_every_extension_operation_is_one_of_aws() -> None:
    unknown = [
        f"{service}:{operation}"
        for service, operation in table()
        if operation not in get_service_model(service).operation_names
    ]
    assert unknown == []
