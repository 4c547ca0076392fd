"""What a handful of drills can and cannot show. No bootstrap: its 95 % for a p90 covers 43 % at five drills.

Exact small-sample statistics: binomial order statistics and the permutation distribution of Mann-Whitney's U.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, erfc, log, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95
FEWEST_FOR_MEDIAN = 6
FEWEST_FOR_SUMMARY = 5
_EXACT_UP_TO = 40
"""Beyond so many drills in both groups the normal approximation is close enough."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What n drills say. ``median`` and its interval are None when n is too small to have them.

    ``interval_confidence`` is what the order statistics reach, at least 95 %. Below five drills only ``points``
    and ``largest`` may be shown.
    """

    points: tuple[float, ...]
    largest: float
    median: float | None
    interval: tuple[float, float] | None
    interval_confidence: float | None


def summarize(values: Sequence[float]) -> Summary:
    """Summarize the same figure of several drills; ``ValueError`` when there are none."""
    if not values:
        raise ValueError("no drill, no summary")
    points = tuple(sorted(values))
    count = len(points)
    middle = (points[(count - 1) // 2] + points[count // 2]) / 2 if count >= FEWEST_FOR_SUMMARY else None
    ranks = median_ranks(count)
    if ranks is None:
        return Summary(points, points[-1], middle, None, None)
    low, high = ranks
    return Summary(points, points[-1], middle, (points[low - 1], points[high - 1]), _covers(count, low))


def median_ranks(count: int) -> tuple[int, int] | None:
    """Give the ranks (from 1) of the order statistics that hold the median at 95 %: 6 -> (1, 6), 10 -> (2, 9).

    None below six drills, where even (1, n) does not reach it.
    """
    if count < FEWEST_FOR_MEDIAN:
        return None
    low = 1
    while low + 1 <= count // 2 and _covers(count, low + 1) >= CONFIDENCE:
        low += 1
    return low, count + 1 - low


def _covers(count: int, low: int) -> float:
    """Give the probability that the median lies between ranks ``low`` and ``count + 1 - low``."""
    return 1 - 2 * sum(comb(count, rank) for rank in range(low)) / 2**count


def quantile_confidence(count: int, quantile: float) -> float:
    """Give the confidence that the largest of ``count`` drills bounds a quantile: 1 - q^n (n = 5: p90 41 %)."""
    return 1 - quantile**count


def drills_needed(quantile: float, confidence: float = CONFIDENCE) -> int:
    """Give how many drills bound a quantile by their largest: p50 5, p90 29, p95 59, p99 299 at 95 %."""
    if not 0 < quantile < 1 or not 0 < confidence < 1:
        raise ValueError("a quantile and a confidence lie between 0 and 1")
    count = max(1, int(log(1 - confidence) / log(quantile)) - 1)
    while quantile_confidence(count, quantile) < confidence:
        count += 1
    return count


def miss_probability(count: int, misses: int = 0) -> float:
    """Give the upper 95 % bound of the probability to miss a target, after ``misses`` in ``count`` drills.

    Without a miss it is 1 - 0.05^(1/n): 5 drills leave 45 %. Otherwise Clopper and Pearson's, by bisection.
    """
    if not 0 <= misses <= count or count == 0:
        raise ValueError(f"{misses} misses in {count} drills")
    if misses == count:
        return 1.0
    if misses == 0:
        return 1 - (1 - CONFIDENCE) ** (1 / count)
    low, high = misses / count, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        at_most = sum(comb(count, k) * middle**k * (1 - middle) ** (count - k) for k in range(misses + 1))
        low, high = (middle, high) if at_most > 1 - CONFIDENCE else (low, middle)
    return high


def outside_range(before: Sequence[float], new: float) -> float | None:
    """Give p = 1 / (n + 1) if one new drill lies above all n before it; None if it lies within the range seen."""
    return 1 / (len(before) + 1) if before and new > max(before) else None


def slower(before: Sequence[float], after: Sequence[float]) -> float:
    """Give Mann and Whitney's one-sided p that ``after`` is no slower than ``before``; small means slower.

    Exact by counting rank sums (ties share their ranks) for up to 40 drills in all, else by the normal
    approximation with ties corrected.
    """
    if not before or not after:
        raise ValueError("both groups need a drill")
    ranks = _double_ranks([*before, *after])
    observed = sum(ranks[len(before) :])
    if len(ranks) > _EXACT_UP_TO:
        return _normal(ranks, len(after), observed)
    ways: list[dict[int, int]] = [{} for _ in range(len(after) + 1)]
    ways[0][0] = 1
    for rank in ranks:
        for taken in range(len(after), 0, -1):
            for total, count in ways[taken - 1].items():
                ways[taken][total + rank] = ways[taken].get(total + rank, 0) + count
    extreme = sum(count for total, count in ways[len(after)].items() if total >= observed)
    return extreme / comb(len(ranks), len(after))


def _double_ranks(values: Sequence[float]) -> list[int]:
    """Give twice the mid-rank of each value, so that ties stay integers."""
    order = sorted(values)
    return [2 * order.index(value) + order.count(value) + 1 for value in values]


def _normal(ranks: Sequence[int], drawn: int, observed: int) -> float:
    count = len(ranks)
    mean = sum(ranks) / count
    variance = sum((rank - mean) ** 2 for rank in ranks) / (count - 1)
    spread = sqrt(drawn * (count - drawn) / count * variance)
    return 1.0 if spread == 0 else erfc((observed - 1 - drawn * mean) / spread / sqrt(2)) / 2


@dataclass(frozen=True, slots=True)
class Regression:
    """Whether drills became slower. ``claimed`` only if the lower and the upper ends agree at 5 %."""

    claimed: bool
    p_low: float | None
    p_high: float | None
    why: str


def regression(before: Sequence[tuple[float, float | None]], after: Sequence[tuple[float, float | None]]) -> Regression:
    """Compare two groups of bounds (low, high), None being no upper bound.

    One new drill is only compared with the range seen; two or more by Mann-Whitney on the lower ends and on the
    upper ends, and a regression is claimed only if both agree.
    """
    if not before or not after:
        return Regression(claimed=False, p_low=None, p_high=None, why="nothing to compare")
    lows = [low for low, _ in before], [low for low, _ in after]
    highs = [_end(high) for _, high in before], [_end(high) for _, high in after]
    if len(after) == 1:
        p_low, p_high = outside_range(lows[0], lows[1][0]), outside_range(highs[0], highs[1][0])
        outside = p_low is not None and p_high is not None
        why = "outside the range seen" if outside else "within the range seen"
        count = f"{len(before)} drill{'' if len(before) == 1 else 's'}"
        return Regression(outside and (p_low or 1) <= 1 - CONFIDENCE, p_low, p_high, f"{why}, {count}")
    p_low, p_high = slower(*lows), slower(*highs)
    claimed = max(p_low, p_high) <= 1 - CONFIDENCE
    why = "lower and upper ends agree" if claimed else "lower and upper ends do not both show it"
    return Regression(claimed, p_low, p_high, why)


def _end(high: float | None) -> float:
    return float("inf") if high is None else high
