"""Every action: done twice as once, taken back twice as once, and never over somebody else's change."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, cast

import pytest
from aws_world import World, moto_server
from botocore import xform_name

from drills import catalog
from drills.aws.classify import mapped
from drills.errors import WorkError
from drills.services.autoscaling import SetCapacity
from drills.services.aws_call import AwsCall
from drills.services.aws_model import operation_model, permissions
from drills.services.ec2 import StartInstances, StopInstances
from drills.services.fis import Experiment
from drills.services.flow import Nothing
from drills.services.rds import PromoteReadReplica
from drills.services.rds_fence import FenceWriter
from drills.services.route53 import FailoverTo
from drills.services.site import Isolate
from drills.services.spec import ActionSpec, Spec
from drills.timeline.facts import Before, Receipt
from drills.work import Expressible, Fault, Kind, Observation, Reversible
from drills.yamldoc import parse

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_rds import RDSClient


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as address:
        yield World(address)


def test_what_aws_takes_minutes_to_bring_back_is_waited_for_that_long() -> None:
    """Instances stop before they start again, and FIS has an experiment end only when all that is done."""
    assert Experiment.restore_timeout > StopInstances.restore_timeout > Isolate.restore_timeout


@dataclass(frozen=True)
class Case:
    """One action on real resources: how its state reads, and what somebody else might do to it."""

    work: Reversible
    state: Callable[[], Any]
    meddle: Callable[[], object] | None
    """What somebody else might do to it; None where nobody else can, or where it changes nothing at all."""
    acts: bool = True
    """Whether it changes anything."""


def isolate(world: World) -> Case:
    vpc, subnets = world.vpc(3)
    ec2: EC2Client = world.client("ec2")
    other = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"].get("NetworkAclId", "")

    def state() -> Any:
        return world.acl_of(vpc), sorted(world.acls(vpc))

    return Case(Isolate(vpc=vpc), state, lambda: world.put_acl(vpc, subnets[0], other))


def fence(world: World) -> Case:
    db = world.db()
    ec2: EC2Client = world.client("ec2")
    rds: RDSClient = world.client("rds")
    other = ec2.create_security_group(GroupName=world.name("other"), Description="of a test")["GroupId"]

    def meddle() -> None:
        rds.modify_db_instance(DBInstanceIdentifier=db, VpcSecurityGroupIds=[other], ApplyImmediately=True)

    return Case(FenceWriter(db=db), lambda: world.groups_of(db), meddle)


def stop(world: World) -> Case:
    ids = world.instances(2)
    ec2: EC2Client = world.client("ec2")
    return Case(
        StopInstances(ids=tuple(ids)), lambda: world.states(ids), lambda: ec2.terminate_instances(InstanceIds=ids)
    )


def start(world: World) -> Case:
    ids = world.instances(2)
    ec2: EC2Client = world.client("ec2")
    ec2.stop_instances(InstanceIds=ids[:1])
    return Case(
        StartInstances(ids=tuple(ids)), lambda: world.states(ids), lambda: ec2.terminate_instances(InstanceIds=ids)
    )


def capacity(world: World) -> Case:
    asg = world.asg()
    client = world.client("autoscaling")

    def meddle() -> None:
        client.update_auto_scaling_group(AutoScalingGroupName=asg, MinSize=3, DesiredCapacity=3, MaxSize=9)

    return Case(
        SetCapacity.model_validate({"asg": asg, "min": 2, "desired": 2, "max": 4}), lambda: world.sizes(asg), meddle
    )


def weights(world: World) -> Case:
    zone, name = world.zone()
    record = f"orders.{name}"
    world.put_sets(zone, record, _sets("Weight", 100, 0))

    def meddle() -> None:
        world.put_sets(zone, record, _sets("Weight", 50, 50))

    return Case(FailoverTo(record=record, site="west"), lambda: world.shares(zone, record), meddle)


def primaries(world: World) -> Case:
    zone, name = world.zone()
    record = f"orders.{name}"
    world.put_sets(zone, record, _sets("Failover", "PRIMARY", "SECONDARY"))

    def meddle() -> None:
        world.put_sets(zone, record, [{**one, "TTL": 77} for one in _sets("Failover", "SECONDARY", "PRIMARY")])

    return Case(FailoverTo(zone=name, record=record, site="west"), lambda: world.shares(zone, record), meddle)


def _sets(kind: str, east: object, west: object) -> list[dict[str, Any]]:
    return [
        {"SetIdentifier": "east", kind: east, "ResourceRecords": [{"Value": "192.0.2.1"}]},
        {"SetIdentifier": "west", kind: west, "ResourceRecords": [{"Value": "192.0.2.2"}]},
    ]


def any_call(world: World) -> Case:
    name = world.name("alarm")
    cloudwatch: CloudWatchClient = world.client("cloudwatch")

    def put(threshold: float, *, quiet: bool) -> None:
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            ActionsEnabled=not quiet,
            MetricName="Errors",
            Namespace="Orders",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=threshold,
            ComparisonOperator="GreaterThanThreshold",
        )

    put(1.0, quiet=False)
    read = {"operation": "DescribeAlarms", "parameters": {"AlarmNames": [name]}}
    work = AwsCall.model_validate(
        {
            "service": "cloudwatch",
            "operation": "put_metric_alarm",
            "parameters": {
                "AlarmName": name,
                "MetricName": "Errors",
                "Namespace": "Orders",
                "Statistic": "Sum",
                "Period": 60,
                "EvaluationPeriods": 1,
                "Threshold": 1000,
                "ComparisonOperator": "GreaterThanThreshold",
            },
            "capture": [{"name": "threshold", **read, "keep": "MetricAlarms[0].Threshold"}],
            "already": {**read, "expect": "MetricAlarms[0].Threshold == `1000`"},
            "undo": {
                "operation": "PutMetricAlarm",
                "parameters": {
                    "AlarmName": name,
                    "MetricName": "Errors",
                    "Namespace": "Orders",
                    "Statistic": "Sum",
                    "Period": 60,
                    "EvaluationPeriods": 1,
                    "Threshold": "${before.threshold}",
                    "ComparisonOperator": "GreaterThanThreshold",
                },
            },
        }
    )

    def state() -> Any:
        return cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0].get("Threshold")

    return Case(cast("Reversible", work), state, lambda: put(7.0, quiet=False))


def nothing(world: World) -> Case:
    del world
    return Case(Nothing(note="as a test"), lambda: None, None, acts=False)


STOPPED = {
    "description": "Stop the application of orders",
    "actions": {
        "stop": {
            "actionId": "aws:ec2:stop-instances",
            "parameters": {"startInstancesAfterDuration": "PT10M"},
            "targets": {"Instances": "app"},
        }
    },
    "roleArn": "arn:aws:iam::123456789012:role/fis",
}


def experiment(world: World) -> Case:
    name, fis = world.name("fis"), world.client("fis")
    world.instances(1, {"case": name})
    world.alarm(name)
    alarm = f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{name}"
    app = {"resourceType": "aws:ec2:instance", "resourceTags": {"case": name}, "selectionMode": "COUNT(1)"}
    template = {
        **STOPPED,
        "targets": {"app": app},
        "stopConditions": [{"source": "aws:cloudwatch:alarm", "value": alarm}],
        "tags": {"case": name},
    }

    def state() -> Any:
        known = [*fis.list_experiments()["experiments"], *fis.list_experiment_templates()["experimentTemplates"]]
        mine = [one for one in known if one["tags"].get("case") == name]
        return [
            one["id"] for one in mine if one.get("state", {}).get("status") not in {"completed", "stopping", "stopped"}
        ]

    return Case(cast("Reversible", Experiment.model_validate({"template": template})), state, None)


CASES: dict[str, Callable[[World], Case]] = {
    "site.isolate": isolate,
    "rds.fence_writer": fence,
    "ec2.stop_instances": stop,
    "ec2.start_instances": start,
    "autoscaling.set_capacity": capacity,
    "route53.failover_to": weights,
    "route53.failover_to primaries": primaries,
    "aws.call": any_call,
    "fis.experiment": experiment,
    "flow.nothing": nothing,
}

reversible = pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())


def test_every_action_that_can_be_taken_back_has_a_case_here() -> None:
    undoable = {
        name
        for kind in (Kind.ACTION, Kind.FAULT)
        for name in catalog.names(kind)
        if getattr(catalog.load(kind, name), "one_way", None) is None
    }
    assert undoable == {name.partition(" ")[0] for name in CASES}


@reversible
def test_an_action_done_twice_is_as_done_once_and_undone_twice_as_undone_once(
    world: World, make: Callable[[World], Case]
) -> None:
    case = make(world)
    work, was = case.work, case.state()
    before = work.capture(world.read)
    assert work.already(world.read).ok is False
    assert work.restored(world.read, before).ok is True

    receipt = work.perform(world.write, before)
    done = case.state()
    assert work.already(world.read).ok is case.acts
    again = work.perform(world.write, before)
    assert case.state() == done
    assert isinstance(again, Receipt)

    first = work.undo(world.write, before, receipt)
    assert first.left_alone is None
    assert case.state() == was
    assert work.restored(world.read, before).ok is True
    second = work.undo(world.write, before, None)
    assert second.left_alone is None
    assert case.state() == was


@reversible
def test_the_calls_that_a_schedule_makes_bring_back_what_the_undo_does(
    world: World, make: Callable[[World], Case]
) -> None:
    case = make(world)
    if not isinstance(case.work, Expressible):
        assert isinstance(case.work, ActionSpec)
        assert type(case.work).unarmable({}), "what no schedule takes back says why"
        return
    was = case.state()
    before = case.work.capture(world.read)
    calls = case.work.undo_calls(before)
    case.work.perform(world.write, before)
    for _ in range(2):  # a schedule may fire twice
        for call in calls:
            getattr(world.client(call.service), xform_name(call.operation))(**call.parameters)
        assert case.state() == was
    assert case.work.restored(world.read, before).ok is True
    assert case.work.undo(world.write, before, None).left_alone is None
    assert case.state() == was


@reversible
def test_an_undo_is_safe_when_nothing_happened(world: World, make: Callable[[World], Case]) -> None:
    case = make(world)
    was = case.state()
    before = case.work.capture(world.read)
    undone = case.work.undo(world.write, before, None)
    assert (undone.left_alone, case.state()) == (None, was)
    assert case.work.restored(world.read, before).ok is True


@reversible
def test_an_undo_leaves_alone_what_somebody_else_has_changed_since(world: World, make: Callable[[World], Case]) -> None:
    case = make(world)
    if case.meddle is None:
        return
    before = case.work.capture(world.read)
    receipt = case.work.perform(world.write, before)
    case.meddle()
    theirs = case.state()
    undone = case.work.undo(world.write, before, receipt)
    assert undone.left_alone
    if not isinstance(case.work, Isolate):  # there the subnets nobody touched are given back, and only those
        assert case.state() == theirs
    assert case.work.restored(world.read, before).ok is False


@reversible
def test_looking_and_capturing_only_read(world: World, make: Callable[[World], Case]) -> None:
    case = make(world)
    before = case.work.capture(world.read)
    case.work.already(world.read)
    case.work.restored(world.read, before)


@reversible
def test_a_change_through_a_reading_session_is_refused_before_it_is_sent(
    world: World, make: Callable[[World], Case]
) -> None:
    case = make(world)
    if not case.acts:
        return
    before, was = case.work.capture(world.read), case.state()
    with pytest.raises(Exception, match="this session only reads"):
        case.work.perform(world.read, before)
    assert case.state() == was


@reversible
def test_what_was_before_survives_the_journal_and_serves_a_work_built_anew(
    world: World, make: Callable[[World], Case]
) -> None:
    import msgspec

    case = make(world)
    was = case.state()
    before = case.work.capture(world.read)
    stored = Before(**msgspec.json.decode(msgspec.json.encode(dict(before))))
    case.work.perform(world.write, stored)
    model = cast("Spec", case.work)
    rebuilt: Any = type(model).model_validate(model.model_dump(mode="json", by_alias=True, exclude_unset=True))
    assert rebuilt.undo(world.write, stored, None).left_alone is None
    assert case.state() == was


@reversible
def test_the_commands_to_finish_by_hand_name_the_region_and_work_without_a_before(
    world: World, make: Callable[[World], Case]
) -> None:
    case = make(world)
    before = case.work.capture(world.read)
    commands = case.work.by_hand(before)
    assert isinstance(case.work.by_hand(Before()), tuple)
    if not case.acts:
        assert commands == ()
    elif isinstance(case.work, FailoverTo):
        assert commands[0].startswith("aws route53 change-resource-record-sets --hosted-zone-id ")
    else:
        assert commands
        assert all(command.startswith("aws ") and "--region us-east-1" in command for command in commands)


def test_a_promotion_is_asked_for_once_and_a_writer_is_found_done(world: World) -> None:
    source = world.db()
    replica = world.db(replica_of=source)
    work = PromoteReadReplica(db=replica)
    assert work.already(world.read).ok is False
    before = work.capture(world.read)
    assert before.text("source") == source
    receipt = work.perform(world.write, before)
    assert receipt.text("source") == source
    assert PromoteReadReplica(db=source).already(world.read).ok is True


def test_a_botocore_error_of_a_work_is_always_one_of_drills_own(world: World) -> None:
    from drills.errors import Rejected

    for work in (FenceWriter(db="nobody"), PromoteReadReplica(db="nobody"), StopInstances(ids=("i-00000000",))):
        with pytest.raises(Rejected, match=r"nobody|i-00000000"):
            work.capture(world.read)
    with pytest.raises(Rejected, match="there is no Auto Scaling group 'nobody'"):
        SetCapacity.model_validate({"asg": "nobody", "min": 0, "desired": 0, "max": 0}).capture(world.read)
    with pytest.raises(Rejected, match=r"there is no hosted zone for orders\.nobody\.test"):
        FailoverTo(record="orders.nobody.test", site="west").capture(world.read)
    with pytest.raises(Rejected, match="has no subnet"):
        Isolate(vpc="vpc-00000000").capture(world.read)
    with pytest.raises(Rejected), mapped(writes=False):
        world.read.client("rds").describe_db_instances(DBInstanceIdentifier="nobody")


def _asked_for(calls: list[tuple[str, str, bool]]) -> set[str]:
    """Give the IAM actions that these calls need."""
    needed = {action for service, name, _ in calls for action in permissions(operation_model(service, name))}
    tagging = any(name in {"CreateNetworkAcl", "CreateSecurityGroup"} for _, name, _ in calls)
    return needed | ({"ec2:CreateTags"} if tagging else set())


NOT_IN_THESE_CASES = {
    "fis.experiment": {"fis:GetExperimentTemplate", "fis:TagResource", "iam:PassRole"},
    "route53.failover_to": {"route53:ListHostedZonesByName"},
}
"""What a work needs only in some cases."""


@reversible
def test_a_work_needs_the_permissions_it_declares_and_no_others(world: World, make: Callable[[World], Case]) -> None:
    case = make(world)
    work, begun = case.work, len(world.calls)
    work.targets(world.read)
    before = work.capture(world.read)
    work.already(world.read)
    receipt = work.perform(world.write, before)
    if isinstance(work, Fault):
        work.in_effect(world.read)
    work.undo(world.write, before, receipt)
    work.restored(world.read, before)
    used, declared = _asked_for(world.calls[begun:]), set(work.permissions)
    assert used <= declared
    assert declared - used <= NOT_IN_THESE_CASES.get(work.name, set())


@pytest.mark.parametrize("name", catalog.names(Kind.PROBE))
def test_the_yaml_of_a_probe_is_asked_with_its_own_permissions_and_never_raises_anything_unknown(
    world: World, name: str
) -> None:
    work = catalog.load(Kind.PROBE, name)
    fields = parse(cleandoc(work.__doc__ or "").partition("code-block:: yaml\n")[2].replace("\n    ", "\n"), name).data
    assert isinstance(fields, dict)
    given = fields.get("with", {})
    assert isinstance(given, dict)
    local = {"url": "http://127.0.0.1:9/healthz", "dsn": "postgresql://127.0.0.1:9/orders"}
    probe: Any = work.model_validate({**given, **{key: value for key, value in local.items() if key in given}})
    begun = len(world.calls)
    try:
        seen: Observation = probe.observe(world.read)
    except WorkError:
        pass
    else:
        assert seen.detail
    assert _asked_for(world.calls[begun:]) <= set(probe.permissions)
