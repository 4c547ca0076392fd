"""One objective as a drill claimed it, in seconds or as a number of things, and its form in JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from drills.timeline.marks import Unit


@dataclass(frozen=True, slots=True)
class ClockClaim:
    """A recovery time from one clock, in seconds; ``judged``: the one that the objective names."""

    name: str
    low_s: float | None
    best_s: float | None
    high_s: float | None
    judged: bool


@dataclass(frozen=True, slots=True)
class CountClaim:
    """The bounds and the target of an objective that limits a number of things, as ``unit`` says."""

    low: int | None
    best: int | None
    high: int | None
    target: int | None
    unit: Unit = Unit.ROWS


@dataclass(frozen=True, slots=True)
class ObjectiveClaim:
    """One objective as judged: bounds, target and why, and the same from every clock. Seconds.

    One that limits a number of things has ``count`` in the place of everything in seconds.
    """

    name: str
    verdict: str
    low_s: float | None
    best_s: float | None
    high_s: float | None
    target_s: float | None
    why: str = ""
    decided_by: str = ""
    clocks: tuple[ClockClaim, ...] = ()
    count: CountClaim | None = None

    @property
    def unit(self) -> Unit:
        """What its figures count."""
        return Unit.SECONDS if self.count is None else self.count.unit

    @property
    def bounds(self) -> tuple[float | None, float | None, float | None]:
        """Low, best and high in its unit."""
        count = self.count
        return (self.low_s, self.best_s, self.high_s) if count is None else (count.low, count.best, count.high)

    @property
    def target(self) -> float | None:
        """The target in its unit."""
        return self.target_s if self.count is None else self.count.target

    def document(self) -> dict[str, Any]:
        """Give its JSON form: the bounds in its own unit, and only in that."""
        whole = asdict(self)
        count = whole.pop("count")
        if count is None:
            return whole
        said = {name: whole[name] for name in ("name", "verdict", "why", "decided_by")}
        return {**said, **count}
