"""Outages without a runbook, and the same figure over several drills: pure, against worlds whose truth is known."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_drill import MS, S, Story, header

from drills.measure.outages import Outage, outages
from drills.measure.question import Watch
from drills.measure.series import Figure, apart, change, misses, series
from drills.measure.verdict import Verdict
from drills.timeline.samples import Persona, Sample, Samples

WINDOW = 2 * S
Span = tuple[int, int]


@st.composite
def down_spans(draw: st.DrawFn) -> list[Span]:
    """Draw outages a window, a timeout and more apart (nearer ones may be told as one), after two good seconds."""
    at, found = 2 * S, list[Span]()
    for _ in range(draw(st.integers(0, 4))):
        begin = at + draw(st.integers(3500, 9000)) * MS
        at = begin + draw(st.integers(250, 4000)) * MS
        found.append((begin, at))
    return found


def probed(down: list[Span], late: list[int], *, hang: bool) -> Watch:
    """Probe such a service each 100 ms: refused, or a timeout of 1 s."""
    story = Story()
    end = (down[-1][1] if down else 2 * S) + 4 * S
    rows: list[Sample] = []
    for number, due in enumerate(range(0, end, 100 * MS)):
        sent = due + late[number % len(late)] * MS
        reached = sent + 2 * MS
        fails = any(first <= reached < last for first, last in down)
        took = 3 * MS if not fails or not hang else 1 * S
        rows.append(Sample(sent, sent + took, up=not fails, hard=fails and not hang))
    rows.sort(key=lambda row: row.ended)
    return Watch(header("one", Persona.FRESH, story), Samples.of(rows), WINDOW)


@settings(max_examples=300)
@given(down=down_spans(), late=st.lists(st.integers(0, 40), min_size=1, max_size=9), hang=st.booleans())
def test_every_outage_is_found_and_the_truth_lies_inside_its_bounds(
    down: list[Span], late: list[int], *, hang: bool
) -> None:
    seen = outages(probed(down, late, hang=hang))
    assert len(seen.outages) == len(down)
    for one, (began, ended) in zip(seen.outages, down, strict=True):
        assert one.began_after is not None
        assert one.ended_before is not None
        assert one.longest is not None
        assert one.began_after <= began <= one.began_before
        assert one.ended_after <= ended <= one.ended_before
        assert one.shortest <= ended - began <= one.longest
        assert one.longest - one.shortest <= (2 if hang else 0) * S + 600 * MS
    assert seen.hidden is not None
    assert seen.hidden < 250 * MS


def test_flapping_shorter_than_the_window_is_one_outage_with_its_flaps_counted() -> None:
    down = [(5 * S, 6 * S), (7 * S, 8 * S), (9 * S, 10 * S)]
    (one,) = outages(probed(down, [0], hang=False)).outages
    assert one.ended_before is not None
    assert (one.flaps, one.failed) == (2, 30)
    assert one.ended_after <= 10 * S <= one.ended_before


def test_outages_too_near_to_prove_a_window_between_them_are_one_with_the_end_of_either_inside() -> None:
    (one,) = outages(probed([(5 * S, 5250 * MS), (8250 * MS, 8500 * MS)], [0], hang=True)).outages
    assert one.ended_before is not None
    assert one.ended_after <= 5250 * MS < 8500 * MS <= one.ended_before


def test_an_outage_from_the_first_look_on_has_no_beginning_and_no_length() -> None:
    (one,) = outages(probed([(0, 5 * S)], [0], hang=False)).outages
    assert (one.began_after, one.longest) == (None, None)
    assert one.ended_before is not None
    assert one.ended_after <= 5 * S <= one.ended_before


def test_an_outage_that_goes_on_has_no_end() -> None:
    watch = probed([(5 * S, 8 * S)], [0], hang=False)
    (one,) = outages(watch, 7 * S).outages
    assert one.ended_before is None
    assert one == Outage(one.began_after, one.began_before, 7 * S, None, 5 * S, 7 * S, 21, 0)


def test_unknown_answers_are_no_outage_and_no_evidence_of_health() -> None:
    watch = probed([], [0], hang=False)
    rows = [Sample(row.sent, row.ended, None if S <= row.sent < 3 * S else row.up) for row in watch.samples]
    seen = outages(Watch(watch.header, Samples.of(rows), WINDOW))
    assert (seen.outages, seen.unknown) == ((), 20)
    assert seen.hidden is not None
    assert seen.hidden > 2 * S


def test_nothing_at_all_is_nothing_measured() -> None:
    seen = outages(Watch(header("one", Persona.FRESH, Story()), Samples.of([]), WINDOW))
    assert (seen.outages, seen.good, seen.bad, seen.hidden, seen.first) == ((), 0, 0, None, None)


def test_a_median_of_figures_without_upper_ends_has_none_either() -> None:
    summary = series([Figure(float(low), None if low > 3 else low + 0.5) for low in range(1, 7)])
    assert (summary.median, summary.interval) == (Figure(3.5, None), Figure(1.0, None))
    assert summary.largest == Figure(6.0, None)


def test_the_largest_of_29_drills_bounds_nine_of_ten() -> None:
    points = [Figure(low / 10, low / 10) for low in range(29)]
    assert series(points[:28]).p90_at_most is None
    assert series(points).p90_at_most == 2.8
    assert series(points).needs == ()


def test_what_is_unproven_counts_against_the_drills_in_the_bound_that_says_so() -> None:
    counted = misses([Verdict.MET] * 5 + [Verdict.UNPROVEN])
    assert (counted.met, counted.missed, counted.unproven) == (5, 0, 1)
    assert counted.at_most == pytest.approx(1 - 0.05 ** (1 / 5))
    assert counted.at_most_if_doubts_miss == pytest.approx(0.582, abs=1e-3)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), min_size=1, max_size=7),
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), min_size=1, max_size=7),
)
def test_nothing_is_claimed_that_so_few_drills_cannot_show(then: list[Span], now: list[Span]) -> None:
    before, after = ([Figure(low, low + width) for low, width in side] for side in (then, now))
    found = change(before, after)
    assert not (found.slower and found.faster)
    assert not (found.needs and (found.slower or found.faster))
    back = change(after, before)
    if min(len(before), len(after)) > 1:
        assert (back.slower, back.faster) == (found.faster, found.slower)


def test_wide_bounds_that_overlap_claim_nothing_where_sharp_ones_would() -> None:
    before, after = [Figure(low, low) for low in (1.0, 1.1, 1.2)], [Figure(low, low) for low in (2.0, 2.1, 2.2)]
    assert change(before, after).slower
    wide = [Figure(one.low, one.low + 3) for one in before]
    assert not change(wide, after).slower


def test_the_difference_of_two_drills_holds_every_difference_their_bounds_allow() -> None:
    assert apart(Figure(1, 2), Figure(4, 6)) == (Figure(2, 5), "longer")
    assert apart(Figure(4, 6), Figure(1, 2)) == (Figure(-5, -2), "shorter")
    assert apart(Figure(1, 5), Figure(4, None)) == (Figure(-1, None), "not told apart")
    assert apart(Figure(1, None), Figure(4, 5)) == (None, "not told apart")
    assert apart(Figure(1, 1), Figure(1.0004, 1.0004))[1] == "not told apart"  # both are shown as 1.00s
    assert Figure(1, None).top == inf
