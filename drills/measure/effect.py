"""When the disaster began to be felt: a bracket, never the answer of an API."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from enum import StrEnum

from drills.measure.evidence import Bracket
from drills.measure.rto import ENDLESS, Track, upper


class Known(StrEnum):
    """How well the moment of the effect is known."""

    SYNCHRONOUS = "synchronous"
    """The fault was in effect when its call returned (a process exit was seen)."""
    CONFIRMED = "confirmed"
    """A later look saw the fault in effect."""
    UNCONFIRMED = "unconfirmed"
    """Only the samples speak: never MET."""
    UNKNOWN = "unknown"
    """Nobody injected it (an incident): the samples give clock and effect alike."""
    DECLARED = "declared"
    """No sample shows its beginning: a person said when it was."""


@dataclass(frozen=True, slots=True)
class Disaster:
    """When it was injected, as far as the timeline says.

    ``clock`` is [before the call, after its answer], None when nobody injected it; ``mark`` then helps to choose
    among several incidents. ``confirmed`` is the moment a look (``in_effect``) saw it. ``opened``: an incident that
    was over by then is another one. ``declared`` is what a person said of its beginning, ``said`` their sentence.
    """

    clock: Bracket | None
    synchronous: bool = False
    confirmed: int | None = None
    mark: Bracket | None = None
    opened: int | None = None
    declared: Bracket | None = None
    said: str = ""

    @property
    def unplanned(self) -> bool:
        """Whether it is an incident: nobody injected it, and no step marks it."""
        return self.clock is None and self.mark is None and self.opened is not None


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect lies in [elo, ehi]; ``ehi`` None: it was never seen. ``clock`` is when the clock starts."""

    clock: Bracket
    elo: int
    ehi: int | None
    known: Known
    note: str = ""


def effect(way: Track, disaster: Disaster, old_success: int | None) -> Effect:
    """Bracket the effect of an injected disaster (``disaster.clock`` is not None).

    ``way`` is of the predicate ``up``. ``old_success`` is the last send of a success (or the ack of a marker)
    by the failed site after the clock's bracket: it refutes that the fault was in effect when its call returned.
    """
    clock = disaster.clock
    if clock is None:
        raise ValueError("an incident has no clock of its own; ask incidents()")
    note = ""
    if disaster.synchronous:
        if old_success is None:
            return Effect(clock, clock.earliest, clock.latest, Known.SYNCHRONOUS)
        late = (old_success - clock.latest) / 1e9
        note = f"the failed site still answered a request sent {late:.3f} s after the fault's call returned"
    if disaster.confirmed is not None:
        return Effect(clock, clock.earliest, max(disaster.confirmed, clock.earliest), Known.CONFIRMED, note)
    return unconfirmed(way, clock, note)


def unconfirmed(way: Track, clock: Bracket, note: str = "") -> Effect:
    """Bracket an effect that only the samples show.

    Late end: the soonest end of a bad sent after the call answered. Early end: the last good that *ended* before
    the first bad was sent, if an unbroken chain of goods leads to it from before the call: without the chain an
    earlier outage could hide, and its own beginning would be the effect.
    """
    evidence = way.evidence
    tb, ta = clock.earliest, clock.latest
    after = bisect_left(evidence.bad_sent, ta)
    ehi = min(evidence.bad_until[after:], default=None)
    if ehi is None:
        return Effect(clock, tb, None, Known.UNCONFIRMED, note or "no request failed after the fault")
    if any(until > tb for until in evidence.bad_until[:after]):
        return Effect(clock, tb, ehi, Known.UNCONFIRMED, note)
    return Effect(clock, last_good(way, tb, evidence.bad_sent[after]), ehi, Known.UNCONFIRMED, note)


def last_good(way: Track, since: int, first_bad: int) -> int:
    """Give the last send of a good that ended by ``first_bad``, reached from ``since`` by goods without a gap.

    Gives ``since`` when the chain does not begin with a good that had ended by then, or breaks before.
    """
    evidence, stops = way.evidence, way.stops
    start = -1
    for place, (sent, ended) in enumerate(zip(evidence.good_sent, evidence.good_ended, strict=True)):
        if sent > since:
            break
        if ended <= since:
            start = place
    if start < 0:
        return since
    stop = bisect_left(stops, start)
    last = stops[stop] if stop < len(stops) else len(evidence.good_sent) - 1
    moment = since
    for place in range(start, last + 1):
        if evidence.good_sent[place] > first_bad:
            break
        if evidence.good_ended[place] <= first_bad:
            moment = max(moment, evidence.good_sent[place])
    return moment


def incidents(way: Track, window: int) -> list[Bracket]:
    """Find the incidents nobody injected: brackets of their beginnings, in order.

    Two bads belong to one incident unless a whole window of goods lies between them. An incident begins after the
    last good that ended before its first bad was sent, or, where an outage could hide in a gap of the goods less
    than a window before, after the good at that gap's near end; and no later than its bads' soonest end.
    """
    evidence = way.evidence
    found: list[Bracket] = []
    place = 0
    while place < len(evidence.bad_sent):
        first = evidence.bad_sent[place]
        run = upper(way, evidence.bad_until[place], window)
        end = bisect_left(evidence.bad_sent, run.sent) if run is not None else len(evidence.bad_sent)
        end = max(end, place + 1)
        latest = min(evidence.bad_until[place:end])
        found.append(Bracket(min(up_before(way, first, window), latest), latest))
        place = end
    return found


def up_before(way: Track, first_bad: int, window: int) -> int:
    """Give the earliest beginning of the incident whose first bad was sent at ``first_bad``; -ENDLESS: not known."""
    sent, ended, stops = way.evidence.good_sent, way.evidence.good_ended, way.stops
    place = bisect_left(sent, first_bad) - 1
    while place >= 0 and ended[place] > first_bad:
        place -= 1
    if place < 0:
        return -ENDLESS
    anchor = sent[place]
    for stop in range(bisect_left(stops, place) - 1, -1, -1):
        gap = stops[stop]
        if anchor - min(ended[gap + 1 : place + 1]) >= window:
            return anchor
        anchor, place = sent[gap], gap
    return anchor
