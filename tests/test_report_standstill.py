"""When a drill could begin nothing new: what held it is told from its timeline, with the time that it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.clock import Stamp
from drills.engine.plan import OnFailure
from drills.report.standstill import standstills
from drills.testing import plan, step
from drills.timeline import events as ev
from drills.timeline.events import Outcome, Word

if TYPE_CHECKING:
    from drills.timeline.events import Body

S = 10**9
CLOCK = "host/boot"
STEPS = plan(step("promote"), step("shift", needs=("promote",), on_failure=OnFailure.HOLD), hold_for_s=900.0)


def held(*told: tuple[float, Body], clock: str = CLOCK) -> list[tuple[float, float, str, str]]:
    """Give what held a drill in which this happened, in seconds."""
    events = [ev.Event(seq, Stamp(0, round(at * S), clock), body) for seq, (at, body) in enumerate(told, 1)]
    found = standstills(STEPS, events, CLOCK)
    return [(one.first_ns / S, one.past_ns / S, one.phase, one.why) for one in found]


BEGUN = ((1.0, ev.Started("promote", 1)), (2.0, ev.Ended("promote", Outcome.DONE, "")))
LATER = (9.0, ev.Started("shift", 1))


def test_a_drill_that_nothing_holds_has_no_standstill() -> None:
    assert held(*BEGUN, LATER) == []


def test_a_question_after_ctrl_c_held_it_for_as_long_as_its_note_says() -> None:
    note = ev.Told(Word.NOTE, "ana", 0, note="Ctrl-C: nothing new started for 5.00s", held_s=5.0)
    assert held(*BEGUN, (8.0, note), LATER) == [(3.0, 8.0, "human wait", "a question after Ctrl-C")]


def test_a_pause_holds_it_until_somebody_goes_on() -> None:
    words = ((3.0, ev.Told(Word.PAUSE, "ana", 1)), (8.0, ev.Told(Word.CONTINUE, "ana", 2)))
    assert held(*BEGUN, *words, LATER) == [(3.0, 8.0, "human wait", "paused")]


def test_a_failure_holds_it_until_somebody_decides() -> None:
    failed = (4.0, ev.Ended("shift", Outcome.FAILED, "no"))
    told = (*BEGUN, (3.0, ev.Started("shift", 1)), failed, (8.0, ev.Told(Word.RETRY, "ana", 1, "shift")), LATER)
    assert held(*told) == [(4.0, 8.0, "human wait", "a decision about shift")]


def test_nobody_drives_what_was_killed_until_it_is_resumed_and_what_was_put_aside_waits_for_a_person() -> None:
    resumed = (8.0, ev.Resumed("ana", 7))
    assert held(*BEGUN, resumed, LATER) == [(2.0, 8.0, "not driven", "nobody drove the drill")]
    assert held(*BEGUN, (3.0, ev.Parked("ana")), resumed, LATER) == [(3.0, 8.0, "human wait", "put aside")]


def test_an_abort_holds_it_until_it_is_resumed() -> None:
    words = ((3.0, ev.Told(Word.ABORT, "ana", 1)), (8.0, ev.Resumed("ana", 7)))
    assert held(*BEGUN, *words, LATER)[0] == (3.0, 8.0, "human wait", "held until a person decided")


def test_what_lies_on_another_clock_is_not_told() -> None:
    assert held(*BEGUN, (8.0, ev.Resumed("ana", 7)), clock="host/other") == []
