"""Durations as people write them in runbooks (``90s``, ``5m``, ``1h30m``, ``100ms``) and read them in reports."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")

_SLACK = 1e-12
"""What binary fractions make of 1.1s, against the whole: no part of it was written."""


@lru_cache(maxsize=256)
def parse(text: str) -> timedelta:
    """Read a duration such as ``100ms``, ``90s``, ``5m`` or ``1h30m``.

    Raises ``ValueError`` naming the accepted form: a bare number has no unit and is refused, and so is what is finer
    than a millisecond, which would have to be rounded.
    """
    if not _WHOLE.fullmatch(text):
        message = f"{text!r} is not a duration; write a number and a unit, as in 100ms, 90s, 5m, 1h30m"
        raise ValueError(message)
    try:
        exact_ms = sum(float(number) * _UNITS_MS[unit] for number, unit in _PART.findall(text))
        whole_ms = round(exact_ms)
        span = timedelta(milliseconds=whole_ms)
    except OverflowError as error:
        message = f"{text[:40]!r} is too long for a duration; write at most 30d"
        raise ValueError(message) from error
    if abs(exact_ms - whole_ms) > _SLACK * max(1.0, exact_ms):
        message = f"{text!r} is finer than a millisecond; write whole milliseconds, such as {max(1, whole_ms)}ms"
        raise ValueError(message)
    return span


def unitless(value: float) -> str:
    """Say what a bare number lacks; what is proposed is only what could be meant: no limit is 0 or less."""
    if value <= 0:
        return f"{value} has no unit: write a number and a unit, as in 100ms, 90s, 5m, 1h30m"
    return f"{value} has no unit: write {value}s, {value}m or {value}ms"


def show(seconds: float) -> str:
    """Write seconds for a person: ``340ms``, ``12.3s``, ``4m05s``, ``5m``, ``1h02m``."""
    if seconds < 0:
        return f"-{show(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 100:  # noqa: PLR2004 - below this a tenth of a second still tells something
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m" if minutes else f"{hours}h"
    return f"{minutes}m{rest:02}s" if rest else f"{minutes}m"


def measured(seconds: float) -> str:
    """Write a measured duration, with a digit more than one that a person chose: ``850ms``, ``8.12s``, ``5m00.4s``.

    >>> measured(300.42)
    '5m00.4s'
    """
    if seconds < 0:
        return f"-{measured(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms" if seconds else "0s"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.2f}s"
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}h{minutes:02}m{rest:04.1f}s" if hours else f"{minutes}m{rest:04.1f}s"
