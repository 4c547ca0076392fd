"""One outage judged like a drill by the real estimators, and held against the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from drills.calibrate.outages import HARD, Kind
from drills.calibrate.service import NS
from drills.measure.effect import Disaster
from drills.measure.evidence import Bracket
from drills.measure.question import Question, Target, Watch
from drills.measure.verdict import Verdict
from drills.timeline.marks import Mark

if TYPE_CHECKING:
    from drills.calibrate.lane import Seen
    from drills.calibrate.outages import Outage
    from drills.calibrate.world import Moment
    from drills.measure.judgement import Judgement

Judge: TypeAlias = "Callable[[Question], Judgement]"
"""The estimators under test: ``drills.measure.judge.judge``, or one that is broken on purpose."""

FAR_NS = 3600 * NS
MARGIN_NS = 1_000_000
"""How far beside the truth the targets stand on which no verdict may be wrong."""


@dataclass(frozen=True, slots=True)
class Case:
    """One outage: what it truly was, what was measured of it, and what the judge said of targets beside the truth.

    Seconds. ``high_s`` None: nothing bounds it. ``false_met``: a target below the truth was called MET.
    ``false_missed``: one at or above it was called MISSED. ``middle_s`` is the midpoint minus the truth;
    ``blind_s`` the same when nobody told the judge when the fault was injected (None: not asked, or it saw none),
    and ``blind_covered`` whether those bounds hold too.
    """

    kind: str
    every_s: float
    truth_low_s: float
    truth_high_s: float
    low_s: float | None
    high_s: float | None
    covered: bool
    false_met: bool = False
    false_missed: bool = False
    blind_s: float | None = None
    blind_covered: bool = True
    note: str = ""

    @property
    def bounded(self) -> bool:
        """Whether the measurement has an upper end."""
        return self.high_s is not None

    @property
    def width_s(self) -> float | None:
        """How much is not known."""
        return None if self.high_s is None or self.low_s is None else self.high_s - self.low_s

    @property
    def middle_s(self) -> float | None:
        """How far the midpoint is from the truth's."""
        if self.high_s is None or self.low_s is None:
            return None
        return (self.low_s + self.high_s) / 2 - (self.truth_low_s + self.truth_high_s) / 2

    @property
    def wrong(self) -> bool:
        """Whether anything said of it is not true."""
        return not self.covered or self.false_met or self.false_missed or not self.blind_covered


@dataclass(frozen=True, slots=True)
class Truth:
    """An interval between two moments as it really was, in nanoseconds."""

    begins: Moment
    ends: Moment

    @property
    def low(self) -> int:
        """The least it can be."""
        return max(0, self.ends.earliest - self.begins.latest)

    @property
    def high(self) -> int:
        """The most it can be."""
        return max(0, self.ends.latest - self.begins.earliest)

    def may_lie_in(self, low_s: float | None, high_s: float | None) -> bool:
        """Say whether the truth can lie within bounds that were measured from the same beginning.

        The beginning is one moment in its bracket for truth and measurement alike, so its width is counted once.
        """
        if low_s is None:
            return True
        low_holds = round(low_s * NS) <= max(0, self.ends.latest - self.begins.latest)
        return low_holds and (high_s is None or round(high_s * NS) >= max(0, self.ends.earliest - self.begins.earliest))


def asked(seen: Seen, outage: Outage, target_ns: int, disaster: Disaster | None, until: int | None = None) -> Question:
    """Ask what a drill would ask about one outage."""
    samples, controls = seen.during(outage.watched)
    header = seen.header
    return Question(
        clock=header.clock,
        time_namespace=header.time_namespace,
        disaster=disaster,
        until=outage.watched.latest if until is None else until,
        from_site=outage.came_from,
        to_site=outage.went_to,
        watches=(Watch(header, samples, round(seen.terms.window_s * NS), controls),),
        targets=(Target("rto", Mark.DISASTER, Mark.SERVICE_RESTORED, target_ns),),
    )


def told(outage: Outage) -> Disaster:
    """Say what a drill's timeline says of the disaster: confirmed by a look, or seen when its call returned."""
    clock = Bracket(outage.clock.earliest, outage.clock.latest)
    return Disaster(clock, synchronous=outage.confirmed is None, confirmed=outage.confirmed)


def bounds(answer: Judgement) -> tuple[float | None, float | None]:
    """Give what the one observer of a question saw."""
    if not answer.observers:
        return None, None
    return answer.observers[0].low_s, answer.observers[0].high_s


def verdict(answer: Judgement) -> Verdict:
    """Give the verdict on the one objective of a question."""
    return answer.objectives[0].verdict


def case(seen: Seen, outage: Outage, judge: Judge) -> Case:
    """Judge one outage."""
    truth = Truth(outage.clock, outage.restored)
    disaster = told(outage)
    answer = judge(asked(seen, outage, FAR_NS, disaster))
    low_s, high_s = bounds(answer)
    below, above = truth.low - MARGIN_NS, truth.high + MARGIN_NS
    blind_s, blind_covered = _blind(seen, outage, judge)
    return Case(
        kind=outage.kind.value,
        every_s=seen.terms.every_s,
        truth_low_s=truth.low / NS,
        truth_high_s=truth.high / NS,
        low_s=low_s,
        high_s=high_s,
        covered=truth.may_lie_in(low_s, high_s),
        false_met=below > 0 and verdict(judge(asked(seen, outage, below, disaster))) is Verdict.MET,
        false_missed=verdict(judge(asked(seen, outage, above, disaster))) is Verdict.MISSED,
        blind_s=blind_s,
        blind_covered=blind_covered,
        note="" if high_s is not None else answer.objectives[0].why,
    )


def _blind(seen: Seen, outage: Outage, judge: Judge) -> tuple[float | None, bool]:
    """Judge an outage as an incident: nobody says when it began, so the samples alone bound both ends."""
    if outage.kind not in HARD or outage.kind is Kind.MAINTENANCE:  # a page with 200 is no failure before `to` is known
        return None, True
    low_s, high_s = bounds(judge(asked(seen, outage, FAR_NS, Disaster(None))))
    if low_s is None or high_s is None:
        return None, True
    truth = Truth(outage.effect, outage.restored)
    held = low_s * NS <= truth.high and truth.low <= high_s * NS
    return (low_s + high_s) / 2 - (truth.low + truth.high) / 2 / NS, held
