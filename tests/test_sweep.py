"""Every shipped runbook, killed after any event, goes on as if unbroken: nothing twice, nothing in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep import RUNBOOKS, compiled, swept, unowed, ways

from drills.engine.plan import Mode
from drills.testing import Script, Simulation, World


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_a_shipped_runbook_cut_after_every_event_goes_on_as_if_unbroken(runbook: Path, mode: Mode) -> None:
    plan = compiled(runbook, mode)
    assert [wrong for way in ways(plan, thorough=False) for wrong in swept(plan, way)] == []


def test_what_stands_in_silence_is_found() -> None:
    plan = compiled(RUNBOOKS[0], Mode.REHEARSE)
    simulation = Simulation(plan, World(), Script())
    simulation.world.do("something-else")
    simulation.run()
    assert unowed(simulation) == ["something-else"]
