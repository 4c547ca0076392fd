"""The journal is cut after every single event, and the drill goes on: it must end as if nothing had happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from drills.engine import decide
from drills.engine.plan import Mode, OnFailure, Plan, Section
from drills.engine.progress import Phase
from drills.testing import Script, Simulation, World, plan, step
from drills.timeline.events import Told, Word
from drills.work import Kind


def failover(**changes: object) -> Plan:
    """A plan of every shape: parallel work, a question, a point of no return, checks before and after."""
    return plan(
        step("ready", Kind.PROBE, section=Section.BEFORE),
        step("lose", Kind.FAULT, holds_authority=True),
        step("go", Kind.OPERATOR, "lose"),
        step("fence", Kind.ACTION, "go", holds_authority=True),
        step("scale", Kind.ACTION, "go"),
        step("serving", Kind.PROBE, "scale"),
        step("promote", Kind.ACTION, "fence", "serving", one_way="a promoted replica stays", authority=True),
        step("writer", Kind.PROBE, "promote"),
        step("shift", Kind.ACTION, "writer"),
        step("no-split-brain", Kind.PROBE, section=Section.AFTER),
        **changes,
    )


def says(at: float, word: Word, name: str = "", inbox: int = 1) -> tuple[float, Told]:
    return (at, Told(word, "ana", inbox, name))


@dataclass(frozen=True)
class Scenario:
    plan: Plan
    script: Script = field(default_factory=Script)


APPROVED = (says(0, Word.APPROVE, "go", 1),)
SCENARIOS = {
    "all goes well": Scenario(failover(mode=Mode.REHEARSE, ask=False)),
    "undone at the end": Scenario(
        plan(step("a"), step("b", Kind.ACTION, "a"), step("c", Kind.FAULT), finally_="undo"),
    ),
    "refused before": Scenario(failover(), Script(refuses=frozenset({"ready"}))),
    "fails before the point of no return": Scenario(
        failover(mode=Mode.REHEARSE, ask=False), Script(refuses=frozenset({"scale"}))
    ),
    "silence before the point of no return": Scenario(
        failover(mode=Mode.REHEARSE, ask=False), Script(silent=frozenset({"scale"}))
    ),
    "a probe fails past it": Scenario(failover(mode=Mode.REHEARSE, ask=False), Script(refuses=frozenset({"writer"}))),
    "silence at the point of no return": Scenario(
        failover(mode=Mode.REHEARSE, ask=False), Script(silent=frozenset({"promote"}))
    ),
    "aborted early": Scenario(failover(), Script(says=(says(1.5, Word.ABORT),))),
    "aborted past the point of no return": Scenario(
        failover(mode=Mode.REHEARSE, ask=False),
        Script(says=(says(25.0, Word.ABORT),), takes_s=lambda name: 40.0 if name == "writer" else 1.0),
    ),
    "rejected": Scenario(failover(), Script(says=(says(4.5, Word.REJECT, "go"),))),
    "an undo fails": Scenario(
        failover(mode=Mode.REHEARSE, ask=False), Script(refuses=frozenset({"serving"}), undo_fails=frozenset({"scale"}))
    ),
    "a fallback runs": Scenario(
        plan(
            step("a", on_failure=OnFailure.RUN, run_on_failure="b"),
            step("b", reserve=True),
            step("c", Kind.ACTION, "a"),
        ),
        Script(refuses=frozenset({"a"})),
    ),
    "best effort is not waited for": Scenario(
        plan(step("a", best_effort_s=0.5), step("b", Kind.ACTION, "a")),
        Script(takes_s=lambda name: 3.0 if name == "a" else 1.0),
    ),
    "goes on after a failure": Scenario(
        plan(step("a", on_failure=OnFailure.CONTINUE), step("b", Kind.ACTION, "a")), Script(refuses=frozenset({"a"}))
    ),
}


def ends(simulation: Simulation) -> tuple[str, Phase, frozenset[str], tuple[str, ...]]:
    """How it ended, what stands in the world (but for what nobody can know), and what is owed."""
    state = simulation.state
    owed = tuple(sorted(one.step.id for one in state.owed()))
    known = frozenset(simulation.world.done - simulation.script.silent)
    return (decide.ending(state, ("MET",)).value, decide.phase(state), known, owed)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("late_effects", [False, True], ids=["in flight is lost", "in flight takes place"])
def test_a_journal_cut_after_every_event_ends_as_an_unbroken_run(
    name: str,
    late_effects: bool,  # noqa: FBT001 - a parameter of the sweep
) -> None:
    scenario = SCENARIOS[name]
    whole = Simulation(scenario.plan, World(), scenario.script)
    whole.run()
    assert len(whole.world.effects) == len(set(whole.world.effects))
    for cut in range(1, len(whole.lines)):
        broken = Simulation(scenario.plan, World(), scenario.script)
        broken.run(cut, late_effects=late_effects)
        assert len(broken.lines) == cut
        resumed = Simulation(scenario.plan, broken.world, scenario.script, broken.lines)
        resumed.run()
        assert_once(resumed.world.effects, cut)
        assert ends(resumed) == ends(whole), f"cut after event {cut}: {broken.lines[cut - 1]}"


def assert_once(effects: list[str], cut: int) -> None:
    """No change is made twice without having been taken back in between."""
    for name in {effect.split()[1] for effect in effects}:
        mine = [effect.split()[0] for effect in effects if effect.split()[1] == name]
        assert all(one != other for one, other in pairwise(mine)), f"cut {cut}: {name} {mine}"
