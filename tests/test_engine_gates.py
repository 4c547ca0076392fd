"""The gates before a real run: each fails closed, says why, and lets what is in scope through.."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from aws_world import World, moto_server

from drills import catalog
from drills.engine.gates import table
from drills.engine.gates.question import Question
from drills.engine.plan import Allowed, Mode, Plan
from drills.errors import Refused
from drills.testing import plan, step
from drills.timeline.events import Gated
from drills.timeline.facts import Facts
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Generator

TAGS = Facts(drills="allowed")
NOW = datetime(2026, 11, 18, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as endpoint:
        yield World(endpoint)


def isolating(world: World, vpc: str, scope: Allowed | None) -> Plan:
    lose = step("lose", Kind.FAULT, uses="site.isolate", place="east", params=Facts(vpc=vpc))
    sites = (world.place, replace(world.place, name="west", region="us-west-2"))
    return plan(lose, places=sites, scope=scope, home="us-east-2", from_site="east", to_site="west")


def answers(world: World, pinned: Plan) -> dict[str, Gated]:
    asked = Question(pinned, world.accounts, catalog.load, NOW)
    return {one.gate: one for one in table.answers(asked)}


def test_what_carries_the_tags_may_be_touched(world: World) -> None:
    vpc, _ = world.vpc()
    world.client("ec2").create_tags(Resources=[vpc], Tags=[{"Key": "drills", "Value": "allowed"}])
    said = answers(world, isolating(world, vpc, Allowed(TAGS)))
    assert all(one.ok is True for one in said.values()), said
    table.refuse(tuple(said.values()), Mode.RUN)


def test_what_lacks_the_tags_refuses_the_run_and_only_advises_an_incident(world: World) -> None:
    vpc, _ = world.vpc()
    said = answers(world, isolating(world, vpc, Allowed(TAGS)))
    assert (said["scope:lose"].ok, vpc in said["scope:lose"].detail) == (False, True)
    with pytest.raises(Refused, match="nothing was changed"):
        table.refuse(tuple(said.values()), Mode.RUN)
    table.refuse(tuple(said.values()), Mode.INCIDENT)


def test_what_is_allowed_by_its_exact_id_may_be_touched_without_a_tag(world: World) -> None:
    vpc, _ = world.vpc()
    assert answers(world, isolating(world, vpc, Allowed(TAGS, allow=(vpc,))))["scope:lose"].ok is True


def test_a_scope_without_tags_and_an_environment_without_a_scope_allow_nothing(world: World) -> None:
    vpc, _ = world.vpc()
    assert answers(world, isolating(world, vpc, Allowed()))["scope:lose"].ok is False
    assert answers(world, isolating(world, vpc, None))["scope"].ok is False


def test_more_targets_than_allowed_are_refused(world: World) -> None:
    vpc, _ = world.vpc()
    assert answers(world, isolating(world, vpc, Allowed(TAGS, 0, (vpc,))))["scope"].ok is False


def test_a_target_that_cannot_be_found_is_no_yes(world: World) -> None:
    said = answers(world, isolating(world, "vpc-0123456789abcdef0", Allowed(TAGS)))["scope:lose"]
    assert said.ok is None
    assert "could not be learned" in said.detail


def test_another_account_than_the_environment_names_is_refused(world: World) -> None:
    vpc, _ = world.vpc()
    pinned = isolating(world, vpc, Allowed(TAGS, allow=(vpc,)))
    wrong = tuple(replace(place, account="999988887777") for place in pinned.places)
    said = answers(world, replace(pinned, places=wrong))["account:999988887777"]
    assert said.ok is False
    with pytest.raises(Refused, match="not started"):
        table.refuse((said,), Mode.INCIDENT)


def test_a_home_inside_a_site_is_refused(world: World) -> None:
    vpc, _ = world.vpc()
    pinned = replace(isolating(world, vpc, Allowed(TAGS, allow=(vpc,))), home="us-east-1")
    assert answers(world, pinned)["home"].ok is False


@pytest.mark.parametrize("kind", [Kind.ACTION, Kind.FAULT])
def test_every_change_in_the_catalogue_says_what_it_touches(kind: Kind) -> None:
    from drills.services.spec import ActionSpec

    for name in catalog.names(kind):
        work = catalog.load(kind, name)
        assert issubclass(work, ActionSpec)
        if not work.__module__.startswith("drills."):
            continue  # another test's own work
        assert work.targets is not ActionSpec.targets, name
