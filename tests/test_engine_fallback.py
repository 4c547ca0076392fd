"""``on_failure: {run: STEP}``: the fallback runs once, when its turn has come, and stands for all that failed."""

from __future__ import annotations

import pytest

from drills.engine import decide
from drills.engine.decide import Ending
from drills.engine.plan import Mode, OnFailure, Plan, Step
from drills.engine.progress import Status
from drills.testing import Script, Simulation, World, plan, step
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.events import Told, Word
from drills.work import Kind


def falls_back(name: str, *needs: str, to: str = "spare") -> Step:
    """Build a step that runs another one when it fails."""
    return step(name, Kind.ACTION, *needs, on_failure=OnFailure.RUN, run_on_failure=to)


def rehearsal(*steps: Step) -> Plan:
    """Build a plan that asks nobody."""
    return plan(*steps, mode=Mode.REHEARSE, ask=False)


def driven(pinned: Plan, script: Script) -> Simulation:
    """Drive a plan to its end."""
    simulation = Simulation(pinned, World(), script)
    simulation.run()
    return simulation


def begun(simulation: Simulation) -> list[str]:
    """Give the steps in the order in which they began."""
    bodies = (codec.load_event(line).body for line in simulation.lines)
    return [body.step for body in bodies if isinstance(body, ev.Started)]


@pytest.mark.parametrize(
    "second_s", [1.0, 1.5, 1.75, 9.0], ids=["at once", "as it is prepared", "as it runs", "after it"]
)
def test_two_steps_that_share_a_fallback_run_it_once_and_the_drill_goes_on(second_s: float) -> None:
    pinned = rehearsal(falls_back("a"), falls_back("b"), step("c", Kind.ACTION, "a", "b"), step("spare", reserve=True))
    drill = driven(pinned, Script(refuses=frozenset({"a", "b"}), takes_s=lambda name: second_s if name == "b" else 1.0))
    assert begun(drill).count("spare") == 1
    assert begun(drill)[-1] == "c"
    assert decide.ending(drill.state, ("MET",)) is Ending.MET
    assert drill.clock.passed_ns < 30e9


def test_a_fallback_waits_for_what_it_needs() -> None:
    spare = step("spare", Kind.ACTION, "slow", reserve=True)
    pinned = rehearsal(falls_back("a"), step("slow"), step("c", Kind.ACTION, "a"), spare)
    drill = driven(pinned, Script(refuses=frozenset({"a"}), takes_s=lambda name: 9.0 if name == "slow" else 1.0))
    assert begun(drill) == ["a", "slow", "spare", "c"]
    assert drill.world.effects == ["DO slow", "DO spare", "DO c"]


def test_a_fallback_that_nobody_called_for_does_not_begin_and_when_skipped_is_not_counted() -> None:
    skip = (0.5, Told(Word.SKIP, "ana", 1, "spare"))
    drill = driven(
        rehearsal(falls_back("a"), step("b", Kind.ACTION, "a"), step("spare", reserve=True)), Script(says=(skip,))
    )
    assert begun(drill) == ["a", "b"]
    assert drill.state.progress["b"].status is Status.DONE


def test_a_step_that_failed_is_a_failed_drill_where_its_fallback_was_skipped() -> None:
    skip = (0.5, Told(Word.SKIP, "ana", 1, "spare"))
    pinned = rehearsal(falls_back("a"), step("b", Kind.ACTION, "a"), step("spare", reserve=True))
    drill = driven(pinned, Script(refuses=frozenset({"a"}), says=(skip,)))
    assert begun(drill) == ["a", "b"]
    assert decide.ending(drill.state, ("MET",)) is Ending.FAILED
    assert [one.step.id for one in drill.state.failed_steps()] == ["a"]


def test_a_fallback_may_have_a_fallback() -> None:
    spare = step("spare", reserve=True, on_failure=OnFailure.RUN, run_on_failure="last")
    pinned = rehearsal(falls_back("a"), step("b", Kind.ACTION, "a"), spare, step("last", reserve=True))
    drill = driven(pinned, Script(refuses=frozenset({"a", "spare"})))
    assert begun(drill) == ["a", "spare", "last", "b"]
    assert decide.ending(drill.state, ("MET",)) is Ending.MET


def test_a_fallback_that_is_not_waited_for_lets_what_waits_go_on() -> None:
    spare = step("spare", reserve=True, best_effort_s=0.5)
    pinned = rehearsal(falls_back("a"), step("b", Kind.ACTION, "a"), spare)
    drill = driven(pinned, Script(refuses=frozenset({"a"}), takes_s=lambda name: 9.0 if name == "spare" else 1.0))
    assert drill.world.effects == ["DO b", "DO spare"]
    assert drill.state.finished is not None
