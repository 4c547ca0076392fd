"""What is answered: objectives with bounds and verdicts, and the numbers behind them. Seconds; None: no bound."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import msgspec

from drills.measure.verdict import Verdict
from drills.timeline.facts import Facts
from drills.timeline.marks import Unit


@dataclass(frozen=True, slots=True)
class JudgedClock:
    """A recovery time from one clock: a mark, or the ``effect`` itself; ``judged``: the one the objective names."""

    name: str
    low_s: float
    best_s: float | None
    high_s: float | None
    judged: bool


@dataclass(frozen=True, slots=True)
class JudgedCount:
    """The bounds of an objective that limits a number of things, as ``unit`` says; ``high`` None: no bound."""

    low: int | None
    best: int | None
    high: int | None
    target: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class JudgedObjective:
    """One objective. ``best_s`` is the midpoint of the bounds; ``why`` names the dominating error.

    ``clocks``: the same restoration from every clock that was started, of objectives that end there. One that limits
    a number has ``count`` in the place of everything in seconds.
    """

    name: str
    verdict: Verdict
    low_s: float | None
    best_s: float | None
    high_s: float | None
    target_s: float | None
    why: str
    decided_by: str = ""
    clocks: tuple[JudgedClock, ...] = ()
    count: JudgedCount | None = None

    def claim(self) -> object:
        """Give the objective as it is claimed: its bounds in its own unit, and only in that."""
        count = self.count
        if count is None:
            return {name: value for name, value in asdict(self).items() if name != "count"}
        return {
            "name": self.name,
            "verdict": self.verdict,
            **asdict(count),
            "why": self.why,
            "decided_by": self.decided_by,
        }


@dataclass(frozen=True, slots=True)
class JudgedExposure:
    """How long the service ran without redundancy, from its restoration on, in seconds.

    ``restored`` False: redundancy had not come back when the drill ended, so that nothing bounds it from above.
    """

    low_s: float
    best_s: float | None
    high_s: float | None
    restored: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """Counts of markers over all stores; None: not counted, because a store was never read whole."""

    acked: int
    lost: int | None
    phantom: int | None
    indeterminate: int
    holes: int | None
    diverged: int | None
    reconciled: int | None = 0


@dataclass(frozen=True, slots=True)
class JudgedStore:
    """The RPO of one store, and how far its survivor lay behind."""

    store: str
    low_s: float
    high_s: float | None
    why: str
    staleness_low_s: float
    staleness_high_s: float | None
    writes_per_s: float
    rows: JudgedRows


@dataclass(frozen=True, slots=True)
class JudgedConsistency:
    """The RCO: shares of ``ticks`` acknowledged moments whose writes are present in all stores.

    ``worst_store`` lacks the most of them, empty if none lacks any.
    """

    low: float
    high: float
    ticks: int
    worst_store: str


@dataclass(frozen=True, slots=True)
class JudgedPhase:
    """One part of the recovery time; ``seconds`` at the midpoints, where the parts add up to it, and its bounds."""

    name: str
    seconds: float
    detail: str = ""
    low_s: float | None = None
    high_s: float | None = None


@dataclass(frozen=True, slots=True)
class JudgedRecovery:
    """What the phases add up to: from the outage's beginning until the last of ``seen_by`` saw the service restored.

    ``detail`` says it in words.
    """

    seen_by: tuple[str, ...]
    low_s: float
    best_s: float
    high_s: float
    detail: str


@dataclass(frozen=True, slots=True)
class JudgedFlaps:
    """How often the service came back and went again, as ``observer`` saw it; seconds since the disaster's midpoint.

    ``downtime_high_s`` None: it was not seen back after its last failure.
    """

    count: int
    first_success_s: float | None
    stable_since_s: float | None
    downtime_low_s: float
    downtime_high_s: float | None
    observer: str = ""


@dataclass(frozen=True, slots=True)
class JudgedBounds:
    """An interval; its ends may be negative."""

    low_s: float | None
    high_s: float | None


@dataclass(frozen=True, slots=True)
class JudgedObserver:
    """What one observer saw of the RTO; ``resolution_s``: outages shorter than that may be unseen."""

    name: str
    persona: str
    samples: int
    low_s: float | None
    best_s: float | None
    high_s: float | None
    resolution_s: float | None
    detail: str
    flaps: JudgedFlaps | None = None


@dataclass(frozen=True, slots=True)
class JudgedPoint:
    """A recovery point as a service told of it: evidence. Seconds from the point to the disaster; negative: later."""

    name: str
    source: str
    asked: str
    low_s: float | None
    high_s: float | None
    skew_low_s: float | None
    skew_high_s: float | None
    told: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The whole answer. ``worst_client`` bounds the slowest TTL-honouring client, of whom one was watched."""

    objectives: tuple[JudgedObjective, ...]
    observers: tuple[JudgedObserver, ...]
    stores: tuple[JudgedStore, ...]
    rows: JudgedRows | None
    flaps: JudgedFlaps | None
    dns_tail: JudgedBounds | None
    worst_client: JudgedBounds | None
    phases: tuple[JudgedPhase, ...]
    consistency: JudgedConsistency | None
    write_rate: str
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    recovery_points: tuple[JudgedPoint, ...] = ()
    exposure: JudgedExposure | None = None
    recovery: JudgedRecovery | None = None

    def claims(self) -> Facts:
        """Write the answer as the facts that ``Finished.claims`` keeps."""
        whole = {**asdict(self), "objectives": [one.claim() for one in self.objectives]}
        return Facts(**cast("dict[str, Any]", msgspec.json.decode(msgspec.json.encode(whole))))
