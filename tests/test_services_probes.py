"""What the probes answer about AWS, and what works do when a call in their middle fails."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aws_world import World, moto_server
from observe_world import Service
from pydantic import ValidationError

from drills.errors import Partly, Rejected
from drills.services.autoscaling import InService, SetCapacity
from drills.services.aws_call import AwsCall
from drills.services.aws_read import AwsRead
from drills.services.cloudwatch import AlarmQuiet
from drills.services.ec2 import InstancesRunning, StopInstances
from drills.services.flow import Wait
from drills.services.rds import Available, IsWriter, ReplicaLag
from drills.services.rds_fence import FenceWriter
from drills.services.route53 import FailoverTo, HealthCheckStatus, InSync
from drills.services.site import Isolate
from drills.services.sts import CallerIsAccount
from drills.timeline.facts import Before

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.literals import StateValueType
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_route53 import Route53Client


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as address:
        yield World(address)


@contextmanager
def refusing(world: World, service: str, operation: str, *, after: int) -> Generator[None]:
    """Have AWS refuse an operation from its call number ``after + 1`` on, at botocore's own seam."""
    from botocore.exceptions import ClientError

    events = world.client(service).meta.events
    name = f"before-call.{service}.{operation}"
    seen: list[int] = []

    def refuse(**_: Any) -> None:
        seen.append(1)
        if len(seen) > after:
            answer: Any = {
                "Error": {"Code": "UnauthorizedOperation", "Message": "not you"},
                "ResponseMetadata": {"HTTPStatusCode": 403},
            }
            raise ClientError(answer, operation)

    events.register(name, refuse)
    try:
        yield
    finally:
        events.unregister(name, refuse)


def lag(world: World, db: str, seconds: float) -> None:
    cloudwatch: CloudWatchClient = world.client("cloudwatch")
    cloudwatch.put_metric_data(
        Namespace="AWS/RDS",
        MetricData=[
            {
                "MetricName": "ReplicaLag",
                "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": db}],
                "Value": seconds,
                "Unit": "Seconds",
            }
        ],
    )


def test_a_replica_is_close_behind_far_behind_cut_off_or_unknown(world: World) -> None:
    source = world.db()
    for seconds, ok, words in (
        (2.0, True, "is 2s behind"),
        (90.0, False, "is 90s behind"),
        (-1.0, False, "does not"),
    ):
        db = world.db(replica_of=source)
        lag(world, db, seconds)
        seen = ReplicaLag.model_validate({"db": db, "at_most": "30s"}).observe(world.read)
        assert (seen.ok, words in seen.detail) == (ok, True), seen
    silent = world.db(replica_of=source)
    assert ReplicaLag.model_validate({"db": silent, "at_most": "30s"}).observe(world.read).ok is None
    writer = ReplicaLag.model_validate({"db": source, "at_most": "30s"}).observe(world.read)
    assert (writer.ok, "is no replica" in writer.detail) == (False, True)


def test_a_writer_follows_nobody_and_a_stopped_one_is_not_available(world: World) -> None:
    source = world.db()
    replica = world.db(replica_of=source)
    assert IsWriter(db=source).observe(world.read).ok is True
    assert IsWriter(db=replica).observe(world.read).ok is False
    assert Available(db=source).observe(world.read).ok is True
    rds: RDSClient = world.client("rds")
    rds.stop_db_instance(DBInstanceIdentifier=source)
    seen = Available(db=source).observe(world.read)
    assert (seen.ok, seen.final, seen.value.text("status")) == (False, False, "stopped")
    with pytest.raises(Rejected, match="DBInstanceNotFound"):
        Available(db="nobody").observe(world.read)


def test_a_group_is_in_service_when_enough_healthy_instances_are(world: World) -> None:
    asg = world.asg(1, 2, 4)
    assert InService(asg=asg, count=2).observe(world.read).ok is True
    short = InService(asg=asg, count=3).observe(world.read)
    assert (short.ok, short.final, short.value.integer("in_service")) == (False, False, 2)
    assert "its maximum is 4" in InService(asg=asg, count=5).observe(world.read).detail
    autoscaling: AutoScalingClient = world.client("autoscaling")
    group = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[asg])["AutoScalingGroups"][0]
    sick = [one["InstanceId"] for one in group.get("Instances", [])]
    autoscaling.set_instance_health(InstanceId=sick[0], HealthStatus="Unhealthy")
    assert InService(asg=asg, count=2).observe(world.read).ok is False


@pytest.mark.parametrize(("state", "ok"), [("OK", True), ("ALARM", False), ("INSUFFICIENT_DATA", None)])
def test_only_an_alarm_in_state_ok_is_quiet(world: World, *, state: StateValueType, ok: bool | None) -> None:
    cloudwatch: CloudWatchClient = world.client("cloudwatch")
    name = world.name("alarm")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        MetricName="Errors",
        Namespace="Orders",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="as the test wants it")
    assert AlarmQuiet(alarm=name).observe(world.read).ok is ok
    missing = AlarmQuiet(alarm="nobody").observe(world.read)
    assert (missing.ok, "there is no alarm 'nobody'" in missing.detail) == (None, True)


def test_the_caller_is_the_account_of_the_place_or_the_step_ends_at_once(world: World) -> None:
    assert CallerIsAccount().observe(world.read).ok is True
    wrong = CallerIsAccount(account="999988887777").observe(world.read)
    assert (wrong.ok, wrong.final) == (False, True)
    assert "123456789012, not 999988887777" in wrong.detail
    with pytest.raises(ValidationError):
        CallerIsAccount(account="12")


def test_a_change_of_dns_is_followed_by_its_id(world: World) -> None:
    zone, name = world.zone()
    record = f"orders.{name}"
    weights = [
        {"SetIdentifier": site, "Weight": weight, "ResourceRecords": [{"Value": f"192.0.2.{weight}"}]}
        for site, weight in (("east", 100), ("west", 0))
    ]
    world.put_sets(zone, record, weights)
    work = FailoverTo(record=record, site="west")
    receipt = work.perform(world.write, work.capture(world.read))
    assert receipt.text("change_id")
    assert InSync(change=receipt.text("change_id")).observe(world.read).ok is True
    assert world.shares(zone, record) == {"east": 0, "west": 100}
    for site, why in (("north", "there are: east, west"),):
        with pytest.raises(Rejected, match=why):
            FailoverTo(record=record, site=site).capture(world.read)
    world.put_sets(zone, f"plain.{name}", [{"ResourceRecords": [{"Value": "192.0.2.9"}]}])
    with pytest.raises(Rejected, match="no record set with an identifier"):
        FailoverTo(record=f"plain.{name}", site="west").capture(world.read)


def test_two_zones_of_one_name_are_refused_until_the_right_one_is_named(world: World) -> None:
    route53: Route53Client = world.client("route53")
    zone, name = world.zone()
    route53.create_hosted_zone(Name=name, CallerReference=world.name("second"))
    with pytest.raises(Rejected, match="2 hosted zones are called"):
        FailoverTo(record=f"orders.{name}", site="west").capture(world.read)
    with pytest.raises(Rejected, match="no record set"):
        FailoverTo(zone=zone, record=f"orders.{name}", site="west").capture(world.read)


def test_a_health_check_is_healthy_when_its_checkers_say_so(world: World) -> None:
    route53: Route53Client = world.client("route53")
    check = route53.create_health_check(
        CallerReference=world.name("check"),
        HealthCheckConfig={"IPAddress": "127.0.0.1", "Port": 80, "Type": "HTTP", "ResourcePath": "/"},
    )["HealthCheck"]["Id"]
    assert HealthCheckStatus(health_check=check).observe(world.read).ok is True
    assert HealthCheckStatus(health_check=check, healthy=False).observe(world.read).ok is False


def test_instances_are_chosen_by_tags_up_to_a_bound(world: World) -> None:
    tag = world.name("service")
    ids = world.instances(3, {"service": tag})
    assert InstancesRunning(tags={"service": tag}).observe(world.read).ok is True
    with pytest.raises(Rejected, match="choose 3 instances, at most 2"):
        StopInstances(tags={"service": tag}, most=2).capture(world.read)
    work = StopInstances(tags={"service": tag}, most=3, force=True)
    before = work.capture(world.read)
    work.perform(world.write, before)
    assert work.in_effect(world.read).ok is True
    assert InstancesRunning(ids=tuple(ids), count=1).observe(world.read).ok is False
    with pytest.raises(Rejected, match="no instance with the tags"):
        StopInstances(tags={"service": "nobody"}).capture(world.read)
    with pytest.raises(ValidationError, match="by `ids` or by `tags`"):
        StopInstances()


def test_sizes_out_of_order_are_refused_when_the_runbook_is_read() -> None:
    with pytest.raises(ValidationError, match="min 3 <= desired 2 <= max 4"):
        SetCapacity.model_validate({"asg": "a", "min": 3, "desired": 2, "max": 4})


def test_a_wait_ends_after_its_time_and_never_sleeps(world: World) -> None:
    import time

    wait = Wait.model_validate({"for": "300ms"})
    begun = time.monotonic()
    first = wait.observe(world.read)
    assert (first.ok, time.monotonic() - begun < 0.2) == (False, True)
    looks = 0
    while wait.observe(world.read).ok is not True:
        looks += 1
        assert time.monotonic() - begun < 10
    assert 0.3 <= time.monotonic() - begun < 5
    assert Wait.model_validate({"for": "0s"}).observe(world.read).ok is True


# -- a work whose calls stop being answered in the middle --------------------------------------------------


def test_an_isolation_that_was_refused_half_way_is_partly_done_and_can_be_finished_or_taken_back(world: World) -> None:
    vpc, _ = world.vpc(3)
    work, was = Isolate(vpc=vpc), world.acl_of(vpc)
    before = work.capture(world.read)
    with refusing(world, "ec2", "ReplaceNetworkAclAssociation", after=1), pytest.raises(Partly) as caught:
        work.perform(world.write, before)
    assert len(caught.value.receipt.texts("subnets")) == 1
    assert work.already(world.read).ok is False
    work.perform(world.write, before)
    assert work.already(world.read).ok is True
    assert len(world.acls(vpc)) == 2, "the second attempt found the ACL of the first"
    with refusing(world, "ec2", "ReplaceNetworkAclAssociation", after=1), pytest.raises(Rejected, match="2 of 3"):
        work.undo(world.write, before, None)
    assert work.undo(world.write, before, None).left_alone is None
    assert (world.acl_of(vpc), len(world.acls(vpc))) == (was, 1)


def test_a_drill_that_finds_a_site_isolated_by_another_knows_what_was_there_before(world: World) -> None:
    vpc, _ = world.vpc(2)
    was = world.acl_of(vpc)
    first = Isolate(vpc=vpc)
    first.perform(world.write, first.capture(world.read))
    second = Isolate(vpc=vpc)
    before = second.capture(world.read)
    assert dict(before.record("acls")) == was
    second.undo(world.write, before, None)
    assert world.acl_of(vpc) == was


def test_a_fence_that_was_refused_half_way_is_partly_done_and_can_be_taken_back(world: World) -> None:
    db = world.db()
    work, was = FenceWriter(db=db), world.groups_of(db)
    before = work.capture(world.read)
    with refusing(world, "rds", "ModifyDBInstance", after=0), pytest.raises(Partly, match="may not have it"):
        work.perform(world.write, before)
    assert work.undo(world.write, before, None).left_alone is None
    assert world.groups_of(db) == was
    work.perform(world.write, before)
    again = FenceWriter(db=db).capture(world.read)
    assert again.texts("groups") == tuple(was), "the fence itself remembers what was there"


def test_an_isolation_is_in_effect_when_the_site_falls_silent(world: World) -> None:
    vpc, _ = world.vpc(1)
    with Service() as site:
        work = Isolate(vpc=vpc, watch=site.url)
        before = work.capture(world.read)
        work.perform(world.write, before)
        assert work.in_effect(world.read).ok is False
        site.close()
        seen = work.in_effect(world.read)
        assert (seen.ok, "is silent" in seen.detail) == (True, True)


# -- any operation -----------------------------------------------------------------------------------------

READ = {"operation": "DescribeAlarms", "parameters": {"AlarmNames": ["a"]}}
CALL: dict[str, Any] = {
    "service": "cloudwatch",
    "operation": "DisableAlarmActions",
    "parameters": {"AlarmNames": ["a"]},
    "capture": [{"name": "on", **READ, "keep": "MetricAlarms[0].ActionsEnabled"}],
    "undo": {"operation": "EnableAlarmActions", "parameters": {"AlarmNames": ["a"]}},
}
CHANGE = {"Action": "UPSERT", "ResourceRecordSet": {"Name": "a.test", "Type": "A"}}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"service": "cloudwach"}, "no service 'cloudwach'; did you mean 'cloudwatch'"),
    ({"operation": "DisableAlarmAction"}, "did you mean 'DisableAlarmActions'"),
    ({"operation": "DescribeAlarms"}, "only reads: write `probe: aws.read`"),
    ({"parameters": {}}, "DisableAlarmActions needs 'AlarmNames'"),
    ({"parameters": {"AlarmName": ["a"]}}, "has no member 'AlarmName'; did you mean 'AlarmNames'"),
    ({"parameters": {"AlarmNames": "a"}}, "AlarmNames is 'a', not a list"),
    ({"parameters": {"AlarmNames": [1]}}, "is 1, not text"),
    ({"parameters": {"AlarmNames": ["a"] * 101}}, "at most 100 are allowed"),
    ({"undo": None}, "either `undo`, or `one_way: why not`"),
    ({"one_way": "so"}, "either `undo`, or `one_way: why not`"),
    ({"capture": []}, "`undo` needs `capture` or `already`"),
    ({"authority": True}, "belongs to a `one_way` call"),
    ({"client_token": True}, "has no client token"),
    ({"output": {"x": "a ["}}, "is no JMESPath"),
    (
        {"capture": [{"name": "on", "operation": "DeleteAlarms", "parameters": {"AlarmNames": []}, "keep": "a"}]},
        "read",
    ),
    (
        {"undo": {"operation": "EnableAlarmActions", "parameters": {"AlarmNames": ["${before.off}"]}}},
        "called 'off'",
    ),
    ({"undo": {"operation": "EnableAlarmActions", "parameters": {"AlarmNames": ["${receipt.x}"]}}}, "called 'x'"),
    ({"parameters": {"AlarmNames": ["${receipt.x}"]}}, "not known yet"),
    ({"already": {**READ, "expect": "]"}}, "is no JMESPath"),
    (
        {
            "service": "route53",
            "operation": "change_resource_record_sets",
            "parameters": {"HostedZoneId": "Z", "ChangeBatch": {"Changes": [{**CHANGE, "Action": "UPSRT"}]}},
            "capture": [],
            "undo": None,
            "one_way": "so",
        },
        r"Changes\[0\].Action is 'UPSRT', which AWS does not know; did you mean 'UPSERT'",
    ),
]


@pytest.mark.parametrize(("given", "why"), WRONG)
def test_a_wrong_call_is_refused_when_the_runbook_is_read(given: dict[str, Any], why: str) -> None:
    AwsCall.model_validate(CALL)
    with pytest.raises(ValidationError, match=why):
        AwsCall.model_validate({**CALL, **given})


def test_what_is_not_bound_yet_is_taken_on_trust() -> None:
    AwsCall.model_validate({**CALL, "parameters": {"AlarmNames": "${to.alarms}"}})
    AwsCall.model_validate({**CALL, "parameters": {"AlarmNames": ["x-${to.name}"]}})


def test_a_call_declares_the_permissions_and_the_way_back_of_its_own() -> None:
    call = AwsCall.model_validate(CALL)
    assert call.permissions == (
        "cloudwatch:DescribeAlarms",
        "cloudwatch:DisableAlarmActions",
        "cloudwatch:EnableAlarmActions",
    )
    assert (call.one_way, call.authority, call.idempotent) == (None, False, False)
    one_way = AwsCall.model_validate(
        {
            "service": "rds",
            "operation": "failover_global_cluster",
            "parameters": {"GlobalClusterIdentifier": "g", "TargetDbClusterIdentifier": "t", "AllowDataLoss": True},
            "one_way": "the old primary is a new cluster afterwards",
            "authority": True,
            "idempotent": True,
        }
    )
    assert (one_way.one_way, one_way.authority, one_way.idempotent) == (one_way.irreversible, True, True)
    assert one_way.permissions == ("rds:FailoverGlobalCluster",)


def test_what_a_call_made_is_found_by_its_output_and_deleted_by_its_undo(world: World) -> None:
    name = world.name("group")
    read = {
        "operation": "DescribeSecurityGroups",
        "parameters": {"Filters": [{"Name": "group-name", "Values": [name]}]},
    }
    call = AwsCall.model_validate(
        {
            "service": "ec2",
            "operation": "CreateSecurityGroup",
            "parameters": {"GroupName": name, "Description": "of a test"},
            "already": {**read, "expect": "length(SecurityGroups) > `0`"},
            "output": {"id": "GroupId"},
            "undo": {"operation": "DeleteSecurityGroup", "parameters": {"GroupId": "${receipt.id}"}},
        }
    )
    before = call.capture(world.read)
    receipt = call.perform(world.write, before)
    assert call.already(world.read).ok is True
    assert call.by_hand(before)[0].endswith("""--cli-input-json '{"GroupId":"${receipt.id}"}'""")
    with pytest.raises(Rejected, match=r"\$\{receipt\.id\} is not known"):
        call.undo(world.write, before, None)
    call.undo(world.write, before, receipt)
    assert call.restored(world.read, before).ok is True
    assert "nothing to do" in call.undo(world.write, before, None).detail


def test_a_client_token_is_kept_so_that_a_repeat_is_the_same_request(world: World) -> None:
    call = AwsCall.model_validate(
        {
            "service": "ec2",
            "operation": "RunInstances",
            "parameters": {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1},
            "one_way": "a test",
            "client_token": True,
            "output": {"id": "Instances[0].InstanceId"},
        }
    )
    before = call.capture(world.read)
    sent: list[str] = []

    def note(params: Any, **_: Any) -> None:
        sent.append(params["body"]["ClientToken"])

    events = world.client("ec2").meta.events
    events.register("before-call.ec2.RunInstances", note)
    try:
        first = call.perform(world.write, Before(**before))
        call.perform(world.write, Before(**before))
    finally:
        events.unregister("before-call.ec2.RunInstances", note)
    assert first.text("id").startswith("i-")
    assert sent == [before.text("token")] * 2


def test_a_read_is_judged_by_true_or_false_and_nothing_else(world: World) -> None:
    vpc, subnets = world.vpc(3)
    read: dict[str, Any] = {
        "service": "ec2",
        "operation": "describe_subnets",
        "parameters": {"Filters": [{"Name": "vpc-id", "Values": [vpc]}]},
        "output": {"ids": "Subnets[].SubnetId | sort(@)"},
    }

    def look(**more: Any) -> tuple[bool | None, bool]:
        seen = AwsRead.model_validate({**read, **more}).observe(world.read)
        assert seen.value.texts("ids") == tuple(subnets)
        return seen.ok, seen.final

    assert look(expect="length(Subnets) == `3`") == (True, False)
    assert look(expect="length(Subnets) == `4`") == (False, False)
    assert look(expect="length(Subnets)") == (None, False)
    assert look(expect="length(Nowhere)") == (None, False)
    assert look(expect="`true`", fail="length(Subnets) > `2`") == (False, True)
    first: dict[str, Any] = {"path": "Subnets[0].State"}
    assert look(**first, equals="available") == look(**first, **{"in": ["pending", "available"]}) == (True, False)
    assert look(**first, equals="gone") == (False, False)
    assert look(**first, equals="gone", fails_on=["available"]) == (False, True)
    assert look(path="Subnets[0].Nowhere", equals="available") == (None, False)
    assert look(path="Subnets[0].Nowhere", equals=None) == (True, False)
    assert look(path="Subnets[0].MapPublicIpOnLaunch", equals=0) == (False, False), "false is not 0"
    for wrong, why in (
        ({}, "either `expect`, or `path` with `equals` or `in`"),
        ({"expect": "a", "path": "b", "equals": 1}, "either `expect`, or `path`"),
        (first, "needs one of `equals` and `in`"),
        ({**first, "equals": 1, "in": [1]}, "needs one of `equals` and `in`"),
        ({"expect": "a", "equals": 1}, "go with `path`"),
        ({"expect": "a", "fails_on": [1]}, "beside `expect` write `fail`"),
        ({"path": "a [", "equals": 1}, "is no JMESPath"),
    ):
        with pytest.raises(ValidationError, match=why):
            AwsRead.model_validate({**read, **wrong})
    with pytest.raises(ValidationError, match="does not only read"):
        AwsRead.model_validate({**read, "operation": "DeleteSubnet", "expect": "a"})
    with pytest.raises(ValidationError, match="reads a secret"):
        AwsRead.model_validate(
            {"service": "secretsmanager", "operation": "GetSecretValue", "parameters": {"SecretId": "x"}, "expect": "a"}
        )


def test_what_aws_marks_as_sensitive_is_never_kept(world: World) -> None:
    call = AwsCall.model_validate(
        {
            "service": "iam",
            "operation": "CreateAccessKey",
            "parameters": {"UserName": world.name("user")},
            "one_way": "a test",
            "output": {"key": "AccessKey.AccessKeyId", "secret": "AccessKey.SecretAccessKey"},
        }
    )
    world.client("iam").create_user(UserName=call.parameters["UserName"])
    receipt = call.perform(world.write, Before())
    assert receipt.text("key").startswith("AKIA")
    assert receipt.text("secret") == "[secret]"
