"""Each gate against moto, or against a real server where moto cannot answer: yes, no, and no answer."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace as renew
from stand_in import StandIn, always, answer_json, answer_query, refused_json, refused_query, stand_in

from drills import catalog
from drills.engine.gates import (
    alarms,
    change_calendar,
    freshness,
    organization,
    permissions,
    quotas,
    regions,
    remediation,
)
from drills.engine.gates.question import Question
from drills.engine.plan import Objective, Plan, Section
from drills.engine.rules import Alarms, ChangeCalendar, Rules, Waiver
from drills.testing import plan, step
from drills.timeline.events import Gated
from drills.timeline.facts import Facts
from drills.timeline.marks import Mark
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from aws_world import World

    from drills.engine.plan import Step

NOW = datetime(2026, 11, 18, 10, tzinfo=UTC)
ROLE = "arn:aws:iam::123456789012:role/ops/drills"


@pytest.fixture(scope="module")
def both() -> Generator[tuple[StandIn, World]]:
    with stand_in() as made:
        yield made


@pytest.fixture
def front(both: tuple[StandIn, World]) -> StandIn:
    both[0].reset()
    return both[0]


@pytest.fixture
def world(both: tuple[StandIn, World], front: StandIn) -> World:
    _ = front
    return both[1]


def asked(
    world: World, ask: Callable[[Question], Iterable[Gated]], *steps: Step, rules: Rules | None = None, **changes: Any
) -> list[Gated]:
    sites = (world.place, replace(world.place, name="west", region="us-west-2"))
    pinned: Plan = plan(
        *(steps or (step("look", Kind.PROBE, place="east"),)), places=sites, rules=rules or Rules(), **changes
    )
    return list(ask(Question(pinned, world.accounts, catalog.load, NOW)))


def one(found: list[Gated]) -> Gated:
    assert len(found) == 1, found
    return found[0]


# -- organization and regions ------------------------------------------------------------------------------------


def manager(account: str) -> Callable[..., Any]:
    return always(answer_json(Organization={"MasterAccountId": account}))


def test_an_account_without_an_organization_may_be_drilled_in(front: StandIn, world: World) -> None:
    front.answers["DescribeOrganization"] = always(refused_json("AWSOrganizationsNotInUseException"))
    assert one(asked(world, organization.ask)).ok is True


def test_a_member_account_may_be_drilled_in_and_the_management_account_not(front: StandIn, world: World) -> None:
    front.answers["DescribeOrganization"] = manager("210987654321")
    assert one(asked(world, organization.ask)).ok is True
    front.answers["DescribeOrganization"] = manager("123456789012")
    said = one(asked(world, organization.ask))
    assert (said.ok, "management account" in said.detail) == (False, True)


def test_who_may_not_ask_needs_a_waiver_and_no_waiver_excuses_the_management_account(
    front: StandIn, world: World
) -> None:
    waived = Rules(waivers=(Waiver("organization", (), "the platform team looked on 1 November"),))
    front.broken["DescribeOrganization"] = "denied"
    assert one(asked(world, organization.ask)).ok is None
    said = one(asked(world, organization.ask, rules=waived))
    assert (said.ok, "the platform team looked" in said.detail) == (True, True)
    front.reset()
    front.answers["DescribeOrganization"] = manager("123456789012")
    assert one(asked(world, organization.ask, rules=waived)).ok is False


def test_a_region_outside_the_scope_is_refused_and_so_is_an_arn_there(world: World) -> None:
    assert asked(world, regions.ask, rules=Rules(regions=("us-west-2",)))[0].ok is False
    said = asked(world, regions.ask, rules=Rules(regions=("us-east-1",)))
    assert [one_.ok for one_ in said] == [True, True]
    far = step("far", place="east", params=Facts(arn="arn:aws:rds:eu-west-1:123456789012:db:orders"))
    assert "eu-west-1" in asked(world, regions.ask, far)[0].detail


def test_a_region_that_is_not_switched_on_is_refused(front: StandIn, world: World) -> None:
    item = "<item><regionName>us-east-1</regionName><optInStatus>not-opted-in</optInStatus></item>"
    body = f"<DescribeRegionsResponse><regionInfo>{item}</regionInfo></DescribeRegionsResponse>"
    front.answers["DescribeRegions"] = always((200, body.encode(), "text/xml"))
    assert asked(world, regions.ask)[-1].ok is False


# -- change calendars and alarms ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "next_", "ok"),
    [
        ("OPEN", NOW + timedelta(days=1), True),
        ("OPEN", NOW + timedelta(minutes=5), False),
        ("OPEN", None, True),
        ("CLOSED", NOW + timedelta(days=1), False),
    ],
)
def test_a_change_calendar_must_be_open_until_the_drill_is_over(
    front: StandIn,
    world: World,
    state: str,
    next_: datetime | None,
    ok: bool,  # noqa: FBT001 - a row of the table
) -> None:
    more: dict[str, Any] = {"NextTransitionTime": f"{next_:%Y-%m-%dT%H:%M:%SZ}"} if next_ else {}
    front.answers["GetCalendarState"] = always(answer_json(State=state, **more))
    rules = Rules(calendars=(ChangeCalendar(("arn:aws:ssm:us-east-1:123456789012:document/freeze",), "east"),))
    look = step("look", Kind.PROBE, place="east", timeout_s=1800.0)
    assert one(asked(world, change_calendar.ask, look, rules=rules, deadline_s=1800.0)).ok is ok


def alarm(world: World, state: str, name: str = "", **tags: str) -> str:
    cloudwatch, name = world.client("cloudwatch"), name or world.name("alarm")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        MetricName="Errors",
        Namespace="orders",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        Statistic="Sum",
        ComparisonOperator="GreaterThanThreshold",
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")
    return name


@pytest.mark.parametrize(
    ("state", "insufficient", "ok"),
    [
        ("OK", False, True),
        ("ALARM", False, False),
        ("ALARM", True, False),
        ("INSUFFICIENT_DATA", False, False),
        ("INSUFFICIENT_DATA", True, True),
    ],
)
def test_an_open_alarm_refuses_and_one_without_data_does_unless_it_may(
    world: World,
    state: str,
    insufficient: bool,  # noqa: FBT001 - a row of the table
    ok: bool,  # noqa: FBT001 - a row of the table
) -> None:
    prefix = world.name("team")
    quiet, other = alarm(world, "OK", f"{prefix}-a"), alarm(world, state, f"{prefix}-b", team=prefix)
    ways = (
        Alarms("east", names=(quiet, other), insufficient=insufficient),
        Alarms("east", prefix=prefix, insufficient=insufficient),
        Alarms("east", tags=Facts(team=prefix), insufficient=insufficient),
    )
    said = asked(world, alarms.ask, rules=Rules(alarms=ways))
    assert [one_.ok for one_ in said] == [ok, ok, ok], said


def test_an_alarm_that_is_not_there_guards_nothing(world: World) -> None:
    ways = (Alarms("east", names=("none-such",)), Alarms("east", prefix="none-such"))
    assert [one_.ok for one_ in asked(world, alarms.ask, rules=Rules(alarms=ways))] == [False, False]


# -- permissions -------------------------------------------------------------------------------------------------


def evaluated(action: str, decision: str, more: str = "") -> str:
    return (
        f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>*</EvalResourceName>"
        f"<EvalDecision>{decision}</EvalDecision>{more}</member>"
    )


def simulating(front: StandIn, decide: Callable[[str, str], tuple[str, str]], page: int = 1000) -> None:
    """Answer as IAM does, some actions a page: ``decide`` gives the decision on an action and a resource."""
    caller = "<Arn>arn:aws:sts::123456789012:assumed-role/drills/me</Arn><Account>123456789012</Account>"
    front.answers["GetCallerIdentity"] = always(answer_query("GetCallerIdentity", caller))
    front.answers["GetRole"] = always(answer_query("GetRole", f"<Role><Arn>{ROLE}</Arn></Role>"))

    def simulate(form: dict[str, list[str]], _: str) -> Any:
        actions = [values[0] for key, values in form.items() if key.startswith("ActionNames.member.")]
        resource = form["ResourceArns.member.1"][0]
        assert form["PolicySourceArn"] == [ROLE], "the path of a role is no part of its session's ARN"
        begin = int(form.get("Marker", ["0"])[0])
        results = "".join(evaluated(one_, *decide(one_, resource)) for one_ in actions[begin : begin + page])
        more = begin + page < len(actions)
        marker = f"<Marker>{begin + page}</Marker>" if more else ""
        told = f"<EvaluationResults>{results}</EvaluationResults><IsTruncated>{str(more).lower()}</IsTruncated>{marker}"
        return answer_query("SimulatePrincipalPolicy", told)

    front.answers["SimulatePrincipalPolicy"] = simulate


def allow(action: str, resource: str) -> tuple[str, str]:
    _ = action, resource
    return "allowed", ""


def by(kind: str, whom: str) -> str:
    return f"<{kind}DecisionDetail><AllowedBy{whom}>false</AllowedBy{whom}></{kind}DecisionDetail>"


NEEDS = ("autoscaling:UpdateAutoScalingGroup", "ec2:StopInstances", "rds:PromoteReadReplica")
LOOK = step("look", Kind.PROBE, place="east", permissions=NEEDS)


def test_what_is_allowed_by_the_simulation_may_begin_though_it_comes_in_pages(front: StandIn, world: World) -> None:
    simulating(front, allow, page=1)
    said = one(asked(world, permissions.ask, LOOK))
    assert (said.ok, "all 3 actions" in said.detail) == (True, True)
    assert front.calls.count("SimulatePrincipalPolicy") == 3


def test_an_action_that_the_simulation_does_not_mention_is_not_allowed(front: StandIn, world: World) -> None:
    simulating(front, allow)
    empty = "<EvaluationResults></EvaluationResults><IsTruncated>false</IsTruncated>"
    front.answers["SimulatePrincipalPolicy"] = always(answer_query("SimulatePrincipalPolicy", empty))
    assert one(asked(world, permissions.ask, LOOK)).ok is False


@pytest.mark.parametrize(
    ("decision", "more", "told"),
    [
        ("implicitDeny", "", "no policy allows it"),
        (
            "explicitDeny",
            "<MatchedStatements><member><SourcePolicyId>guard</SourcePolicyId></member></MatchedStatements>",
            "denied by a statement of guard",
        ),
        (
            "implicitDeny",
            by("PermissionsBoundary", "PermissionsBoundary"),
            "denied by the permissions boundary",
        ),
        (
            "explicitDeny",
            by("Organizations", "Organizations"),
            "denied by a service control policy",
        ),
    ],
)
def test_which_kind_of_policy_denies_is_told(front: StandIn, world: World, decision: str, more: str, told: str) -> None:
    simulating(front, lambda action, _: (decision, more) if action == "ec2:StopInstances" else ("allowed", ""))
    said = one(asked(world, permissions.ask, LOOK))
    assert (said.ok, f"ec2:StopInstances on *: {told}" in said.detail) == (False, True), said.detail


def test_what_is_allowed_on_the_very_targets_only_is_allowed(front: StandIn, world: World) -> None:
    (instance,) = world.instances(1)
    wanted = f"arn:aws:ec2:us-east-1:123456789012:instance/{instance}"
    simulating(front, lambda _, resource: ("allowed" if resource == wanted else "implicitDeny", ""))
    stop = step(
        "stop", uses="ec2.stop_instances", kind=Kind.FAULT, place="east", params=Facts(ids=[instance]),
        permissions=("ec2:StopInstances",),
    )  # fmt: skip
    assert one(asked(world, permissions.ask, stop)).ok is True
    (other,) = world.instances(1)
    assert one(asked(world, permissions.ask, renew(stop, params=Facts(ids=[other])))).ok is False


def test_where_iam_may_not_be_asked_one_read_of_each_service_is_made_and_it_says_so(
    front: StandIn, world: World
) -> None:
    simulating(front, allow)
    front.answers["SimulatePrincipalPolicy"] = always(refused_query("AccessDenied"))
    said = one(asked(world, permissions.ask, LOOK))
    assert (said.ok, said.detail.startswith("not simulated"), "is not proven" in said.detail) == (True, True, True)
    assert {"DescribeAutoScalingGroups", "DescribeVpcs", "DescribeDBInstances"} <= set(front.calls)
    front.broken["DescribeDBInstances"] = "denied"
    assert one(asked(world, permissions.ask, LOOK)).ok is False


# -- quotas ------------------------------------------------------------------------------------------------------


def scaling(asg: str, desired: int) -> Step:
    return step(
        "scale", uses="autoscaling.set_capacity", place="east", params=Facts(asg=asg, min=0, desired=desired, max=50)
    )


def group(world: World, **changes: Any) -> str:
    autoscaling, ec2, name = world.client("autoscaling"), world.client("ec2"), world.name("app")
    image = ec2.register_image(Name=name)["ImageId"]
    data = {"ImageId": image, "InstanceType": "m5.large", **changes.pop("data", {})}
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    _, subnets = world.vpc(1)
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=0,
        DesiredCapacity=0,
        MaxSize=2,
        LaunchTemplate={"LaunchTemplateName": name, "Version": "$Latest"},
        VPCZoneIdentifier=",".join(subnets),
    )
    return name


def quota_is(front: StandIn, value: float) -> None:
    front.answers["GetServiceQuota"] = always(answer_json(Quota={"Value": value}))


def test_a_group_may_grow_as_far_as_the_vcpu_quota_and_no_further(front: StandIn, world: World) -> None:
    asg = group(world)
    quota_is(front, 2000.0)
    assert one(asked(world, quotas.ask, scaling(asg, 4))).ok is True
    quota_is(front, 7.0)
    said = one(asked(world, quotas.ask, scaling(asg, 4)))
    assert (said.ok, "it needs 8 vCPUs" in said.detail) == (False, True)
    assert one(asked(world, quotas.ask, scaling(asg, 0))).ok is True, "nothing is started"


def test_a_quota_that_was_never_changed_is_the_default_of_aws(front: StandIn, world: World) -> None:
    front.answers["GetServiceQuota"] = always(refused_json("NoSuchResourceException"))
    front.answers["GetAWSDefaultServiceQuota"] = always(answer_json(Quota={"Value": 5.0}))
    assert one(asked(world, quotas.ask, scaling(group(world), 4))).ok is False


def test_a_missing_image_a_suspended_launch_and_full_subnets_are_told_together(front: StandIn, world: World) -> None:
    quota_is(front, 1e6)
    asg = group(world, data={"ImageId": "ami-0123456789abcdef0"})
    world.client("autoscaling").suspend_processes(AutoScalingGroupName=asg, ScalingProcesses=["Launch"])
    said = one(asked(world, quotas.ask, renew(scaling(asg, 0), params=Facts(asg=asg, min=0, desired=400, max=400))))
    assert said.ok is False
    for words in ("is not in us-east-1", "Launch is suspended", "free addresses"):
        assert words in said.detail, said.detail


def test_a_full_region_takes_no_other_database(front: StandIn, world: World) -> None:
    def quotas_of(used: int) -> Callable[..., Any]:
        inside = (
            "<AccountQuotas><AccountQuota><AccountQuotaName>DBInstances</AccountQuotaName>"
            f"<Used>{used}</Used><Max>40</Max></AccountQuota></AccountQuotas>"
        )
        return always(answer_query("DescribeAccountAttributes", inside))

    copy = step("copy", uses="aws.call", place="east", permissions=("rds:RestoreDBInstanceFromDBSnapshot",))
    front.answers["DescribeAccountAttributes"] = quotas_of(39)
    assert one(asked(world, quotas.ask, copy)).ok is True
    front.answers["DescribeAccountAttributes"] = quotas_of(40)
    assert one(asked(world, quotas.ask, copy)).ok is False


# -- freshness ---------------------------------------------------------------------------------------------------

RPO = Objective("rpo", Mark.RECOVERY_POINT, Mark.DISASTER, 30.0)


@pytest.mark.parametrize(("lag_s", "ok"), [(3.0, True), (45.0, False), (-1.0, False)])
def test_a_replica_that_would_lose_more_than_the_target_refuses_the_drill(
    world: World,
    lag_s: float,
    ok: bool,  # noqa: FBT001 - a row of the table
) -> None:
    from drills.clock import NS, SystemClock

    source = world.db()
    replica = world.db(replica_of=source)
    moment = datetime.fromtimestamp(SystemClock().now().utc_ns / NS, UTC) - timedelta(seconds=70)
    datum = {
        "MetricName": "ReplicaLag",
        "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": replica}],
        "Timestamp": moment,
        "Value": lag_s,
        "Unit": "Seconds",
    }
    world.client("cloudwatch").put_metric_data(Namespace="AWS/RDS", MetricData=[datum])
    probe = step(
        "replicating", Kind.PROBE, uses="rds.replica_lag", place="east", section=Section.BEFORE,
        params=Facts(db=replica, at_most="5m"),
    )  # fmt: skip
    by_runbook = one(asked(world, freshness.ask, probe, objectives=(RPO,)))
    by_environment = one(asked(world, freshness.ask, objectives=(RPO,), freshness=(probe,)))
    assert (by_runbook.ok, by_environment.ok) == (ok, ok), by_runbook.detail


def test_an_rpo_that_no_probe_predicts_is_advice(world: World) -> None:
    said = one(asked(world, freshness.ask, objectives=(RPO,)))
    assert (said.ok, said.advises) == (None, True)


# -- remediation -------------------------------------------------------------------------------------------------


def stopping(*ids: str) -> Step:
    return step(
        "stop", Kind.FAULT, uses="ec2.stop_instances", place="east", params=Facts(ids=list(ids)),
        permissions=("ec2:StopInstances",),
    )  # fmt: skip


@pytest.fixture
def no_config(front: StandIn) -> StandIn:
    front.answers["DescribeRemediationConfigurations"] = always(answer_json(RemediationConfigurations=[]))
    return front


def test_an_instance_that_nobody_looks_after_may_be_stopped(no_config: StandIn, world: World) -> None:
    _ = no_config
    assert one(asked(world, remediation.ask, stopping(*world.instances(1)))).ok is True


def test_a_group_that_would_replace_a_stopped_instance_is_named_until_its_processes_are_suspended(
    no_config: StandIn, world: World
) -> None:
    _ = no_config
    autoscaling, name = world.client("autoscaling"), world.asg(1, 1, 1)
    held = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]["Instances"]
    work = stopping(held[0]["InstanceId"])
    said = one(asked(world, remediation.ask, work))
    assert (said.ok, f"the group {name} would replace" in said.detail) == (False, True)
    waived = Rules(waivers=(Waiver("remediation", ("stop",), "that is what is drilled"),))
    assert asked(world, remediation.ask, work, rules=waived)[0].ok is True
    autoscaling.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=["ReplaceUnhealthy"])
    assert one(asked(world, remediation.ask, work)).ok is True


def test_schedules_rules_tags_and_remediations_that_reach_a_target_are_named(no_config: StandIn, world: World) -> None:
    (instance,) = world.instances(1, {"Schedule": "office-hours"})
    target = {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:startInstances", "RoleArn": ROLE}
    world.client("scheduler").create_schedule(
        Name=world.name("morning"),
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={**target, "Input": json.dumps({"InstanceIds": [instance]})},
    )
    events, rule = world.client("events"), world.name("start")
    events.put_rule(Name=rule, ScheduleExpression="rate(1 day)")
    events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": ROLE, "Input": json.dumps({"id": instance})}])
    mends = [{"ConfigRuleName": "stopped", "TargetType": "SSM_DOCUMENT", "TargetId": "AWS-Start", "Automatic": True}]
    scope = {"ComplianceResourceTypes": ["AWS::EC2::Instance"]}
    no_config.answers["DescribeConfigRules"] = always(
        answer_json(ConfigRules=[{"ConfigRuleName": "stopped", "Scope": scope}])
    )
    no_config.answers["DescribeRemediationConfigurations"] = always(answer_json(RemediationConfigurations=mends))
    said = one(asked(world, remediation.ask, stopping(instance)))
    assert said.ok is False
    for words in ("Schedule=office-hours", "the schedule morning-", f"the rule {rule}", "AWS Config mends"):
        assert words in said.detail, said.detail


def test_an_id_that_only_begins_like_a_target_is_another(no_config: StandIn, world: World) -> None:
    _ = no_config
    (instance,) = world.instances(1)
    events, rule = world.client("events"), world.name("start")
    events.put_rule(Name=rule, ScheduleExpression="rate(1 day)")
    events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": ROLE, "Input": json.dumps({"id": f"{instance}0"})}])
    assert one(asked(world, remediation.ask, stopping(instance))).ok is True


def test_no_gate_wrote_anything(front: StandIn, world: World) -> None:
    front.answers["DescribeOrganization"] = manager("210987654321")
    quota_is(front, 1e6)
    asg = group(world)
    front.calls.clear()
    for ask in (organization.ask, regions.ask, permissions.ask, quotas.ask, remediation.ask):
        asked(world, ask, scaling(asg, 4), renew(LOOK, id="see"))
    assert len(front.calls) > 5
    assert front.writes() == []
