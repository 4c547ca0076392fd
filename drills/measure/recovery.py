"""From the loss of each store to the interval recovery_point -> disaster, and whatever else is an interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.durations import show
from drills.measure.lints import clock_doubts, foreign
from drills.measure.verdict import NS, Doubt, Share, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.evidence import Bracket
    from drills.measure.question import Ledger, Question
    from drills.measure.rpo import Loss
    from drills.timeline.marks import Mark

NEVER_CUT = Doubt(
    "replication was never cut: the timeline does not show that the survivor had stopped receiving before its promote",
    "a fault that cuts replication, seen before the promote",
)
NO_DISASTER = Doubt("no disaster stands on the timeline", "a step that marks the disaster, and a drill that gets to it")


def already(mark: Mark) -> Doubt:
    """Doubt an interval that begins with what was found to be so: nobody saw it begin."""
    return Doubt(f"{mark.value} was so at the first look, so nobody knows since when", "a look that says no before")


def between(begin: Bracket, end: Bracket, doubts: Sequence[Doubt] = ()) -> Span:
    """Bound an interval by the brackets of its two ends."""
    low = max(0, end.earliest - begin.latest)
    narrower = "a tighter bracket"
    shares = (Share("when it began", begin.width, narrower), Share("when it ended", end.width, narrower))
    return Span(low, max(low, end.latest - begin.earliest), tuple(doubts), shares)


def lost(ledger: Ledger, loss: Loss | None, question: Question, disaster: Bracket | None) -> Span:
    """Bound the RPO of one store, with every doubt: never MET unless replication was seen cut before the promote."""
    doubts = clock_doubts(ledger.header, question)
    if disaster is None or loss is None:
        return Span(0, None, tuple(doubts or [NO_DISASTER]))
    if not question.cut_before_promote:
        doubts.append(NEVER_CUT)
    if loss.high is None:
        doubts.append(
            Doubt(
                f"{loss.store}: {loss.why}",
                "markers written to the end, and a complete reading of one declared ordered log",
            )
        )
    doubts += [Doubt(f"{loss.store}: {note}", "a marker writer that records who answered") for note in loss.notes]
    width = 0 if loss.high is None else max(0, loss.high - loss.low - disaster.width)
    # Where one loss alone makes the lower end, not all of that bracket is in the bounds.
    struck = disaster.width if loss.high is None else min(disaster.width, loss.high - loss.low)
    shares = (
        Share("when the disaster struck", struck, "a tighter bracket around the fault"),
        Share(f"between markers of {loss.store}", width, f"markers closer than {show(ledger.header.every_ns / NS)}"),
    )
    return Span(loss.low, loss.high, tuple(doubts), shares)


def last_old_ack(question: Question) -> int | None:
    """Give the last send of a marker that the old primary acked although it was sent after the clock's start."""
    disaster = question.disaster
    if disaster is None or disaster.clock is None:
        return None
    after = disaster.clock.latest
    sent = [
        marker.sent
        for ledger in question.ledgers
        if not foreign(ledger.header, question) and ledger.book.old
        for marker in ledger.book.markers
        if marker.acked and marker.primary == ledger.book.old and marker.sent > after
    ]
    return max(sent, default=None)
