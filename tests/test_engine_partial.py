"""A drill of a part of its runbook: what is left out is told, looked at, or taken on a person's word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.engine.partial import Part
from drills.engine.plan import OnFailure, Plan
from drills.engine.progress import Status
from drills.errors import Usage
from drills.testing import Script, Simulation, World, plan, step
from drills.timeline.marks import Mark
from drills.work import Kind

CHAIN = plan(
    step("lose", Kind.FAULT, mark=Mark.DISASTER),
    step("fence", Kind.ACTION, "lose"),
    step("ask", Kind.OPERATOR, "fence"),
    step("scale", Kind.ACTION, "ask"),
    step("shift", Kind.ACTION, "scale"),
    step("last", Kind.ACTION, "shift"),
)


def statuses(chosen: Plan, world: World) -> dict[str, str]:
    state = Simulation(chosen, world).run()
    return {name: ("adopted" if one.adopted else one.status.value) for name, one in state.progress.items()}


def test_from_a_step_adopts_the_changes_it_waits_for_and_passes_over_the_rest() -> None:
    world = World(done={"fence", "scale"})
    assert statuses(Part("shift").of(CHAIN), world) == {
        "lose": "skipped",
        "fence": "adopted",
        "ask": "skipped",
        "scale": "adopted",
        "shift": "done",
        "last": "done",
    }
    assert world.effects == ["DO shift", "DO last"]


def test_a_change_that_was_left_out_and_is_not_there_fails_before_anything_depends_on_it() -> None:
    world = World(done={"fence"})
    simulation = Simulation(Part("shift").of(CHAIN), world)
    state = simulation.run()
    assert state.progress["scale"].status is Status.FAILED
    assert "left out by --from shift, but its goal is not there" in state.progress["scale"].detail
    assert world.effects == []


def test_a_persons_word_stands_for_a_look() -> None:
    world = World()
    chosen = Part("shift", assumed=("fence", "scale")).of(CHAIN)
    assert statuses(chosen, world)["shift"] == "done"
    assert world.effects == ["DO shift", "DO last"]
    state = Simulation(chosen, World()).run()
    assert state.progress["scale"].detail == "left out by --from shift, taken as done on a person's word"


def test_only_some_steps_leaves_out_all_others() -> None:
    world = World(done={"fence", "scale"})
    assert statuses(Part(only=("shift",)).of(CHAIN), world) == {
        "lose": "skipped",
        "fence": "adopted",
        "ask": "skipped",
        "scale": "adopted",
        "shift": "done",
        "last": "skipped",
    }
    assert world.effects == ["DO shift"]


@given(st.sampled_from([one.id for one in CHAIN.steps]), st.sets(st.sampled_from(["lose", "fence", "scale", "shift"])))
def test_a_part_never_changes_what_it_leaves_out(begins: str, there: set[str]) -> None:
    chosen = Part(begins).of(CHAIN)
    world = World(done=set(there))
    Simulation(chosen, world).run()
    out = {f"DO {one.id}" for one in chosen.steps if one.left_out is not None}
    assert not out & set(world.effects)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (Part("shfit"), "has no step 'shfit'; did you mean 'shift'?"),
        (Part("shift", ("last",)), "not both"),
        (Part(assumed=("fence",)), "--assume belongs to --from or --only"),
        (Part("shift", assumed=("last",)), "--assume last: that step is not left out"),
    ],
)
def test_a_part_that_makes_no_sense_is_refused(part: Part, says: str) -> None:
    with pytest.raises(Usage, match=says.replace("?", r"\?")):
        part.of(CHAIN)


FALLS_BACK = plan(
    step("a", on_failure=OnFailure.RUN, run_on_failure="spare"),
    step("b", Kind.ACTION, "a"),
    step("spare", reserve=True),
)


@pytest.mark.parametrize("part", [Part("b"), Part(only=("b",))], ids=["from", "only"])
def test_nothing_stands_in_for_a_change_that_was_left_out_and_is_not_there(part: Part) -> None:
    simulation = Simulation(part.of(FALLS_BACK), World())
    assert simulation.run().progress["a"].status is Status.FAILED
    assert simulation.world.effects == []


def test_a_fallback_that_was_left_out_stands_in_for_nothing() -> None:
    simulation = Simulation(Part(only=("a", "b")).of(FALLS_BACK), World(), Script(refuses=frozenset({"a"})))
    simulation.run()
    assert simulation.world.effects == []


def test_a_drill_of_a_fallback_alone_is_refused() -> None:
    with pytest.raises(Usage, match="'spare' runs only when a fails"):
        Part(only=("spare",)).of(FALLS_BACK)
