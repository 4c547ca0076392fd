"""Drills drawn at random keep every rule, whole and cut anywhere, and a rule that is broken is told."""

from __future__ import annotations

import pytest
from drill_rules import broken_rules, wrongs
from random_drills import drawn

from drills.timeline import codec
from drills.timeline import events as ev

TOGETHER = 40


@pytest.mark.parametrize("first", range(0, 400, TOGETHER))
def test_drills_drawn_at_random_keep_every_rule(first: int) -> None:
    broken = {seed: wrong for seed in range(first, first + TOGETHER) if (wrong := broken_rules(seed, most_cuts=2))}
    assert broken == {}


def test_a_journal_that_tells_of_a_broken_rule_is_found() -> None:
    found: set[str] = set()
    for seed in range(60):
        one = drawn(seed)
        simulation = one.simulation()
        simulation.run()
        began = [codec.load_event(line) for line in simulation.lines]
        places = [place for place, event in enumerate(began) if isinstance(event.body, ev.Started) and place > 1]
        if len(places) > 1:
            first, last = places[0], places[-1]
            simulation.lines[first], simulation.lines[last] = simulation.lines[last], simulation.lines[first]
            found |= set(wrongs(one, simulation))
        simulation.world.effects += ["DO s0", "DO s0"]
        found |= set(wrongs(one, simulation))
    assert any("was begun" in wrong for wrong in found)
    assert any("twice in a row" in wrong for wrong in found)
