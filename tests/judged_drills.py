"""Drills on disk as they are after a failover that was watched: a journal, evidence files, judged from both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from measure_drill import LOST, S

from drills.clock import Stamp
from drills.engine.plan import AvailabilityWatch, DataWatch, Mode, Objective
from drills.engine.state import fold
from drills.measure.judge import judge
from drills.measure.question import Watch
from drills.observe.reader import appending
from drills.observe.recorder import Recorder
from drills.report import judging
from drills.testing import plan, step
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.facts import Receipt
from drills.timeline.marks import Limits, Mark
from drills.work import Evidence, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from drills.engine.plan import Plan, Step
    from drills.engine.state import State
    from drills.measure.judgement import JudgedObjective, Judgement
    from drills.measure.question import Ledger
    from drills.timeline.samples import Control, Marker, ObserverHeader, ReadRound, Recovered, Sample

UTC = 1_800_000_000 * S
"""UTC at the loss of the region."""
RTO = Objective("rto", Mark.DISASTER, Mark.SERVICE_RESTORED, 60.0)
RPO = Objective("rpo", Mark.RECOVERY_POINT, Mark.DISASTER, 30.0)
DOWNTIME = Objective("downtime", None, None, 30.0, limits=Limits.DOWNTIME)


def write(
    file: Path,
    header: ObserverHeader,
    rows: Iterable[Sample] = (),
    markers: Iterable[Marker] = (),
    controls: Iterable[Control] = (),
) -> Path:
    """Write one observer's evidence file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(file, header)
    batch = recorder.take()
    batch.samples.extend(rows)
    batch.markers.extend(markers)
    batch.controls.extend(controls)
    assert recorder.flush(batch, []) == ""
    recorder.close()
    return file


def read_back(file: Path, rounds: Iterable[ReadRound], found: Iterable[Recovered]) -> None:
    """Write what a reader found on the survivor into a ledger's file."""
    with appending(file) as run:
        run.executemany(
            "INSERT INTO recovered VALUES (?, ?, ?, ?, ?)",
            [(row.round, row.read_at, row.writer, row.seq, row.primary) for row in found],
        )
        run.executemany(
            "INSERT INTO rounds VALUES (?, ?, ?, ?, ?)",
            [(row.round, row.started, row.ended, row.server, row.complete) for row in rounds],
        )


def kept(folder: Path, one: Watch | Ledger) -> Path:
    """Write a simulated observer to disk, named by its id."""
    file = folder / "observers" / f"{one.header.observer}.db"
    if isinstance(one, Watch):
        return write(file, one.header, one.samples, controls=one.controls)
    write(file, one.header, markers=one.book.markers)
    read_back(file, one.book.rounds, one.book.recovered)
    return file


LOSE = step("lose", Kind.FAULT, mark=Mark.DISASTER, evidence=(Evidence.REPLICATION_CUT,), uses="site.isolate")
PROMOTE = step("promote", Kind.ACTION, "lose", authority=True, one_way="stays")
BEGAN: tuple[tuple[float, ev.Body], ...] = (
    (-0.01, ev.Started("lose", 1)),
    (0.01, ev.Performed("lose", Receipt())),
    (0.02, ev.Effective("lose", ok=True, detail="gone")),
    (0.02, ev.Ended("lose", ev.Outcome.DONE, "gone")),
    (0.1, ev.Started("promote", 1)),
    (3.1, ev.Ended("promote", ev.Outcome.DONE, "promoted")),
)


@dataclass(frozen=True)
class Lived:
    """A drill that was watched. ``files``: the observers' files in the order in which they were begun."""

    files: Sequence[tuple[str, Path]]
    objectives: tuple[Objective, ...] = (RTO,)
    steps: tuple[Step, ...] = (LOSE, PROMOTE)
    told: tuple[tuple[float, ev.Body], ...] = BEGAN
    availability: tuple[str, ...] = ("service",)
    data: tuple[DataWatch, ...] = ()
    mode: Mode = Mode.REHEARSE
    rings: tuple[str, ...] = ()
    stepped_at: tuple[tuple[float, float], ...] = ()
    """From when on (seconds) the wall clock was ahead by so many seconds more."""
    ends: float = 20.0
    boots_at: float = float("inf")
    """From when on the machine runs anew, on a clock that counts from nothing."""

    def pinned(self) -> Plan:
        made = plan(*self.steps, runbook="orders", mode=self.mode)
        watches = tuple(AvailabilityWatch(one, "http://orders.test/healthz", header="X") for one in self.availability)
        return replace(
            made,
            objectives=self.objectives,
            availability=watches,
            data=self.data,
            from_site="east",
            to_site="west",
        )

    def stamp(self, at: float) -> Stamp:
        ahead = sum(by for since, by in self.stepped_at if at >= since)
        ns = round(at * S)
        if at >= self.boots_at:
            return Stamp(UTC + ns, round((at - self.boots_at + 1) * S), "host/next")
        return Stamp(UTC + ns + round(ahead * S), LOST + ns, "host/boot")

    def events(self) -> tuple[list[ev.Event], State]:
        pinned = self.pinned()
        watching = [
            (-16.0, ev.Watching(name, str(file), 0 if name in self.rings else place, self._process(name, place)))
            for place, (name, file) in enumerate(self.files, 1)
        ]
        told: list[tuple[float, ev.Body]] = [
            (-20.0, ev.Opened("drill", "0", "ana@host", codec.dump(pinned))),
            *watching,
            (-15.0, ev.Ready("watch", ok=True, detail="")),
            (-0.1, ev.Ready("baseline", ok=True, detail="")),
            *self.told,
            (self.ends, ev.Ready("collected", ok=True, detail="")),
        ]
        found = [ev.Event(number, self.stamp(at), body) for number, (at, body) in enumerate(told, 1)]
        return found, fold(pinned, found)

    def _process(self, name: str, place: int) -> str:
        return ev.RING if name in self.rings and place == 1 else str(place)

    def judged(self) -> Judgement:
        return judge(judging.question(*self.events()))

    def objective(self) -> JudgedObjective:
        return self.judged().objectives[0]
