"""What was seen of the service, as a drill claimed it: its recovery and the parts of it, flaps, what observers saw.

Seconds are floats; None stands for "not measured" or "without bound", never for zero.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExposureClaim:
    """How long the service ran without redundancy, in seconds; ``restored`` False: until the drill's end."""

    low_s: float | None
    best_s: float | None
    high_s: float | None
    restored: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class PhaseClaim:
    """One part of the recovery time, in seconds: at the midpoints, and its bounds."""

    name: str
    seconds: float | None
    detail: str
    low_s: float | None = None
    high_s: float | None = None


@dataclass(frozen=True, slots=True)
class FlapsClaim:
    """How often the service came back and went again, as ``observer`` saw it, in seconds since the disaster."""

    count: int
    first_success_s: float | None
    stable_since_s: float | None
    downtime_low_s: float | None
    downtime_high_s: float | None
    observer: str = ""


@dataclass(frozen=True, slots=True)
class BoundsClaim:
    """An interval in seconds; the ends may be negative."""

    low_s: float | None
    high_s: float | None


@dataclass(frozen=True, slots=True)
class ObserverClaim:
    """What one observer saw."""

    name: str
    persona: str
    samples: int
    low_s: float | None
    best_s: float | None
    high_s: float | None
    resolution_s: float | None
    detail: str
    flaps: FlapsClaim | None = None


@dataclass(frozen=True, slots=True)
class RecoveryClaim:
    """What the phases add up to, in seconds: from when until which observers had the service back."""

    seen_by: tuple[str, ...]
    low_s: float | None
    best_s: float | None
    high_s: float | None
    detail: str
