"""The rules of the engine, each by one small drill in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drills.engine import decide
from drills.engine.plan import Finally, Mode, OnFailure, Section, Step
from drills.engine.progress import Phase, Status
from drills.testing import Script, Simulation, World, plan, step
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.events import Told, Word
from drills.timeline.facts import Before, Facts
from drills.work import Evidence, Kind


def said(at: float, word: Word, name: str = "", inbox: int = 1, **more: object) -> tuple[float, Told]:
    return (at, Told(word, "ana", inbox, name, **more))  # pyright: ignore[reportArgumentType] - fields of Told by name


def kinds(simulation: Simulation) -> list[tuple[str, str]]:
    events = [codec.load_event(line) for line in simulation.lines]
    return [(type(one.body).__name__, getattr(one.body, "step", "")) for one in events]


def test_started_stands_on_disk_before_its_ending_and_carries_what_was_before() -> None:
    run = Simulation(plan(step("a")), World())
    run.run()
    assert kinds(run) == [("Opened", ""), ("Started", "a"), ("Ended", "a"), ("Finished", "")]
    started = codec.load_event(run.lines[1]).body
    assert isinstance(started, ev.Started)
    assert started.before == Before(was=False)


def test_undo_runs_in_reverse_order_of_completion() -> None:
    slow_first = Script(refuses=frozenset({"d"}), takes_s=lambda name: 5.0 if name == "a" else 1.0)
    run = Simulation(
        plan(step("a"), step("b"), step("c", Kind.ACTION, "b"), step("d", Kind.PROBE, "a", "c")), World(), slow_first
    )
    run.run()
    assert run.world.effects == ["DO b", "DO c", "DO a", "UNDO a", "UNDO c", "UNDO b"]
    assert run.state.finished == ev.Finished("failed", 9)


def test_an_undo_that_fails_does_not_stop_the_others_and_stays_owed() -> None:
    script = Script(refuses=frozenset({"c"}), undo_fails=frozenset({"b"}))
    run = Simulation(plan(step("a"), step("b", Kind.ACTION, "a"), step("c", Kind.PROBE, "b")), World(), script)
    state = run.run()
    assert run.world.done == {"b"}
    assert [one.step.id for one in state.owed()] == ["b"]
    assert state.finished == ev.Finished("undo incomplete", 7)


def test_a_goal_that_is_there_already_is_adopted_and_never_undone() -> None:
    world = World(done={"a"})
    run = Simulation(plan(step("a"), step("b", Kind.PROBE, "a")), world, Script(refuses=frozenset({"b"})))
    run.run()
    assert world.effects == []
    assert world.done == {"a"}


def test_past_the_point_of_no_return_nothing_is_undone_by_itself() -> None:
    steps = (
        step("fence", holds_authority=True),
        step("promote", Kind.ACTION, "fence", one_way="stays", authority=True),
        step("writer", Kind.PROBE, "promote"),
    )
    run = Simulation(plan(*steps), World(), Script(refuses=frozenset({"writer"})))
    state = run.run()
    assert run.world.effects == ["DO fence", "DO promote"]
    assert decide.phase(state) is Phase.HELD
    assert decide.EXIT_CODES[decide.ending(state, ())] == 8
    assert state.finished is None


def test_a_held_drill_goes_on_when_it_is_resumed() -> None:
    steps = (
        step("promote", one_way="stays", authority=True),
        step("writer", Kind.PROBE, "promote"),
        step("dns", Kind.ACTION, "writer"),
    )
    first = Simulation(plan(*steps), World(), Script(refuses=frozenset({"writer"})))
    first.run()
    again = Simulation(plan(*steps), first.world, Script(), first.lines)
    again.run()
    assert again.world.effects == ["DO promote", "DO dns"]
    assert again.state.finished == ev.Finished("met", 0)


def test_a_fence_is_healed_past_the_point_of_no_return_only_by_accepting_data_loss() -> None:
    steps = (
        step("fence", holds_authority=True),
        step("promote", Kind.ACTION, "fence", one_way="stays", authority=True),
        step("writer", Kind.PROBE, "promote"),
    )
    held = Simulation(plan(*steps), World(), Script(refuses=frozenset({"writer"})))
    held.run()
    meek = Simulation(plan(*steps), held.world, Script(says=(said(0, Word.UNDO, "fence"),)), held.lines)
    meek.run()
    assert "UNDO fence" not in meek.world.effects
    bold = Simulation(
        plan(*steps), held.world, Script(says=(said(0, Word.UNDO, "fence", accept_data_loss=True),)), held.lines
    )
    bold.run()
    assert held.world.effects[-1] == "UNDO fence"


def test_silence_leaves_the_step_owed_and_it_is_taken_back() -> None:
    run = Simulation(plan(step("a")), World(), Script(silent=frozenset({"a"})))
    state = run.run()
    assert run.world.effects == ["DO a", "UNDO a"]
    assert state.progress["a"].status is Status.UNKNOWN
    assert state.finished == ev.Finished("failed", 9)


def test_abort_drops_questions_and_probes_at_once_and_lets_writes_settle() -> None:
    script = Script(says=(said(5.5, Word.ABORT),), takes_s=lambda name: 30.0 if name == "look" else 4.0)
    run = Simulation(plan(step("write"), step("look", Kind.PROBE), step("go", Kind.OPERATOR)), World(), script)
    state = run.run()
    assert run.world.effects == ["DO write", "UNDO write"]
    assert state.progress["look"].status is Status.DROPPED
    assert state.finished == ev.Finished("aborted", 6)
    assert run.clock.passed_ns < 20e9


def test_a_rehearsal_answers_its_own_questions_and_says_so() -> None:
    run = Simulation(plan(step("go", Kind.OPERATOR), ask=False, mode=Mode.REHEARSE), World())
    state = run.run()
    assert (state.progress["go"].status, state.progress["go"].by) == (Status.DONE, "sandbox")


def test_nobody_answering_is_a_no() -> None:
    run = Simulation(plan(step("a"), step("go", Kind.OPERATOR, "a", timeout_s=60.0)), World())
    state = run.run()
    assert state.progress["go"].status is Status.FAILED
    assert run.world.effects == ["DO a", "UNDO a"]
    assert state.finished == ev.Finished("aborted", 6)


def test_a_failure_holds_until_somebody_retries_or_the_hold_runs_out() -> None:
    held = plan(step("a"), step("b", Kind.PROBE, "a"), hold_for_s=900.0)
    waited = Simulation(held, World(), Script(refuses=frozenset({"b"})))
    state = waited.run()
    assert state.finished == ev.Finished("failed", 9)
    assert waited.clock.passed_ns >= 900e9
    skipped = Simulation(held, World(), Script(refuses=frozenset({"b"}), says=(said(30.0, Word.SKIP, "b"),)))
    assert skipped.run().finished == ev.Finished("met", 0)
    assert skipped.clock.passed_ns < 60e9


def test_a_refusal_before_the_first_step_changes_nothing() -> None:
    run = Simulation(
        plan(step("ready", Kind.PROBE, section=Section.BEFORE), step("a")),
        World(),
        Script(refuses=frozenset({"ready"})),
    )
    state = run.run()
    assert run.world.effects == []
    assert state.finished == ev.Finished("refused", 4)


def test_in_an_incident_checks_advise_and_nothing_is_undone_by_itself() -> None:
    steps = (
        step("ready", Kind.PROBE, section=Section.BEFORE),
        step("a"),
        step("b", Kind.PROBE, "a", on_failure=OnFailure.UNDO),
    )
    run = Simulation(plan(*steps, mode=Mode.INCIDENT), World(), Script(refuses=frozenset({"ready", "b"})))
    state = run.run()
    assert run.world.effects == ["DO a"]
    assert decide.phase(state) is Phase.HELD


def test_an_expected_failure_is_still_a_failing_drill() -> None:
    run = Simulation(
        plan(step("a", on_failure=OnFailure.CONTINUE), step("b", Kind.ACTION, "a")),
        World(),
        Script(refuses=frozenset({"a"})),
    )
    assert run.run().finished == ev.Finished("failed", 9)
    assert run.world.effects == ["DO b"]


def test_a_drill_without_objectives_proves_nothing() -> None:
    run = Simulation(plan(step("a")), World())
    assert decide.ending(run.run(), ()) is decide.Ending.UNPROVEN


def test_a_step_whose_when_says_no_is_skipped_and_satisfies_what_waits_for_it() -> None:
    steps = (
        step("a", Kind.ACTION, when="parameters.size"),
        step("b", Kind.ACTION, "a", when="steps.a.status == 'skipped'"),
    )
    run = Simulation(plan(*steps), World())
    state = run.run()
    assert run.world.effects == ["DO b"]
    assert state.progress["a"].status is Status.SKIPPED


@pytest.mark.parametrize(
    ("when", "runs"),
    [
        ("mode == 'incident'", False),
        ("mode != 'incident'", True),
        ("steps.a.status == 'failed'", False),
        ("steps.a.status == 'done'", True),
        ("steps.nobody.status", False),
        ("`false`", False),
        ("`[]`", False),
        ("`{}`", False),
        ("''", False),
        ("`0`", True),  # as JMESPath has it: a number is there
        ("!(mode == 'incident')", True),
    ],
)
def test_a_step_is_begun_where_jmespath_calls_its_when_true(when: str, *, runs: bool) -> None:
    run = Simulation(plan(step("a"), step("b", Kind.ACTION, "a", when=when)), World())
    state = run.run()
    assert run.world.effects == (["DO a", "DO b"] if runs else ["DO a"])
    assert state.progress["b"].status is (Status.DONE if runs else Status.SKIPPED)


def test_a_when_that_says_neither_yes_nor_no_fails_its_step_and_what_was_done_is_taken_back() -> None:
    steps = (step("a"), step("b", Kind.ACTION, "a", when="length(steps.a.output.nothing) > `1`"))
    run = Simulation(plan(*steps), World())
    state = run.run()
    assert state.finished == ev.Finished("failed", 9)
    assert run.world.effects == ["DO a", "UNDO a"]
    assert state.progress["b"].status is Status.FAILED
    assert "says neither yes nor no: In function length(), invalid type" in state.progress["b"].detail


def test_the_deadline_of_the_whole_drill_takes_it_back() -> None:
    slow = Script(takes_s=lambda name: 500.0 if name == "b" else 1.0)
    run = Simulation(plan(step("a"), step("b", Kind.PROBE, "a", timeout_s=9e3), deadline_s=100.0), World(), slow)
    state = run.run()
    assert state.finished == ev.Finished("aborted", 6)
    assert run.world.effects == ["DO a", "UNDO a"]


def test_a_question_shows_what_it_promises() -> None:
    steps = (
        step("lag", Kind.PROBE, section=Section.BEFORE, evidence=(Evidence.LAG,)),
        step("go", Kind.OPERATOR, show=("data_at_risk", "capacity", "next_one_way", "lag")),
        step("promote", Kind.ACTION, "go", one_way="a promoted replica stays", authority=True),
    )
    run = Simulation(plan(*steps, ask=False, parameters=Facts(capacity=4)), World())
    state = run.run()
    assert state.progress["go"].shown == Facts(
        data_at_risk="predicted by lag: looked",
        capacity=4,
        next_one_way="promote: a promoted replica stays",
        lag="done: looked",
    )


def test_undo_of_a_finished_drill_takes_back_what_it_left() -> None:
    kept = Simulation(plan(step("a"), step("b", Kind.ACTION, "a")), World())
    kept.run()
    assert kept.world.done == {"a", "b"}
    back = Simulation(kept.plan, kept.world, Script(says=(said(0, Word.UNDO),)), kept.lines)
    state = back.run()
    assert kept.world.effects == ["DO a", "DO b", "UNDO b", "UNDO a"]
    assert state.finished == ev.Finished("aborted", 6)


@st.composite
def drills(draw: st.DrawFn, *, chain: bool) -> tuple[Simulation, int, bool]:
    """A random plan, a random world's answers, where the journal is cut, and whether late effects take place."""
    count = draw(st.integers(2, 8))
    steps: list[Step] = []
    for number in range(count):
        kind = draw(st.sampled_from([Kind.ACTION, Kind.FAULT, Kind.PROBE, Kind.OPERATOR]))
        earlier = range(number)[-1:] if chain else [other for other in range(number) if draw(st.booleans())]
        authority = kind is Kind.ACTION and draw(st.integers(0, 4)) == 0
        on_failure = draw(st.sampled_from([OnFailure.HOLD, OnFailure.CONTINUE, OnFailure.UNDO]))
        one_way = "stays" if authority else None
        needs = (f"s{other}" for other in earlier)
        steps.append(step(f"s{number}", kind, *needs, on_failure=on_failure, one_way=one_way, authority=authority))
    one_way = any(one.one_way for one in steps)
    finally_ = Finally.KEEP if one_way else draw(st.sampled_from([Finally.KEEP, Finally.UNDO]))
    names = [one.id for one in steps]
    script = Script(
        refuses=frozenset(draw(st.lists(st.sampled_from(names), max_size=2))),
        undo_fails=frozenset(draw(st.lists(st.sampled_from(names), max_size=1))),
    )
    pinned = plan(*steps, finally_=finally_, ask=False, mode=Mode.REHEARSE)
    return Simulation(pinned, World(), script), draw(st.integers(1, 60)), draw(st.booleans())


def broken_and_resumed(whole: Simulation, cut: int, *, late: bool) -> Simulation:
    """Run it whole, run it again up to the cut, and let another process go on from there."""
    whole.run()
    broken = Simulation(whole.plan, World(), whole.script)
    broken.run(max(1, min(cut, len(whole.lines) - 1)), late_effects=late)
    resumed = Simulation(whole.plan, broken.world, whole.script, broken.lines)
    resumed.run()
    return resumed


@settings(max_examples=300, deadline=None)
@given(drills(chain=True))
def test_a_chain_of_steps_cut_anywhere_ends_as_unbroken(case: tuple[Simulation, int, bool]) -> None:
    whole, cut, late = case
    resumed = broken_and_resumed(whole, cut, late=late)
    assert decide.ending(resumed.state, ("MET",)) == decide.ending(whole.state, ("MET",))
    assert resumed.world.done == whole.world.done
    assert {one.step.id for one in resumed.state.owed()} == {one.step.id for one in whole.state.owed()}


@settings(max_examples=500, deadline=None)
@given(drills(chain=False))
def test_any_drill_cut_anywhere_does_nothing_twice_and_owes_nothing_in_silence(
    case: tuple[Simulation, int, bool],
) -> None:
    whole, cut, late = case
    resumed = broken_and_resumed(whole, cut, late=late)
    state = resumed.state
    for name in {effect.split()[1] for effect in resumed.world.effects}:
        mine = [effect for effect in resumed.world.effects if effect.endswith(f" {name}")]
        assert len(mine) == len(set(mine)), mine
    told = {one.step.id for one in state.progress.values() if one.owed or one.standing}
    assert resumed.world.done <= told
    end = decide.ending(state, ("MET",))
    if end in (decide.Ending.FAILED, decide.Ending.ABORTED) and state.stop is not None:
        assert not resumed.world.done
