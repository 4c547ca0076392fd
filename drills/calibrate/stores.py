"""Real PostgreSQL pairs that lose their primary: the rows that were lost, and two negative controls.

A writer of the recorder's own (``drills.calibrate.truth``) says which acknowledged rows are gone; the real marker
writer and the real estimators must say the same. The marker table stamps its rows by a server clock that is ahead.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from drills.calibrate.service import NS, now
from drills.calibrate.truth import Writer
from drills.clock import process_start
from drills.errors import DrillsError
from drills.measure.effect import Disaster
from drills.measure.evidence import Bracket
from drills.measure.question import Ledger, Question, Target
from drills.measure.rpo import Book
from drills.observe.job import MarkerJob
from drills.observe.postgres import TABLE
from drills.observe.reader import collect
from drills.observe.start import Observers
from drills.observe.store import read_header, read_ledger, read_recovered, read_rounds
from drills.sandbox.dataplane import DataPlane
from drills.sandbox.shapes import SiteShape
from drills.timeline.marks import Mark

if TYPE_CHECKING:
    from drills.clock import Clock
    from drills.timeline.events import Watching
    from drills.timeline.samples import ObserverHeader

SKEW_S = 3.0
"""How far the server's clock is ahead, as its stamps in the rows say."""
EVERY_S, TIMEOUT_S = 0.02, 0.4
_DRILL, _STORE = "calibrate", "orders"
_WRITES_S, _LAG_S, _NEAR_S = 1.0, 0.15, 0.02
_DRAINED_S = 0.6


@dataclass(frozen=True, slots=True)
class Shape:
    """How a pair replicates. ``late_commit``: acknowledged before it is durable; ``together``: after the standby."""

    name: str
    lag_s: float = _LAG_S
    together: bool = False
    late_commit: bool = False

    def sites(self) -> list[SiteShape]:
        """Give primary and standby."""
        east = SiteShape("east", primary=True, synchronous_commit=not self.late_commit)
        return [east, SiteShape("west", primary=False, synchronous=self.together)]


ASYNC = Shape("rows lost, asynchronous")
TOGETHER = Shape("rows lost, synchronous", _NEAR_S, together=True)
LATE = Shape("rows lost, synchronous_commit=off", late_commit=True)


@dataclass(frozen=True, slots=True)
class Ledgers:
    """What the marker writer and the reader of the survivor have left."""

    header: ObserverHeader
    book: Book

    def question(self, clock: Bracket, target_ns: int, *, cut: bool) -> Question:
        """Ask for the RPO. ``cut``: the timeline shows that replication had been cut before the promotion."""
        return Question(
            clock=self.header.clock,
            time_namespace=self.header.time_namespace,
            disaster=Disaster(clock, synchronous=True),
            until=clock.latest + 60 * NS,
            from_site="east",
            to_site="west",
            ledgers=(Ledger(self.header, self.book),),
            targets=(Target("rpo", Mark.RECOVERY_POINT, Mark.DISASTER, target_ns),),
            cut_before_promote=cut,
        )


@dataclass(frozen=True, slots=True)
class Lost:
    """One lost primary: the evidence, and the truth about it.

    ``truth`` brackets the RPO in nanoseconds, by the recorder's own rows. ``server_clock_s``: how far an RPO by the
    stamps of the server's clock is off.
    """

    shape: Shape
    ledgers: Ledgers
    struck: Bracket
    truth: tuple[int, int]
    truly_lost: int
    server_clock_s: float


@dataclass(frozen=True, slots=True)
class NeverCut:
    """A disaster that never cut replication: the evidence."""

    ledgers: Ledgers
    struck: Bracket


@dataclass(frozen=True, slots=True)
class _Pair:
    """A running pair with a marker writer at its primary."""

    plane: DataPlane
    watching: Watching
    observers: Observers

    @property
    def file(self) -> Path:
        return Path(self.watching.file)

    @property
    def survivor(self) -> str:
        return self.plane.addresses().sites["west"].direct_dsn

    def gathered(self) -> Ledgers:
        """Read all markers of the survivor, twice, and end the writer."""
        for number in (1, 2):
            told = collect(self.survivor, _DRILL, _STORE, self.file, number)
            if not told.ok:
                raise DrillsError(f"the survivor's markers cannot be read: {told.detail}")
        self.observers.stop([self.watching])
        book = Book(_STORE, read_ledger(self.file), read_rounds(self.file), read_recovered(self.file))
        return Ledgers(read_header(self.file), book)


def lose_primary(shape: Shape, folder: Path, clock: Clock) -> Lost:
    """Lose a primary under load, promote its standby, and say what was truly lost."""
    plane = DataPlane(folder / "plane", shape.sites(), wan_delay_s=shape.lag_s, ttl_s=1)
    pair: _Pair | None = None
    try:
        plane.start()
        pair = _write(plane, Observers(), folder / "observers")
        witness = Writer(plane.addresses().sites["east"].direct_dsn)
        witness.start()
        clock.sleep(_WRITES_S)
        stamp = plane.lose("east", "kill")
        plane.promote("west")
        witness.stop()
        ledgers = pair.gathered()
        struck = Bracket(stamp.before_ns, max(stamp.after_ns, stamp.last_exit_ns or 0))
        truth = witness.loss(witness.survived(pair.survivor), (struck.earliest, struck.latest))
        return Lost(shape, ledgers, struck, truth, _truly_lost(pair), _server_clock(pair))
    finally:
        if pair is not None:
            pair.observers.stop([pair.watching])
        plane.stop()


def never_cut(folder: Path, clock: Clock) -> NeverCut:
    """Have a "disaster" that takes the clients out and leaves replication alone; promote once all has arrived."""
    plane = DataPlane(folder / "plane", ASYNC.sites(), wan_delay_s=_NEAR_S, ttl_s=1)
    pair: _Pair | None = None
    try:
        plane.start()
        pair = _write(plane, Observers(), folder / "observers")
        clock.sleep(_WRITES_S)
        before = now()
        plane.fence_db("east", fenced=True)
        struck = Bracket(before, now())
        clock.sleep(_DRAINED_S)
        plane.promote("west")
        return NeverCut(pair.gathered(), struck)
    finally:
        if pair is not None:
            pair.observers.stop([pair.watching])
        plane.stop()


def _write(plane: DataPlane, observers: Observers, folder: Path) -> _Pair:
    """Make the marker table with a server clock that is ahead, and begin to write."""
    import psycopg

    dsn = plane.addresses().sites["east"].dsn
    table = TABLE.replace("clock_timestamp()", f"clock_timestamp() + interval '{SKEW_S} s'")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(table.encode())
    job = MarkerJob(
        "orders",
        _DRILL,
        _STORE,
        dsn,
        "",
        EVERY_S,
        TIMEOUT_S,
        deadline_s=600.0,
        grace_s=0.0,
        owner_pid=os.getpid(),
        owner_start=process_start(os.getpid()),
    )
    (watching,) = observers.start([job], folder)
    return _Pair(plane, watching, observers)


def _truly_lost(pair: _Pair) -> int:
    """Count the markers that were acknowledged and are not on the survivor, straight from file and table."""
    import psycopg

    query = "SELECT writer, seq FROM drills_markers WHERE drill = %s"
    with psycopg.connect(pair.survivor, autocommit=True) as connection:
        there = {(str(writer), int(seq)) for writer, seq in connection.execute(query, (_DRILL,))}
    return len({(one.writer, one.seq) for one in read_ledger(pair.file) if one.acked} - there)


def _server_clock(pair: _Pair) -> float:
    """Give by how much a recovery point by the server's stamps differs from one by the client's sends, in seconds."""
    import psycopg

    at = read_header(pair.file).at_start
    offset = 0 if at is None else at.realtime - at.monotonic
    query = "SELECT (extract(epoch FROM written_at) * 1000000)::bigint, sent_ns FROM drills_markers WHERE drill = %s"
    with psycopg.connect(pair.survivor, autocommit=True) as connection:
        rows = list(connection.execute(query, (_DRILL,)))
    # RPO = disaster - recovery point: what the stamp is ahead, the RPO comes out too small.
    return -median((int(stamp) * 1000 - (int(sent) + offset)) / NS for stamp, sent in rows)
