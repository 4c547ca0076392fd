"""What observers saw: samples of availability and marker ledgers, as evidence and not as judgement.

All times are integer nanoseconds of CLOCK_MONOTONIC of one host; which host, boot and time namespace stands in
the file's header (``ObserverHeader.clock``, ``time_namespace``). Nothing here is derived: labels say what one
request or one write was told, and the estimators of ``drills.measure`` say what follows.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROWS_LOST = "rows could not be written and are lost"
"""How an observer's note ends that counts what the disk did not take."""
GOOD, BAD, UNKNOWN = 1, 0, -1
"""How ``Samples.up`` writes True, False and None."""


class Persona(StrEnum):
    """Through whose eyes an observer looks."""

    FRESH = "fresh"
    """Fresh authoritative DNS and a new connection for each request: the service."""
    TTL = "ttl"
    """A resolver that honours the TTL: one client."""
    POOL = "pool"
    """Keep-alive connections: one pooled client."""
    DIRECT = "direct"
    """The recovery endpoint itself, without DNS."""
    WRITER = "writer"
    """A marker writer."""
    JOINT = "joint"
    """Several observers as one: up only while all of them see the service up. No observer looks by itself so."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The three clocks of one host read together, in nanoseconds."""

    realtime: int
    monotonic: int
    boottime: int

    def drift_ns(self, later: ClockReading) -> int:
        """Give the largest disagreement of the three clocks about the time from this reading to ``later``."""
        spans = (
            later.realtime - self.realtime,
            later.monotonic - self.monotonic,
            later.boottime - self.boottime,
        )
        return max(spans) - min(spans)


@dataclass(frozen=True, slots=True)
class ObserverHeader:
    """Who looked, at what, how often, and by which clock. ``ended`` is None while it runs or if it was killed.

    ``identified``: each answer names its site, so that ``Sample.by`` can be trusted; without it ``by`` is empty.
    ``clock`` is ``drills.clock.clock_id()`` (host and boot id); ``time_namespace`` the target of
    ``/proc/self/ns/time``. ``scheduler`` says what was permitted, as in ``SCHED_FIFO`` or ``SCHED_OTHER (denied)``.
    ``dropped``: slots skipped because too many requests were in flight; ``missed``: slots begun too late.
    Both also stand as samples with ``up`` None. ``store`` names what a marker writer writes to.
    """

    observer: str
    persona: Persona
    url: str
    every_ns: int
    timeout_ns: int
    clock: str
    time_namespace: str
    started: int
    ended: int | None = None
    at_start: ClockReading | None = None
    at_end: ClockReading | None = None
    scheduler: str = ""
    identified: bool = False
    in_flight: int = 0
    """Most requests in flight at once that the observer allowed itself; 0 when it did not say."""
    ttl_ns: int | None = None
    stable_for_ns: int | None = None
    dropped: int = 0
    missed: int = 0
    late_p99_ns: int | None = None
    late_max_ns: int | None = None
    store: str = ""
    pid: int = 0
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether all that it saw is in its file: it ended by itself, and the disk took every row."""
        return self.ended is not None and not any(ROWS_LOST in note for note in self.notes)


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. ``up`` None is *unknown*: a capped or missed slot, 403 or 429, a late or failing control probe.

    ``sent`` is stamped before DNS, ``ended`` after the body (or the failure). ``by`` is the site that answered,
    empty if none said. ``hard``: the failure itself has a down instant in [sent, ended] (refused, reset, a wrong
    answer), as opposed to a timeout. ``resolved``, ``connected`` and ``first_byte`` are stamps on the same clock.
    """

    sent: int
    ended: int
    up: bool | None
    by: str = ""
    status: int = 0
    resolved: int | None = None
    connected: int | None = None
    first_byte: int | None = None
    detail: str = ""
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Control:
    """One look of the observer at itself: a trivial target asked in the same loop, late by ``late_ns``."""

    sent: int
    ended: int
    late_ns: int
    ok: bool


def _longs() -> array[int]:
    return array("q")


def _bytes() -> array[int]:
    return array("b")


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples as columns, for a million of them: what the estimators need and no more.

    ``up`` holds GOOD, BAD or UNKNOWN; ``by`` an index into ``names`` (0 is the empty name). Rows may stand in any
    order; estimators sort by ``sent``.
    """

    sent: array[int] = field(default_factory=_longs)
    ended: array[int] = field(default_factory=_longs)
    up: array[int] = field(default_factory=_bytes)
    hard: array[int] = field(default_factory=_bytes)
    by: array[int] = field(default_factory=_longs)
    names: tuple[str, ...] = ("",)

    @classmethod
    def of(cls, rows: Iterable[Sample]) -> Samples:
        """Lay rows out as columns."""
        sent, ended, up, hard, by = _longs(), _longs(), _bytes(), _bytes(), _longs()
        places: dict[str, int] = {"": 0}
        for row in rows:
            sent.append(row.sent)
            ended.append(row.ended)
            up.append(UNKNOWN if row.up is None else GOOD if row.up else BAD)
            hard.append(row.hard)
            by.append(places.setdefault(row.by, len(places)))
        return cls(sent, ended, up, hard, by, tuple(places))

    def __len__(self) -> int:
        return len(self.sent)

    def __iter__(self) -> Iterator[Sample]:
        for sent, ended, up, hard, by in zip(self.sent, self.ended, self.up, self.hard, self.by, strict=True):
            yield Sample(sent, ended, None if up < 0 else up == GOOD, self.names[by], hard=bool(hard))


@dataclass(frozen=True, slots=True)
class Marker:
    """One numbered write, from the client's side. ``acked`` None is *indeterminate*: nobody answered.

    ``ended`` is when the answer came or the writer gave up waiting, None if the writer died first. ``primary`` is
    the identity of the server that executed it, as the answer said (empty without an answer).
    """

    writer: str
    seq: int
    sent: int
    ended: int | None
    acked: bool | None
    primary: str = ""


@dataclass(frozen=True, slots=True)
class ReadRound:
    """One strongly consistent reading of all markers on the survivor; ``server`` is the identity of what was read.

    ``complete`` False (it broke off): what it found is there, what it did not find is not thereby absent.
    """

    round: int
    started: int
    ended: int
    server: str
    complete: bool


@dataclass(frozen=True, slots=True)
class Recovered:
    """One marker row found in a round; ``primary`` is the identity of its executor as it stands in the row."""

    round: int
    read_at: int
    writer: str
    seq: int
    primary: str = ""
