"""A target that is not there refuses a run and an incident; what nobody can tell, or what is lost, only a run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from aws_world import World, moto_server

from drills import catalog
from drills.engine.gates import scope, table, target
from drills.engine.gates.question import Question
from drills.engine.plan import Mode, Plan
from drills.errors import Refused
from drills.report import gate_answers
from drills.testing import plan, step
from drills.timeline.events import Gated
from drills.timeline.facts import Facts
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Generator

    from drills.engine.plan import Step

NOW = datetime(2026, 11, 18, 10, tzinfo=UTC)
GATES = tuple(gate for gate in table.GATES if gate.name in (target.NAME, scope.NAME))


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as endpoint:
        yield World(endpoint)


def promoting(world: World, db: str, *steps: Step, mode: Mode = Mode.INCIDENT, at: str = "east") -> Plan:
    needs = tuple(one.id for one in steps)
    promote = step("promote", Kind.ACTION, *needs, uses="rds.promote_read_replica", place=at, params=Facts(db=db))
    west = replace(world.place, name="west", region="us-west-2")
    return plan(*steps, promote, places=(world.place, west), mode=mode, from_site="west", to_site="east")


def answers(world: World, pinned: Plan) -> list[Gated]:
    return list(table.answers(Question(pinned, world.accounts, catalog.load, NOW), GATES))


def refused(world: World, pinned: Plan) -> str:
    try:
        table.refuse(answers(world, pinned), pinned.mode)
    except Refused as error:
        return str(error)
    return ""


@pytest.mark.parametrize("mode", [Mode.RUN, Mode.INCIDENT])
def test_a_target_that_does_not_exist_refuses_even_an_incident(world: World, mode: Mode) -> None:
    told = refused(world, promoting(world, "no-such-replica", mode=mode))
    assert told.startswith("not started: target:promote: ")
    assert "no-such-replica" in told
    assert told.endswith("nothing was changed")


def test_nothing_is_lost_yet_when_a_run_is_planned(world: World) -> None:
    (told,) = (
        one for one in answers(world, promoting(world, "no-db", mode=Mode.RUN, at="west")) if "target" in one.gate
    )
    assert (told.ok, told.advises, "is lost" in told.detail) == (False, False, False)


def test_an_incident_whose_target_is_there_begins(world: World) -> None:
    pinned = promoting(world, world.db(replica_of=world.db()))
    assert refused(world, pinned) == ""
    said = {one.gate: one for one in answers(world, pinned)}
    assert said["target"].ok is True
    # The same answers that refuse a run (nothing is in scope here) are advice.
    assert said["scope"].ok is False
    assert said["scope"].advises


def test_what_is_missing_at_the_lost_site_or_made_by_an_earlier_step_does_not_refuse_an_incident(world: World) -> None:
    assert refused(world, promoting(world, "gone-with-the-region", at="west")) == ""
    fields = Facts(service="rds", operation="RestoreDBInstanceToPointInTime", one_way="it stays", parameters={})
    restore = step("restore", uses="aws.call", place="east", params=fields, one_way="it stays")
    pinned = promoting(world, "restored-first", restore)
    assert refused(world, pinned) == ""
    (told,) = (one for one in answers(world, pinned) if one.gate == "target:promote")
    assert "restore may make it first" in told.detail


def test_what_nobody_can_tell_is_advice_in_an_incident_and_refuses_a_run(world: World) -> None:
    silent = replace(world.place, endpoint_url="http://127.0.0.1:9")
    for mode in (Mode.INCIDENT, Mode.RUN):
        pinned = replace(promoting(world, "orders-b", mode=mode), places=(silent,))
        assert bool(refused(world, pinned)) is (mode is Mode.RUN)


def test_missing_credentials_are_told_once(world: World) -> None:
    del world
    why = "Unable to locate credentials; set AWS_PROFILE or log in (`aws sso login`), nothing was sent"
    said = [
        Gated("home", ok=True, detail="home lies outside"),
        Gated("organization", None, why, advises=True),
        Gated("account:1", None, why),
        *(Gated(f"alarms:{place}", None, why, advises=True) for place in ("east", "west")),
        Gated("window", ok=False, detail="no window is open", advises=True),
    ]
    told = list(gate_answers.told(said))
    assert len(told) == 4
    assert sum(why in line for line in told) == 1
    assert told[1].startswith("account:1: NO ANSWER: Unable to locate")
    assert told[2] == "credentials: no answer: for want of them 3 more answers are not known: organization, alarms"
