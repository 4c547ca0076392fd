"""Drills in a storm of API faults: nothing is said to be done or undone that is not, and nothing is done in silence."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from typing import ClassVar

import pytest
from storm_drills import Stage, ToldToEnd, drill, stage
from test_services_contract import CASES

from drills import catalog
from drills.clock import SystemClock
from drills.errors import Rejected
from drills.services.ec2 import StopInstances
from drills.services.flow import Nothing
from drills.services.site import Isolate
from drills.timeline.facts import Before, Receipt
from drills.work import Aws


@pytest.fixture(scope="module")
def world() -> Generator[Stage]:
    with stage(0.3, 1) as made:
        yield made


@pytest.mark.parametrize("seed", range(6))
def test_a_drill_in_a_storm_says_what_really_happened(world: Stage, seed: int) -> None:
    told = drill(world, seed)
    assert told.wrong == [], f"seed {seed}: {told.steps}, {told.ending}"
    assert told.ending


class Liar(StopInstances):
    """Stops instances, and says that nothing was changed."""

    name: ClassVar[str] = "ec2.stop_instances"

    def perform(self, aws: Aws, before: Before) -> Receipt:
        super().perform(aws, before)
        raise Rejected("no")


def test_the_record_finds_out_a_work_that_lies(world: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the storm would prove nothing."""
    monkeypatch.setitem(catalog.FAULTS, "ec2.stop_instances", f"{__name__}:Liar")
    monkeypatch.setattr("storm_drills.CASES", {"ec2.stop_instances": CASES["ec2.stop_instances"]})
    monkeypatch.setattr(world.storm, "rate", 0.0)
    wrong = [fault for seed in range(20, 24) for fault in drill(world, seed).wrong]
    assert any("nothing happened, they say" in fault for fault in wrong)


def test_an_undo_that_was_told_not_now_may_be_asked_again(world: Stage) -> None:
    from drills.aws.sessions import Accounts
    from drills.aws.storm import Storm, Weather
    from drills.errors import Unanswered

    vpc, _ = world.world.vpc(2)
    work = Isolate(vpc=vpc)
    before = work.capture(world.world.read)
    work.perform(world.world.write, before)
    storm = Storm(0.0, 1, (Weather.THROTTLED,))
    write = Accounts(storm=storm).write(world.world.place)
    client = write.client("ec2")

    def breaks_loose(**_: object) -> None:
        storm.rate = 1.0

    client.meta.events.register("before-call.ec2.ReplaceNetworkAclAssociation", breaks_loose)
    with pytest.raises(Unanswered, match="still cut off"):
        work.undo(write, before, None)
    assert work.undo(world.world.write, before, None).left_alone is None
    assert work.restored(world.world.read, before).ok is True


class Ended(Nothing):
    """Has its own process told to end while the drill runs."""

    name: ClassVar[str] = "flow.nothing"
    by: ClassVar[signal.Signals]

    def perform(self, aws: Aws, before: Before) -> Receipt:
        os.kill(os.getpid(), self.by)
        SystemClock().sleep(0.5)  # the main thread hears of it as soon as a busy machine lets it
        return super().perform(aws, before)


ONE_STEP = 2
"""A seed that draws one step, and nothing that could fail before it."""


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_a_drill_whose_process_is_told_to_end_is_no_wrong_verdict(
    world: Stage, monkeypatch: pytest.MonkeyPatch, by: signal.Signals
) -> None:
    """It is parked, as it should be: storms with a limit of time would else find a drill that did not end."""
    monkeypatch.setattr(Ended, "by", by, raising=False)
    monkeypatch.setitem(catalog.ACTIONS, "flow.nothing", f"{__name__}:Ended")
    monkeypatch.setattr("storm_drills.CASES", {"flow.nothing": CASES["flow.nothing"]})
    monkeypatch.setattr(world.storm, "rate", 0.0)
    with pytest.raises(ToldToEnd, match=f"{by.name} came in the drill of seed {ONE_STEP}, which is parked"):
        drill(world, ONE_STEP)
