"""Calibrate: break real services and stores on this machine, measure with the real observers, judge, compare."""

from __future__ import annotations

import tempfile
import threading
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from drills.calibrate import controls as negative
from drills.calibrate.cases import Case, case
from drills.calibrate.controls import Control, Pairing
from drills.calibrate.downtimes import downtimes
from drills.calibrate.failover import TTL_S, run_failovers
from drills.calibrate.figures import Cell, cell
from drills.calibrate.lane import Plan, run_lane
from drills.calibrate.losses import Loss, loss, uncut
from drills.calibrate.outages import HARD, Kind, Terms
from drills.calibrate.stores import ASYNC, LATE, TOGETHER, Lost, NeverCut, Shape, lose_primary, never_cut
from drills.clock import SystemClock
from drills.errors import DrillsError
from drills.measure.judge import judge as judged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.calibrate.cases import Judge
    from drills.calibrate.failover import Failovers
    from drills.calibrate.lane import Lane, Seen
    from drills.clock import Clock, Stamp

_TURNS = (
    Kind.REFUSED,
    Kind.KILLED,
    Kind.HANG,
    Kind.BROKEN,
    Kind.LONG_STALL,
    Kind.REFUSED,
    Kind.FLAPPING,
    Kind.KILLED,
    Kind.FULL,
    Kind.REFUSED,
    Kind.MAINTENANCE,
    Kind.SHORT_STALL,
    Kind.BROKEN,
    Kind.DELAYED,
)
_FEW = (Kind.REFUSED, Kind.HANG, Kind.KILLED, Kind.BROKEN, Kind.MAINTENANCE)
"""The turns of the slowest prober in a short run."""
_SPREAD = (*_TURNS, Kind.REFUSED, Kind.KILLED, Kind.BROKEN)
"""The turns of cells whose spread is held against theory: more failures that are answered at once."""
TEN, FIFTY, HUNDRED, HALF = Terms(0.01, 0.25), Terms(0.05, 0.4), Terms(0.1, 0.4), Terms(0.5, 0.5)
_HOLE = Terms(0.02, 0.25)  # outages are drawn from a span of 0.5 s: a whole number of timeouts, so of every phase


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is done: the lanes, how many failovers, and which stores lose their primary."""

    lanes: tuple[Plan, ...]
    failovers: int
    stores: tuple[Shape, ...]


def _hole(count: int) -> Plan:
    return Plan("hole", _HOLE, (Kind.HANG,), count, seed=9, closed=True)


SHORT = Settings(
    (
        Plan("10ms", TEN, _TURNS, 20, seed=1),
        Plan("50ms", FIFTY, _TURNS, 14, seed=2),
        Plan("100ms", HUNDRED, _TURNS, 10, seed=3),
        Plan("500ms", HALF, _FEW, 5, seed=4),
        _hole(14),
    ),
    failovers=5,
    stores=(ASYNC,),
)
THOROUGH = Settings(
    (
        Plan("10ms", TEN, _TURNS, 112, seed=1),
        Plan("50ms", FIFTY, _SPREAD, 136, seed=2),
        *(Plan(f"100ms-{one}", HUNDRED, _SPREAD, 68, seed=10 + one) for one in range(2)),
        *(Plan(f"500ms-{one}", HALF, _SPREAD, 34, seed=20 + one) for one in range(4)),
        _hole(40),
    ),
    failovers=30,
    stores=(ASYNC, TOGETHER, LATE) * 3,
)


@dataclass(frozen=True, slots=True)
class Report:
    """What calibrating came to. ``bias_s`` is of failures that are answered at once."""

    cases: tuple[Case, ...]
    cells: tuple[Cell, ...]
    losses: tuple[Loss, ...]
    controls: tuple[Control, ...]
    took_s: float

    @property
    def covered(self) -> int:
        """How many brackets hold the truth."""
        return sum(1 for one in self.cases if one.covered)

    @property
    def width_median_s(self) -> float | None:
        """The median width of the brackets."""
        widths = [one.width_s for one in self.cases if one.width_s is not None]
        return median(widths) if widths else None

    @property
    def bias_s(self) -> float | None:
        """The mean of midpoint minus truth."""
        middles = [one.middle_s for one in self.cases if one.kind in HARD and one.middle_s is not None]
        return fmean(middles) if middles else None

    @property
    def resolution_s(self) -> float | None:
        """The finest resolution of an RTO that this machine certifies."""
        return min((one.certified_s for one in self.cells if one.certified_s is not None), default=None)

    @property
    def failures(self) -> tuple[str, ...]:
        """Everything that speaks against measuring on this machine, one sentence each."""
        said = [f"{_name(one)}: {_fault(one)}" for one in self.cases if one.wrong]
        said += [
            f"{one.case.kind}: {one.lost} lost rows were counted, {one.truly_lost} are lost"
            for one in self.losses
            if one.lost != one.truly_lost
        ]
        said += [f"control not detected: {one.name}: {one.detail}" for one in self.controls if not one.detected]
        said += [
            f"{one.every_s * 1000:g} ms: only {one.bounded} of {one.cases} outages could be bounded at all"
            for one in self.cells
            if 2 * one.bounded < one.cases
        ]
        return tuple(said)


def _name(one: Case) -> str:
    return f"{one.kind}, {one.every_s * 1000:g} ms"


def _fault(one: Case) -> str:
    truth = f"{one.truth_low_s:.4f}-{one.truth_high_s:.4f} s"
    high = "open" if one.high_s is None else f"{one.high_s:.4f} s"
    if not one.covered:
        return f"the bracket {one.low_s:.4f} s - {high} misses the truth {truth}"
    if not one.blind_covered:
        return f"judged as an incident, the bracket misses the truth {truth} (midpoint {one.blind_s:+.4f} s)"
    return f"a target {'below the truth was called MET' if one.false_met else 'above it was called MISSED'} ({truth})"


class Stopped(DrillsError):
    """Calibrating was broken off."""


class Until:
    """The system's clock, until it is told to stop: then whoever sleeps wakes with ``Stopped``."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._stop = threading.Event()

    def now(self) -> Stamp:
        """Read the time."""
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass; raises ``Stopped`` when told to stop."""
        if self._stop.wait(max(0.0, seconds)):
            raise Stopped("calibrating was broken off")

    def stop(self) -> None:
        """Wake everybody."""
        self._stop.set()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the observers saw and what truly happened, before anybody has judged it."""

    lanes: tuple[Lane, ...]
    failovers: Failovers
    stores: tuple[Lost, ...]
    uncut: NeverCut
    took_s: float


def calibrate(settings: Settings, judge: Judge = judged) -> Report:
    """Make every outage, judge each, and hold it against the truth.

    ``judge`` stands for the estimators, so that one that is broken on purpose can be shown to be found out. Raises
    ``DrillsError`` when something cannot be run here (PostgreSQL's programs are missing, an observer does not start).
    """
    return report(observed(settings), judge)


def observed(settings: Settings) -> Evidence:
    """Make every outage and let the real observers look on; nothing of it stays behind."""
    clock = SystemClock()
    begun = clock.now()
    with tempfile.TemporaryDirectory(prefix="drills-calibrate-") as folder:
        seen = _all(settings, Path(folder))
    return replace(seen, took_s=clock.now().since(begun))


def report(evidence: Evidence, judge: Judge = judged) -> Report:
    """Judge every outage and hold it against the truth."""
    failovers = evidence.failovers
    pairings = [Pairing(lane.seen, outage) for lane in evidence.lanes for outage in lane.outages]
    service = [case(failovers.fresh, one, judge) for one in failovers.service]
    client = [case(failovers.cached, one, judge) for one in failovers.client]
    cases = [case(one.seen, one.outage, judge) for one in pairings] + service + client
    every = [
        *pairings,
        *(Pairing(failovers.fresh, one) for one in failovers.service),
        *(Pairing(failovers.cached, one) for one in failovers.client),
    ]
    felt = [one for pairing in every for one in downtimes(pairing.seen, pairing.outage, judge)]
    losses = tuple(loss(one, judge) for one in evidence.stores)
    (hole,) = (lane for lane in evidence.lanes if lane.plan.closed)
    controls = (
        negative.api_answer(pairings, judge),
        negative.uncut(uncut(evidence.uncut, judge), losses),
        negative.completion(hole),
        negative.closed_loop(hole),
        negative.ttl_client(failovers, service, client, TTL_S),
        negative.server_clock([one for one in losses if one.case.kind == ASYNC.name]),
        negative.failing_runs(pairings, cases, judge),
        negative.recovery_for_downtime(pairings, judge),
    )
    seen = (*(lane.seen for lane in evidence.lanes), failovers.fresh, failovers.cached)
    cells = tuple(_cell(every_s, cases, seen) for every_s in sorted({one.every_s for one in cases}))
    return Report((*cases, *felt, *(one.case for one in losses)), cells, losses, controls, evidence.took_s)


def _cell(every_s: float, cases: Sequence[Case], seen: Sequence[Seen]) -> Cell:
    ours = [one for one in cases if one.every_s == every_s]
    return cell(every_s, ours, [one for one in seen if one.terms.every_s == every_s])


def _all(settings: Settings, folder: Path) -> Evidence:
    """Run lanes, failovers and stores side by side; the first that breaks stops the others."""
    until = Until()
    with ThreadPoolExecutor(len(settings.lanes) + 2) as pool:
        stores = pool.submit(_stores, settings.stores, folder, until)
        failovers = pool.submit(run_failovers, settings.failovers, folder / "failover", until)
        lanes = [pool.submit(run_lane, one, folder / one.name, until) for one in settings.lanes]
        everything: list[Future[Any]] = [stores, failovers, *lanes]
        try:
            done, _ = wait(everything, return_when=FIRST_EXCEPTION)
            for one in done:
                one.result()
        except BaseException:
            until.stop()
            raise
        lost, never = stores.result()
        return Evidence(tuple(one.result() for one in lanes), failovers.result(), lost, never, 0.0)


def _stores(shapes: Sequence[Shape], folder: Path, clock: Clock) -> tuple[tuple[Lost, ...], NeverCut]:
    """Lose one primary after the other; each pair is a world of its own."""
    never = never_cut(folder / "uncut", clock)
    lost = tuple(lose_primary(shape, folder / f"store-{number}", clock) for number, shape in enumerate(shapes))
    return lost, never
