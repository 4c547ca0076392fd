"""What must hold of the estimators, attacked with worlds whose truth is known.

A fast profile runs always; ``DRILLS_PROVE=1`` runs 100,000 generated cases.
"""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_worlds import (
    draw_outage,
    draw_shipment,
    holds,
    rpo_holds,
    rto_bounds,
    truths,
    without,
)

from drills.measure import rpo
from drills.measure.effect import Known
from drills.measure.verdict import Verdict, decide

PROVE = bool(os.environ.get("DRILLS_PROVE"))
randoms = st.builds(Random, st.integers(0, 2**63))


@given(randoms)
@settings(max_examples=500)
def test_the_true_rto_lies_within_the_bounds(random: Random) -> None:
    assert holds(draw_outage(random))


@given(randoms, st.sampled_from([-50, -2, -1, 0, 1, 2, 50]))
@settings(max_examples=500)
def test_no_met_above_the_target_and_no_missed_at_or_below_it(random: Random, distance: int) -> None:
    world = draw_outage(random)
    bounds = rto_bounds(world)
    if bounds is None:
        return
    for seen, truth in truths(world, bounds):
        if seen != truth or not bounds.hold(seen, truth):
            continue
        target = max(0, truth + distance)
        verdict = decide(bounds.low, bounds.high, target, doubted=False)
        assert not (verdict is Verdict.MET and truth > target)
        assert not (verdict is Verdict.MISSED and truth <= target)


@given(randoms)
@settings(max_examples=300)
def test_losing_a_sample_never_raises_the_lower_end_and_losing_a_good_never_lowers_the_upper_one(
    random: Random,
) -> None:
    """A bad turned unknown may lower the upper end: it no longer blocks a run, and the gap rule guards instead."""
    world = draw_outage(random, random.choice(["synchronous", "confirmed"]))
    place = random.randrange(len(world.samples))
    good = world.samples[place].up is True
    before, after = rto_bounds(world), rto_bounds(without(world, place))
    assert before is not None
    assert after is not None
    assert after.low <= before.low
    if good and before.high is None:
        assert after.high is None
    if good and before.high is not None and after.high is not None:
        assert after.high >= before.high


@given(randoms)
@settings(max_examples=300)
def test_an_effect_nobody_confirmed_stays_bounded_when_any_sample_is_lost(random: Random) -> None:
    world = draw_outage(random, "unconfirmed")
    assert holds(without(world, random.randrange(len(world.samples))))


@given(randoms)
@settings(max_examples=500)
def test_the_true_rpo_lies_within_the_bounds_or_nothing_bounds_it(random: Random) -> None:
    assert rpo_holds(draw_shipment(random))


def test_a_healthy_share_of_worlds_gets_finite_bounds() -> None:
    """A bound that is always infinite would hold too."""
    found = [rto_bounds(draw_outage(Random(seed))) for seed in range(400)]
    assert sum(one is not None and one.high is not None for one in found) > 100
    shipments = [draw_shipment(Random(seed)) for seed in range(400)]
    losses = [rpo.loss(one.book, one.disaster) for one in shipments if one.kind == "plain"]
    assert sum(one.high is not None for one in losses) > len(losses) * 0.9
    assert any(one.low > 0 for one in losses)


@pytest.mark.prove
@pytest.mark.timeout(900)
@pytest.mark.skipif(not PROVE, reason="100,000 cases: DRILLS_PROVE=1")
def test_a_hundred_thousand_worlds_lie_within_their_bounds() -> None:
    kinds = dict.fromkeys(Known, 0)
    finite = outside = unplaced = 0
    for seed in range(70_000):
        world = draw_outage(Random(seed))
        bounds = rto_bounds(world)
        if bounds is None:
            unplaced += 1
            continue
        kinds[bounds.known] += 1
        finite += bounds.high is not None
        outside += not holds(world)
    losses = [draw_shipment(Random(seed)) for seed in range(30_000)]
    wrong = sum(not rpo_holds(one) for one in losses)
    print(f"RTO: 70,000 worlds, {outside} outside, {finite} finite, {unplaced} unplaced, {dict(kinds)}")  # noqa: T201 - the bar's figures
    print(f"RPO: 30,000 worlds, {wrong} outside")  # noqa: T201 - the bar's figures
    assert outside == wrong == 0
