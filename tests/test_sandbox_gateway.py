"""The door in front of moto, asked over HTTP by plain boto3: who may enter, what is refused, what breaks."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from sandbox_world import OTHER_ACCOUNT, answer, client, database, eventually, isolate, restore, running, state

from drills.errors import DrillsError
from drills.sandbox import lifecycle
from drills.sandbox.booted import Booted
from drills.sandbox.faults import FaultKind, FaultRule

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    with running(tmp_path_factory.mktemp("world"), outage="blackhole") as booted:
        yield booted


def refusal(call: Any, **parameters: object) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer: Any = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_call_is_answered_for_the_account_of_its_key(world: Booted) -> None:
    assert client(world, "sts").get_caller_identity()["Account"] == world.sites["east"].account
    assert client(world, "sts", key=OTHER_ACCOUNT).get_caller_identity()["Account"] == OTHER_ACCOUNT
    assert client(world, "rds", key=OTHER_ACCOUNT).describe_db_instances()["DBInstances"] == []


def test_a_role_of_another_account_of_the_environment_can_be_assumed(world: Booted) -> None:
    role = f"arn:aws:iam::{OTHER_ACCOUNT}:role/drills"
    keys = client(world, "sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    assumed = client(world, "sts", key=keys["AccessKeyId"])
    assert assumed.get_caller_identity()["Account"] == OTHER_ACCOUNT
    stranger = "arn:aws:iam::999988887777:role/drills"
    assert refusal(client(world, "sts").assume_role, RoleArn=stranger, RoleSessionName="test") == ("AccessDenied", 403)


def test_a_real_key_is_refused_in_each_protocol(world: Booted) -> None:
    key = "AKIAREALREALREALREAL"
    assert refusal(client(world, "sts", key=key).get_caller_identity) == ("InvalidClientTokenId", 403)
    assert refusal(client(world, "dynamodb", key=key).list_tables) == ("UnrecognizedClientException", 403)
    assert refusal(client(world, "route53", key=key).list_hosted_zones) == ("UnrecognizedClientException", 403)
    assert refusal(client(world, "ec2", key="999988887777").describe_vpcs)[1] == 403


@pytest.mark.parametrize(
    ("service", "call", "parameters"),
    [
        ("rds", "switchover_global_cluster", {"GlobalClusterIdentifier": "a", "TargetDbClusterIdentifier": "b"}),
        ("rds", "stop_db_instance", {"DBInstanceIdentifier": "orders-east"}),
        ("rds", "modify_db_instance", {"DBInstanceIdentifier": "orders-east", "DBInstanceClass": "db.r6g.xlarge"}),
        ("autoscaling", "start_instance_refresh", {"AutoScalingGroupName": "orders-app-east"}),
        ("autoscaling", "suspend_processes", {"AutoScalingGroupName": "orders-app-east"}),
        ("ec2", "describe_volume_status", {}),
        ("route53", "test_dns_answer", {"HostedZoneId": "Z1", "RecordName": "a.test", "RecordType": "A"}),
        ("arc-zonal-shift", "list_zonal_shifts", {}),
        ("backup", "start_backup_job", {"BackupVaultName": "a", "ResourceArn": "arn:aws:x", "IamRoleArn": "arn:aws:y"}),
        ("ssm", "start_automation_execution", {"DocumentName": "a"}),
        ("dynamodb", "create_global_table", {"GlobalTableName": "abc", "ReplicationGroup": []}),
        ("eks", "list_addons", {"clusterName": "a"}),
    ],
)
def test_what_is_not_simulated_fails_in_its_own_protocol(
    world: Booted, service: str, call: str, parameters: dict[str, Any]
) -> None:
    code, status = refusal(getattr(client(world, service), call), **parameters)
    assert (code, status) == ("NotImplemented", 501)


def test_errors_are_the_modelled_ones_of_the_service(world: Booted) -> None:
    rds = client(world, "rds")
    with pytest.raises(rds.exceptions.InvalidDBInstanceStateFault, match="not a read replica"):
        rds.promote_read_replica(DBInstanceIdentifier="orders-east")
    with pytest.raises(rds.exceptions.DBInstanceNotFoundFault):
        rds.promote_read_replica(DBInstanceIdentifier="nobody")
    route53 = client(world, "route53")
    with pytest.raises(route53.exceptions.NoSuchChange):
        route53.get_change(Id="C1")
    name = {"Name": "other.example.com", "Type": "A", "TTL": 1, "ResourceRecords": [{"Value": "127.0.0.1"}]}
    with pytest.raises(route53.exceptions.InvalidChangeBatch, match="not permitted in zone"):
        route53.change_resource_record_sets(
            HostedZoneId=world.zone, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": name}]}
        )


def test_sizes_outside_the_limits_are_refused(world: Booted) -> None:
    scaling, group = client(world, "autoscaling"), world.sites["east"].asg
    size = {"AutoScalingGroupName": group}
    assert refusal(scaling.set_desired_capacity, **size, DesiredCapacity=20) == ("ValidationError", 400)
    assert refusal(scaling.update_auto_scaling_group, **size, MinSize=9) == ("ValidationError", 400)


def test_an_instance_that_no_group_manages_has_no_health_to_set_and_is_not_marked(world: Booted) -> None:
    scaling, group = client(world, "autoscaling"), {"AutoScalingGroupName": world.sites["east"].asg}

    def health() -> dict[str, str]:
        (found,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[*group.values()])["AutoScalingGroups"]
        return {one["InstanceId"]: one["HealthStatus"] for one in found["Instances"]}

    eventually(lambda: set(health().values()) == {"Healthy"})
    name = min(health())
    scaling.detach_instances(InstanceIds=[name], ShouldDecrementDesiredCapacity=True, **group)
    unwell = {"InstanceId": name, "HealthStatus": "Unhealthy"}
    assert refusal(scaling.set_instance_health, **unwell) == ("ValidationError", 400)
    scaling.attach_instances(InstanceIds=[name], **group)
    eventually(lambda: health().get(name) == "Healthy")


def test_a_throttle_is_retried_by_botocore_and_ends_by_itself(world: Booted) -> None:
    lifecycle.set_fault(world, FaultRule("t", FaultKind.THROTTLE, service="rds", times=2))
    assert refusal(client(world, "rds").describe_db_instances) == ("ThrottlingException", 400)
    assert client(world, "rds", attempts=3).describe_db_instances()["ResponseMetadata"]["RetryAttempts"] == 1
    assert lifecycle.ask(world, "GET", "faults") == []


def test_a_region_that_is_gone_hangs_up_and_comes_back(world: Booted) -> None:
    lifecycle.set_fault(world, FaultRule("gone", FaultKind.OUTAGE, region="us-west-2"))
    with pytest.raises(ConnectionClosedError):
        client(world, "rds", "west").describe_db_instances()
    assert client(world, "rds", "east").describe_db_instances()["DBInstances"]
    lifecycle.clear_faults(world, "gone")
    assert client(world, "rds", "west").describe_db_instances()["DBInstances"]


def test_a_lost_answer_leaves_the_change_made(world: Booted) -> None:
    ec2 = client(world, "ec2")
    lifecycle.set_fault(world, FaultRule("lost", FaultKind.LOST_ANSWER, operation="CreateVpc", times=1))
    with pytest.raises(ConnectionClosedError):
        ec2.create_vpc(CidrBlock="10.77.0.0/16")
    assert len(ec2.describe_vpcs(Filters=[{"Name": "cidr", "Values": ["10.77.0.0/16"]}])["Vpcs"]) == 1


def test_a_fault_rule_that_makes_no_sense_is_refused(world: Booted) -> None:
    with pytest.raises(DrillsError, match="meteor"):
        lifecycle.ask(world, "POST", "faults", {"id": "x", "kind": "meteor"})
    with pytest.raises(DrillsError, match="no site 'north'"):
        lifecycle.impose(world, "north")


def test_concurrent_callers_lose_no_update(world: Booted) -> None:
    first = client(world, "dynamodb")
    first.create_table(
        TableName="counts",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def count() -> None:
        table = client(world, "dynamodb")
        for _ in range(15):
            table.update_item(
                TableName="counts",
                Key={"id": {"S": "n"}},
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

    threads = [threading.Thread(target=count) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert first.get_item(TableName="counts", Key={"id": {"S": "n"}})["Item"]["n"]["N"] == "90"


def test_bodies_pass_through_whole(world: Booted) -> None:
    s3, data = client(world, "s3"), os.urandom(300_000)
    s3.create_bucket(Bucket="things")
    s3.put_object(Bucket="things", Key="a/b c", Body=data)
    assert s3.get_object(Bucket="things", Key="a/b c")["Body"].read() == data
    assert refusal(s3.head_object, Bucket="things", Key="none") == ("404", 404)


def test_every_call_is_in_the_audit_log(world: Booted) -> None:
    client(world, "ec2").create_tags(Resources=[world.sites["east"].vpc], Tags=[{"Key": "seen", "Value": "yes"}])
    client(world, "route53").list_hosted_zones()
    calls = [json.loads(line) for line in (Path(world.folder) / "audit.jsonl").read_text().splitlines()]
    seen = {(one["service"], one["operation"], one["region"], one["status"], one["mutating"]) for one in calls}
    assert {
        ("ec2", "CreateTags", "us-east-1", 200, True),
        ("route53", "ListHostedZones", "us-east-1", 200, False),
    } <= seen
    assert ("backup", "StartBackupJob", "us-east-1", 501, True) in seen


def test_every_seeded_resource_may_be_touched_by_drills(world: Booted) -> None:
    for site in ("east", "west"):
        found = client(world, "ec2", site).describe_instances()["Reservations"]
        tags = [one["Tags"] for group in found for one in group["Instances"]]
        tags.append(client(world, "ec2", site).describe_vpcs(VpcIds=[world.sites[site].vpc])["Vpcs"][0]["Tags"])
        tags.append(client(world, "rds", site).describe_db_instances()["DBInstances"][0]["TagList"])
        assert all({"Key": "drills", "Value": "allowed"} in one for one in tags)


def test_moto_cannot_be_reset_behind_the_sandbox(world: Booted) -> None:
    host, _, port = world.endpoint_url.removeprefix("http://").rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    connection.request("POST", "/moto-api/reset")
    assert connection.getresponse().status == 403
    connection.close()


def test_any_boto3_program_works_with_the_printed_variables_alone(world: Booted) -> None:
    program = (
        "import boto3; print(boto3.client('rds').describe_db_instances()['DBInstances'][0]['DBInstanceIdentifier'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], **world.variables()},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("orders-east\n", 0), done.stderr


def test_a_black_hole_swallows_a_site_and_its_api_says_available(world: Booted) -> None:
    old = isolate(world, "east")
    # The API has answered, and packets still pass for a moment.
    took_s = eventually(lambda: answer(world, "east") == 0)
    assert took_s > 0.05
    eventually(lambda: state(world, "east")["lost"] == "blackhole")
    assert database(world, "east")["DBInstanceStatus"] == "available"
    eventually(lambda: not database(world, "west")["StatusInfos"][0]["Normal"])
    restore(world, "east", old)
    eventually(lambda: answer(world, "east") == 200)
    eventually(lambda: database(world, "west")["StatusInfos"][0]["Normal"])
