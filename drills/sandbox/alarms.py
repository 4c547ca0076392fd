"""What state a CloudWatch alarm is in, given its data points. Pure.

Source: Amazon CloudWatch User Guide, "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing data".
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Average": fmean,
    "Sum": sum,
    "Minimum": min,
    "Maximum": max,
    "SampleCount": lambda values: float(len(values)),
}
_BREACHES: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, limit: value > limit,
    "GreaterThanOrEqualToThreshold": lambda value, limit: value >= limit,
    "LessThanThreshold": lambda value, limit: value < limit,
    "LessThanOrEqualToThreshold": lambda value, limit: value <= limit,
}


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """What an alarm watches for. ``period_s`` is in seconds of the sandbox."""

    statistic: str
    comparison: str
    threshold: float
    period_s: float
    periods: int
    enough: int
    """Of ``periods`` data points, so many must breach."""
    missing: str = "missing"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state and the reason a person reads."""

    state: str
    reason: str


def evaluate(rule: AlarmRule, points: Sequence[tuple[float, float]], now_s: float) -> Verdict | None:
    """Judge the points (time in s, value) of the last ``periods`` periods; None: leave the state as it is."""
    statistic, breaches = _STATISTICS.get(rule.statistic), _BREACHES.get(rule.comparison)
    if statistic is None or breaches is None:
        return None
    values: list[float | None] = []
    for back in range(rule.periods):
        end = now_s - back * rule.period_s
        inside = [value for time_s, value in points if end - rule.period_s < time_s <= end]
        values.append(statistic(inside) if inside else None)
    there = [value for value in values if value is not None]
    if not there and rule.missing in {"missing", "ignore"}:
        told = f"no data in the last {rule.periods} periods"
        return Verdict("INSUFFICIENT_DATA", told) if rule.missing == "missing" else None
    bad = sum(1 for value in there if breaches(value, rule.threshold))
    if rule.missing == "breaching":
        bad += rule.periods - len(there)
    told = f"{bad} of {rule.periods} data points {there} {rule.comparison} {rule.threshold:g}"
    return Verdict("ALARM" if bad >= rule.enough else "OK", told)
