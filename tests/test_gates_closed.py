"""No gate opens by mistake: whatever call fails, in whatever way, the drill is refused and nothing was written."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from aws_world import World, moto_server
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from stand_in import StandIn, always, answer_json, stand_in
from test_gates_aws import LOOK, NOW, alarm, allow, group, scaling, simulating, stopping

from drills import catalog
from drills.aws import forbidden
from drills.engine.gates import cost, impaired, one_way, retention, scope, table
from drills.engine.gates.question import Question, yes
from drills.engine.plan import Allowed, Mode, Plan
from drills.engine.rules import Alarms, ChangeCalendar, Rules, Waiver
from drills.errors import Refused
from drills.services.aws_call import AwsCall
from drills.testing import plan, step
from drills.timeline.events import Gated
from drills.timeline.facts import Facts
from drills.timeline.marks import Mark
from drills.work import Cost, Kind, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

PROVE = bool(os.environ.get("DRILLS_PROVE"))
WAYS = ("denied", "torn", "empty", "broken", "reset") if PROVE else ("denied", "empty")
"""Two of five: the last two alone are repeated by botocore, which takes seconds for each."""
ELSEWHERE = frozenset({"credentials", "stop", "other-drill"})
"""Gates with tests of their own, in their own files."""
FALLS_BACK = frozenset({("permissions", "SimulatePrincipalPolicy"), ("permissions", "GetRole")})
"""Denied, these are answered by reads instead: that is what the gate is for."""


class Closed:
    """A plan that every gate lets through, and the calls by which each gate came to say so."""

    def __init__(self, front: StandIn, world: World) -> None:
        self.front, self.world = front, world
        (instance,) = world.instances(1, {"drills": "allowed"})
        asg = group(world)
        world.client("autoscaling").create_or_update_tags(
            Tags=[
                {
                    "ResourceId": asg,
                    "ResourceType": "auto-scaling-group",
                    "Key": "drills",
                    "Value": "allowed",
                    "PropagateAtLaunch": False,
                }
            ]
        )
        rules = Rules(
            alarms=(Alarms("east", names=(alarm(world, "OK"),)),),
            calendars=(ChangeCalendar(("arn:aws:ssm:us-east-1:123456789012:document/freeze",), "east"),),
        )
        sites = (world.place, replace(world.place, name="west", region="us-west-2"))
        self.plan: Plan = plan(
            scaling(asg, 2),
            stopping(instance),
            LOOK,
            places=sites,
            rules=rules,
            scope=Allowed(Facts(drills="allowed"), 10, ()),
            home="us-east-2",
        )

    def answer_all(self) -> None:
        front = self.front
        front.reset()
        simulating(front, allow)
        front.answers["DescribeOrganization"] = always(answer_json(Organization={"MasterAccountId": "210987654321"}))
        front.answers["GetCalendarState"] = always(answer_json(State="OPEN"))
        front.answers["GetServiceQuota"] = always(answer_json(Quota={"Value": 1e6}))
        front.answers["DescribeConfigRules"] = always(
            answer_json(
                ConfigRules=[{"ConfigRuleName": "a", "Scope": {"ComplianceResourceTypes": ["AWS::EC2::Instance"]}}]
            )
        )
        front.answers["DescribeRemediationConfigurations"] = always(answer_json(RemediationConfigurations=[]))

    def ask(self, gate: table.Gate) -> list[Gated]:
        return list(table.answers(Question(self.plan, self.world.accounts, catalog.load, NOW), (gate,)))


@pytest.fixture(scope="module")
def closed() -> Generator[Closed]:
    with stand_in() as (front, world):
        yield Closed(front, world)


@pytest.mark.parametrize("gate", [one for one in table.GATES if one.name not in ELSEWHERE], ids=lambda one: one.name)
def test_a_gate_opens_when_all_is_well_and_stays_shut_whatever_call_of_it_fails(
    closed: Closed, gate: table.Gate
) -> None:
    closed.answer_all()
    said = closed.ask(gate)
    assert all(one.ok is True or one.advises for one in said), said
    table.refuse(said, Mode.RUN)
    calls = set(closed.front.calls)
    assert calls or not gate.permissions, "it says what it reads by, and asked nobody"
    for name in sorted(calls):
        for way in WAYS:
            if (gate.name, name) in FALLS_BACK and way == "denied":
                continue
            closed.front.broken = {name: way}
            said = closed.ask(gate)
            assert not all(one.ok is True or one.advises for one in said), f"{name} {way}: {said}"
            with pytest.raises(Refused, match="nothing was changed"):
                table.refuse(said, Mode.RUN)
    assert closed.front.writes() == []


# -- deadlines and incidents -------------------------------------------------------------------------------------


def slow(over: threading.Event) -> Callable[[Question], Iterator[Gated]]:
    def ask(_: Question) -> Iterator[Gated]:
        yield yes("slow:first", "said in time")
        over.wait(60)
        yield yes("slow", "too late")

    return ask


def broken(_: Question) -> Iterator[Gated]:
    raise RuntimeError("a fault of our own")


def question(mode: Mode = Mode.RUN) -> Question:
    from drills.aws.sessions import Accounts

    return Question(plan(step("look", Kind.PROBE), mode=mode), Accounts(), catalog.load, NOW)


def test_in_an_incident_a_gate_that_is_silent_is_unknown_advice_and_what_it_said_in_time_counts() -> None:
    over = threading.Event()
    gates = (
        table.Gate("slow", slow(over)),
        table.Gate("account", lambda _: [yes("account:1", "it is")], binds_incidents=True),
    )
    try:
        said = list(table.answers(question(Mode.INCIDENT), gates))
    finally:
        over.set()
    assert [(one.gate, one.ok, one.advises) for one in said] == [
        ("slow:first", True, True),
        ("slow", None, True),
        ("account:1", True, False),
    ]
    table.refuse(said, Mode.INCIDENT)


def test_before_a_drill_a_gate_that_is_silent_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(table, "ANSWER_S", 0.2)
    try:
        said = list(table.answers(question(), (table.Gate("slow", slow(over)),)))
    finally:
        over.set()
    with pytest.raises(Refused, match=r"no answer within 0\.2s; nothing was changed"):
        table.refuse(said, Mode.RUN)


def test_a_fault_of_a_gate_itself_refuses() -> None:
    said = list(table.answers(question(), (table.Gate("broken", broken),)))
    assert [(one.ok, one.detail) for one in said] == [(None, "no answer (RuntimeError: a fault of our own)")]
    with pytest.raises(Refused):
        table.refuse(said, Mode.RUN)


GATED = st.builds(
    Gated, st.sampled_from(["account:1", "scope", "window"]), st.sampled_from([True, False, None]), st.just("why"),
    st.booleans(),
)  # fmt: skip


@given(st.lists(GATED), GATED)
def test_another_answer_never_opens_what_was_shut(said: list[Gated], more: Gated) -> None:
    def refused(given_: list[Gated], mode: Mode) -> bool:
        try:
            table.refuse(given_, mode)
        except Refused:
            return True
        return False

    for mode in (Mode.RUN, Mode.INCIDENT):
        assert not refused(said, mode) or refused([*said, more], mode)
    assert refused(said, Mode.RUN) is any(one.ok is not True and not one.advises for one in said)


# -- scope -------------------------------------------------------------------------------------------------------

TAGS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), max_size=2)
TARGETS = st.lists(st.builds(Target, st.sampled_from(["t1", "t2", "t3"]), st.none() | TAGS.map(lambda t: Facts(**t))))


def scoped(found: list[Target], allowed: Allowed | None) -> bool:
    asked = question()
    asked.found.of("do", lambda: tuple(found))
    pinned = plan(step("do"), scope=allowed)
    answers = list(scope.ask(replace(asked, plan=pinned)))
    return all(one.ok is True for one in answers)


@settings(max_examples=200)
@given(TARGETS, TAGS, st.sets(st.sampled_from(["t1", "t2"])), st.integers(0, 3), st.data())
def test_a_smaller_scope_never_opens_and_what_is_outside_never_passes(
    found: list[Target], tags: dict[str, str], allow: set[str], most: int, data: st.DataObject
) -> None:
    wide = Allowed(Facts(**tags), most, tuple(allow))
    narrow = Allowed(
        Facts(**tags, **data.draw(st.sampled_from([{}, {"c": "z"}]))),
        data.draw(st.integers(0, most)),
        tuple(data.draw(st.sets(st.sampled_from(sorted(allow))) if allow else st.just(set[str]()))),
    )
    assert not scoped(found, narrow) or scoped(found, wide)
    assert not scoped(found, None)
    if scoped(found, wide):
        assert len({one.id for one in found}) <= most
        for one in found:
            carried = dict(one.tags or {})
            assert one.id in allow or (tags and tags.items() <= carried.items())


# -- calls that no drill makes -----------------------------------------------------------------------------------


def test_every_rule_names_calls_that_exist_and_says_why() -> None:
    from fnmatch import filter as fitting

    session = botocore.session.get_session()
    services = session.get_available_services()
    for rule in forbidden.RULES:
        found = [
            name
            for service in fitting(services, rule.service)
            for name in fitting(session.get_service_model(service).operation_names, rule.operation)
        ]
        assert found, f"{rule.service}:{rule.operation} fits nothing"
        assert len(rule.reason) > 15


@pytest.mark.parametrize(
    ("service", "operation", "given_"),
    [
        ("backup", "PutBackupVaultLockConfiguration", {"BackupVaultName": "v", "MinRetentionDays": 1}),
        ("kms", "ScheduleKeyDeletion", {"KeyId": "k"}),
        ("s3", "DeleteBucket", {"Bucket": "orders"}),
        ("s3", "DeleteObject", {"Bucket": "orders", "Key": "k", "VersionId": "v"}),
        ("s3", "PutObjectRetention", {"Bucket": "b", "Key": "k", "Retention": {"Mode": "COMPLIANCE"}}),
        ("rds", "DeleteDBInstance", {"DBInstanceIdentifier": "orders", "SkipFinalSnapshot": True}),
        ("rds", "DeleteDBInstance", {"DBInstanceIdentifier": "orders", "FinalDBSnapshotIdentifier": "last"}),
        ("rds", "DeleteDBInstanceAutomatedBackup", {"DbiResourceId": "r"}),
        ("rds", "ModifyDBInstance", {"DBInstanceIdentifier": "orders", "BackupRetentionPeriod": 0}),
        ("backup", "DeleteRecoveryPoint", {"BackupVaultName": "v", "RecoveryPointArn": "arn:aws:ec2:r::snapshot/s"}),
        ("dynamodb", "DeleteTable", {"TableName": "orders"}),
        ("dynamodb", "DeleteBackup", {"BackupArn": "arn:aws:dynamodb:us-east-1:123456789012:table/o/backup/1"}),
        ("organizations", "LeaveOrganization", {}),
        ("account", "DisableRegion", {"RegionName": "eu-west-1"}),
        ("iam", "DeleteRole", {"RoleName": "drills"}),
        ("cloudtrail", "StopLogging", {"Name": "trail"}),
        ("cloudtrail", "DeleteTrail", {"Name": "trail"}),
        ("glacier", "DeleteVault", {"vaultName": "v"}),
        ("route53", "DeleteHostedZone", {"Id": "Z1"}),
    ],
)
def test_a_call_that_no_drill_makes_is_refused_at_load_at_plan_and_by_the_seam(
    closed: Closed, service: str, operation: str, given_: dict[str, Any]
) -> None:
    from botocore import xform_name

    assert forbidden.reason(service, operation, given_)
    fields = {"service": service, "operation": operation, "parameters": given_, "one_way": "a test"}
    with pytest.raises(ValidationError, match="denied always"):
        AwsCall.model_validate(fields)
    did = step("do", uses="aws.call", place="east", params=Facts(**fields))
    assert next(iter(retention.ask(Question(plan(did), closed.world.accounts, catalog.load, NOW)))).ok is False
    closed.front.reset()
    with pytest.raises(forbidden.Forbidden, match="nothing was sent"):
        getattr(closed.world.write.client(service), xform_name(operation))(**given_)
    assert closed.front.calls == []


def test_what_a_drill_made_itself_it_may_delete_and_a_saved_database_too() -> None:
    assert not forbidden.reason("dynamodb", "DeleteTable", {"TableName": "drills-restored"})
    saved = {"DBInstanceIdentifier": "o", "FinalDBSnapshotIdentifier": "last", "DeleteAutomatedBackups": False}
    assert not forbidden.reason("rds", "DeleteDBInstance", saved)
    assert not forbidden.reason("rds", "ModifyDBInstance", {"BackupRetentionPeriod": 7})
    assert not forbidden.reason("s3", "DeleteObject", {"Bucket": "b", "Key": "k"})
    assert not forbidden.reason("organizations", "DescribeOrganization", {})


def test_an_ordinary_write_passes_the_seam() -> None:
    with moto_server() as endpoint:
        client = World(endpoint).write.client("sqs")
        assert client.create_queue(QueueName="orders")["QueueUrl"]
        with pytest.raises(ClientError):
            client.send_message(QueueUrl=f"{endpoint}/123456789012/none-such", MessageBody="x")


# -- what asks nobody --------------------------------------------------------------------------------------------


def failing_over(world: World, *steps: Any, rules: Rules | None = None) -> Question:
    lose = step("lose", Kind.FAULT, place="east", mark=Mark.DISASTER, permissions=("ec2:StopInstances",))
    dns = replace(world.place, name="dns")
    sites = (world.place, replace(world.place, name="west", region="us-west-2"), dns)
    return Question(
        plan(lose, *steps, places=sites, rules=rules or Rules(), from_site="east", to_site="west"),
        world.accounts,
        catalog.load,
        NOW,
    )


def test_steps_that_need_the_lost_region_are_warned_of_until_somebody_answers_for_them(closed: Closed) -> None:
    world = closed.world
    fence = step("fence", Kind.ACTION, "lose", place="east", permissions=("rds:ModifyDBInstance",))
    shift = step("shift", Kind.ACTION, "lose", place="dns", permissions=("route53:ChangeResourceRecordSets",))
    there = step("scale", Kind.ACTION, "lose", place="west", permissions=("autoscaling:UpdateAutoScalingGroup",))
    told = {one.gate: one for one in impaired.ask(failing_over(world, fence, shift, there))}
    assert set(told) == {"impaired-region:fence", "impaired-region:shift"}
    assert all(one.ok is False and one.advises for one in told.values())
    assert "ARC routing control" in told["impaired-region:shift"].detail
    table.refuse(told.values(), Mode.RUN)
    from msgspec.structs import replace as renew

    waived = Rules(waivers=(Waiver("impaired-region", ("shift",), "moved by hand"),))
    calm = failing_over(world, renew(fence, best_effort_s=20.0), shift, there, rules=waived)
    assert all(one.ok is True for one in impaired.ask(calm))


def test_a_planned_switchover_loses_no_region(closed: Closed) -> None:
    fence = step("fence", Kind.ACTION, place="east", permissions=("rds:ModifyDBInstance",))
    asked = failing_over(closed.world, fence)
    planned = replace(asked, plan=replace(asked.plan, steps=(fence,), mode=Mode.RUN))
    assert [(one.ok, one.detail) for one in impaired.ask(planned)] == [(True, "the plan loses no region")]
    real = replace(asked, plan=replace(asked.plan, steps=(fence,), mode=Mode.INCIDENT))
    assert [one.ok for one in impaired.ask(real)] == [False]


@pytest.mark.parametrize(
    ("costs", "bound", "ok"),
    [
        ((Cost.TRANSFER, Cost.NONE), "low", True),
        ((Cost.NONE, Cost.CAPACITY), "low", False),
        ((Cost.CAPACITY, Cost.TRANSFER), "medium", True),
        ((Cost.STORAGE, Cost.NONE), "medium", False),
        ((Cost.STORAGE, Cost.CAPACITY), "high", True),
        ((Cost.STORAGE, Cost.STORAGE), "", True),
    ],
)
def test_the_sum_of_the_steps_is_held_against_the_bound(
    closed: Closed,
    costs: tuple[Cost, Cost],
    bound: str,
    ok: bool,  # noqa: FBT001 - a row of the table
) -> None:
    steps = [step(f"do-{number}", place="east", cost=one) for number, one in enumerate(costs)]
    asked = Question(plan(*steps, rules=Rules(cost=bound)), closed.world.accounts, catalog.load, NOW)
    told = list(cost.ask(asked))
    assert [one.ok for one in told] == [ok]
    for one in steps:
        assert (one.id in told[0].detail) is (one.cost is not Cost.NONE)


def test_a_call_of_any_service_costs_what_its_actions_do_and_a_work_what_it_declares() -> None:
    from drills.runbook.works import declared
    from drills.services.costs import of_actions
    from drills.timeline.facts import Json

    assert of_actions(["ec2:DescribeVpcs", "rds:RestoreDBInstanceToPointInTime"]) is Cost.STORAGE
    assert of_actions(["s3:PutBucketTagging"]) is Cost.NONE
    call = {"service": "ec2", "operation": "RunInstances", "one_way": "they stay"}
    given: dict[str, Json] = {**call, "parameters": {"ImageId": "ami-1", "MinCount": 1, "MaxCount": 1}}
    assert declared(Kind.ACTION, "aws.call", given).cost is Cost.CAPACITY
    assert declared(Kind.ACTION, "autoscaling.set_capacity", {}).cost is Cost.CAPACITY
    assert declared(Kind.FAULT, "site.isolate", {}).cost is Cost.NONE


def test_what_cannot_be_taken_back_is_told(closed: Closed) -> None:
    asked = Question(plan(step("go", one_way="it is gone")), closed.world.accounts, catalog.load, NOW)
    assert [(one.ok, one.detail) for one in one_way.ask(asked)] == [(True, "cannot be taken back: go (it is gone)")]


def test_a_standing_sandbox_that_has_failed_over_is_refused_at_once() -> None:
    from pathlib import Path

    from drills.cli.asking import begins_as_made
    from drills.runbook.load import load_environment

    place = load_environment(Path(__file__).parent.parent / "environments/sandbox.yaml")
    begins_as_made(place, ("east", "west"), "default")
    with pytest.raises(Refused, match=r"has failed over, west is active there.*nothing was changed"):
        begins_as_made(place, ("west", "east"), "default")
