"""Bounds on the data that was lost: markers joined by sequence number, never by a server's clock.

RPO := max(t_fault, t_last_lost) - t_first_lost over writes that were acknowledged and are absent from the
survivor, 0 if there are none. What an unfenced old primary acknowledged after the disaster counts.
Nanoseconds of one monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.measure.readings import Key, Reading, readings_of
from drills.timeline.samples import Marker, ReadRound, Recovered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from drills.measure.evidence import Bracket

_NONE: frozenset[Key] = frozenset()

ENDLESS = 1 << 62
"""Later than every stamp."""


@dataclass(frozen=True, slots=True)
class Book:
    """All markers of one store, what the survivor gave back, and what is declared of the store.

    ``old`` is the identity of the old primary, empty when nobody knows it (then that of the acks before the
    disaster). ``ordered``: the store is declared to be one ordered log. ``every_write``: the markers are all the
    writes there were, so that each acknowledged write was compared and order is not needed.
    """

    store: str
    markers: Sequence[Marker]
    rounds: Sequence[ReadRound]
    recovered: Sequence[Recovered]
    old: str = ""
    ordered: bool = True
    every_write: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """Counts of markers.

    ``lost``: acked and absent at the last reading; ``phantom``: present and never acked; ``indeterminate``: no
    answer; ``holes``: present after the first lost one; ``diverged``: lost, and sent to the old primary after the
    disaster; ``reconciled``: absent at the first reading, present at the last. ``read`` False: a survivor was never
    read whole, so that nothing but ``acked`` and ``indeterminate`` was counted.
    """

    acked: int = 0
    lost: int = 0
    phantom: int = 0
    indeterminate: int = 0
    holes: int = 0
    diverged: int = 0
    reconciled: int = 0
    read: bool = True

    def plus(self, other: Rows) -> Rows:
        """Add two stores."""
        return Rows(
            self.acked + other.acked,
            self.lost + other.lost,
            self.phantom + other.phantom,
            self.indeterminate + other.indeterminate,
            self.holes + other.holes,
            self.diverged + other.diverged,
            self.reconciled + other.reconciled,
            self.read and other.read,
        )


@dataclass(frozen=True, slots=True)
class Loss:
    """Bounds of the RPO of one store; ``high`` None: nothing bounds it, and ``why`` says why.

    ``staleness`` bounds how far the survivor's state lay behind the disaster, whether or not a row was lost.
    ``acked_after``: the old primary acknowledged after the disaster's bracket. ``rate`` is acked markers a second
    before the disaster. ``present`` and ``acked`` hold the keys found at the last
    reading and those acknowledged by the old primary, for the RCO.
    """

    store: str
    low: int
    high: int | None
    why: str
    rows: Rows
    staleness: tuple[int, int | None] = (0, None)
    acked_after: bool = False
    rate: float = 0.0
    present: frozenset[Key] = _NONE
    acked: frozenset[Key] = _NONE
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Join:
    """Markers of the old primary, sorted out against the readings."""

    acked: list[Marker]
    lost: list[Marker]
    present: list[Marker]
    holes: list[Marker]
    strangers: int
    unread: int = 0
    """Writes that were acknowledged after the last reading had begun: nobody knows what became of them."""


def loss(book: Book, disaster: Bracket, in_effect: int | None = None) -> Loss:
    """Bound the RPO of one store against the disaster's bracket.

    ``in_effect``: when the disaster was seen in effect; rows diverge only from then on, not from a call's answer.
    With a = least ack and z = largest send of the acked and absent, k = largest send of the present:
    ``low = max(0, tb - a, z - a)``, ``high = max(0, max(ta, old_end) - k)``: in one ordered log all that was lost
    was committed after all that is present. ``high`` is None when nothing bounds it.
    """
    tb, ta = disaster.earliest, disaster.latest
    old = book.old or _identity(book.markers, tb)
    readings = readings_of(book.rounds, book.recovered)
    join = _join(book, old, readings)
    rows = _rows(book, join, readings, ta if in_effect is None else max(ta, in_effect))
    notes = () if old else ("no ack before the disaster names the server that executed it",)
    if not readings or not join.acked:
        why = "no complete reading of the survivor" if not readings else "no marker was acked by the old primary"
        return Loss(book.store, 0, None, why, rows, notes=notes)
    low = 0
    if join.lost:
        a = min(_ended(marker) for marker in join.lost)
        low = max(0, tb - a, max(marker.sent for marker in join.lost) - a)
    acked_after = any(_ended(marker) > ta for marker in join.acked)
    end = old_end(book.markers, join.acked, disaster)
    high, why = _high(book, join, ta, end)
    k = last_present(join.present)
    behind = max(0, tb - min((_ended(marker) for marker in join.lost), default=tb))
    return Loss(
        book.store,
        low,
        high,
        why,
        rows,
        (behind, None if k is None else max(0, ta - k)),
        acked_after,
        _rate(join.acked, tb),
        readings[-1].keys,
        frozenset((marker.writer, marker.seq) for marker in join.acked),
        notes,
    )


def last_present(present: Sequence[Marker]) -> int | None:
    """Give k, the largest send of a marker that the old primary executed and the survivor has; None if none.

    By send and not by number: several writers number on their own, and a retried number says nothing of order.
    """
    return max((marker.sent for marker in present), default=None)


def executed_by(row: Recovered, old: str) -> bool:
    """Say whether the old primary executed a recovered row: what the survivor wrote itself was never replicated."""
    return row.primary == old


def old_end(markers: Iterable[Marker], acked: Sequence[Marker], disaster: Bracket) -> int:
    """Give when the old primary had surely stopped acknowledging; ENDLESS if a writer stopped while still acked.

    For each writer that was acked after the disaster: the end of its first unanswered marker sent after its last
    acked one, and no sooner than that last ack. If none was, some writer must have tried in vain since: one that
    stopped (or died, with a marker open) before the disaster shows nothing of what came after. The lanes of one
    process are one writer here: whichever is free takes the next marker.
    """
    ta = disaster.latest
    last: dict[str, Marker] = {}
    for marker in acked:
        known = last.get(_process(marker))
        if known is None or marker.sent > known.sent:
            last[_process(marker)] = marker
    latest = dict.fromkeys(last, 0)
    for marker in acked:
        latest[_process(marker)] = max(latest[_process(marker)], _ended(marker))
    silent: dict[str, Marker] = {}
    in_vain = False
    for marker in markers:
        ack = last.get(_process(marker))
        if ack is None or marker.acked or marker.sent <= ack.sent:
            continue
        in_vain = in_vain or (marker.ended is not None and marker.sent >= disaster.earliest)
        known = silent.get(_process(marker))
        if known is None or marker.sent < known.sent:
            silent[_process(marker)] = marker
    if not in_vain:
        return ENDLESS
    end = ta
    for writer in last:
        if latest[writer] <= ta:
            continue
        stopped = silent.get(writer)
        if stopped is None or stopped.ended is None:
            return ENDLESS
        end = max(end, stopped.ended, latest[writer])
    return end


def _process(marker: Marker) -> str:
    """Name the process behind a lane (``NAME~LANE``)."""
    return marker.writer.partition("~")[0]


def _high(book: Book, join: _Join, ta: int, end: int) -> tuple[int | None, str]:
    if join.strangers:
        return None, f"{join.strangers} acked rows are absent that another server than the old primary acked"
    if book.every_write:
        if join.unread:
            return None, f"{join.unread} writes were acknowledged after the last reading had begun"
        if not join.lost:
            return 0, "every acknowledged write was compared and none is absent"
        span = max(ta, *(_ended(marker) for marker in join.lost)) - min(marker.sent for marker in join.lost)
        return max(0, span), "every acknowledged write was compared"
    if end >= ENDLESS:
        return None, "a marker writer stopped while the old primary still acknowledged"
    k = last_present(join.present)
    if k is None:
        return None, "no marker of the old primary was recovered"
    if not book.ordered:
        return None, "the order of this store is not declared, and not every acknowledged write was compared"
    if join.holes:
        return None, f"{len(join.holes)} rows are present that were written after a lost one: not one ordered log"
    earliest = min((marker.sent for marker in join.lost), default=k)
    why = "the interval between markers" if join.lost else "none lost; no marker proves more"
    return max(0, end - min(k, earliest)), why


def _identity(markers: Sequence[Marker], tb: int) -> str:
    names = {marker.primary for marker in markers if marker.acked and marker.ended is not None and marker.ended <= tb}
    return names.pop() if len(names) == 1 else ""


def _join(book: Book, old: str, readings: list[Reading]) -> _Join:
    """Sort the markers out. Present counts only what *every* complete reading found and the old primary executed.

    Lost is what the last reading does not find although it had been acknowledged before that reading began.
    """
    by_old = {(row.writer, row.seq) for row in book.recovered if executed_by(row, old)}
    always = _in_all([one.keys for one in readings]) & by_old
    acked = [marker for marker in book.markers if marker.acked and marker.primary == old]
    if not readings:
        return _Join(acked, [], [], [], 0)
    last = readings[-1]
    gone = [marker for marker in book.markers if marker.acked and last.lacks(marker)]
    lost = [marker for marker in gone if marker.primary == old]
    unread = sum(
        1 for marker in acked if _ended(marker) > last.started and (marker.writer, marker.seq) not in last.keys
    )
    present = [marker for marker in book.markers if (marker.writer, marker.seq) in always]
    ever = [marker for marker in book.markers if (marker.writer, marker.seq) in by_old]
    missed = [marker for marker in acked if any(one.lacks(marker) for one in readings)]
    return _Join(acked, lost, present, _holes(ever, missed), len(gone) - len(lost), unread)


def _holes(present: list[Marker], lost: list[Marker]) -> list[Marker]:
    """Give the present markers written after a lost one: sent after its ack, or a later number of its writer."""
    if not lost:
        return []
    first_ack = min(_ended(marker) for marker in lost)
    first_seq: dict[str, int] = {}
    for marker in lost:
        first_seq[marker.writer] = min(marker.seq, first_seq.get(marker.writer, marker.seq))
    return [
        marker
        for marker in present
        if marker.sent >= first_ack or marker.seq > first_seq.get(marker.writer, marker.seq)
    ]


def _rows(book: Book, join: _Join, readings: list[Reading], struck: int) -> Rows:
    last = readings[-1].keys if readings else _NONE
    unanswered = [marker for marker in book.markers if not marker.acked]
    return Rows(
        acked=len(join.acked),
        lost=len(join.lost) + join.strangers,
        phantom=sum(1 for marker in unanswered if (marker.writer, marker.seq) in last),
        indeterminate=sum(1 for marker in unanswered if marker.acked is None),
        holes=len(join.holes),
        diverged=sum(1 for marker in join.lost if marker.sent > struck),
        reconciled=sum(
            1 for marker in join.acked if readings and readings[0].lacks(marker) and (marker.writer, marker.seq) in last
        ),
        read=bool(readings),
    )


def _rate(acked: list[Marker], tb: int) -> float:
    before = [marker.sent for marker in acked if marker.sent <= tb]
    span = max(before) - min(before) if before else 0
    return (len(before) - 1) * 1e9 / span if span > 0 else 0.0


def _ended(marker: Marker) -> int:
    """Give when the answer came; an ack without a stamp is as good as never (``ENDLESS``)."""
    return ENDLESS if marker.ended is None else marker.ended


def _in_all(sets: Sequence[frozenset[Key]]) -> frozenset[Key]:
    """Give what all of the sets hold; nothing if there are none."""
    common = sets[0] if sets else _NONE
    for one in sets[1:]:
        common &= one
    return common
