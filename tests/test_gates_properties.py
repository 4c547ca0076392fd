"""Every gate as a property: whatever AWS says, it opens exactly when a rule in one line says that it may.

Windows, freezes, credentials, the scope and the lock have theirs in their own files; ``PROVEN`` names where.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stand_in import StandIn, always, answer_json, answer_query, stand_in
from test_gates_aws import LOOK, NEEDS, NOW, alarm, group, quota_is, scaling, simulating, stopping

from drills import catalog
from drills.aws import forbidden
from drills.engine.gates import (
    account,
    alarms,
    change_calendar,
    cost,
    freshness,
    home,
    impaired,
    one_way,
    organization,
    permissions,
    quotas,
    regions,
    remediation,
    retention,
    self_expiry,
    stop,
    table,
    target,
)
from drills.engine.gates.question import Question
from drills.engine.gates.window import needs
from drills.engine.halt import Halt, parameter
from drills.engine.plan import Mode, Objective, Plan
from drills.engine.rules import Alarms, ChangeCalendar, Rules, Waiver
from drills.errors import Missing, Unanswered
from drills.testing import plan, step
from drills.timeline.facts import Facts
from drills.timeline.marks import Mark
from drills.work import Cost, Kind, Observation, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from aws_world import World

    from drills.engine.plan import Step
    from drills.timeline.events import Gated

TESTS = Path(__file__).parent
PROVE = bool(os.environ.get("DRILLS_PROVE"))
PROVEN = {
    "credentials": "test_aws_credentials.py",
    "other-drill": "test_engine_lock.py",
    "scope": "test_gates_closed.py",
    "window": "test_gates_hours.py",
}
far = settings(
    max_examples=200 if PROVE else 8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""For a gate that asks a server each time."""
near = settings(max_examples=500 if PROVE else 50, deadline=None)
MINE = "123456789012"
ACCOUNTS = st.sampled_from([MINE, "210987654321", "000000000000"])
REGIONS = st.sampled_from(["us-east-1", "us-east-2", "us-west-2", "eu-west-1"])


@pytest.fixture(scope="module")
def both() -> Generator[tuple[StandIn, World]]:
    with stand_in() as made:
        yield made


def question(world: World, *steps: Step, rules: Rules | None = None, **changes: Any) -> Question:
    sites = (world.place, replace(world.place, name="west", region="us-west-2"))
    given_ = {"places": sites, "from_site": "east", "to_site": "west", "home": "us-east-2"} | changes
    pinned: Plan = plan(*(steps or (step("look", Kind.PROBE, place="east"),)), rules=rules or Rules(), **given_)
    return Question(pinned, world.accounts, catalog.load, NOW)


def opens(ask: Callable[[Question], Iterable[Gated]], asked: Question) -> bool:
    """Whether a gate lets the drill begin: every answer that binds is a yes."""
    return all(one.ok is True or one.advises for one in ask(asked))


def test_every_gate_has_a_property() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    for gate in table.GATES:
        if gate.name in PROVEN:
            assert "@given" in (TESTS / PROVEN[gate.name]).read_text(encoding="utf-8")
        else:
            assert f"opens({gate.ask.__module__.rpartition('.')[2]}.ask" in here, gate.name


@pytest.mark.prove
@far
@given(caller=ACCOUNTS)
def test_account_opens_for_the_caller_s_own_only(both: tuple[StandIn, World], caller: str) -> None:
    front, world = both
    front.reset()
    told = f"<Arn>arn:aws:iam::{caller}:user/me</Arn><Account>{caller}</Account><UserId>A</UserId>"
    front.answers["GetCallerIdentity"] = always(answer_query("GetCallerIdentity", told))
    assert opens(account.ask, question(world)) is (caller == MINE)


@pytest.mark.prove
@far
@given(manager=ACCOUNTS, waived=st.booleans())
def test_organization_opens_for_a_member_only_and_no_waiver_excuses_the_manager(
    both: tuple[StandIn, World], manager: str, *, waived: bool
) -> None:
    front, world = both
    front.reset()
    front.answers["DescribeOrganization"] = always(answer_json(Organization={"MasterAccountId": manager}))
    rules = Rules(waivers=(Waiver("organization", (), "looked"),)) if waived else Rules()
    assert opens(organization.ask, question(world, rules=rules)) is (manager != MINE)


@near
@given(at=REGIONS, sites=st.tuples(REGIONS, REGIONS))
def test_home_opens_outside_both_sites_only(both: tuple[StandIn, World], at: str, sites: tuple[str, str]) -> None:
    places = tuple(
        replace(both[1].place, name=name, region=one) for name, one in zip(("east", "west"), sites, strict=True)
    )
    assert opens(home.ask, question(both[1], places=places, home=at)) is (at not in sites)


@pytest.mark.prove
@far
@given(scope=st.sets(REGIONS), used=st.sets(st.sampled_from(["east", "west"]), min_size=1), named=st.none() | REGIONS)
def test_regions_opens_for_those_of_the_scope_only(
    both: tuple[StandIn, World], scope: set[str], used: set[str], named: str | None
) -> None:
    both[0].reset()
    region = {"east": "us-east-1", "west": "us-west-2"}
    arn = {"arn": f"arn:aws:rds:{named}:{MINE}:db:orders"} if named else {}
    steps = [step(f"at-{name}", place=name, params=Facts(**arn)) for name in sorted(used)]
    allowed = scope or set(region.values())
    touched = {region[name] for name in used} | ({named} if named else set[str]())
    asked = question(both[1], *steps, rules=Rules(regions=tuple(sorted(scope))))
    assert opens(regions.ask, asked) is (touched <= allowed)


@pytest.mark.prove
@far
@given(
    here=st.none() | st.builds(Halt, st.text(max_size=9), st.text(max_size=9)), there=st.none() | st.text(min_size=1)
)
def test_stop_opens_only_where_no_flag_stands_however_it_is_written(
    both: tuple[StandIn, World], here: Halt | None, there: str | None
) -> None:
    front, world = both
    front.reset()
    found = [{"Name": parameter(""), "Value": there}] if there is not None else []
    front.answers["GetParameters"] = always(answer_json(Parameters=found, InvalidParameters=[]))
    asked = replace(question(world), halted=here)
    assert opens(stop.ask, asked) is (here is None and there is None)


DENIED: list[tuple[str, str, dict[str, Any]]] = [
    ("rds", "DeleteDBInstanceAutomatedBackup", {"DbiResourceId": "r"}),
    ("kms", "ScheduleKeyDeletion", {"KeyId": "k"}),
    ("s3", "DeleteBucket", {"Bucket": "orders"}),
    ("dynamodb", "DeleteTable", {"TableName": "orders"}),
    ("organizations", "LeaveOrganization", {}),
]


@near
@given(call=st.sampled_from(DENIED), more=st.dictionaries(st.text(max_size=5), st.booleans(), max_size=3))
def test_retention_stays_shut_whatever_else_stands_in_a_call_that_no_drill_makes(
    both: tuple[StandIn, World], call: tuple[str, str, dict[str, Any]], more: dict[str, bool]
) -> None:
    service, operation, fields = call
    assert forbidden.reason(service, operation, {**more, **fields})
    params = Facts(service=service, operation=operation, parameters={**more, **fields}, one_way="a test")
    assert not opens(retention.ask, question(both[1], step("do", uses="aws.call", place="east", params=params)))
    assert opens(retention.ask, question(both[1], step("do", uses="flow.nothing", place="east")))


@pytest.mark.prove
@far
@given(state=st.sampled_from(["OPEN", "CLOSED", "", "open"]), minutes=st.none() | st.integers(-10, 200))
def test_change_calendar_opens_while_it_is_open_for_the_whole_drill(
    both: tuple[StandIn, World], state: str, minutes: int | None
) -> None:
    front, world = both
    front.reset()
    changes = None if minutes is None else NOW + timedelta(minutes=minutes)
    more: dict[str, Any] = {} if changes is None else {"NextTransitionTime": f"{changes:%Y-%m-%dT%H:%M:%SZ}"}
    front.answers["GetCalendarState"] = always(answer_json(State=state, **more))
    rules = Rules(calendars=(ChangeCalendar(("arn:aws:ssm:us-east-1:123456789012:document/freeze",), "east"),))
    look = step("look", Kind.PROBE, place="east", timeout_s=1800.0)
    asked = question(world, look, rules=rules, deadline_s=1800.0)
    fits = changes is None or changes - NOW >= needs(asked.plan)
    assert opens(change_calendar.ask, asked) is (state == "OPEN" and fits)


STATES = st.sampled_from(["OK", "ALARM", "INSUFFICIENT_DATA"])


@pytest.mark.prove
@far
@given(states=st.lists(STATES, min_size=1, max_size=3), insufficient=st.booleans(), missing=st.booleans())
def test_alarms_opens_when_each_is_there_and_quiet(
    both: tuple[StandIn, World], states: list[str], *, insufficient: bool, missing: bool
) -> None:
    front, world = both
    front.reset()
    names = tuple(alarm(world, state, f"property-{number}") for number, state in enumerate(states))
    named = (*names, "none-such") if missing else names
    asked = question(world, rules=Rules(alarms=(Alarms("east", names=named, insufficient=insufficient),)))
    quiet = {"OK", "INSUFFICIENT_DATA"} if insufficient else {"OK"}
    assert opens(alarms.ask, asked) is (set(states) <= quiet and not missing)


@pytest.mark.prove
@far
@given(
    allowed=st.sets(st.sampled_from(NEEDS)), decision=st.sampled_from(["implicitDeny", "explicitDeny", "", "Allowed"])
)
def test_permissions_opens_when_every_action_is_allowed(
    both: tuple[StandIn, World], allowed: set[str], decision: str
) -> None:
    front, world = both
    front.reset()
    simulating(front, lambda action, _: ("allowed" if action in allowed else decision, ""), page=2)
    assert opens(permissions.ask, question(world, LOOK)) is (allowed == set(NEEDS))


@pytest.fixture(scope="module")
def idle(both: tuple[StandIn, World]) -> str:
    both[0].reset()
    return group(both[1])


@pytest.mark.prove
@far
@given(wanted=st.integers(0, 50), limit=st.integers(0, 110))
def test_quotas_opens_as_far_as_the_quota_goes(both: tuple[StandIn, World], idle: str, wanted: int, limit: int) -> None:
    front, world = both
    front.reset()
    quota_is(front, float(limit))
    assert opens(quotas.ask, question(world, scaling(idle, wanted))) is (not wanted or 2 * wanted <= limit)


def loads(work: type[Any]) -> Callable[[Kind, str], Any]:
    """Give a catalogue in which every step has that work."""

    def load(kind: Kind, uses: str) -> Any:
        del kind, uses
        return work

    return load


class Seen:
    """A probe that says what it is given."""

    said = Observation(ok=True, detail="")

    @classmethod
    def model_validate(cls, _: object) -> Seen:
        return cls()

    def observe(self, _: object) -> Observation:
        return self.said


@near
@given(
    ok=st.sampled_from([True, False, None]),
    lost_s=st.none() | st.floats(0, 100) | st.integers(0, 100),
    field=st.sampled_from(freshness.SECONDS),
    targets=st.lists(st.integers(1, 100), max_size=2),
)
def test_freshness_opens_when_no_more_would_be_lost_than_the_strictest_objective_allows(
    both: tuple[StandIn, World], *, ok: bool | None, lost_s: float | None, field: str, targets: list[int]
) -> None:
    value = Facts() if lost_s is None else Facts(**{field: lost_s})
    probe = type("Probe", (Seen,), {"said": Observation(ok=ok, detail="seen", value=value)})
    goals = tuple(
        Objective(f"rpo{number}", Mark.RECOVERY_POINT, Mark.DISASTER, float(one)) for number, one in enumerate(targets)
    )
    looks = (step("lag", Kind.PROBE, place="east"),)
    asked = replace(question(both[1], objectives=goals, freshness=looks), load=loads(probe))
    fits = ok is True and (lost_s is None or lost_s <= min(targets, default=0))
    assert opens(freshness.ask, asked) is (not targets or fits)


@pytest.fixture(scope="module")
def kept(both: tuple[StandIn, World]) -> tuple[str, str]:
    """Give a group that keeps one instance, and the instance."""
    client, name = both[1].client("autoscaling"), both[1].asg(1, 1, 1)
    held = client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]["Instances"]
    return name, held[0]["InstanceId"]


@pytest.mark.prove
@far
@given(suspended=st.sets(st.sampled_from(["ReplaceUnhealthy", "HealthCheck", "Terminate", "AZRebalance", "Launch"])))
def test_remediation_opens_when_nobody_would_replace_what_is_stopped(
    both: tuple[StandIn, World], kept: tuple[str, str], suspended: set[str]
) -> None:
    front, world = both
    front.reset()
    front.answers["DescribeRemediationConfigurations"] = always(answer_json(RemediationConfigurations=[]))
    client = world.client("autoscaling")
    client.resume_processes(AutoScalingGroupName=kept[0])
    if suspended:
        client.suspend_processes(AutoScalingGroupName=kept[0], ScalingProcesses=sorted(suspended))
    told = opens(remediation.ask, question(world, stopping(kept[1])))
    assert told is bool(suspended & set(remediation.FIGHTS))
    assert not told or suspended, "with all its processes at work a group replaces it"


PERMISSIONS = st.sampled_from(["rds:ModifyDBInstance", "route53:ChangeResourceRecordSets", "rds:DescribeDBInstances"])


@near
@given(
    shape=st.lists(
        st.tuples(st.sampled_from(["east", "west", "dns"]), PERMISSIONS, st.booleans(), st.booleans()), max_size=5
    )
)
def test_impaired_warns_of_each_change_that_needs_the_lost_region_and_refuses_nothing(
    both: tuple[StandIn, World], shape: list[tuple[str, str, bool, bool]]
) -> None:
    world = both[1]
    lose = step("lose", Kind.FAULT, place="east", mark=Mark.DISASTER, permissions=("ec2:StopInstances",))
    steps = [
        msgspec.structs.replace(
            step(f"s{number}", Kind.ACTION, "lose", place=place, permissions=(action,)),
            best_effort_s=10.0 if effort else None,
        )
        for number, (place, action, effort, _) in enumerate(shape)
    ]
    waived = tuple(f"s{number}" for number, one in enumerate(shape) if one[3])
    rules = Rules(waivers=(Waiver("impaired-region", waived, "looked"),)) if waived else Rules()
    sites = (
        world.place,
        replace(world.place, name="west", region="us-west-2"),
        replace(world.place, name="dns", region="eu-west-1"),
    )
    asked = question(world, lose, *steps, rules=rules, places=sites)
    assert opens(impaired.ask, asked), "it warns, and refuses nothing"
    warned = {one.gate.partition(":")[2] for one in impaired.ask(asked) if one.ok is not True}
    pinned = {f"s{number}" for number, one in enumerate(shape) if one[0] == "east" or one[1].startswith("route53:")}
    silent = {f"s{number}" for number, one in enumerate(shape) if one[2] or one[3]}
    assert warned == pinned - silent


@near
@given(costs=st.lists(st.sampled_from(Cost), max_size=4), bound=st.sampled_from(["", "low", "medium", "high"]))
def test_cost_opens_when_the_most_expensive_step_is_within_the_bound(
    both: tuple[StandIn, World], costs: list[Cost], bound: str
) -> None:
    steps = [step(f"s{number}", place="east", cost=one) for number, one in enumerate(costs)]
    asked = question(both[1], *steps, rules=Rules(cost=bound))
    forbidden_ = {"": set[Cost](), "low": {Cost.CAPACITY, Cost.STORAGE}, "medium": {Cost.STORAGE}, "high": set[Cost]()}
    assert opens(cost.ask, asked) is (not forbidden_[bound] & set(costs))


class Touching:
    """A change of one target, which is there or not, or nobody knows."""

    def __init__(self, fate: str) -> None:
        self.fate = fate

    @classmethod
    def model_validate(cls, fields: Any) -> Touching:
        return cls(fields["fate"])

    def targets(self, _: object) -> tuple[Target, ...]:
        if self.fate == "there":
            return (Target("orders"),)
        raise Missing("orders is not there") if self.fate == "missing" else Unanswered("nobody answered")


@near
@given(
    mode=st.sampled_from(Mode),
    fates=st.lists(st.tuples(st.sampled_from(["there", "missing", "silent"]), st.booleans()), min_size=1, max_size=4),
)
def test_target_opens_when_each_is_there_or_an_incident_has_lost_its_site(
    both: tuple[StandIn, World], mode: Mode, fates: list[tuple[str, bool]]
) -> None:
    steps = [
        step(f"s{number}", place="east" if lost else "west", params=Facts(fate=fate))
        for number, (fate, lost) in enumerate(fates)
    ]
    asked = replace(question(both[1], *steps, mode=mode), load=loads(Touching))
    unreachable = mode is Mode.INCIDENT
    fine = all(fate == "there" or (fate == "missing" and lost and unreachable) for fate, lost in fates)
    assert opens(target.ask, asked) is fine


@near
@given(ends=st.lists(st.sampled_from([None, 5.0, 5000.0]), min_size=1, max_size=5), data=st.data())
def test_self_expiry_opens_when_what_ends_by_itself_before_the_point_of_no_return_outlasts_the_drill(
    both: tuple[StandIn, World], ends: list[float | None], data: st.DataObject
) -> None:
    point = data.draw(st.none() | st.integers(0, len(ends)))
    steps = [
        step(f"s{number}", Kind.ACTION, *([f"s{number - 1}"] if number else []), place="west", expires_s=ends_s)
        for number, ends_s in enumerate(ends)
    ]
    if point is not None:
        needs_ = [f"s{point - 1}"] if point else []
        promote = step("promote", Kind.ACTION, *needs_, place="west", one_way="promoted", authority=True)
        steps.insert(point, promote)
        if point + 1 < len(steps):
            steps[point + 1] = msgspec.structs.replace(steps[point + 1], needs=("promote",))
    asked = question(both[1], *steps, deadline_s=100.0)
    early = [ends_s for ends_s in ends[: point or 0] if ends_s is not None and ends_s <= 100.0]
    assert opens(self_expiry.ask, asked) is (not early)


@near
@given(ways=st.lists(st.none() | st.sampled_from(["it is gone", "it is promoted"]), max_size=5))
def test_one_way_names_each_step_that_cannot_be_taken_back_and_no_other(
    both: tuple[StandIn, World], ways: list[str | None]
) -> None:
    steps = [step(f"s{number}", place="east", one_way=way) for number, way in enumerate(ways)]
    asked = question(both[1], *steps)
    assert opens(one_way.ask, asked)
    (said,) = one_way.ask(asked)
    assert [f"s{number} (" in said.detail for number in range(len(ways))] == [way is not None for way in ways]


@pytest.mark.prove
def test_no_property_wrote_anything_but_what_it_set_up(both: tuple[StandIn, World]) -> None:
    front, world = both
    front.reset()
    list(_asked(world))
    assert front.writes() == []


def _asked(world: World) -> Iterator[Gated]:
    for gate in table.GATES:
        yield from table.answers(question(world, LOOK), (gate,))
