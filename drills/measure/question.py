"""What is asked: the evidence of one drill and the objectives it is judged against. Built by the caller."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drills.timeline.marks import Basis, Limits

if TYPE_CHECKING:
    from drills.measure.effect import Disaster
    from drills.measure.evidence import Bracket
    from drills.measure.rpo import Book
    from drills.timeline.marks import Mark
    from drills.timeline.samples import Control, ObserverHeader, Samples


@dataclass(frozen=True, slots=True)
class Target:
    """An objective: two marks and a limit; what limits the ``downtime`` or the lost rows has no marks.

    ``target`` gives the limit in the unit of what is limited: nanoseconds, or rows (``most_rows``).

    ``seen_by`` names the observers (or stores) of which the worst counts; empty means all, or none but ``joint``.
    ``joint`` names observers that count as one: up only while all of them see the service up.
    """

    name: str
    begins: Mark | None
    ends: Mark | None
    target_ns: int
    seen_by: tuple[str, ...] = ()
    basis: Basis = Basis.MARKERS
    joint: tuple[str, ...] = ()
    limits: Limits = Limits.INTERVAL
    most_rows: int = 0

    @property
    def target(self) -> int:
        """The limit: nanoseconds, or rows."""
        return self.most_rows if self.limits is Limits.LOST_ROWS else self.target_ns


@dataclass(frozen=True, slots=True)
class Moment:
    """A mark as the timeline brackets it: [step started, step ended], or [last look that said no, first yes]."""

    mark: Mark
    at: Bracket


@dataclass(frozen=True, slots=True)
class StepSpan:
    """One step's time; ``ended_ns`` None if it still ran when the journal ended.

    ``phase`` names its part of the RTO where the step's id would not do (``validate``, ``traffic switch``).
    """

    id: str
    started_ns: int
    ended_ns: int | None
    mark: Mark | None = None
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Standstill:
    """A stretch in which no step could begin. ``phase`` names its part of the RTO, ``why`` says what held the drill."""

    first_ns: int
    past_ns: int
    phase: str
    why: str


@dataclass(frozen=True, slots=True)
class Watch:
    """One availability observer's file. ``window_ns`` is W (``stable_for``).

    ``coarse_ns``: with samples of a slower watch before the drill, the longest outage that could hide in that one.
    """

    header: ObserverHeader
    samples: Samples
    window_ns: int
    controls: tuple[Control, ...] = ()
    coarse_ns: int = 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """One marker writer's file and what its reader found. ``peak_per_s`` is the declared peak write rate."""

    header: ObserverHeader
    book: Book
    peak_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class PointSeen:
    """What a service said of its recovery point: ``at`` is UTC by its own clock, None when there is none.

    ``asked`` is our monotonic clock when it answered, ``asked_utc`` our UTC at the same moment; ``skew`` bounds its
    clock minus our UTC then. ``why`` says why there is no point, or no bound. ``restored``: the point to which a copy
    was restored, and not only one that could be. ``source`` is whose word it is.
    """

    name: str
    source: str
    after: bool
    restored: bool
    asked: int
    asked_utc: int
    at: int | None
    skew: Bracket | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """Everything one judgement needs; all times are nanoseconds of the clock named by ``clock``.

    ``until`` ends the span that is judged: the drill's end, or the beginning of its undo or failback, after which
    the old site answers again and proves nothing. ``cut_before_promote``: the timeline shows that the survivor had
    stopped receiving before it was promoted. An empty ``to_site`` means that any success counts as restored.
    """

    clock: str
    time_namespace: str
    disaster: Disaster | None
    until: int
    from_site: str = ""
    to_site: str = ""
    watches: tuple[Watch, ...] = ()
    ledgers: tuple[Ledger, ...] = ()
    targets: tuple[Target, ...] = ()
    moments: tuple[Moment, ...] = ()
    steps: tuple[StepSpan, ...] = ()
    standstills: tuple[Standstill, ...] = ()
    cut_before_promote: bool = False
    points: tuple[PointSeen, ...] = ()
    content_checked: tuple[str, ...] = ()
    """The steps that have proved the content of the restored copy, after the disaster."""
    unwatched: tuple[str, ...] = ()
    """Observers that the drill names and of which no file is there (but those that look past DNS)."""
    unwritten: tuple[str, ...] = ()
    """Stores that the drill names and of whose markers no file is there."""
    wall_moved_ns: int = 0
    """By how much UTC jumped against the monotonic clock between two events of the timeline."""
    stopping: int | None = None
    """When the drill set about to stop writes to the old primary at the soonest: disaster, fence, mark or promote."""
    moved: Bracket | None = None
    """When authority over the data moved, by the step that moves it; None if none is done."""
    lints: tuple[str, ...] = field(default=())
    """What the caller wants to stand among the warnings."""
