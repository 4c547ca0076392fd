"""The joint recovery of several components: up only while all are, attacked with worlds whose truth is known."""

from __future__ import annotations

import os
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_joint import draw_whole, joint_bounds, joint_holds
from measure_worlds import draw_outage
from mutants import found_out

from drills.measure import effect, evidence, joint, rto
from drills.measure.evidence import Evidence
from drills.timeline.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROVE = bool(os.environ.get("DRILLS_PROVE"))
randoms = st.builds(Random, st.integers(0, 2**63))


@given(randoms)
@settings(max_examples=400)
def test_the_true_joint_recovery_lies_within_the_bounds(random: Random) -> None:
    assert joint_holds(draw_whole(random))


@given(randoms)
@settings(max_examples=200)
def test_one_observer_alone_is_bounded_as_ever(random: Random) -> None:
    world = draw_outage(random)
    seen = evidence.seen_up(Samples.of(world.samples), 1 << 40, world.l_max)
    way = rto.track(seen, world.rho_max)
    for ehi in {world.clock, world.episodes[-1][1], world.clock + 7}:
        alone = rto.upper(way, ehi, world.window)
        found = joint.upper([way], ehi, world.window)
        assert (None if alone is None else alone.ended) == (None if found is None else found.run.ended)


@given(randoms)
@settings(max_examples=200)
def test_the_joint_bounds_are_never_below_those_of_one_of_its_parts(random: Random) -> None:
    whole = draw_whole(random, "confirmed")
    seen = [evidence.seen_up(Samples.of(part.samples), 1 << 40, part.l_max) for part in whole.parts]
    ways = [rto.track(one, part.rho_max) for one, part in zip(seen, whole.parts, strict=True)]
    found = joint.upper(ways, whole.clock, whole.window)
    alone = [rto.upper(way, whole.clock, whole.window) for way in ways]
    if found is not None:
        assert all(one is not None and one.ended <= found.run.ended for one in alone)
    together = rto.lower(joint.bads(seen), whole.clock, whole.window)
    assert together >= max(rto.lower(one, whole.clock, whole.window) for one in seen)


def test_each_part_back_for_a_window_of_its_own_is_no_joint_recovery() -> None:
    """Writes come back at 5 s and go again at 20 s, reads come back at 18 s: together they are up from 25 s on."""
    window, every = 10_000, 100

    def way(down: list[tuple[int, int]]) -> rto.Track:
        sent = range(0, 60_000, every)
        failed = [at for at in sent if any(first <= at < past for first, past in down)]
        good = [at for at in sent if at not in failed]
        return rto.track(Evidence(good, [at + 1 for at in good], failed, [at + 1 for at in failed]), 1_000)

    writes, reads = way([(0, 5_000), (20_000, 25_000)]), way([(0, 18_000)])
    separate = [rto.upper(one, 0, window) for one in (writes, reads)]
    assert [one.ended for one in separate if one is not None] == [5_001, 18_001]
    found = joint.upper([writes, reads], 0, window)
    assert found is not None
    assert found.run.ended == 25_001
    assert rto.lower(joint.bads([writes.evidence, reads.evidence]), 0, window) == 24_900


def test_a_healthy_share_of_joint_worlds_gets_finite_bounds() -> None:
    found = [joint_bounds(draw_whole(Random(seed), "confirmed")) for seed in range(200)]
    assert sum(one is not None and one.high is not None for one in found) > 15
    assert sum(one is not None and one.low > 0 for one in found) > 100


# -- mutants -----------------------------------------------------------------------------------------------


def latest_of_the_separate(ways: Sequence[rto.Track], ehi: int, window: int) -> joint.Together | None:
    runs = [rto.upper(way, ehi, window) for way in ways]
    found = [run for run in runs if run is not None]
    if len(found) < len(runs):
        return None
    last = max(found, key=lambda run: run.ended)
    return joint.Together(last, tuple(run.closed for run in found))


def any_of_them(ways: Sequence[rto.Track], ehi: int, window: int) -> joint.Together | None:
    runs = [rto.upper(way, ehi, window) for way in ways]
    first = min((run for run in runs if run is not None), key=lambda run: run.ended, default=None)
    return None if first is None else joint.Together(first, (first.closed,))


def without_the_last(ways: Sequence[rto.Track], ehi: int, window: int) -> joint.Together | None:
    found = rto.upper(ways[0], ehi, window)
    return None if found is None else joint.Together(found, (found.closed,))


def effect_on_the_first(ways: Sequence[rto.Track], disaster: effect.Disaster, old_success: int | None) -> effect.Effect:
    return effect.effect(ways[0], disaster, old_success)


def each_walks_back_alone(ways: Sequence[rto.Track], first_bad: int, window: int) -> int:
    return max(effect.up_before(way, first_bad, window) for way in ways)


@dataclass(frozen=True)
class Mutant:
    name: str
    kind: str
    seam: str
    instead: Callable[..., object]


MUTANTS = [
    Mutant("the latest of the separate recoveries", "confirmed", "upper", latest_of_the_separate),
    Mutant("any of them", "confirmed", "upper", any_of_them),
    Mutant("one of them forgotten", "confirmed", "upper", without_the_last),
    Mutant("effect on the first of them", "unconfirmed", "effect", effect_on_the_first),
    Mutant("each walks back alone", "incident", "up_before", each_walks_back_alone),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_mutant_of_the_joint_rules_is_killed(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    def survives(random: Random) -> bool:
        return joint_holds(draw_whole(random, mutant.kind))

    assert found_out(monkeypatch, [(joint, mutant.seam, mutant.instead)], survives)


@pytest.mark.prove
@pytest.mark.timeout(900)
@pytest.mark.skipif(not PROVE, reason="30,000 worlds of several components: DRILLS_PROVE=1")
def test_thirty_thousand_joint_worlds_lie_within_their_bounds() -> None:
    worlds = [draw_whole(Random(seed)) for seed in range(30_000)]
    outside = sum(not joint_holds(one) for one in worlds)
    print(f"joint RTO: 30,000 worlds, {outside} outside")  # noqa: T201 - the bar's figure
    assert outside == 0
