"""A drill of real actions is killed with SIGKILL at random moments and gone on with: nothing twice, nothing unsaid."""

from __future__ import annotations

import pytest
from kill_drills import drill, slow
from storm_drills import stage


@pytest.mark.parametrize("seed", [2, pytest.param(4, marks=pytest.mark.prove)])
def test_a_killed_drill_of_real_actions_does_each_call_once_and_owes_nothing_in_silence(seed: int) -> None:
    with stage(0.0, seed) as world:
        slow(world, seed)
        told = drill(world, seed)
    assert told.wrong == [], f"seed {seed}: {told.steps}, {told.ending}"
    assert told.ending
