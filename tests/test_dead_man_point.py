"""The point of no return and what would end by itself behind it: disarmed, moved beyond the deadline, or refused."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aws_world import World, moto_server
from test_services_contract import experiment as experiment_case

from drills import catalog
from drills.clock import NS, SystemClock
from drills.engine import expiry
from drills.engine.arming import armed
from drills.engine.deadman import DeadMan
from drills.engine.decide import Disarm, commands, phase
from drills.engine.gates import self_expiry
from drills.engine.gates.question import Question
from drills.engine.plan import DeadMan as Wanted
from drills.engine.plan import Mode, Plan
from drills.engine.progress import Phase
from drills.engine.schedule import name_of
from drills.engine.state import State
from drills.errors import Rejected
from drills.services.autoscaling import SetCapacity
from drills.testing import FakeClock, plan, step
from drills.timeline import events as ev
from drills.timeline.facts import Before, Facts
from drills.work import Kind

if TYPE_CHECKING:
    from drills.engine.plan import Step

ROLE = "arn:aws:iam::123456789012:role/dead-man"
BEFORE = Before(min=1, desired=1, max=4)
DEADLINE_S = 7200.0


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as address:
        yield World(address)


def scale(world: World, step_id: str, place: str, **more: Any) -> Step:
    fields = Facts(asg=world.asg(1, 1, 4), min=1, desired=2, max=4)
    return step(step_id, uses="autoscaling.set_capacity", place=place, params=fields, timeout_s=20.0, **more)


POINT = step("promote", Kind.ACTION, "old", "new", place="west", authority=True, one_way="stays")


class Drill:
    """A drill whose two changes have begun: one at the old site, one at the new."""

    def __init__(self, world: World, *more: Step, dead_man: bool = True) -> None:
        self.clock = SystemClock()
        self.told: list[ev.Body] = []
        self.plan: Plan = armed(
            plan(
                scale(world, "old", "east"),
                scale(world, "new", "west"),
                *more,
                POINT,
                mode=Mode.RUN,
                places=(world.place, replace(world.place, name="west")),
                home="us-east-2",
                dead_man=Wanted(1800.0, ROLE) if dead_man else None,
                deadline_s=DEADLINE_S,
            )
        )
        self.state = State(self.plan)
        self.tell(ev.Opened("a-drill", "test", "me", ""))
        self.man = DeadMan(self.state, world.accounts, self.clock, self.tell)

    def tell(self, body: ev.Body) -> None:
        self.told.append(body)
        self.state.apply(ev.Event(self.state.count + 1, self.clock.now(), body))

    def begin(self, *names: str) -> None:
        for name in names:
            one = self.plan.step(name)
            self.tell(ev.Started(name, 1, BEFORE))
            self.man.before(one, SetCapacity.model_validate(dict(one.params)), BEFORE)
            self.tell(ev.Ended(name, ev.Outcome.DONE, ""))

    def enter(self) -> None:
        self.tell(ev.Started("promote", 1))
        self.man.before(self.plan.step("promote"), None, Before())

    def said(self, kind: type[ev.Body]) -> list[str]:
        return [one.step for one in self.told if isinstance(one, kind)]  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType] - those asked for have one


def stands(world: World) -> dict[str, datetime]:
    client = world.client("scheduler")
    names = [one["Name"] for one in client.list_schedules()["Schedules"]]
    found = {name: client.get_schedule(Name=name)["ScheduleExpression"] for name in names}
    return {name: datetime.strptime(text + "+0000", "at(%Y-%m-%dT%H:%M:%S)%z") for name, text in found.items()}


def clear(world: World) -> None:
    for name in stands(world):
        world.client("scheduler").delete_schedule(Name=name)


def test_what_holds_authority_is_disarmed_and_what_is_left_moves_beyond_the_deadline(world: World) -> None:
    drill = Drill(world)
    drill.begin("old", "new")
    assert len(stands(world)) == 2
    drill.enter()
    left = stands(world)
    assert list(left) == [name_of("a-drill", "old")]
    assert left[name_of("a-drill", "old")].timestamp() * NS > expiry.deadline_ns(drill.state)
    assert drill.said(ev.Disarmed) == ["new"]
    moved = next(one for one in reversed(drill.told) if isinstance(one, ev.Armed))
    assert (moved.step, moved.at_ns > expiry.deadline_ns(drill.state)) == ("old", True)
    # Held, nothing is taken back by itself: not by a schedule either.
    drill.tell(ev.Ended("promote", ev.Outcome.UNKNOWN, "nobody answered"))
    drill.tell(ev.Told(ev.Word.ABORT, "me", 1))
    assert (phase(drill.state), list(commands(drill.state))) == (Phase.CLOSING, [Disarm("old")])
    drill.man.disarm(drill.plan.step("old"))
    assert stands(world) == {}
    assert phase(drill.state) is Phase.HELD


def test_a_schedule_that_cannot_be_moved_refuses_the_point_of_no_return(world: World) -> None:
    drill = Drill(world)
    drill.begin("old", "new")
    world.client("scheduler").delete_schedule(Name=name_of("a-drill", "old"))
    with pytest.raises(Rejected, match="nothing was changed: the dead man of old has fired"):
        drill.enter()
    # What was disarmed for it is armed again, and what has fired is not.
    drill.man.refused(drill.plan.step("promote"))
    assert list(stands(world)) == [name_of("a-drill", "new")]
    clear(world)


def test_a_point_that_is_entered_while_schedules_are_renewed_is_not_armed_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    drill = Drill(world)
    drill.begin("old", "new")
    entering = threading.Thread(target=drill.enter)
    looked: Any = State.past_return

    def slow(state: State) -> bool:
        found = looked.fget(state)
        if threading.current_thread().name == "dead-man" and entering.ident is None:
            entering.start()
            entering.join(0.5)
        return found

    monkeypatch.setattr(State, "past_return", property(slow))
    drill.man.watch()
    (renewing,) = [one for one in threading.enumerate() if one.name == "dead-man"]
    drill.man.close()
    renewing.join()
    entering.join()
    assert list(stands(world)) == [name_of("a-drill", "old")]
    clear(world)


def test_after_a_point_that_was_refused_everything_is_armed_as_before(world: World) -> None:
    drill = Drill(world)
    drill.begin("old", "new")
    drill.enter()
    drill.man.refused(drill.plan.step("promote"))
    drill.tell(ev.Ended("promote", ev.Outcome.FAILED, "AWS said no"))
    assert set(stands(world)) == {name_of("a-drill", name) for name in ("old", "new")}
    assert drill.said(ev.Armed) == ["old", "new", "old", "new"]  # moved beyond the deadline, and armed again
    assert {one.step.id for one in drill.state.may_be_armed()} == {"old", "new"}
    clear(world)


def test_what_cannot_be_armed_again_is_told(world: World) -> None:
    drill = Drill(world)
    drill.begin("old", "new")
    drill.enter()
    gone = armed(
        replace(drill.plan, places=(world.place, replace(world.place, name="west", endpoint_url="http://127.0.0.1:9")))
    )
    drill.state.plan = gone
    drill.man.refused(gone.step("promote"))
    assert [note for _, _, note in drill.state.notes if note.startswith("nobody watches new any more")]
    clear(world)


def test_a_point_whose_answer_is_not_known_arms_nothing_again(world: World) -> None:
    drill = Drill(world)
    drill.begin("old", "new")
    drill.enter()
    drill.tell(ev.Ended("promote", ev.Outcome.UNKNOWN, "nobody answered"))
    drill.man.refused(drill.plan.step("promote"))
    assert list(stands(world)) == [name_of("a-drill", "old")]
    clear(world)


def fault(lasts_s: float, **more: Any) -> Step:
    return step("stress", Kind.FAULT, uses="site.isolate", place="east", expires_s=lasts_s, **more)


def test_a_change_that_ends_by_itself_before_the_deadline_refuses_the_point_with_or_without_a_dead_man(
    world: World,
) -> None:
    for dead_man in (True, False):
        drill = Drill(world, fault(DEADLINE_S - 600), dead_man=dead_man)
        drill.begin("old", "new")
        drill.tell(ev.Started("stress", 1))
        drill.tell(ev.Ended("stress", ev.Outcome.DONE, ""))
        standing = set(stands(world))
        with pytest.raises(
            Rejected,
            match=r"nothing was changed: stress ends by itself (10m|9m59s|599.9s).* before the drill's deadline",
        ):
            drill.enter()
        assert set(stands(world)) == standing
        assert drill.said(ev.Disarmed) == []
        clear(world)


def test_a_change_that_lasts_or_was_taken_back_does_not_stand_in_the_way(world: World) -> None:
    drill = Drill(world, fault(DEADLINE_S + 60), step("back", Kind.FAULT, place="east", expires_s=1.0), dead_man=False)
    for name in ("stress", "back"):
        drill.tell(ev.Started(name, 1))
        drill.tell(ev.Ended(name, ev.Outcome.DONE, ""))
    drill.tell(ev.UndoStarted("back"))
    drill.tell(ev.Undid("back", ""))
    drill.enter()


def test_what_was_found_done_and_ends_by_itself_refuses_for_nobody_knows_when_it_began() -> None:
    free = step("promote", Kind.ACTION, authority=True, one_way="stays")
    state, now = State(plan(fault(DEADLINE_S * 2), free, deadline_s=DEADLINE_S)), FakeClock().now()
    for number, body in enumerate(
        (
            ev.Opened("a-drill", "test", "me", ""),
            ev.Started("stress", 1),
            ev.Ended("stress", ev.Outcome.DONE, "found done", adopted=True),
        ),
        1,
    ):
        state.apply(ev.Event(number, now, body))
    told = list(expiry.too_early(state))
    assert told == ["stress ends by itself, and as it was found done nobody knows when"]


def experiment(world: World, lasts: str) -> Step:
    """Give a step that starts an experiment of FIS, whose one action takes itself back after ``lasts``."""
    work: Any = experiment_case(world).work
    template: Any = work.model_dump(mode="json")["template"]
    template["actions"]["stop"]["parameters"]["startInstancesAfterDuration"] = lasts
    return step("break", Kind.FAULT, uses="fis.experiment", place="east", params=Facts(template=template))


def test_an_experiment_that_heals_before_the_deadline_refuses_the_point_until_it_is_stopped(world: World) -> None:
    drill = Drill(world, experiment(world, "PT10M"), dead_man=False)
    drill.tell(ev.Started("break", 1))
    drill.tell(ev.Ended("break", ev.Outcome.DONE, ""))
    with pytest.raises(Rejected, match=r"nothing was changed: break ends by itself 1h50m before the drill's deadline"):
        drill.enter()
    drill.tell(ev.Ended("promote", ev.Outcome.FAILED, "refused"))
    drill.tell(ev.UndoStarted("break"))
    drill.tell(ev.Undid("break", ""))
    drill.enter()


def test_an_experiment_that_outlasts_the_deadline_does_not_stand_in_the_way(world: World) -> None:
    drill = Drill(world, experiment(world, "PT3H"), dead_man=False)
    drill.tell(ev.Started("break", 1))
    drill.tell(ev.Ended("break", ev.Outcome.DONE, ""))
    drill.enter()


def test_an_experiment_by_id_that_does_not_say_when_it_heals_refuses_the_point(world: World) -> None:
    unknown = step("break", Kind.FAULT, uses="fis.experiment", place="east", params=Facts(template="EXT6oWVA1WrLNy4XS"))
    drill = Drill(world, unknown, dead_man=False)
    drill.tell(ev.Started("break", 1))
    drill.tell(ev.Ended("break", ev.Outcome.DONE, ""))
    with pytest.raises(Rejected, match=r"break ends by itself 2h before the drill's deadline"):
        drill.enter()


def test_an_experiment_whose_fields_cannot_be_read_any_more_may_end_at_once(world: World) -> None:
    unread = step("break", Kind.FAULT, uses="fis.experiment", place="east", params=Facts(of_a_later_version=1))
    drill = Drill(world, unread, dead_man=False)
    drill.tell(ev.Started("break", 1))
    drill.tell(ev.Ended("break", ev.Outcome.DONE, ""))
    with pytest.raises(Rejected, match=r"break ends by itself 2h before the drill's deadline"):
        drill.enter()


@pytest.mark.parametrize(("lasts_s", "ok"), [(DEADLINE_S / 2, False), (DEADLINE_S, False), (DEADLINE_S + 1, True)])
def test_a_plan_says_before_it_begins_that_its_point_would_be_refused(world: World, lasts_s: float, ok: bool) -> None:  # noqa: FBT001 - a row of the table
    free = step("promote", Kind.ACTION, "stress", place="east", authority=True, one_way="stays")
    late = step("late", Kind.FAULT, "promote", place="east", expires_s=1.0)
    fence = step("fence", Kind.FAULT, "promote", place="east", expires_s=1.0, holds_authority=True)
    pinned = plan(fault(lasts_s), free, late, fence, deadline_s=DEADLINE_S, places=(world.place,))
    asked = Question(pinned, world.accounts, catalog.load, datetime(2026, 11, 18, tzinfo=UTC))
    told = {one.gate: one for one in self_expiry.ask(asked)}
    warned = told.pop("self-expiry:fence")
    assert (warned.ok, warned.advises, "behind promote it is refused" in warned.detail) == (False, True, True)
    assert {name: one.ok for name, one in told.items()} == {"self-expiry:stress": ok, "self-expiry:late": True}
    assert ok or "promote would be refused" in told["self-expiry:stress"].detail
