"""Bounds on the moment the service was restored: pure functions over evidence.

R is the earliest moment, not before the effect, from which nothing was down for a whole window W
(``stable_for``). It is back-dated: waiting for the window is never part of it. All times are integers of one
clock in one unit (nanoseconds in life, milliseconds in the properties that attack these functions).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drills.measure.evidence import Evidence

ENDLESS = 1 << 62
"""Later than every stamp: what a gap after the last good, and a bad that never comes, are compared as."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run of goods that shows the service up for a whole window.

    ``sent`` and ``ended`` are of its first good (R <= ended), ``closed`` the end of the good that closes the
    window, ``resolution`` its largest gap: outages shorter than that may be unseen.
    """

    sent: int
    ended: int
    closed: int
    resolution: int


def lower(evidence: Evidence, elo: int, window: int) -> int:
    """Give the earliest moment at which R can lie.

    Start at the earliest effect. A bad sent at or after t whose down instant lies before t + W contradicts every
    R in [t, its send): R would need [R, R + W) free of it. So t moves to its send.
    """
    moment = elo
    first = bisect_left(evidence.bad_sent, elo)
    for sent, until in zip(evidence.bad_sent[first:], evidence.bad_until[first:], strict=True):
        if sent >= moment and until - window < moment:
            moment = sent
    return moment


def gaps(evidence: Evidence) -> list[int]:
    """Give for each good i the smallest ``ended_j - sent_i`` over later goods j; ENDLESS for the last.

    Up instants of i and j lie that close, so no outage that long fits between them.
    """
    ended = evidence.good_ended
    found = [ENDLESS] * len(ended)
    soonest = ENDLESS
    for place in range(len(ended) - 1, -1, -1):
        if soonest != ENDLESS:
            found[place] = soonest - evidence.good_sent[place]
        soonest = min(soonest, ended[place])
    return found


def breaks(found: list[int], rho_max: int) -> list[int]:
    """Give the places of goods after which an outage longer than ``rho_max`` could hide, in order."""
    return [place for place, gap in enumerate(found) if gap > rho_max]


def first_candidate(evidence: Evidence, ehi: int) -> int:
    """Give the place of the first good that was *sent* when the disaster was surely in effect."""
    return bisect_left(evidence.good_sent, ehi)


def window_closes(sent: int, ended: int, window: int) -> int:
    """Give the earliest send of a good that closes the window of a run which begins with [sent, ended].

    The up instant may be as late as ``ended``, so the window is counted from there.
    """
    del sent
    return ended + window


def bads_by_end(evidence: Evidence) -> tuple[list[int], list[int]]:
    """Give the ends of all bads in order, and for each the earliest send among the bads that end no sooner.

    A run meets a bad that was sent long before and still runs: its down instant may lie inside.
    """
    pairs = sorted(zip(evidence.bad_until, evidence.bad_sent, strict=True))
    earliest = [sent for _, sent in pairs]
    for place in range(len(pairs) - 2, -1, -1):
        earliest[place] = min(earliest[place], earliest[place + 1])
    return [until for until, _ in pairs], earliest


@dataclass(frozen=True, slots=True)
class Track:
    """Evidence with what every search for a run needs of it, worked out once; O(n log n)."""

    evidence: Evidence
    gaps: list[int]
    stops: list[int]
    bad_ends: list[int]
    bad_earliest: list[int]


def track(evidence: Evidence, rho_max: int) -> Track:
    """Prepare evidence for ``upper``: outages longer than ``rho_max`` must not be able to hide in a run."""
    found = gaps(evidence)
    ends, earliest = bads_by_end(evidence)
    return Track(evidence, found, breaks(found, rho_max), ends, earliest)


def upper(way: Track, ehi: int, window: int) -> Run | None:
    """Find the good with the smallest end that provably stands at or after R; None if there is none yet.

    Such a good g was sent at or after the latest effect, and a later good g2 was sent at or after
    ``g.ended + W``; no bad's [sent, until] meets [g.sent, g2.ended]; no gap in between exceeds ``rho_max``.
    Then g's up instant begins W without an outage longer than ``rho_max``, so R <= g.ended.
    """
    good_sent, good_ended = way.evidence.good_sent, way.evidence.good_ended
    ends, earliest, stops = way.bad_ends, way.bad_earliest, way.stops
    count, bads, halts = len(good_sent), len(ends), len(stops)
    first = first_candidate(way.evidence, ehi)
    stop, bad = bisect_left(stops, first), 0
    best: Run | None = None
    for place in range(first, count):
        sent, ended = good_sent[place], good_ended[place]
        if best is not None and sent >= best.ended:
            break
        if best is not None and ended >= best.ended:
            continue
        while stop < halts and stops[stop] < place:
            stop += 1
        bad = bisect_left(ends, sent, bad)
        next_bad = earliest[bad] if bad < bads else ENDLESS
        closes = window_closes(sent, ended, window)
        if next_bad <= closes:
            continue
        last = stops[stop] if stop < halts else count - 1
        other = _closing(way.evidence, bisect_left(good_sent, closes), last, next_bad)
        if other is not None:
            best = Run(sent, ended, good_ended[other], max(way.gaps[place:other], default=0))
    return best


def _closing(evidence: Evidence, first: int, last: int, next_bad: int) -> int | None:
    """Find a good in places [first, last] that has ended before ``next_bad``; the first such one."""
    for place in range(first, last + 1):
        if evidence.good_sent[place] >= next_bad:
            return None
        if evidence.good_ended[place] < next_bad:
            return place
    return None
