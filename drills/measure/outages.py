"""Every outage one observer saw, with bounds on its beginning, its end and its length. No disaster, no runbook.

An outage is a stretch that begins with the service down and ends at the first moment from which nothing was down
for a whole window W (``stable_for``): flapping within it belongs to it. Two outages between which no whole window
can be shown (less than about W and a timeout apart) are told as one, whose end may be that of either. The bounds
are those of a drill's RTO: beginnings from ``effect.incidents``, ends from ``rto.lower`` and ``rto.upper``.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.measure.effect import incidents
from drills.measure.evidence import Evidence, censor, latency, seen_up
from drills.measure.flaps import flaps
from drills.measure.rto import ENDLESS, lower, track, upper
from drills.timeline.samples import BAD

if TYPE_CHECKING:
    from drills.measure.question import Watch
    from drills.measure.rto import Run, Track

WINDOW_PARTS = 5
"""An outage longer than this part of a window must not be able to hide in it (the largest gap: rho_max <= W / 5)."""


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage; nanoseconds. ``began_after`` None: it was down before anybody saw it up.

    ``ended_before`` None: no whole window without failure was seen since. ``first_failed`` and ``last_failed``
    are the sends of its first and last failed request; ``flaps`` how often it failed again after a success.
    """

    began_after: int | None
    began_before: int
    ended_after: int
    ended_before: int | None
    first_failed: int
    last_failed: int
    failed: int
    flaps: int

    @property
    def shortest(self) -> int:
        """The least it can have lasted."""
        return max(0, self.ended_after - self.began_before)

    @property
    def longest(self) -> int | None:
        """The most it can have lasted; None: nothing bounds it."""
        if self.began_after is None or self.ended_before is None:
            return None
        return self.ended_before - self.began_after


@dataclass(frozen=True, slots=True)
class Seen:
    """What one observer saw: its outages in order, its requests, and the longest outage that could hide.

    ``hidden`` None: it had too few good answers to say. ``first`` and ``last`` bound what was watched at all.
    """

    outages: tuple[Outage, ...]
    good: int
    bad: int
    unknown: int
    hidden: int | None
    first: int | None
    last: int | None


def outages(watch: Watch, until: int = ENDLESS) -> Seen:
    """Find the outages among samples sent by ``until``.

    While the observer still runs, ``until`` must lie a timeout before its newest row: an open request may fail.
    """
    samples = censor(watch.samples, watch.controls)
    trouble = min((sent for sent, up in zip(samples.sent, samples.up, strict=True) if up == BAD), default=until)
    known = latency(samples, trouble, watch.header.every_ns)
    evidence = seen_up(samples, until, known.l_max)
    way = track(evidence, watch.window_ns // WINDOW_PARTS)
    found = _outages(way, watch.window_ns)
    sent = sum(1 for one in samples.sent if one <= until)
    good, bad = len(evidence.good_sent), len(evidence.bad_sent)
    firsts = [*evidence.good_sent[:1], *evidence.bad_sent[:1]]
    lasts = [*evidence.good_sent[-1:], *evidence.bad_sent[-1:]]
    return Seen(
        tuple(found),
        good,
        bad,
        sent - good - bad,
        _hidden(way, found),
        min(firsts, default=None),
        max(lasts, default=None),
    )


def _outages(way: Track, window: int) -> list[Outage]:
    evidence = way.evidence
    found: list[Outage] = []
    place = 0
    for began in incidents(way, window):
        if place >= len(evidence.bad_sent):
            break
        first = evidence.bad_sent[place]
        run = upper(way, evidence.bad_until[place], window)  # as ``incidents`` has cut it
        end = len(evidence.bad_sent) if run is None else max(place + 1, bisect_left(evidence.bad_sent, run.sent))
        unseen = began.earliest == -ENDLESS
        mine = _between(evidence, place, end, run)
        # Whatever it began with, it holds the down instant of its first failed request.
        found.append(
            Outage(
                None if unseen else began.earliest,
                began.latest,
                lower(mine, first, window),
                None if run is None else run.ended,
                first,
                evidence.bad_sent[end - 1],
                end - place,
                _flaps(mine, began.latest, run),
            )
        )
        place = end
    return found


def _between(evidence: Evidence, place: int, end: int, run: Run | None) -> Evidence:
    """Give the requests of one outage, to the first good answer after it."""
    first = bisect_left(evidence.good_sent, evidence.bad_sent[place])
    last = len(evidence.good_sent) if run is None else bisect_left(evidence.good_sent, run.sent) + 1
    return Evidence(
        evidence.good_sent[first:last],
        evidence.good_ended[first:last],
        evidence.bad_sent[place:end],
        evidence.bad_until[place:end],
    )


def _flaps(mine: Evidence, ehi: int, run: Run | None) -> int:
    last = ENDLESS if run is None else run.closed
    return flaps(mine, mine.bad_sent[0], ehi, run, last).count


def _hidden(way: Track, found: list[Outage]) -> int | None:
    """Give the largest gap between good answers that no known outage explains."""
    sent = way.evidence.good_sent
    spans = [(one.first_failed, one.last_failed) for one in found]
    begins = [first for first, _ in spans]
    worst: int | None = None
    for gap, at in zip(way.gaps[:-1], sent[:-1], strict=True):
        near = bisect_left(begins, at + gap) - 1
        explained = near >= 0 and spans[near][1] >= at
        if gap < ENDLESS and not explained:
            worst = gap if worst is None else max(worst, gap)
    return worst
