"""How many acknowledged rows the survivor lacks: a count with bounds, with or without a disaster.

A row is lost if its writer was told that it stands and the last complete reading of the survivor, begun after that
answer, does not have it. Rows without an answer were never promised, so they are never lost. Which server acknowledged
a row does not matter: what an unfenced old primary took after the switch is lost too.

A count of nothing proves nothing. What has to be shown as well, or the count is in doubt and never MET: the old primary
took rows until it was to stop, the writer went on until it saw it stop, and what was read afterwards is another server
where another site was to take over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.durations import show
from drills.measure.lints import clock_doubts, foreign
from drills.measure.readings import readings_of
from drills.measure.verdict import NS, Doubt, Share, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.question import Ledger, Question
    from drills.measure.rpo import Book, Key
    from drills.timeline.samples import Marker, ReadRound

SLOTS = 10
"""A writer silent for longer than so many slots and one timeout was not running."""
_A_WRITER = "a marker writer that runs until it sees the old primary stop"
_A_READING = "a complete reading of the survivor after the last acknowledged row"
_TIMES = Doubt("nothing on the timeline shows when writes were to stop", "a fence, or a step that marks writes_stopped")


@dataclass(frozen=True, slots=True)
class Switch:
    """When the drill set about to stop the old primary at the soonest; ``moved``: authority is seen to have moved.

    ``elsewhere``: another site is to take over, so that what is read must be another server than before.
    """

    stopping: int | None
    moved: bool
    elsewhere: bool = True


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows acknowledged and absent: ``low`` for certain, ``high`` with those that no reading can tell of."""

    low: int
    high: int | None


def lost_rows(ledger: Ledger, question: Question, switch: Switch) -> Span:
    """Bound the lost rows of one store, with every doubt. The span counts rows."""
    doubts = clock_doubts(ledger.header, question)
    if foreign(ledger.header, question):
        return Span(0, None, tuple(doubts))
    book = ledger.book
    found = counted(book)
    if found.high is None:
        doubts.append(Doubt(f"{book.store}: no complete reading of the survivor", _A_READING))
    else:
        if not ledger.header.whole:
            told = f"{book.store}: its writer died, and took along what was acknowledged in its last half second"
            doubts.append(Doubt(told, _A_WRITER))
        doubts += _exercised(ledger, switch)
        doubts += _of_another(book, switch)
    width = 0 if found.high is None else found.high - found.low
    what = f"rows of {book.store} that were acknowledged after its last reading began"
    return Span(found.low, found.high, tuple(doubts), (Share(what, width, _A_READING),) if width else ())


def all_stores(spans: Sequence[Span]) -> Span:
    """Add up the stores: no bound if one has none, and all doubts, so that one in doubt leaves the whole in doubt."""
    highs = [span.high for span in spans if span.high is not None]
    return Span(
        sum(span.low for span in spans),
        sum(highs) if len(highs) == len(spans) else None,
        tuple(dict.fromkeys(doubt for span in spans for doubt in span.doubts)),
        tuple(share for span in spans for share in span.shares),
    )


def counted(book: Book) -> Counted:
    """Count the acknowledged rows that the last complete reading does not have.

    Those acknowledged after it began cannot be told from rows on their way: they widen the bounds, unless the server
    that was read took them itself.
    """
    last = final(book.rounds)
    if last is None:
        return Counted(0, None)
    reading = readings_of(book.rounds, book.recovered)[-1]
    certain: set[Key] = set()
    open_: set[Key] = set()
    for marker in book.markers:
        key = (marker.writer, marker.seq)
        if not promised(marker) or key in reading.keys:
            continue
        if reading.lacks(marker):
            certain.add(key)
        elif not (last.server and marker.primary == last.server):
            open_.add(key)
    return Counted(len(certain), len(certain | open_))


def final(rounds: Sequence[ReadRound]) -> ReadRound | None:
    """Give the last complete reading."""
    return max((one for one in rounds if one.complete), key=lambda one: (one.started, one.round), default=None)


def promised(marker: Marker) -> bool:
    """Say whether the writer was told that the row stands."""
    return marker.acked is True


def _exercised(ledger: Ledger, switch: Switch) -> list[Doubt]:
    """Doubt a count over which the old primary was not written to until it was seen to stop."""
    store, stopping = ledger.book.store, switch.stopping
    if stopping is None:
        return [_TIMES]
    slack = ledger.header.timeout_ns + SLOTS * ledger.header.every_ns
    before = [one for one in ledger.book.markers if promised(one) and one.sent <= stopping]
    if not before:
        return [Doubt(f"{store}: no row was acknowledged before writes were to stop", _A_WRITER)]
    old = {one.primary for one in before}
    taken = [one.sent for one in ledger.book.markers if promised(one) and one.primary in old]
    refused = [one.sent for one in ledger.book.markers if not (promised(one) and one.primary in old)]
    if not switch.elsewhere:  # the same server may come back: what it takes then is no matter of the stop
        stop = min((sent for sent in refused if sent > stopping - slack), default=None)
        taken = [sent for sent in taken if stop is None or sent < stop]
    last = max(taken, default=before[0].sent)
    if stopping - last > slack:
        told = f"{store}: the last acknowledged row was sent {show((stopping - last) / NS)} before writes were to stop"
        return [Doubt(told, _A_WRITER)]
    first = min((sent for sent in refused if sent > last), default=None)
    if first is None:
        return [Doubt(f"{store}: the writer ended while the old primary still acknowledged rows", _A_WRITER)]
    if first - last > slack:
        told = f"{store}: no row was sent for {show((first - last) / NS)} after the last acknowledged one"
        return [Doubt(told, _A_WRITER)]
    return [] if read_after(ledger.book, first) else [Doubt(f"{store}: it was read before it stopped", _A_READING)]


def read_after(book: Book, moment: int) -> bool:
    """Say whether the last complete reading began after a moment."""
    last = final(book.rounds)
    return last is not None and last.started > moment


def _of_another(book: Book, switch: Switch) -> list[Doubt]:
    """Doubt a reading of the very server that took the rows, where another was to take over."""
    if not switch.elsewhere:
        return []
    last = final(book.rounds)
    server = "" if last is None else last.server
    took = {one.primary for one in book.markers if promised(one) and one.sent <= (switch.stopping or 0)}
    named = bool(server and took) and "" not in took
    same = server in took if named else not switch.moved
    told = f"{book.store}: nothing shows that the rows were read from another server than the one that took them"
    return [Doubt(told, "a switchover, and a reading of the new primary")] if same else []
