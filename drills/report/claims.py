"""Read the numbers a drill claimed when it finished (``Finished.claims``), forgiving whatever is missing.

Seconds are floats; None stands for "not measured" or "without bound", never for zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from drills.report.objective import ClockClaim, CountClaim, ObjectiveClaim
from drills.report.seen import BoundsClaim, ExposureClaim, FlapsClaim, ObserverClaim, PhaseClaim, RecoveryClaim
from drills.timeline.facts import Facts
from drills.timeline.marks import Unit

VERDICTS = frozenset({"MET", "MISSED", "UNPROVEN"})


@dataclass(frozen=True, slots=True)
class RowsClaim:
    """What became of the rows that were written while the drill ran; ``reconciled`` ones arrived after a first look.

    None: not counted, because a store was never read.
    """

    acked: int
    lost: int | None
    phantom: int | None
    indeterminate: int
    holes: int | None
    diverged: int | None
    reconciled: int | None = 0


@dataclass(frozen=True, slots=True)
class StoreClaim:
    """The recovery point of one store and how far its survivor lay behind, in seconds, and its rows."""

    store: str
    low_s: float | None
    high_s: float | None
    why: str
    staleness_low_s: float | None
    staleness_high_s: float | None
    writes_per_s: float
    lost: int | None
    rows: RowsClaim | None = None


@dataclass(frozen=True, slots=True)
class ConsistencyClaim:
    """The RCO: bounds of the share of moments whose writes are present in all stores."""

    low: float | None
    high: float | None
    ticks: int
    worst_store: str


@dataclass(frozen=True, slots=True)
class PointClaim:
    """A recovery point as a service told of it: evidence beside the markers. Seconds before the disaster."""

    name: str
    source: str
    asked: str
    low_s: float | None
    high_s: float | None
    skew_low_s: float | None
    skew_high_s: float | None
    told: str


@dataclass(frozen=True, slots=True)
class Claims:
    """Everything a finished drill claimed."""

    objectives: tuple[ObjectiveClaim, ...] = ()
    rows: RowsClaim | None = None
    stores: tuple[StoreClaim, ...] = ()
    consistency: ConsistencyClaim | None = None
    phases: tuple[PhaseClaim, ...] = ()
    flaps: FlapsClaim | None = None
    dns_tail: BoundsClaim | None = None
    worst_client: BoundsClaim | None = None
    observers: tuple[ObserverClaim, ...] = ()
    recovery_points: tuple[PointClaim, ...] = ()
    exposure: ExposureClaim | None = None
    recovery: RecoveryClaim | None = None
    real: tuple[str, ...] = ()
    simulated: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    write_rate: str = ""
    error: str = ""


def read(claims: Facts) -> Claims:
    """Read what is there; a verdict in other words than ours counts as UNPROVEN."""
    rows = _record(claims, "rows")
    return Claims(
        objectives=tuple(map(_objective, _records(claims, "objectives"))),
        rows=None if rows is None else _rows(rows),
        stores=tuple(map(_store, _records(claims, "stores"))),
        consistency=_consistency(_record(claims, "consistency")),
        phases=tuple(map(_phase, _records(claims, "phases"))),
        flaps=_flaps(_record(claims, "flaps")),
        dns_tail=_bounds(_record(claims, "dns_tail")),
        worst_client=_bounds(_record(claims, "worst_client")),
        observers=tuple(map(_observer, _records(claims, "observers"))),
        recovery_points=tuple(map(_point, _records(claims, "recovery_points"))),
        exposure=_exposure(_record(claims, "exposure")),
        recovery=_recovery(_record(claims, "recovery")),
        real=_texts(claims, "real"),
        simulated=_texts(claims, "simulated"),
        assumptions=_texts(claims, "assumptions"),
        warnings=_texts(claims, "warnings"),
        write_rate=_text(claims, "write_rate"),
        error=_text(claims, "error"),
    )


def _bounds(one: Facts | None) -> BoundsClaim | None:
    return None if one is None else BoundsClaim(_number(one, "low_s"), _number(one, "high_s"))


def _objective(one: Facts) -> ObjectiveClaim:
    verdict = _text(one, "verdict")
    return ObjectiveClaim(
        _text(one, "name"),
        verdict if verdict in VERDICTS else "UNPROVEN",
        _number(one, "low_s"),
        _number(one, "best_s"),
        _number(one, "high_s"),
        _number(one, "target_s"),
        _text(one, "why"),
        _text(one, "decided_by"),
        tuple(map(_clock, _records(one, "clocks"))),
        _limited(one),
    )


def _limited(one: Facts) -> CountClaim | None:
    if one.get("unit") != Unit.ROWS.value:
        return None
    return CountClaim(_counted(one, "low"), _counted(one, "best"), _counted(one, "high"), _counted(one, "target"))


def _exposure(one: Facts | None) -> ExposureClaim | None:
    if one is None:
        return None
    bounds = (_number(one, "low_s"), _number(one, "best_s"), _number(one, "high_s"))
    return ExposureClaim(*bounds, restored=one.get("restored") is True, why=_text(one, "why"))


def _clock(one: Facts) -> ClockClaim:
    bounds = (_number(one, "low_s"), _number(one, "best_s"), _number(one, "high_s"))
    return ClockClaim(_text(one, "name"), *bounds, judged=one.get("judged") is True)


def _phase(one: Facts) -> PhaseClaim:
    bounds = (_number(one, "low_s"), _number(one, "high_s"))
    return PhaseClaim(_text(one, "name"), _number(one, "seconds"), _text(one, "detail"), *bounds)


def _store(one: Facts) -> StoreClaim:
    rows = _record(one, "rows")
    return StoreClaim(
        _text(one, "store"),
        _number(one, "low_s"),
        _number(one, "high_s"),
        _text(one, "why"),
        _number(one, "staleness_low_s"),
        _number(one, "staleness_high_s"),
        _number(one, "writes_per_s") or 0.0,
        None if rows is None else _counted(rows, "lost"),
        None if rows is None else _rows(rows),
    )


def _consistency(one: Facts | None) -> ConsistencyClaim | None:
    if one is None:
        return None
    return ConsistencyClaim(_number(one, "low"), _number(one, "high"), _count(one, "ticks"), _text(one, "worst_store"))


def _rows(one: Facts) -> RowsClaim:
    return RowsClaim(
        _count(one, "acked"),
        _counted(one, "lost"),
        _counted(one, "phantom"),
        _count(one, "indeterminate"),
        _counted(one, "holes"),
        _counted(one, "diverged"),
        _counted(one, "reconciled"),
    )


def _flaps(one: Facts | None, observer: str = "") -> FlapsClaim | None:
    if one is None:
        return None
    return FlapsClaim(
        _count(one, "count"),
        _number(one, "first_success_s"),
        _number(one, "stable_since_s"),
        _number(one, "downtime_low_s"),
        _number(one, "downtime_high_s"),
        _text(one, "observer") or observer,
    )


def _recovery(one: Facts | None) -> RecoveryClaim | None:
    if one is None:
        return None
    bounds = (_number(one, "low_s"), _number(one, "best_s"), _number(one, "high_s"))
    return RecoveryClaim(_texts(one, "seen_by"), *bounds, _text(one, "detail"))


def _observer(one: Facts) -> ObserverClaim:
    return ObserverClaim(
        _text(one, "name"),
        _text(one, "persona"),
        _count(one, "samples"),
        _number(one, "low_s"),
        _number(one, "best_s"),
        _number(one, "high_s"),
        _number(one, "resolution_s"),
        _text(one, "detail"),
        _flaps(_record(one, "flaps"), _text(one, "name")),
    )


def _point(one: Facts) -> PointClaim:
    return PointClaim(
        _text(one, "name"),
        _text(one, "source"),
        _text(one, "asked"),
        _number(one, "low_s"),
        _number(one, "high_s"),
        _number(one, "skew_low_s"),
        _number(one, "skew_high_s"),
        _text(one, "told"),
    )


def _number(one: Facts, name: str) -> float | None:
    value = one.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _count(one: Facts, name: str) -> int:
    return int(_number(one, name) or 0)


def _counted(one: Facts, name: str) -> int | None:
    value = _number(one, name)
    return None if value is None else int(value)


def _text(one: Facts, name: str) -> str:
    value = one.get(name)
    return value if isinstance(value, str) else ""


def _texts(one: Facts, name: str) -> tuple[str, ...]:
    value = one.get(name)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _record(one: Facts, name: str) -> Facts | None:
    value = one.get(name)
    return Facts(**value) if isinstance(value, dict) else None


def _records(one: Facts, name: str) -> list[Facts]:
    value = one.get(name)
    return [Facts(**item) for item in value if isinstance(item, dict)] if isinstance(value, list) else []
