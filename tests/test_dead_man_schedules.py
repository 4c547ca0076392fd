"""The schedules of the dead man, against moto: armed before a change, deleted after it, and never past the point."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aws_world import World, moto_server
from click.testing import CliRunner

from drills.cli import compose
from drills.cli.check import check
from drills.cli.drill import plan as plan_command
from drills.clock import SystemClock
from drills.engine.arming import armed
from drills.engine.deadman import DeadMan
from drills.engine.decide import Ending, ending
from drills.engine.plan import DeadMan as Wanted
from drills.engine.plan import Finally, Mode, Plan
from drills.engine.schedule import name_of
from drills.engine.state import State
from drills.errors import Rejected
from drills.runtime.journal import read_drill
from drills.services.autoscaling import SetCapacity
from drills.testing import plan, step
from drills.timeline import events as ev
from drills.timeline.facts import Before, Facts
from drills.work import Kind, UndoCall

if TYPE_CHECKING:
    from drills.engine.plan import Step

ROOT = Path(__file__).parent.parent
ROLE = "arn:aws:iam::123456789012:role/dead-man"


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as address:
        yield World(address)


def silent(events: Sequence[ev.Event], state: State) -> None:
    del events, state


def made(world: World, *steps: Step, role: str = ROLE, finally_: Finally = Finally.KEEP) -> Plan:
    return armed(
        plan(
            *steps,
            mode=Mode.RUN,
            places=(world.place,),
            to_site="east",
            home="us-east-2",
            dead_man=Wanted(1800.0, role),
            finally_=finally_,
        )
    )


def scale(world: World, step_id: str = "scale") -> Step:
    fields = Facts(asg=world.asg(1, 1, 4), min=1, desired=2, max=4)
    return step(step_id, uses="autoscaling.set_capacity", place="east", params=fields, timeout_s=20.0)


def driven(world: World, folder: Path, pinned: Plan) -> list[ev.Body]:
    show = compose.Show(silent, lambda _: None, lambda: None)
    compose.open_drill(folder, pinned, world.accounts, show, outside=None)
    return [event.body for event in read_drill(folder)[0]]


def schedules(world: World) -> list[str]:
    return [one["Name"] for one in world.client("scheduler").list_schedules()["Schedules"]]


@pytest.mark.parametrize("finally_", [Finally.KEEP, Finally.UNDO])
def test_a_change_is_armed_before_it_is_made_and_disarmed_before_the_end(
    world: World, tmp_path: Path, finally_: Finally
) -> None:
    began = len(world.calls)
    told = driven(world, tmp_path / "drill", made(world, scale(world), finally_=finally_))
    writes = [name for _, name, writes in world.calls[began:] if writes]
    assert writes.index("CreateSchedule") < writes.index("UpdateAutoScalingGroup")
    assert writes.index("UpdateAutoScalingGroup") < writes.index("DeleteSchedule")
    kinds = [type(one).__name__ for one in told]
    assert kinds.index("Armed") < kinds.index("Ended") < kinds.index("Disarmed") < kinds.index("Finished")
    if finally_ is Finally.UNDO:
        assert kinds.index("Undid") < kinds.index("Disarmed")
    assert schedules(world) == []


def test_before_the_point_of_no_return_every_schedule_is_deleted_and_none_is_made_after_it(
    world: World, tmp_path: Path
) -> None:
    source = world.db()
    promote = step(
        "promote",
        Kind.ACTION,
        "scale",
        uses="rds.promote_read_replica",
        place="east",
        params=Facts(db=world.db(replica_of=source)),
        authority=True,
        one_way="promoted",
        timeout_s=20.0,
    )
    later = step("later", Kind.ACTION, "promote", uses="autoscaling.set_capacity", place="east", timeout_s=20.0)
    from msgspec.structs import replace

    later = replace(later, params=scale(world).params)
    pinned = made(world, scale(world), promote, later)
    assert pinned.step("later").unarmed.startswith("it comes after the point of no return")
    began = len(world.calls)
    told = driven(world, tmp_path / "drill", pinned)
    writes = [name for _, name, writes in world.calls[began:] if writes]
    assert writes.index("DeleteSchedule") < writes.index("PromoteReadReplica")
    assert writes.count("CreateSchedule") == 1
    assert [one.step for one in told if isinstance(one, ev.Disarmed)] == ["scale"]
    assert schedules(world) == []


def man(world: World, pinned: Plan, told: list[ev.Body]) -> tuple[DeadMan, State]:
    state = State(pinned)
    now = SystemClock().now()
    state.apply(ev.Event(1, now, ev.Opened("a-drill", "test", "me", "")))
    state.apply(ev.Event(2, now, ev.Started("scale", 1, Before(min=1, desired=1, max=4))))

    def tell(body: ev.Body) -> None:
        told.append(body)
        state.apply(ev.Event(state.count + 1, SystemClock().now(), body))

    return DeadMan(state, world.accounts, SystemClock(), tell), state


def test_a_schedule_that_has_fired_keeps_the_point_of_no_return_from_being_entered(world: World) -> None:
    told: list[ev.Body] = []
    point = step("promote", Kind.ACTION, "scale", place="east", authority=True, one_way="stays")
    pinned = made(world, scale(world), point)
    one, _ = man(world, pinned, told)
    first = pinned.step("scale")
    one.before(first, SetCapacity.model_validate(dict(first.params)), Before(min=1, desired=1, max=4))
    name = name_of("a-drill", "scale")
    assert schedules(world) == [name]
    found: dict[str, Any] = world.client("scheduler").get_schedule(Name=name)
    assert found["Target"]["Arn"] == "arn:aws:scheduler:::aws-sdk:autoscaling:updateAutoScalingGroup"
    assert found["Target"]["RoleArn"] == ROLE
    assert found["ActionAfterCompletion"] == "DELETE"
    world.client("scheduler").delete_schedule(Name=name)
    with pytest.raises(Rejected, match="nothing was changed: the dead man of scale has fired"):
        one.before(pinned.step("promote"), None, Before())
    assert isinstance(told[-1], ev.Disarmed)
    assert told[-1].fired


def test_what_was_armed_and_never_written_down_is_found_by_its_name(world: World) -> None:
    told: list[ev.Body] = []
    pinned = made(world, scale(world))
    first = pinned.step("scale")
    dead, _ = man(world, pinned, [])
    dead.before(first, SetCapacity.model_validate(dict(first.params)), Before(min=1, desired=1, max=4))
    assert len(schedules(world)) == 1
    one, state = man(world, pinned, told)
    assert [found.step.id for found in state.to_disarm()] == ["scale"]
    one.disarm(first)
    assert schedules(world) == []
    assert told == [ev.Disarmed("scale", "")]
    assert state.to_disarm() == []


def test_what_cannot_be_disarmed_is_owed_and_told_with_the_command(world: World) -> None:
    told: list[ev.Body] = []
    pinned = made(world, scale(world))
    gone = dataclasses.replace(pinned, places=(dataclasses.replace(world.place, endpoint_url="http://127.0.0.1:9"),))
    one, state = man(world, gone, told)
    one.disarm(pinned.step("scale"))
    assert isinstance(told[-1], ev.DisarmFailed)
    name = name_of("a-drill", "scale")
    command = f"aws scheduler delete-schedule --region us-east-1 --group-name default --name {name}"
    assert told[-1].by_hand == (command,)
    assert ending(state, ()) is Ending.UNDO_INCOMPLETE


def test_a_step_in_another_account_than_the_role_has_no_dead_man(world: World) -> None:
    pinned = made(world, scale(world), role="arn:aws:iam::999988887777:role/dead-man")
    assert not pinned.step("scale").armed
    assert pinned.step("scale").unarmed.startswith("the schedules' role is of account 999988887777")


class Twice(SetCapacity):
    """An action whose undo is two calls."""

    def undo_calls(self, before: Before) -> tuple[UndoCall, ...]:
        return super().undo_calls(before) * 2


def test_a_change_that_several_calls_undo_is_not_begun_for_it_has_no_dead_man(world: World) -> None:
    pinned = made(world, scale(world))
    first = pinned.step("scale")
    one, _ = man(world, pinned, [])
    with pytest.raises(Rejected, match=r"nothing was changed: .*its undo is 2 calls, .*: it has no dead man"):
        one.before(first, Twice.model_validate(dict(first.params)), Before(min=1, desired=1, max=4))
    assert schedules(world) == []


def test_names_are_told_apart_and_fit_what_scheduler_takes() -> None:
    names = {name_of("d" * 80, "s" * 80), name_of("d" * 81, "s" * 80), name_of("d.é/x", "a b")}
    assert len(names) == 3
    for name in names:
        assert name.startswith("drills-")
        assert len(name) <= 64
        assert all(one.isascii() and (one.isalnum() or one in "-_.") for one in name)


BOOK = """
runbook: planned
title: A change and a promotion
dead_man: 30m
steps:
  - id: scale
    action: autoscaling.set_capacity
    at: to
    with: {asg: "${to.asg}", min: 1, desired: 2, max: 4}
  - id: cut
    fault: site.isolate
    at: from
    with: {vpc: "${from.vpc}"}
"""


def test_a_plan_says_what_has_no_dead_man_and_a_role_is_asked_for(tmp_path: Path) -> None:
    book = tmp_path / "planned.yaml"
    book.write_text(BOOK, encoding="utf-8")
    said = CliRunner().invoke(plan_command, [str(book), "--env", "sandbox"]).output
    assert "dead man: when nobody drives the drill for 30" in said
    assert "no dead man for cut: its undo is a call for each subnet" in said
    policies = CliRunner().invoke(plan_command, [str(book), "--env", "sandbox", "--iam"]).output
    for action in ("iam:PassRole", "scheduler:CreateSchedule", "scheduler:UpdateSchedule", "scheduler:DeleteSchedule"):
        assert action in policies
    assert "schedule/default/drills-*" in policies
    text = (ROOT / "environments" / "sandbox.yaml").read_text(encoding="utf-8")
    bare = tmp_path / "bare.yaml"
    role = 'dead_man:\n  role: "arn:aws:iam::111122223333:role/drills-dead-man"\n'
    bare.write_text(text.replace("environment: sandbox", "environment: bare").replace(role, ""), encoding="utf-8")
    refused = CliRunner().invoke(check, [str(book), "--env", str(bare)])
    assert refused.exit_code == 5
    told = refused.output + str(refused.exception)
    assert "planned.yaml:4: " in told
    assert "dead_man needs a role" in told


def test_a_point_that_aws_refused_leaves_the_changes_before_it_watched_again_until_they_are_taken_back(
    world: World, tmp_path: Path
) -> None:
    fields = Facts(
        service="rds",
        operation="RebootDBInstance",
        parameters={"DBInstanceIdentifier": "no-such-database"},
        one_way="nobody can take that back",
        authority=True,
    )
    point = step("point", Kind.ACTION, "scale", uses="aws.call", place="east", params=fields, timeout_s=20.0)
    from msgspec.structs import replace

    pinned = made(world, scale(world), replace(point, authority=True, one_way="nobody can"))
    told = driven(world, tmp_path / "drill", pinned)
    kinds = (ev.Armed, ev.Disarmed, ev.Ended, ev.Undid)
    found = [(type(one).__name__, one.step) for one in told if isinstance(one, kinds)]
    assert found[:7] == [
        ("Armed", "scale"),
        ("Ended", "scale"),
        ("Disarmed", "scale"),
        ("Armed", "scale"),
        ("Ended", "point"),
        ("Undid", "scale"),
        ("Disarmed", "scale"),
    ]
    assert schedules(world) == []
