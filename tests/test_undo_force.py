"""What somebody else changed since is left alone, and restored when a person says so."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from aws_world import World, moto_server
from test_runtime_export import elsewhere, silent

from drills.cli import compose
from drills.engine.plan import Mode
from drills.runtime.journal import read_drill
from drills.testing import plan, step
from drills.timeline import events as ev
from drills.timeline.facts import Facts
from drills.work import Kind


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as address:
        yield World(address)


def record(site: str, weight: int) -> dict[str, object]:
    value = "192.0.2.1" if site == "east" else "192.0.2.2"
    return {"SetIdentifier": site, "Weight": weight, "Type": "A", "TTL": 1, "ResourceRecords": [{"Value": value}]}


def test_force_restores_what_somebody_else_changed_and_shows_it_first(world: World, tmp_path: Path) -> None:
    asg, (one, other) = world.asg(1, 1, 4), world.instances(2)
    zone, name = world.zone()
    world.put_sets(zone, name, [record("east", 100), record("west", 0)])
    before = world.shares(zone, name)
    shift = Facts(zone=zone, record=name, site="west")
    capacity = Facts(asg=asg, min=1, desired=2, max=4)
    pinned = plan(
        step("scale", uses="autoscaling.set_capacity", place="east", params=capacity, timeout_s=20.0),
        step("shift", uses="route53.failover_to", place="east", params=shift, timeout_s=20.0),
        step("halt", Kind.FAULT, uses="ec2.stop_instances", place="east", params=Facts(ids=[one, other])),
        mode=Mode.RUN,
        places=(world.place,),
        to_site="east",
        home="us-east-2",
    )
    folder = tmp_path / "drill"
    show = compose.Show(silent, lambda _: None, lambda: None)
    compose.open_drill(folder, pinned, world.accounts, show, outside=None)
    # Somebody else: other sizes, other weights and a third set, one instance terminated.
    world.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=asg, MinSize=0, MaxSize=3)
    world.put_sets(zone, name, [record("east", 7), record("north", 3)])
    world.client("ec2").terminate_instances(InstanceIds=[one])
    changed = world.sizes(asg), world.shares(zone, name)

    elsewhere(tmp_path / "there", "undo", str(folder))
    assert (world.sizes(asg), world.shares(zone, name)) == changed
    state = read_drill(folder)[1]
    assert {found.step.id for found in state.progress.values() if found.left_alone} == {"scale", "shift", "halt"}
    assert f"drills undo {state.drill} scale --force" in state.progress["scale"].undo_detail
    again = elsewhere(tmp_path / "there", "undo", str(folder))
    assert "left alone: scale, shift, halt; --force restores it" in again.stderr

    said = elsewhere(tmp_path / "there", "undo", str(folder), "shift", "--force")
    assert "shift: before: " in said.stderr
    assert (world.sizes(asg), world.shares(zone, name)) == (changed[0], before)
    elsewhere(tmp_path / "there", "undo", str(folder), "--force")
    assert (world.sizes(asg), world.shares(zone, name)) == ((1, 1, 4), before)
    assert world.states([other]) == ["running"]
    events, state = read_drill(folder)
    forced = [event.body for event in events if isinstance(event.body, ev.Forced)]
    assert [body.step for body in forced] == ["shift", "scale"]
    assert "min 0, desired 2, max 3" in forced[1].now
    assert "desired 1" in forced[1].before
    assert "desired 2" in forced[1].ours
    # What was terminated no force brings back, and it says so.
    assert f"{one} was terminated since" in state.progress["halt"].undo_detail
