"""People act and the tool judges: no step changes anything, and what people did is seen or said."""

from __future__ import annotations

from pathlib import Path

from runtime_drill import Drill

from drills.clock import Stamp
from drills.engine.by_people import by_people
from drills.engine.plan import Mode
from drills.engine.progress import Status
from drills.engine.state import State
from drills.measure.effect import Disaster
from drills.measure.evidence import Bracket
from drills.report import standing
from drills.report.judging import question
from drills.runtime import inbox
from drills.testing import plan, step
from drills.timeline import events as ev
from drills.timeline.events import Outcome, Told, Word
from drills.timeline.marks import Mark
from drills.work import Evidence, Kind


def test_no_step_of_an_observed_drill_changes_anything() -> None:
    one = by_people(
        plan(
            step("lose", Kind.FAULT, permissions=("ec2:DescribeSubnets", "ec2:ReplaceNetworkAclAssociation")),
            step("look", Kind.PROBE, "lose"),
            step("promote", Kind.ACTION, "look", one_way="stays", authority=True, best_effort_s=1.0),
            mode=Mode.RUN,
            ask=False,
        )
    )
    assert [each.changes or each.reversible or bool(each.one_way) for each in one.steps] == [False] * 3
    assert (one.observe_only, one.ask) == (True, True)
    assert one.step("lose").permissions == ("ec2:DescribeSubnets",)
    assert one.step("look").hand is None
    assert one.deadline_s >= 2 * 3600


def test_what_people_do_is_seen_and_their_word_is_taken_across_a_kill(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "promotes", TEST_BY_PEOPLE="1")
    with drill.driven():
        drill.until(lambda state: "a" in state.running)
    assert drill.cli("approve", "promote").returncode != 0, "it has not asked yet"
    with drill.driven():
        drill.until(lambda state: state.progress["a"].detail == "a is not there")
        (drill.outside.folder / "world" / "a").touch()  # by hand
        drill.until(lambda state: "promote" in state.running)
        assert drill.state.progress["a"].detail == "seen done: a is there"
        inbox.say(drill.folder, Told(Word.APPROVE, "ana", 0, "promote", "done in the console"))
        drill.until(lambda state: state.finished is not None)
    state = drill.state
    assert [one.status for one in state.progress.values()] == [Status.DONE, Status.DONE]
    assert (state.progress["promote"].by, state.past_return, state.owed()) == ("ana", False, [])
    assert drill.outside.effects == [], "the tool did nothing"


def test_an_abort_of_an_observed_drill_leaves_nothing_to_take_back(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "chain", TEST_BY_PEOPLE="1")
    with drill.driven() as process:
        drill.until(lambda state: "a" in state.running)
        assert drill.cli("abort").returncode == 0
        assert process.wait(20) == 6
    assert drill.outside.effects == []


def told(*bodies: ev.Body) -> tuple[list[ev.Event], State]:
    """Put facts on a timeline, one a second."""
    steps = (
        step("lose", Kind.FAULT, mark=Mark.DISASTER),
        step("cut", Kind.PROBE, evidence=(Evidence.REPLICATION_CUT,)),
        step("promote", Kind.ACTION, "cut", authority=True, one_way="stays"),
    )
    pinned = by_people(plan(*steps))
    state = State(pinned)
    events = [
        ev.Event(number, Stamp(number * 10**9, number * 10**9, "here"), body)
        for number, body in enumerate((ev.Opened("d", "1", "me", ""), *bodies), 1)
    ]
    for event in events:
        state.apply(event)
    return events, state


def test_a_disaster_made_by_hand_is_the_first_outage_after_it_was_asked_for() -> None:
    asked = question(*told(ev.Asked("lose"), ev.Told(Word.APPROVE, "ana", 1, "lose")))
    assert asked.disaster == Disaster(None, mark=Bracket(2 * 10**9, 3 * 10**9), opened=2 * 10**9)


def test_no_recovery_time_runs_before_people_say_that_it_is_lost() -> None:
    asking = told(ev.Asked("lose"))[1]
    lost = told(ev.Asked("lose"), ev.Told(Word.APPROVE, "ana", 1, "lose"))[1]
    assert standing.disaster(asking) is None
    assert standing.disaster(lost) == lost.last


def test_a_disaster_that_an_operator_makes_is_bracketed_by_what_was_seen_too() -> None:
    pinned = plan(step("lose", Kind.OPERATOR, mark=Mark.DISASTER))
    state = State(pinned)
    bodies = (ev.Opened("d", "1", "me", ""), ev.Started("lose", 1), ev.Ended("lose", Outcome.DONE, "done", by="ana"))
    events = [
        ev.Event(number, Stamp(number * 10**9, number * 10**9, "here"), body) for number, body in enumerate(bodies, 1)
    ]
    for event in events:
        state.apply(event)
    asked = question(events, state)
    assert asked.disaster == Disaster(None, mark=Bracket(2 * 10**9, 3 * 10**9), opened=2 * 10**9)


def test_a_promotion_found_done_proves_no_cut_before_it() -> None:
    cut = (ev.Started("cut", 1), ev.Ended("cut", Outcome.DONE, "nothing arrives"), ev.Asked("promote"))
    seen = question(*told(*cut, ev.Ended("promote", Outcome.DONE, "seen done", by="people")))
    found = question(*told(*cut, ev.Ended("promote", Outcome.DONE, "seen done", adopted=True, by="people")))
    assert (seen.cut_before_promote, found.cut_before_promote) == (True, False)
