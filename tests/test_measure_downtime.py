"""The total downtime of a planned switchover: the truth lies in the bounds, and what nobody saw counts against it."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_drill import LOST, Case, S, Story, watch
from measure_worlds import START, Outage, draw_outage, without
from mutants import found_out

from drills.measure import downtime
from drills.measure.effect import Disaster
from drills.measure.judge import judge
from drills.measure.judgement import JudgedObjective
from drills.measure.question import Target
from drills.measure.verdict import Verdict
from drills.timeline.marks import Limits
from drills.timeline.samples import Persona, Sample, Samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.measure.evidence import Evidence

randoms = st.builds(Random, st.integers(0, 2**63))
SWITCHOVER = Disaster(None, opened=LOST - 20 * S)
"""What is asked when no step marks a disaster."""


def span(world: Outage) -> tuple[int, int]:
    sent = [one.sent for one in world.samples]
    return min(sent), max(sent)


def shown(world: Outage, merged: int) -> downtime.Shown:
    felt = downtime.felt(Samples.of(world.samples), 1 << 40, world.l_max, (), ("", START))
    return downtime.shown(felt, world.rho_max, merged)


def bounds(world: Outage, merged: int) -> downtime.Downtime:
    return downtime.downtime([shown(world, merged)], *span(world))


def within(one: tuple[int, int], others: list[tuple[int, int]]) -> bool:
    return any(first <= one[0] and one[1] <= last for first, last in others)


def total(episodes: list[tuple[int, int]], begin: int, end: int) -> int:
    return sum(max(0, min(past, end) - max(at, begin)) for at, past in episodes)


def filled(world: Outage, merged: int) -> list[tuple[int, int]]:
    """The down intervals, with recoveries shorter than the resolution counted as down."""
    found = [world.episodes[0]]
    for at, past in world.episodes[1:]:
        if at - found[-1][1] < merged:
            found[-1] = (found[-1][0], past)
        else:
            found.append((at, past))
    return found


def holds(random: Random) -> bool:
    world = draw_outage(random)
    shortest_up = min((b[0] - a[1] for a, b in zip(world.episodes, world.episodes[1:], strict=False)), default=40)
    merged = random.choice((shortest_up, 40))
    found, where = bounds(world, merged), span(world)
    really = filled(world, merged)
    ends = [(max(at, where[0]), min(past, where[1])) for at, past in world.visible()]
    return (
        found.low <= total(really, *where)
        and total(world.visible(), *where) <= found.high
        and all(within(one, found.open) for one in ends if one[0] < one[1])
        and all(within(one, really) for one in shown(world, merged).down)
    )


@given(randoms)
@settings(max_examples=500)
def test_the_true_downtime_lies_within_the_bounds(random: Random) -> None:
    assert holds(random)


@given(randoms)
@settings(max_examples=300)
def test_losing_any_sample_never_narrows_the_downtime(random: Random) -> None:
    world = draw_outage(random)
    before, after = bounds(world, 40), bounds(without(world, random.randrange(len(world.samples))), 40)
    assert after.low <= before.low <= before.high <= after.high


def what_still_runs_is_ignored(seen: Evidence) -> tuple[list[int], list[int]]:
    return sorted(seen.bad_sent), sorted(seen.bad_sent)


def failures_are_ignored(seen: Evidence) -> tuple[list[int], list[int]]:
    del seen
    return [], []


def gaps_are_ignored(link: int, widest: int) -> bool:
    del link, widest
    return True


MUTANTS: dict[str, tuple[str, Callable[..., object]]] = {
    "what still runs is ignored": ("bads_by_end", what_still_runs_is_ignored),
    "failures are ignored": ("bads_by_end", failures_are_ignored),
    "gaps are ignored": ("_fits", gaps_are_ignored),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_each_rule_of_the_downtime_is_needed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found_out(monkeypatch, [(downtime, *MUTANTS[name])], holds)


def asked(target_s: float, story: Story | None = None, **changes: object) -> JudgedObjective:
    """Judge a planned switchover: nobody marked a disaster, and the old site served until the traffic moved."""
    story = story or Story(recovers=3 * S)
    target = Target("downtime", None, None, round(target_s * S), limits=Limits.DOWNTIME)
    given = {"disaster": SWITCHOVER, "watches": (watch(story),), **changes}
    return judge(Case(story, (target,)).question(**given)).objectives[0]


def test_a_switchover_without_a_disaster_is_met_by_its_downtime() -> None:
    found = asked(30)
    assert found.verdict is Verdict.MET, found.why
    assert found.low_s is not None
    assert found.high_s is not None
    assert 2.7 <= found.low_s <= 3.0 <= found.high_s <= 3.4


def test_a_switchover_that_takes_too_long_is_missed() -> None:
    assert asked(2).verdict is Verdict.MISSED
    assert asked(3).verdict is Verdict.UNPROVEN
    assert asked(30, Story(recovers=3 * S), disaster=Case().question().disaster).verdict is Verdict.MET


def test_every_flap_counts() -> None:
    found = asked(30, Story(recovers=3 * S, again=((5 * S, 6 * S), (7 * S, 9 * S))))
    assert found.low_s is not None
    assert found.high_s is not None
    assert found.low_s <= 6.0 <= found.high_s < 7.0


def test_what_was_not_watched_counts_towards_the_upper_end() -> None:
    story = Story(recovers=3 * S, watched=30 * S)
    seen = watch(story)
    rows = [replace(one, up=None) if 0 <= one.sent - LOST < 12 * S else one for one in seen.samples]
    found = asked(10, story, watches=(replace(seen, samples=Samples.of(rows)),))
    assert found.verdict is Verdict.UNPROVEN
    assert (found.low_s, found.high_s is not None and found.high_s > 12) == (0, True)
    assert re.search(r"at a stretch of up to [0-9.]+s without a good answer, where no answer shows .*\(", found.why)
    assert found.decided_by


def test_a_service_that_is_still_down_at_the_end_is_not_proven_by_a_short_watch() -> None:
    found = asked(30, Story(recovers=3 * S, again=((15 * S, 99 * S),)))
    assert (found.verdict, found.high_s) == (Verdict.UNPROVEN, None)
    assert "when the watch ended" in found.why


def test_a_maintenance_page_is_no_answer_of_the_service() -> None:
    story = Story(recovers=3 * S)
    seen = watch(story)
    page = [one if one.up else Sample(one.sent, one.ended, up=True, status=200) for one in seen.samples]
    found = asked(2, story, watches=(replace(seen, samples=Samples.of(page)),))
    assert found.verdict is Verdict.UNPROVEN
    assert found.low_s == 0


def test_traffic_that_never_moved_proves_no_switchover() -> None:
    story = Story(takes_effect=99 * S)
    found = asked(30, story)
    assert found.verdict is Verdict.UNPROVEN
    assert "answered by west" in found.why


def test_the_worst_observer_counts_and_joint_ones_add_what_each_saw_down() -> None:
    first, later = Story(recovers=2 * S), Story(recovers=2 * S, again=((4 * S, 5 * S),))
    pair = (watch(first, "read"), watch(later, "write", Persona.POOL))
    worst = asked(30, first, watches=pair)
    assert worst.low_s is not None
    assert worst.high_s is not None
    assert worst.low_s <= 3.0 <= worst.high_s < 3.6
    missing = judge(
        Case(first, (Target("downtime", None, None, S, ("nobody",), limits=Limits.DOWNTIME),)).question(
            disaster=SWITCHOVER
        )
    ).objectives[0]
    assert (missing.verdict, missing.high_s) == (Verdict.UNPROVEN, None)
    apart = (
        watch(Story(recovers=0, again=((0, 2 * S),)), "read"),
        watch(Story(recovers=0, again=((3 * S, 5 * S),)), "write"),
    )
    both = Target("downtime", None, None, 30 * S, joint=("read", "write"), limits=Limits.DOWNTIME)
    found = judge(Case(first, (both,)).question(disaster=SWITCHOVER, watches=apart)).objectives[0]
    assert found.low_s is not None
    assert found.high_s is not None
    assert found.low_s <= 4.0 <= found.high_s < 4.8
