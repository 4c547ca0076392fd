"""The world behind the door, driven by plain boto3 only: what AWS says becomes so, and what is so AWS says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sandbox_world import answer, client, database, eventually, isolate, members, resolve, restore, running, state

from drills.clock import NS, SystemClock
from drills.sandbox import lifecycle
from drills.sandbox.booted import Booted

pytestmark = pytest.mark.sandbox
WELL = ("InService", "Healthy")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """Give one world to all tests here; each leaves it as it found it, but for the last one, which fails over."""
    with running(tmp_path_factory.mktemp("world")) as booted:
        yield booted


def writable(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn, connect_timeout=2) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS probe (n int)")
            connection.execute("INSERT INTO probe VALUES (1)")
    except psycopg.Error:
        return False
    return True


def instance(world: Booted, site: str, name: str) -> str:
    found = client(world, "ec2", site).describe_instances(InstanceIds=[name])
    return found["Reservations"][0]["Instances"][0]["State"]["Name"]


def shift(world: Booted, to: str) -> str:
    route53 = client(world, "route53")
    records = route53.list_resource_record_sets(HostedZoneId=world.zone)["ResourceRecordSets"]
    changes = [
        {"Action": "UPSERT", "ResourceRecordSet": {**one, "Weight": 100 if one["SetIdentifier"] == to else 0}}
        for one in records
        if one["Type"] == "A"
    ]
    change = route53.change_resource_record_sets(HostedZoneId=world.zone, ChangeBatch={"Changes": changes})
    assert change["ChangeInfo"]["Status"] == "PENDING"
    return change["ChangeInfo"]["Id"]


def experiment(
    world: Booted, *instances: str, alarm: str = "others", first: dict[str, Any] | None = None, **action: Any
) -> str:
    """Make a template that stops these instances of east for a minute, after ``first`` if given; gives its id."""
    made = client(world, "fis").create_experiment_template(
        clientToken=f"{alarm}-{'-'.join(instances)}-{sorted(action)}-{first}",
        description="Stop them",
        roleArn="arn:aws:iam::111122223333:role/fis",
        targets={
            "app": {
                "resourceType": "aws:ec2:instance",
                "resourceArns": [f"arn:aws:ec2:us-east-1:111122223333:instance/{one}" for one in instances],
                "filters": [{"path": "State.Name", "values": ["running"]}],
                "selectionMode": "ALL",
            }
        },
        actions={
            **({"first": first} if first else {}),
            "stop": {
                "actionId": "aws:ec2:stop-instances",
                "parameters": {"startInstancesAfterDuration": "PT1M"},
                "targets": {"Instances": "app"},
                **action,
            },
        },
        stopConditions=[
            {"source": "aws:cloudwatch:alarm", "value": f"arn:aws:cloudwatch:us-east-1:111122223333:alarm:{alarm}"}
        ],
    )
    return made["experimentTemplate"]["id"]


def begun(world: Booted, template: str) -> str:
    """Start an experiment and wait until its action has begun."""
    identity = client(world, "fis").start_experiment(clientToken=template, experimentTemplateId=template)
    name = identity["experiment"]["id"]
    eventually(lambda: stands(world, name)[1] == "running")
    return name


def stands(world: Booted, name: str) -> tuple[str, str, str]:
    """Give the state of an experiment, that of its one action, and FIS's reason."""
    found = client(world, "fis").get_experiment(id=name)["experiment"]
    return found["state"]["status"], found["actions"]["stop"]["state"]["status"], found["state"].get("reason", "")


def in_sync(world: Booted, change: str) -> bool:
    return client(world, "route53").get_change(Id=change)["ChangeInfo"]["Status"] == "INSYNC"


def address(world: Booted, site: str) -> str:
    return world.sites[site].direct.removeprefix("http://").rpartition(":")[0]


def health(world: Booted, site: str) -> str:
    route53 = client(world, "route53")
    for check in route53.list_health_checks()["HealthChecks"]:
        if check["HealthCheckConfig"]["IPAddress"] == address(world, site):
            observed = route53.get_health_check_status(HealthCheckId=check["Id"])["HealthCheckObservations"]
            return observed[0]["StatusReport"]["Status"]
    raise LookupError(site)


def test_it_boots_as_its_environment_says(world: Booted) -> None:
    assert answer(world, "east") == 200
    assert answer(world, "west") == 503
    assert resolve(world) == [address(world, "east")]
    assert list(members(world, "east").values()) == [WELL, WELL]
    assert list(members(world, "west").values()) == [WELL]
    east, west = database(world, "east"), database(world, "west")
    assert [east["DBInstanceStatus"], west["DBInstanceStatus"]] == ["available", "available"]
    assert west["ReadReplicaSourceDBInstanceIdentifier"] == east["DBInstanceArn"]
    assert east["ReadReplicaDBInstanceIdentifiers"] == [west["DBInstanceArn"]]
    assert f"@{east['Endpoint']['Address']}:{east['Endpoint']['Port']}/" in world.sites["east"].dsn
    assert "LatestRestorableTime" not in east
    assert lifecycle.status(world)["trouble"] == ""


def test_replication_is_reported_as_it_is(world: Booted) -> None:
    infos = database(world, "west")["StatusInfos"]
    assert [(one["StatusType"], one["Status"], one["Normal"]) for one in infos] == [
        ("read replication", "replicating", True)
    ]
    now = datetime.fromtimestamp(SystemClock().now().utc_ns / NS, UTC)
    points = client(world, "cloudwatch", "west").get_metric_statistics(
        Namespace="AWS/RDS",
        MetricName="ReplicaLag",
        Dimensions=[{"Name": "DBInstanceIdentifier", "Value": world.sites["west"].db}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Minimum"],
    )["Datapoints"]
    assert 0 <= min(point["Minimum"] for point in points) < 5


def test_more_instances_are_pending_until_their_applications_listen(world: Booted) -> None:
    scaling, group = client(world, "autoscaling", "west"), world.sites["west"].asg
    scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=3)
    states = sorted(lifecycle_state for lifecycle_state, _ in members(world, "west").values())
    assert states == ["InService", "Pending", "Pending"]
    # moto counts InService only, and would launch two more now.
    scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=3)
    assert len(members(world, "west")) == 3
    eventually(lambda: set(members(world, "west").values()) == {WELL})
    assert set(state(world, "west")["listening"]) == set(members(world, "west"))
    scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=1)
    eventually(lambda: state(world, "west")["listening"] == list(members(world, "west")))


def test_a_stopped_instance_ends_its_application_and_is_replaced(world: Booted) -> None:
    victim = next(iter(members(world, "west")))
    ec2 = client(world, "ec2", "west")
    answered = ec2.stop_instances(InstanceIds=[victim])["StoppingInstances"][0]
    assert answered["CurrentState"]["Name"] == "stopping"
    eventually(lambda: instance(world, "west", victim) == "stopped")
    assert victim not in state(world, "west")["listening"]
    assert members(world, "west")[victim] == ("InService", "Unhealthy")
    eventually(lambda: victim not in members(world, "west") and list(members(world, "west").values()) == [WELL])
    with pytest.raises(ec2.exceptions.ClientError, match="IncorrectInstanceState"):
        ec2.start_instances(InstanceIds=[victim])


def test_security_groups_without_ingress_fence_the_database(world: Booted) -> None:
    ec2, rds, east = client(world, "ec2"), client(world, "rds"), world.sites["east"]
    old = [one["VpcSecurityGroupId"] for one in database(world, "east")["VpcSecurityGroups"]]
    group = ec2.create_security_group(GroupName="closed", Description="closed", VpcId=east.vpc)["GroupId"]
    assert writable(east.dsn)
    rds.modify_db_instance(DBInstanceIdentifier=east.db, VpcSecurityGroupIds=[group], ApplyImmediately=True)
    eventually(lambda: state(world, "east")["fenced"])
    assert not writable(east.dsn)
    assert database(world, "west")["StatusInfos"][0]["Normal"]
    rds.modify_db_instance(DBInstanceIdentifier=east.db, VpcSecurityGroupIds=old, ApplyImmediately=True)
    eventually(lambda: writable(east.dsn))
    eventually(lambda: answer(world, "east") == 200)


def test_a_record_change_is_pending_until_it_is_served(world: Booted) -> None:
    change = shift(world, "west")
    assert resolve(world) == [address(world, "east")]
    eventually(lambda: in_sync(world, change))
    assert resolve(world) == [address(world, "west")]
    change = shift(world, "east")
    eventually(lambda: in_sync(world, change))
    assert resolve(world) == [address(world, "east")]


def test_a_failover_record_follows_its_health_check_by_itself(world: Booted) -> None:
    route53, name = client(world, "route53"), f"auto.{world.record.partition('.')[2]}"
    port = int(world.sites["west"].direct.rpartition(":")[2])
    changes: list[Any] = []
    for site, role in (("west", "PRIMARY"), ("east", "SECONDARY")):
        check = route53.create_health_check(
            CallerReference=role,
            HealthCheckConfig={"Type": "TCP", "IPAddress": address(world, site), "Port": port, "FailureThreshold": 2},
        )["HealthCheck"]["Id"]
        record = {"Name": name, "Type": "A", "TTL": 1, "SetIdentifier": site, "Failover": role, "HealthCheckId": check}
        record["ResourceRecords"] = [{"Value": address(world, site)}]
        changes.append({"Action": "CREATE", "ResourceRecordSet": record})
    route53.change_resource_record_sets(HostedZoneId=world.zone, ChangeBatch={"Changes": changes})
    eventually(lambda: resolve(world, name) == [address(world, "west")])
    lifecycle.impose(world, "west")
    eventually(lambda: resolve(world, name) == [address(world, "east")])
    lifecycle.relieve(world, "west")
    eventually(lambda: resolve(world, name) == [address(world, "west")])
    route53.change_resource_record_sets(
        HostedZoneId=world.zone, ChangeBatch={"Changes": [{**one, "Action": "DELETE"} for one in changes]}
    )
    eventually(lambda: resolve(world, name) == [])
    for one in changes:
        route53.delete_health_check(HealthCheckId=one["ResourceRecordSet"]["HealthCheckId"])


def test_a_site_ordered_away_from_outside_is_lost_and_comes_back(world: Booted) -> None:
    lifecycle.impose(world, "west")
    eventually(lambda: state(world, "west")["lost"] == "kill")
    assert answer(world, "west") == 0
    assert database(world, "west")["DBInstanceStatus"] == "failed"
    assert {health for _, health in members(world, "west").values()} == {"Unhealthy"}
    alarms = client(world, "cloudwatch", "west")
    others = [world.sites["west"].others_alarm]
    eventually(lambda: alarms.describe_alarms(AlarmNames=others)["MetricAlarms"][0]["StateValue"] == "ALARM")
    lifecycle.relieve(world, "west")
    eventually(lambda: set(members(world, "west").values()) == {WELL})
    eventually(lambda: database(world, "west")["StatusInfos"][0]["Normal"])
    assert database(world, "west")["DBInstanceStatus"] == "available"
    eventually(lambda: alarms.describe_alarms(AlarmNames=others)["MetricAlarms"][0]["StateValue"] == "OK")


def test_an_experiment_really_stops_instances_and_starts_them_again_when_it_is_stopped(world: Booted) -> None:
    fis, scaling = client(world, "fis"), client(world, "autoscaling")
    group = {"AutoScalingGroupName": world.sites["east"].asg, "ScalingProcesses": ["HealthCheck"]}
    scaling.suspend_processes(**group)
    name = min(members(world, "east"))
    try:
        running_ = begun(world, experiment(world, name))
        eventually(lambda: instance(world, "east", name) == "stopped")
        assert [name in one for one in state(world, "east")["listening"]].count(True) == 0
        fis.stop_experiment(id=running_)
        eventually(lambda: stands(world, running_)[:2] == ("stopped", "stopped"))
        eventually(lambda: members(world, "east")[name] == WELL and instance(world, "east", name) == "running")
    finally:
        scaling.resume_processes(**group)


def test_an_alarm_among_the_stop_conditions_ends_an_experiment_and_so_does_the_safety_lever(world: Booted) -> None:
    fis, scaling, cloudwatch = client(world, "fis"), client(world, "autoscaling"), client(world, "cloudwatch")
    group = {"AutoScalingGroupName": world.sites["east"].asg, "ScalingProcesses": ["HealthCheck"]}
    scaling.suspend_processes(**group)
    metric = {"MetricName": "Errors", "Namespace": "Orders"}
    cloudwatch.put_metric_alarm(
        AlarmName="orders-errors",
        **metric,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    name = min(members(world, "east"))

    def halted() -> bool:
        cloudwatch.put_metric_data(Namespace="Orders", MetricData=[{"MetricName": "Errors", "Value": 1.0}])
        return stands(world, by_alarm)[0] == "stopped"

    lever = {"id": "default", "state": {"status": "engaged", "reason": "a test"}}
    try:
        by_alarm = begun(world, experiment(world, name, alarm="orders-errors"))
        eventually(halted)
        assert stands(world, by_alarm) == ("stopped", "stopped", "Experiment halted by stop condition.")
        eventually(lambda: members(world, "east")[name] == WELL and instance(world, "east", name) == "running")
        by_lever = begun(world, experiment(world, name, alarm="quiet"))
        assert fis.update_safety_lever_state(**lever)["safetyLever"]["state"]["status"] == "engaged"
        eventually(lambda: stands(world, by_lever)[0] == "stopped")
        assert "safety lever" in stands(world, by_lever)[2]
        never = fis.start_experiment(clientToken="n", experimentTemplateId=experiment(world, name, alarm="quiet"))
        assert fis.get_experiment(id=never["experiment"]["id"])["experiment"]["state"]["status"] == "cancelled"
        eventually(lambda: members(world, "east")[name] == WELL and instance(world, "east", name) == "running")
    finally:
        fis.update_safety_lever_state(id="default", state={"status": "disengaged", "reason": "over"})
        scaling.resume_processes(**group)


def test_an_experiment_that_is_not_simulated_is_refused_and_one_without_targets_fails(world: Booted) -> None:
    fis = client(world, "fis")
    reboot = experiment(world, "i-0", actionId="aws:ec2:reboot-instances", parameters={})
    with pytest.raises(
        fis.exceptions.ClientError, match=r"NotImplemented.*stop: nothing here follows from aws:ec2:reboot-inst"
    ):
        fis.start_experiment(clientToken="r", experimentTemplateId=reboot)
    nobody = experiment(world, "i-0")
    name = fis.start_experiment(clientToken="e", experimentTemplateId=nobody)["experiment"]["id"]
    eventually(lambda: stands(world, name)[0] == "failed")
    assert stands(world, name)[2] == "Target resolution returned empty set: app"


def test_no_action_of_an_experiment_begins_after_one_that_failed(world: Booted) -> None:
    ec2, name = client(world, "ec2"), min(members(world, "east"))
    ec2.modify_instance_attribute(InstanceId=name, DisableApiStop={"Value": True})
    first = {"actionId": "aws:ec2:stop-instances", "targets": {"Instances": "app"}}
    template = experiment(world, name, first=first)
    try:
        fis = client(world, "fis")
        failed = fis.start_experiment(clientToken="f", experimentTemplateId=template)["experiment"]["id"]
        eventually(lambda: stands(world, failed)[0] == "failed")
        assert stands(world, failed)[1] == "cancelled"
        assert stands(world, failed)[2].startswith("first: ")
        assert instance(world, "east", name) == "running"
    finally:
        ec2.modify_instance_attribute(InstanceId=name, DisableApiStop={"Value": False})


@pytest.mark.prove
def test_what_an_experiment_stops_it_starts_again_when_its_time_is_over(world: Booted) -> None:
    scaling = client(world, "autoscaling")
    group = {"AutoScalingGroupName": world.sites["east"].asg, "ScalingProcesses": ["HealthCheck"]}
    scaling.suspend_processes(**group)
    name = min(members(world, "east"))
    try:
        lasts = begun(world, experiment(world, name, description="for a minute"))
        eventually(lambda: instance(world, "east", name) == "stopped")
        assert eventually(lambda: stands(world, lasts)[:2] == ("completed", "completed"), within_s=120) > 30
        eventually(lambda: members(world, "east")[name] == WELL)
    finally:
        scaling.resume_processes(**group)


def test_a_warm_standby_takes_over_and_the_old_site_becomes_its_replica(world: Booted) -> None:
    rds_west, west, east = client(world, "rds", "west"), world.sites["west"], world.sites["east"]
    old = isolate(world, "east")
    eventually(lambda: answer(world, "east") == 0)
    eventually(lambda: database(world, "east")["DBInstanceStatus"] == "failed")

    asked = rds_west.promote_read_replica(DBInstanceIdentifier=west.db)["DBInstance"]
    assert asked["DBInstanceStatus"] == "modifying"
    assert asked["ReadReplicaSourceDBInstanceIdentifier"]
    rds_west.get_waiter("db_instance_available").wait(
        DBInstanceIdentifier=west.db, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    promoted = database(world, "west")
    assert "ReadReplicaSourceDBInstanceIdentifier" not in promoted
    assert database(world, "east").get("ReadReplicaDBInstanceIdentifiers", []) == []
    assert writable(west.dsn)
    with pytest.raises(rds_west.exceptions.InvalidDBInstanceStateFault):
        rds_west.promote_read_replica(DBInstanceIdentifier=west.db)
    eventually(lambda: answer(world, "west") == 200)

    change = shift(world, "west")
    eventually(lambda: in_sync(world, change))
    assert resolve(world) == [address(world, "west")]
    eventually(lambda: health(world, "east").startswith("Failure"))

    rds_east = client(world, "rds", "east")
    groups = [one["VpcSecurityGroupId"] for one in database(world, "east")["VpcSecurityGroups"]]
    closed = client(world, "ec2").create_security_group(GroupName="shut", Description="shut", VpcId=east.vpc)["GroupId"]
    rds_east.modify_db_instance(DBInstanceIdentifier=east.db, VpcSecurityGroupIds=[closed], ApplyImmediately=True)
    eventually(lambda: state(world, "east")["fenced"])
    restore(world, "east", old)
    eventually(lambda: state(world, "east")["lost"] is None)
    assert not writable(east.dsn)
    rds_east.delete_db_instance(DBInstanceIdentifier=east.db, SkipFinalSnapshot=True)
    made = rds_east.create_db_instance_read_replica(
        DBInstanceIdentifier=east.db,
        SourceDBInstanceIdentifier=promoted["DBInstanceArn"],
        VpcSecurityGroupIds=groups,
        DBSubnetGroupName=f"{east.db}-subnets",
    )["DBInstance"]
    assert made["DBInstanceStatus"] == "creating"
    eventually(lambda: database(world, "east")["DBInstanceStatus"] == "available", within_s=30)
    eventually(lambda: database(world, "east")["StatusInfos"][0]["Normal"])
    assert database(world, "west")["ReadReplicaDBInstanceIdentifiers"] == [database(world, "east")["DBInstanceArn"]]
    told = [one["what"] for one in lifecycle.effects(world) if one["site"] == "east"]
    assert told[-1] == "replica_created"
