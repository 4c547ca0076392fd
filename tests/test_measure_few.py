from __future__ import annotations

from itertools import combinations

import pytest

from drills.measure import few


def test_the_median_interval_uses_the_order_statistics_of_the_textbook() -> None:
    assert [few.median_ranks(count) for count in (5, 6, 10, 20)] == [None, (1, 6), (2, 9), (6, 15)]
    summary = few.summarize([6, 1, 5, 2, 4, 3])
    assert summary.interval == (1, 6)
    assert summary.interval_confidence == pytest.approx(0.96875)


def test_fewer_than_five_drills_show_points_and_the_largest_only() -> None:
    summary = few.summarize([3.0, 1.0, 2.0])
    assert summary == few.Summary((1.0, 2.0, 3.0), 3.0, None, None, None)


def test_a_p90_at_95_percent_needs_29_drills() -> None:
    assert [few.drills_needed(quantile) for quantile in (0.5, 0.8, 0.9, 0.95, 0.99)] == [5, 14, 29, 59, 299]


def test_no_miss_in_five_leaves_a_miss_probability_of_45_percent() -> None:
    assert [round(few.miss_probability(count), 2) for count in (3, 5, 10, 20)] == [0.63, 0.45, 0.26, 0.14]
    assert few.miss_probability(10, 1) == pytest.approx(0.3942, abs=1e-3)
    assert few.miss_probability(4, 4) == 1.0


def test_mann_whitney_equals_the_count_over_all_ways_to_split() -> None:
    before, after = [1.0, 2.0, 2.0, 5.0, 3.0], [2.0, 6.0, 4.0]
    both = before + after

    def wins(chosen: tuple[int, ...]) -> float:
        rest = [both[place] for place in range(len(both)) if place not in chosen]
        return sum((both[one] > other) + (both[one] == other) / 2 for one in chosen for other in rest)

    observed = wins((5, 6, 7))
    splits = list(combinations(range(len(both)), 3))
    assert few.slower(before, after) == pytest.approx(sum(wins(one) >= observed for one in splits) / len(splits))


def test_many_drills_are_compared_by_an_approximation_close_to_the_exact_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = [float(value % 17) for value in range(25)], [float(value % 13 + 4) for value in range(14)]
    exact = few.slower(before, after)
    monkeypatch.setattr(few, "_EXACT_UP_TO", 10)
    assert few.slower(before, after) == pytest.approx(exact, abs=0.01)


def test_a_regression_is_claimed_only_if_lower_and_upper_ends_agree() -> None:
    before = [(float(value), value + 1.0) for value in range(10)]
    slow = [(20.0 + value, 22.0 + value) for value in range(3)]
    assert few.regression(before, slow).claimed
    wide = [(1.0, None), (2.0, None), (3.0, None)]
    assert not few.regression(before, wide).claimed


def test_one_new_drill_is_only_said_to_lie_outside_the_range_seen() -> None:
    before = [(1.0, 2.0)] * 5
    found = few.regression(before, [(8.0, 9.0)])
    assert (found.claimed, found.p_low) == (False, pytest.approx(1 / 6))
    assert found.why == "outside the range seen, 5 drills"
    assert few.regression([(1.0, 2.0)] * 19, [(8.0, 9.0)]).claimed
