"""Observers across a crash: those on the timeline are adopted, those that are on none are ended, all are sealed."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from observe_world import Mood, Service
from runtime_drill import eventually

from drills.aws.sessions import Accounts
from drills.clock import NS, SystemClock
from drills.engine.crew import Token
from drills.engine.observing import Owner, Reach, Watchers
from drills.engine.plan import AvailabilityWatch, DataWatch, Objective
from drills.engine.state import State
from drills.observe.process import is_same
from drills.observe.start import Observers
from drills.report import judging
from drills.report.claims import read
from drills.testing import plan
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.marks import Limits, Mark

CLOCK = SystemClock()
NOBODY = "postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=1"


@pytest.fixture
def folder(tmp_path: Path) -> Generator[Path]:
    yield tmp_path
    Observers(CLOCK).sweep(tmp_path / "observers", ())


def watchers(folder: Path) -> Watchers:
    """What one process has; another one has others."""
    return Watchers("d", folder, CLOCK, owner=Owner(), reach=Reach(str, Accounts()))


def new_state(*, data: bool = False) -> State:
    store = (DataWatch("orders", "sql", NOBODY, NOBODY),) if data else ()
    return State(plan(availability=(AvailabilityWatch("site", "http://127.0.0.1:1/"),), data=store))


def stage(folder: Path, name: str, state: State) -> list[ev.Body]:
    """Do one stage in a process of its own, as it were, and put what it came to on the timeline."""
    bodies = list(watchers(folder).stage(name, state, Token()))
    for body in bodies:
        state.apply(ev.Event(state.count + 1, CLOCK.now(), body))
    return bodies


def alive(one: ev.Watching) -> bool:
    return is_same(one.pid, one.process)


def watching(bodies: list[ev.Body]) -> list[ev.Watching]:
    return [body for body in bodies if isinstance(body, ev.Watching)]


def test_observers_that_no_timeline_knows_are_ended_and_replaced(folder: Path) -> None:
    (lost,) = watching(stage(folder, "watch", new_state()))
    state = new_state()
    (known,) = watching(stage(folder, "watch", state))
    assert known.file != lost.file
    eventually(lambda: not alive(lost), within_s=2)
    assert alive(known)


def test_observers_on_the_timeline_are_adopted_and_end_when_all_is_collected(folder: Path) -> None:
    state = new_state()
    (known,) = watching(stage(folder, "watch", state))
    assert watching(stage(folder, "watch", state)) == []
    assert alive(known)
    stage(folder, "collected", state)
    eventually(lambda: not alive(known), within_s=2)


def test_every_file_of_an_observer_that_died_is_sealed(folder: Path) -> None:
    state = new_state()
    (first,) = watching(stage(folder, "watch", state))
    Observers(CLOCK).stop([first])
    (second,) = watching(stage(folder, "watch", state))
    bodies = stage(folder, "collected", state)
    assert [body.file for body in bodies if isinstance(body, ev.Sealed)] == [first.file, second.file]


def test_an_observer_that_cannot_begin_refuses_a_drill_and_leaves_none(folder: Path) -> None:
    state = new_state(data=True)
    (ready,) = stage(folder, "watch", state)
    assert isinstance(ready, ev.Ready)
    assert ready.ok is False
    assert "markers cannot be written" in ready.detail
    assert state.why.startswith("the observers do not watch: ")
    assert Observers(CLOCK).sweep(folder / "observers", ()) == 0


def test_later_on_those_that_can_still_look_do(folder: Path) -> None:
    state = new_state(data=True)
    state.apply(ev.Event(1, CLOCK.now(), ev.Ready("baseline", ok=True, detail="")))
    bodies = stage(folder, "watch", state)
    assert [one.observer for one in watching(bodies)] == ["site"]
    assert state.stop is None


def test_an_observer_that_was_killed_is_not_waited_for(folder: Path) -> None:
    """Its windows will never be whole: what the others see is all that there will be."""
    with Service() as service:
        watches = [AvailabilityWatch(name, service.url, every_s=0.02, timeout_s=0.2, stable_for_s=1.2) for name in "ab"]
        aim = Objective("rto", Mark.DISASTER, Mark.SERVICE_RESTORED, 300.0)
        state = State(plan(availability=tuple(watches), objectives=(aim,)))
        first, _ = watching(stage(folder, "watch", state))
        os.kill(first.pid, signal.SIGKILL)
        begun = CLOCK.now()
        ready = stage(folder, "settled", state)[-1]
        waited_s = CLOCK.now().since(begun)
        stage(folder, "collected", state)
    assert isinstance(ready, ev.Ready)
    assert (ready.ok, "a has ended before the drill" in ready.detail) == (False, True)
    assert waited_s < 60


@pytest.mark.prove
def test_since_when_the_service_is_restored_is_told_and_taken_back_when_it_flaps(folder: Path) -> None:
    def told(state: State) -> Generator[ev.Body]:
        for body in watchers(folder).stage("settled", state, Token()):
            state.apply(ev.Event(state.count + 1, CLOCK.now(), body))
            yield body

    with Service() as service:
        service.become(Mood.BROKEN)
        watch = AvailabilityWatch("site", service.url, every_s=0.02, timeout_s=0.2, stable_for_s=2.5)
        state = State(plan(availability=(watch,), objectives=()))
        opened = ev.Opened("d", "0", "", codec.dump(state.plan))
        state.apply(ev.Event(1, CLOCK.now(), opened))
        stage(folder, "watch", state)
        settling = told(state)
        CLOCK.sleep(0.3)
        up = service.become(Mood.UP)
        first = next(settling)
        down = service.become(Mood.BROKEN)
        gone = next(settling)
        again = service.become(Mood.UP)
        last, ready = list(settling)
        stage(folder, "collected", state)
    assert isinstance(first, ev.Settling)
    assert first.since is not None
    assert up[0] < first.since < down[1]
    assert gone == ev.Settling(None)
    assert isinstance(last, ev.Settling)
    assert last.since is not None
    assert last.since > again[0]
    assert isinstance(ready, ev.Ready)
    assert ready.ok is True
    assert state.settling is not None
    assert state.settling.mono_ns == last.since


def test_a_planned_switchover_without_a_disaster_ends_met_by_its_downtime(folder: Path) -> None:
    with Service() as service:
        watch = AvailabilityWatch("site", service.url, every_s=0.02, timeout_s=0.2, stable_for_s=1.2)
        aim = Objective("downtime", None, None, 20.0, limits=Limits.DOWNTIME)
        state = State(plan(availability=(watch,), objectives=(aim,)))
        events = [ev.Event(1, CLOCK.now(), ev.Opened("d", "0", "", codec.dump(state.plan)))]
        state.apply(events[0])

        def told(name: str) -> None:
            events.extend(
                ev.Event(len(events) + 1 + at, CLOCK.now(), one) for at, one in enumerate(stage(folder, name, state))
            )

        told("watch")
        CLOCK.sleep(0.3)
        gone = service.become(Mood.BROKEN)
        CLOCK.sleep(0.5)
        back = service.become(Mood.UP)
        told("settled")
        told("collected")
    found = judging.finished(judging.claims_of(events, state), state)
    (downtime,) = read(found.claims).objectives
    assert (downtime.verdict, found.status, found.exit_code) == ("MET", "met", 0), downtime.why
    assert downtime.low_s is not None
    assert downtime.high_s is not None
    assert downtime.low_s <= (back[1] - gone[0]) / NS
    assert (back[0] - gone[1]) / NS <= downtime.high_s
