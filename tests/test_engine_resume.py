"""What another process finds and does: time that stood still, doubts that are kept, words that were left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.engine import decide, drive
from drills.engine.plan import AvailabilityWatch, Mode, OnFailure, Plan, Section
from drills.engine.progress import Phase, Status
from drills.engine.state import State, fold
from drills.testing import FakeClock, Script, Simulation, World, plan, step
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.events import Told, Word
from drills.work import Kind

if TYPE_CHECKING:
    from drills.timeline.events import Body

PAST_RETURN = (
    step("fence", holds_authority=True),
    step("scale"),
    step("promote", Kind.ACTION, "fence", "scale", one_way="stays", authority=True),
    step("writer", Kind.PROBE, "promote"),
)


def said(at: float, word: Word, name: str = "", inbox: int = 1, **more: object) -> tuple[float, Told]:
    return (at, Told(word, "ana", inbox, name, **more))  # pyright: ignore[reportArgumentType] - fields of Told by name


def left_at(simulation: Simulation, kind: type[Body], name: str = "") -> int:
    """Give how many events are on disk right after the first of this kind (of this step)."""
    for number, line in enumerate(simulation.lines, 1):
        body = codec.load_event(line).body
        if isinstance(body, kind) and getattr(body, "step", "") == name:
            return number
    raise AssertionError(f"no {kind.__name__} of {name!r}")


def killed(whole: Simulation, cut: int) -> Simulation:
    """Run the same drill again, up to the cut."""
    broken = Simulation(whole.plan, World(), whole.script)
    broken.run(cut)
    return broken


def held(**changes: object) -> Simulation:
    """A drill that was held past its point of no return."""
    run = Simulation(plan(*PAST_RETURN, **changes), World(), Script(refuses=frozenset({"writer"})))
    assert decide.phase(run.run()) is Phase.HELD
    return run


def test_work_in_doubt_is_looked_at_however_long_nobody_drove() -> None:
    whole = Simulation(plan(step("a", timeout_s=60.0)), World())
    whole.run()
    broken = killed(whole, left_at(whole, ev.Started, "a"))
    broken.world.do("a")
    resumed = Simulation(whole.plan, broken.world, Script(), broken.lines)
    resumed.clock.sleep(7200)
    assert resumed.run().progress["a"].status is Status.DONE
    assert broken.world.effects == ["DO a"]


def test_the_drills_deadline_stands_still_while_nobody_drives() -> None:
    first = held(deadline_s=600.0)
    again = Simulation(first.plan, first.world, Script(), first.lines)
    again.clock.sleep(86_400)
    assert again.run().finished == ev.Finished("met", 0)


def test_our_own_change_found_at_a_second_attempt_is_still_owed() -> None:
    script = Script(silent=frozenset({"a"}), refuses=frozenset({"b"}), says=(said(30.0, Word.RETRY, "a"),))
    run = Simulation(plan(step("a"), step("b", Kind.PROBE, "a"), hold_for_s=100.0), World(), script)
    state = run.run()
    assert state.progress["a"].status is Status.DONE
    assert run.world.effects == ["DO a", "UNDO a"]


def test_our_own_promotion_found_at_a_second_attempt_is_past_the_point_of_no_return() -> None:
    script = Script(silent=frozenset({"promote"}), refuses=frozenset({"writer"}))
    run = Simulation(plan(*PAST_RETURN), World(), script)
    assert decide.phase(run.run()) is Phase.HELD
    again = Simulation(run.plan, run.world, script, run.lines)
    assert decide.phase(again.run()) is Phase.HELD
    assert again.world.effects == ["DO fence", "DO scale", "DO promote"]


def test_doubt_that_waits_for_its_second_turn_is_owed() -> None:
    script = Script(silent=frozenset({"a"}), says=(said(30.0, Word.RETRY, "a"), said(30.0, Word.ABORT, inbox=2)))
    run = Simulation(plan(step("a"), hold_for_s=100.0), World(), script)
    run.run()
    assert run.world.effects == ["DO a", "UNDO a"]


def test_doubt_that_a_person_skipped_is_owed() -> None:
    script = Script(silent=frozenset({"a"}), says=(said(30.0, Word.SKIP, "a"), said(40.0, Word.ABORT, inbox=2)))
    slow = Script(script.refuses, script.silent, takes_s=lambda name: 60.0 if name == "b" else 1.0, says=script.says)
    run = Simulation(plan(step("a"), step("b", Kind.PROBE, "a"), hold_for_s=100.0), World(), slow)
    run.run()
    assert run.world.effects == ["DO a", "UNDO a"]


def test_an_undo_drops_what_only_looks() -> None:
    script = Script(says=(said(5.0, Word.UNDO),), takes_s=lambda name: 900.0 if name == "look" else 1.0)
    run = Simulation(plan(step("a"), step("look", Kind.PROBE, "a", timeout_s=1800.0)), World(), script)
    state = run.run()
    assert run.world.effects == ["DO a", "UNDO a"]
    assert state.finished == ev.Finished("aborted", 6)
    assert run.clock.passed_ns < 20e9


def test_an_undo_of_all_that_was_broken_off_goes_on_as_an_undo() -> None:
    first = held()
    undo = Script(refuses=frozenset({"writer"}), says=(said(0, Word.UNDO, accept_data_loss=True),))
    whole = Simulation(first.plan, World(set(first.world.done)), undo, first.lines)
    whole.run()
    assert whole.world.done == {"promote"}
    for cut in range(left_at(whole, ev.Told), len(whole.lines)):
        broken = Simulation(first.plan, World(set(first.world.done)), undo, first.lines)
        broken.run(cut)
        resumed = Simulation(first.plan, broken.world, Script(refuses=undo.refuses), broken.lines)
        resumed.run()
        assert resumed.world.effects == ["UNDO scale", "UNDO fence"]
        assert resumed.state.finished == whole.state.finished


def test_what_nobody_asked_to_take_back_keeps_the_drill_held() -> None:
    first = held()
    one = Simulation(first.plan, first.world, Script(says=(said(0, Word.UNDO, "scale"),)), first.lines)
    state = one.run()
    assert first.world.effects[-1] == "UNDO scale"
    assert (decide.phase(state), decide.ending(state, ())) == (Phase.HELD, decide.Ending.HELD)
    rest = Script(says=(said(0, Word.UNDO, "fence", 2, accept_data_loss=True),))
    state = Simulation(first.plan, first.world, rest, one.lines).run()
    assert first.world.done == {"promote"}
    assert state.finished == ev.Finished("failed", 9)


def test_one_step_taken_back_out_of_a_running_drill_leaves_the_others_owed_aloud() -> None:
    script = Script(says=(said(4.5, Word.UNDO, "b"),))
    run = Simulation(plan(step("a"), step("b", Kind.ACTION, "a"), step("c", Kind.ACTION, "b")), World(), script)
    state = run.run()
    assert "UNDO b" in run.world.effects
    assert [one.step.id for one in state.owed()] != []
    assert state.finished == ev.Finished("undo incomplete", 7)


def test_a_held_incident_goes_on_when_it_is_resumed_before_the_point_of_no_return_too() -> None:
    steps = (step("a"), step("b", Kind.PROBE, "a"), step("c", Kind.ACTION, "b"))
    first = Simulation(plan(*steps, mode=Mode.INCIDENT), World(), Script(refuses=frozenset({"b"})))
    assert decide.phase(first.run()) is Phase.HELD
    again = Simulation(first.plan, first.world, Script(), first.lines)
    assert again.run().finished == ev.Finished("met", 0)
    assert first.world.effects == ["DO a", "DO c"]


def test_a_check_dropped_by_an_abort_is_asked_again_when_the_held_drill_goes_on() -> None:
    steps = (step("promote", one_way="stays", authority=True), step("check", Kind.PROBE, section=Section.AFTER))
    slow = Script(says=(said(10.0, Word.ABORT),), takes_s=lambda name: 50.0 if name == "check" else 1.0)
    first = Simulation(plan(*steps), World(), slow)
    assert decide.phase(first.run()) is Phase.HELD
    again = Simulation(first.plan, first.world, Script(), first.lines)
    assert again.run().finished == ev.Finished("met", 0)
    assert again.state.progress["check"].status is Status.DONE


def test_a_persons_word_on_a_failed_step_counts_when_it_was_left_while_nobody_drove() -> None:
    pinned = plan(step("a"), step("b", Kind.ACTION, "a"), hold_for_s=900.0)
    whole = Simulation(pinned, World(), Script(silent=frozenset({"a"})))
    whole.run()
    broken = Simulation(pinned, World(), whole.script)
    broken.run(left_at(whole, ev.Ended, "a"))
    told = Script(says=(said(0, Word.RESOLVE_DONE, "a"),))
    resumed = Simulation(pinned, broken.world, told, broken.lines)
    state = resumed.run()
    assert broken.world.effects == ["DO a", "DO b"]
    assert state.progress["a"].detail.startswith("resolved as done by ana")


def test_nothing_begins_in_a_pause_even_if_it_was_being_prepared() -> None:
    script = Script(says=(said(0.5, Word.PAUSE), said(60.0, Word.CONTINUE, inbox=2)))
    run = Simulation(plan(step("a")), World(), script)
    run.run()
    started = codec.load_event(run.lines[left_at(run, ev.Started, "a") - 1])
    assert started.at.mono_ns >= 60e9
    assert run.world.effects == ["DO a"]


def watched() -> Plan:
    return plan(step("a"), availability=(AvailabilityWatch("site", "http://127.0.0.1:1/"),))


def test_a_drill_whose_observers_cannot_watch_is_refused_before_it_changes_anything() -> None:
    state = State(watched())
    clock = FakeClock()
    opened = ev.Event(1, clock.now(), ev.Opened("d", "0", "ana", codec.dump(state.plan)))
    state.apply(opened)
    loop = drive.drive(state)
    next(loop)
    turn = loop.send(drive.News(clock.now()))
    assert turn.acts == [decide.Observe("watch")]
    failed = drive.Fact(clock.now(), ev.Ready("watch", None, "no answer"))
    turn = loop.send(drive.News(clock.now(), (failed,)))
    assert turn.acts == [decide.Observe("collected")]
    collected = drive.Fact(clock.now(), ev.Ready("collected", ok=True, detail=""))
    turn = loop.send(drive.News(clock.now(), (collected,)))
    assert turn.acts == [decide.Conclude()]
    assert decide.ending(state, ()) is decide.Ending.REFUSED


def test_an_abort_drops_the_waits_of_the_observers_and_hurries_writes_in_flight() -> None:
    state = State(watched())
    clock = FakeClock()
    loop = drive.drive(state)
    next(loop)
    turn = loop.send(drive.News(clock.now(), (drive.Fact(clock.now(), ev.Ready("watch", ok=True, detail="")),)))
    assert turn.acts == [decide.Observe("baseline")]
    turn = loop.send(drive.News(clock.now(), (drive.Fact(clock.now(), Told(Word.ABORT, "ana", 1)),)))
    assert drive.Drop("@baseline") in turn.acts


def test_sealed_evidence_is_not_gathered_again() -> None:
    state = State(watched())
    clock = FakeClock()
    bodies: list[Body] = [ev.Ready(stage, ok=True, detail="") for stage in ("watch", "baseline", "settled")]
    ended = [ev.Started("a", 1), ev.Ended("a", ev.Outcome.DONE, "")]
    bodies += [*ended, ev.Ready("collected", ok=True, detail=""), ev.Resumed("ana", 2)]
    state = fold(state.plan, (ev.Event(number, clock.now(), body) for number, body in enumerate(bodies, 1)))
    assert decide.phase(state) is Phase.CLOSING


def test_a_world_that_is_gone_owes_nothing() -> None:
    whole = Simulation(plan(step("a")), World())
    whole.run()
    broken = killed(whole, left_at(whole, ev.Ended, "a"))
    broken.state.apply(ev.Event(99, broken.clock.now(), ev.WorldGone("gone")))
    assert broken.state.owed() == []
    assert decide.ending(broken.state, ("MET",)) is decide.Ending.UNPROVEN


def test_a_step_that_ran_when_its_world_went_down_with_the_drill_does_not_run_for_ever() -> None:
    state = State(plan(step("change", needs=()), step("look", Kind.PROBE, needs=())))
    clock = FakeClock()
    bodies = [ev.Started("change", 1), ev.Started("look", 1), ev.Looked("look", ok=False, detail="no answer")]
    bodies += [ev.Resumed("ana", 2), ev.WorldGone("gone")]
    for number, body in enumerate(bodies, 1):
        state.apply(ev.Event(number, clock.now(), body))
    change, look = state.progress.values()
    why = "the drill's process ended while it ran, and the sandbox with it"
    assert (change.status, change.detail, change.ended) == (Status.UNKNOWN, why, None)
    assert (look.status, look.detail) == (Status.DROPPED, f"{why}; last seen: no answer")
    assert state.running == {}


def test_a_drill_that_is_put_aside_as_it_finishes_has_finished() -> None:
    drill = Simulation(plan(step("a")), World(), Script(says=(said(3.0, Word.PARK),)))
    drill.run()
    kinds = [type(codec.load_event(line).body) for line in drill.lines]
    assert kinds == [ev.Opened, ev.Started, ev.Ended, ev.Told, ev.Finished]


# -- turned back, and gone on with ---------------------------------------------------------------------------


def test_a_drill_that_fails_while_it_is_paused_takes_back_what_it_has_done() -> None:
    pinned = plan(
        step("a"),
        step("b", Kind.ACTION, "a"),
        step("judge", Kind.PROBE, section=Section.AFTER),
        hold_for_s=5.0,
    )
    run = Simulation(pinned, World(), Script(refuses=frozenset({"b"}), says=(said(3.5, Word.PAUSE),)))
    run.run()
    assert run.world.effects == ["DO a", "UNDO a"]
    assert run.state.finished is not None
    assert run.clock.passed_ns < 60e9


def test_a_question_that_an_abort_dropped_is_put_once_to_who_resumes() -> None:
    asks = plan(step("a"), step("go", Kind.OPERATOR, "a"), mode=Mode.INCIDENT, ask=True)
    run = Simulation(asks, World(), Script(says=(said(5.0, Word.ABORT),)))
    assert decide.phase(run.run()) is Phase.HELD
    again = Simulation(asks, run.world, Script(says=(said(9.0, Word.APPROVE, "go", 2),)), run.lines)
    again.run()
    bodies = [codec.load_event(line).body for line in again.lines]
    assert [body.step for body in bodies if isinstance(body, ev.Asked)] == ["go", "go"]


def test_an_incident_that_was_aborted_in_its_checks_goes_on_when_it_is_resumed() -> None:
    pinned = plan(step("ready", Kind.PROBE, section=Section.BEFORE), step("a"), mode=Mode.INCIDENT, ask=True)
    run = Simulation(pinned, World(), Script(says=(said(0.5, Word.ABORT),)))
    assert decide.phase(run.run()) is Phase.HELD
    again = Simulation(pinned, run.world, Script(), run.lines)
    again.run()
    assert again.world.effects == ["DO a"]


def test_what_ended_unknown_after_an_abort_counts_once_the_drill_is_resumed() -> None:
    pinned = plan(step("a", on_failure=OnFailure.CONTINUE), mode=Mode.INCIDENT, ask=True)
    run = Simulation(pinned, World(), Script(silent=frozenset({"a"}), says=(said(1.5, Word.ABORT),)))
    assert decide.phase(run.run()) is Phase.HELD
    assert run.state.progress["a"].status is Status.UNKNOWN
    again = Simulation(pinned, run.world, Script(), run.lines)
    again.run()
    assert decide.ending(again.state, ("MET",)) is decide.Ending.FAILED


def test_a_drill_that_is_put_aside_begins_no_change_that_it_had_looked_at() -> None:
    pinned = plan(step("a"), step("slow"))
    takes = {"a": 9.0, "slow": 3.0}
    run = Simulation(pinned, World(), Script(takes_s=takes.__getitem__, says=(said(4.0, Word.PARK),)))
    run.run()
    assert run.state.put_aside
    assert run.world.effects == ["DO slow"]
    again = Simulation(pinned, run.world, Script(), run.lines)
    again.run()
    assert run.world.effects == ["DO slow", "DO a"]


def test_a_promotion_said_to_have_failed_and_found_there_is_past_the_point_of_no_return() -> None:
    pinned = plan(*PAST_RETURN, hold_for_s=60.0)
    words = (said(20.0, Word.RESOLVE_FAILED, "promote"), said(21.0, Word.RETRY, "promote", 2))
    run = Simulation(pinned, World(), Script(silent=frozenset({"promote"}), refuses=frozenset({"writer"}), says=words))
    run.run()
    assert run.state.progress["promote"].status is Status.DONE
    assert decide.phase(run.state) is Phase.HELD
    assert not any(effect.startswith("UNDO") for effect in run.world.effects)
