"""Numbers as a report writes them. Measured bounds keep a digit more than durations people chose."""

from __future__ import annotations

from drills import durations
from drills.measure import verdict
from drills.timeline.marks import Unit

MISSING = "-"


def measured(seconds: float | None) -> str:
    """Write a measured duration: ``850ms``, ``8.12s``, ``5m00.4s``; ``-`` when there is none.

    >>> measured(300.42)
    '5m00.4s'
    """
    if seconds is None:
        return MISSING
    return durations.measured(seconds)


def chosen(seconds: float | None) -> str:
    """Write a duration that a person chose: ``5m``, ``1m30s``, ``30s``, ``100ms``; ``-`` when there is none."""
    if seconds is None:
        return MISSING
    if seconds < 60 or seconds % 1:  # noqa: PLR2004 - a minute
        return f"{seconds:g}s" if seconds >= 1 else durations.show(seconds)
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return "".join(f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if count)


def upper(seconds: float | None) -> str:
    """Write an upper bound: where there is none, the truth may lie anywhere above."""
    return "no bound" if seconds is None else measured(seconds)


def percent(share: float) -> str:
    """Write a share in whole per cent: ``95 %``.

    >>> percent(0.4507)
    '45 %'
    """
    return f"{share * 100:.0f} %"


def rows(count: float | None) -> str:
    """Write a number of rows: ``1 row``, ``1,204 rows``; ``-`` when there is none."""
    return MISSING if count is None else verdict.rows(count)


def counted(value: float | None, unit: Unit) -> str:
    """Write a measured figure in its unit."""
    return rows(value) if unit is Unit.ROWS else measured(value)


def counted_upper(value: float | None, unit: Unit) -> str:
    """Write an upper bound in its unit."""
    return "no bound" if value is None else counted(value, unit)


def aimed(value: float | None, unit: Unit) -> str:
    """Write a target in its unit."""
    return rows(value) if unit is Unit.ROWS else chosen(value)


def clock(iso: str | None) -> str:
    """Write the time of day of an ISO moment: ``12:01:05``."""
    return iso[11:19] if iso else MISSING


def day(iso: str | None) -> str:
    """Write an ISO moment for a list: ``2026-01-10 12:01:05``."""
    return f"{iso[:10]} {iso[11:19]}" if iso else MISSING
