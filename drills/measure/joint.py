"""Several observers as one: the service is up only while every one of them is (read, write, capacity, responder).

``S(t) = S_1(t) and S_2(t) and ...``, so what shows one of them down shows the whole down, while nothing that any of
them saw alone shows the whole up. The joint recovery is not the latest of the separate ones: after all have come
back, each for a window of its own, one may have gone again before the others came.

* **Lower**: the bads of all observers are bads of the whole (A0 holds for it), so ``rto.lower`` over their union.
* **Upper**: the least H for which every observer i has a good g_i, sent when the effect was surely there, with
  ``ended <= H``, and a later good sent at or after ``H + W``, without a bad of its own meeting the time between and
  without a gap of more than its ``rho_max``. Each g_i has an up instant u_i; from the latest of them on nothing is
  down until ``H + W`` or later, and it is no later than H: so R <= H.

With one observer both are the rules of ``rto``. Times as there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.measure import effect as single
from drills.measure.effect import Effect, Known
from drills.measure.evidence import Bracket, Evidence
from drills.measure.rto import ENDLESS, Run, Track, first_candidate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.effect import Disaster


@dataclass(frozen=True, slots=True)
class Together:
    """A run of all observers at once; ``closed`` is the end of the good with which each of them closes it."""

    run: Run
    closed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cover:
    """One observer shows the service up for a window after any H in [first, last].

    The run may begin with any good in places [begin, end) that has ended by H; it closes at place ``close`` or before.
    """

    first: int
    last: int
    begin: int
    end: int
    close: int


def bads(parts: Sequence[Evidence]) -> Evidence:
    """Give the bads of all observers as one, in order; a good of one of them is no good of the whole."""
    pairs = sorted(pair for one in parts for pair in zip(one.bad_sent, one.bad_until, strict=True))
    return Evidence([], [], [sent for sent, _ in pairs], [until for _, until in pairs])


def upper(ways: Sequence[Track], ehi: int, window: int) -> Together | None:
    """Find the least H by which, and from which for a whole window, every observer shows the service up."""
    shown = [covers(way, ehi, window) for way in ways]
    if not all(shown):
        return None
    lasts = [[one.last for one in each] for each in shown]
    soonest = [_soonest(each) for each in shown]
    moment = first_common(lasts, soonest)
    if moment is None:
        return None
    ends = [_run(way, each, moment, window) for way, each in zip(ways, shown, strict=True)]
    run = Run(
        max(sent for sent, _, _ in ends), moment, max(closed for _, closed, _ in ends), max(gap for _, _, gap in ends)
    )
    return Together(run, tuple(closed for _, closed, _ in ends))


def first_common(lasts: Sequence[Sequence[int]], soonest: Sequence[Sequence[int]]) -> int | None:
    """Find the least moment that every observer covers; None if there is none.

    Each observer in turn moves the moment to the next that it covers, until all agree: none of them can skip one
    that all cover.
    """
    moment, agreed, turn = -ENDLESS, 0, 0
    while agreed < len(lasts):
        place = bisect_left(lasts[turn], moment)
        if place == len(lasts[turn]):
            return None
        following = max(moment, soonest[turn][place])
        agreed = agreed + 1 if following == moment else 1
        moment, turn = following, (turn + 1) % len(lasts)
    return moment


def covers(way: Track, ehi: int, window: int) -> list[Cover]:
    """Give what one observer shows, in order of ``last``.

    Goods between the same bads and the same gaps can all be closed by the same later goods, so they are one cover.
    """
    sent, ended = way.evidence.good_sent, way.evidence.good_ended
    found: list[Cover] = []
    place = first_candidate(way.evidence, ehi)
    while place < len(sent):
        bad = bisect_left(way.bad_ends, sent[place])
        next_bad = way.bad_earliest[bad] if bad < len(way.bad_ends) else ENDLESS
        stop = bisect_left(way.stops, place)
        last = way.stops[stop] if stop < len(way.stops) else len(sent) - 1
        end = last + 1
        if bad < len(way.bad_ends):
            same = bisect_right(way.bad_earliest, next_bad) - 1
            end = min(end, bisect_right(sent, way.bad_ends[same]))
        close = min(last, bisect_left(sent, next_bad) - 1)
        while close >= place and ended[close] >= next_bad:
            close -= 1
        begins = ended[place : min(end, close + 1)]
        if begins and min(begins) + window <= sent[close]:
            found.append(Cover(min(begins), sent[close] - window, place, min(end, close + 1), close))
        place = end
    return found


def _soonest(shown: Sequence[Cover]) -> list[int]:
    """Give for each cover the least ``first`` among it and those after it."""
    found = [one.first for one in shown]
    for place in range(len(found) - 2, -1, -1):
        found[place] = min(found[place], found[place + 1])
    return found


def _run(way: Track, shown: Sequence[Cover], moment: int, window: int) -> tuple[int, int, int]:
    """Give the latest good that may begin the run at ``moment`` (its send), the end of its close, and its gap."""
    sent, ended = way.evidence.good_sent, way.evidence.good_ended
    cover = next(one for one in shown if one.first <= moment <= one.last)
    begin = next(place for place in range(cover.end - 1, cover.begin - 1, -1) if ended[place] <= moment)
    closes = bisect_left(sent, moment + window)
    bad = bisect_left(way.bad_ends, sent[begin])
    next_bad = way.bad_earliest[bad] if bad < len(way.bad_ends) else ENDLESS
    close = next((place for place in range(max(closes, begin), cover.close) if ended[place] < next_bad), cover.close)
    return sent[begin], ended[close], max(way.gaps[begin:close], default=0)


# -- the effect --------------------------------------------------------------------------------------------


def effect(ways: Sequence[Track], disaster: Disaster, old_success: int | None) -> Effect:
    """Bracket the effect of an injected disaster on the whole: the first of its effects on any of them."""
    found = single.effect(ways[0], disaster, old_success)
    if len(ways) == 1 or found.known is not Known.UNCONFIRMED:
        return found
    tb, ta = found.clock.earliest, found.clock.latest
    note = found.note if disaster.synchronous else ""
    after = [bisect_left(way.evidence.bad_sent, ta) for way in ways]
    ends = [until for way, first in zip(ways, after, strict=True) for until in way.evidence.bad_until[first:]]
    if not ends:
        return Effect(found.clock, tb, None, Known.UNCONFIRMED, note or "no request failed after the fault")
    early = [until for way, first in zip(ways, after, strict=True) for until in way.evidence.bad_until[:first]]
    if any(until > tb for until in early):
        return Effect(found.clock, tb, min(ends), Known.UNCONFIRMED, note)
    first_bad = min(
        way.evidence.bad_sent[first]
        for way, first in zip(ways, after, strict=True)
        if first < len(way.evidence.bad_sent)
    )
    elo = min(single.last_good(way, tb, first_bad) for way in ways)
    return Effect(found.clock, elo, min(ends), Known.UNCONFIRMED, note)


def incidents(ways: Sequence[Track], window: int) -> list[Bracket]:
    """Find the incidents nobody injected, as ``effect.incidents`` does for one observer.

    Two bads belong to one incident unless all observers together show a whole window of goods between them.
    """
    if len(ways) == 1:
        return single.incidents(ways[0], window)
    every = bads([way.evidence for way in ways])
    found: list[Bracket] = []
    place = 0
    while place < len(every.bad_sent):
        whole = upper(ways, every.bad_until[place], window)
        end = len(every.bad_sent) if whole is None else bisect_left(every.bad_sent, whole.run.sent)
        end = max(end, place + 1)
        latest = min(every.bad_until[place:end])
        found.append(Bracket(min(up_before(ways, every.bad_sent[place], window), latest), latest))
        place = end
    return found


def up_before(ways: Sequence[Track], first_bad: int, window: int) -> int:
    """Give the earliest beginning of the incident whose first bad was sent at ``first_bad``; -ENDLESS: not known.

    Walks back from the last goods before it. An outage may hide in a gap of any observer, and before its first good;
    one that ended less than a window before what may belong to the incident may belong to it as well.
    """
    anchor = first_bad
    hidden: list[tuple[int, int]] = []
    for way in ways:
        sent, ended = way.evidence.good_sent, way.evidence.good_ended
        place = bisect_left(sent, first_bad) - 1
        while place >= 0 and ended[place] > first_bad:
            place -= 1
        if place < 0:
            return -ENDLESS
        anchor = min(anchor, sent[place])
        hidden.append((min(ended[: place + 1]), -ENDLESS))
        gaps = way.stops[: bisect_left(way.stops, place)]
        hidden += [(min(ended[gap + 1 : place + 1]), sent[gap]) for gap in gaps]
    for over, begun in sorted(hidden, reverse=True):
        if anchor - over >= window:
            break
        anchor = min(anchor, begun)
    return anchor
