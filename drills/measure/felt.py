"""The total downtime that an objective limits: what its observers felt over the drill, as a span with its doubts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.durations import measured, show
from drills.measure.availability import LATER_WATCH, WINDOW_PARTS, first_trouble, joint_window
from drills.measure.downtime import Downtime, Shown, downtime, felt, shown
from drills.measure.evidence import censor, latency
from drills.measure.lints import clock_doubts, foreign
from drills.measure.rto import ENDLESS
from drills.measure.verdict import NS, Doubt, Share, Span
from drills.timeline.samples import GOOD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.question import Question, Watch

TARGET_PARTS = 10
"""An outage longer than this part of the target must not be able to hide (MEASUREMENT: rho_max)."""


@dataclass(frozen=True, slots=True)
class Total:
    """The downtime of one observer, or of several as one. ``unseen``: outages shorter than that may be missing."""

    name: str
    span: Span
    unseen: int = 0
    merged: int = 0

    def said(self) -> str:
        """Say what the bounds rest on."""
        return (
            f"{self.name}: the downtime leaves out outages shorter than {show(self.unseen / NS)} that no request met, "
            f"and counts recoveries shorter than {show(self.merged / NS)} that none met as down"
        )


def total(watches: Sequence[Watch], question: Question, target_ns: int, since: int = -ENDLESS) -> Total:
    """Bound how long the service was down in all, for one observer, or for several together (all up at once).

    The span that counts begins with the first request (but not before ``since``), at the latest with the first step,
    and ends with the last request, at the soonest with the last step: what was not watched in it counts towards the
    upper end, and where the service was not seen back by then there is none. Never MET without a whole window of
    service at its end, answered by the site the traffic went to where answers name theirs.
    """
    name = " & ".join(watch.header.observer for watch in watches)
    doubts = [doubt for watch in watches for doubt in clock_doubts(watch.header, question)]
    if any(foreign(watch.header, question) for watch in watches):
        return Total(name, Span(0, None, tuple(doubts)))
    silent = [watch.header.observer for watch in watches if not watch.samples]
    if silent:
        doubts += [Doubt(f"{one} measured nothing", "an observer that runs") for one in silent]
        return Total(name, Span(0, None, tuple(doubts)))
    window = joint_window(watches)
    unseen = min(window // WINDOW_PARTS, target_ns // TARGET_PARTS)
    parts = [_part(watch, question, unseen) for watch in watches]
    begin, end = _watched(watches, question)
    begin = min(max(begin, since), end)
    found = downtime(parts, begin, end)
    failed = max((one.failed for one in parts if one.failed is not None), default=None)
    trouble = _last_trouble(found, failed, unseen)
    why = _not_up_at_the_end(found, trouble, window, end)
    doubts += [Doubt(f"{name}: {why}", LATER_WATCH)] if why else []
    doubts += [doubt for watch in watches for doubt in _elsewhere(watch, question)]
    high = None if trouble is not None and trouble >= end else found.high  # nobody saw that stretch end
    span = Span(found.low, high, tuple(doubts), (_share(found, name),))
    return Total(name, span, max(one.unseen for one in parts), max(one.merged for one in parts))


def _part(watch: Watch, question: Question, unseen: int) -> Shown:
    samples, header = censor(watch.samples, watch.controls), watch.header
    known = latency(samples, first_trouble(samples, question), header.every_ns)
    sites = (question.from_site, question.to_site) if header.identified and question.to_site else ()
    lost = question.from_site if question.from_site != question.to_site else ""
    what = felt(samples, question.until, known.l_max, sites, (lost, _lost_since(question)))
    return shown(what, unseen, max(unseen, header.timeout_ns + 2 * header.every_ns))


def _lost_since(question: Question) -> int:
    """Give from when a success of the failed site is none: the disaster, if a step or a person set one."""
    disaster = question.disaster
    if disaster is None:
        return ENDLESS
    at = disaster.clock or disaster.mark or disaster.declared
    return ENDLESS if at is None else at.earliest


def _watched(watches: Sequence[Watch], question: Question) -> tuple[int, int]:
    started = [one.started_ns for one in question.steps]
    ended = [question.until if one.ended_ns is None else one.ended_ns for one in question.steps]
    begin = min(*(min(watch.samples.sent) for watch in watches), *started, question.until)
    return begin, min(question.until, max(*(max(watch.samples.sent) for watch in watches), *ended, begin))


def _last_trouble(found: Downtime, failed: int | None, unseen: int) -> int | None:
    """Give where the last stretch ends that breaks a window: a long one, or one that may hold a failure.

    ``failed``: the latest down instant of a failure. Short stretches without one are counted, but end no window.
    """
    ends = [past for first, past in found.open if past - first > unseen or (failed is not None and first <= failed)]
    return ends[-1] if ends else None


def _not_up_at_the_end(found: Downtime, since: int | None, window: int, end: int) -> str:
    """Say that the drill ended before the service was up for a whole window again; empty if it was, or never failed."""
    last = next((first for first, past in found.open[-1:] if past >= end), end)
    if since is None or (since < end and last - since >= window):
        return ""
    return f"the service was not seen up for a whole window of {show(window / NS)} when the watch ended"


def _elsewhere(watch: Watch, question: Question) -> list[Doubt]:
    """Doubt a switchover whose last answer does not come from where the traffic was to go."""
    if not watch.header.identified or not question.to_site:
        return []
    rows = zip(watch.samples.sent, watch.samples.up, watch.samples.by, strict=True)
    last = max(((sent, by) for sent, up, by in rows if up == GOOD and sent <= question.until), default=None)
    if last is None or watch.samples.names[last[1]] == question.to_site:
        return []
    why = f"{watch.header.observer}: the last request was not answered by {question.to_site}"
    return [Doubt(why, "traffic that moves there, and a watch that sees it")]


def _share(found: Downtime, name: str) -> Share:
    longest = max((last - first for first, last in found.open), default=0)
    stretch = f"at a stretch of up to {measured(longest / NS)} without a good answer"
    what = f"{stretch}, where no answer shows {name} up or down"
    return Share(what, found.high - found.low, "a shorter interval, a shorter timeout or fewer unknown samples")
