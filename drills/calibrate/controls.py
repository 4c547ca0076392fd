"""Negative controls: wrong measurements of real outages, each of which must be seen to be wrong by a known amount."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from drills.calibrate import downtimes
from drills.calibrate.cases import FAR_NS, Truth, asked, bounds, told, verdict
from drills.calibrate.outages import Kind
from drills.calibrate.service import NS
from drills.calibrate.stores import SKEW_S
from drills.calibrate.wrong import by_completion, send_to_send
from drills.measure.effect import Disaster
from drills.measure.evidence import Bracket
from drills.measure.verdict import Verdict

if TYPE_CHECKING:
    from drills.calibrate.cases import Case, Judge
    from drills.calibrate.failover import Failovers
    from drills.calibrate.lane import Lane, Seen
    from drills.calibrate.losses import Loss, Uncut
    from drills.calibrate.outages import Outage

_SLACK_S = 0.06
"""What answers and name lookups of a busy machine may add to an error that theory gives exactly."""


@dataclass(frozen=True, slots=True)
class Control:
    """One negative control: by how much the wrong way must be off, and by how much it was; seconds."""

    name: str
    expected_s: float
    seen_s: float | None
    detected: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Pairing:
    """An outage and the observer that saw it."""

    seen: Seen
    outage: Outage


def _near(expected_s: float, seen: Sequence[float], tolerance_s: float) -> tuple[float | None, bool]:
    """Give the mean of what was seen, and whether it is the expected error and no other; nothing seen is no."""
    if not seen:
        return None, False
    mean = fmean(seen)
    return mean, abs(expected_s) > tolerance_s and abs(mean - expected_s) <= tolerance_s


def api_answer(pairings: Iterable[Pairing], judge: Judge) -> Control:
    """Judge a late effect by the answer of the call that ordered it: it must lose the whole outage."""
    expected: list[float] = []
    seen: list[float] = []
    shown = True
    for one in pairings:
        outage = one.outage
        if outage.kind is not Kind.DELAYED:
            continue
        truth = Truth(outage.clock, outage.restored)
        clock = Bracket(outage.clock.earliest, outage.clock.latest)
        naive = judge(asked(one.seen, outage, FAR_NS, Disaster(clock, synchronous=True)))
        honest = judge(asked(one.seen, outage, FAR_NS, told(outage)))
        low_s, high_s = bounds(naive)
        if low_s is None or high_s is None:
            continue
        right = truth.may_lie_in(*bounds(honest)) and bounds(honest)[1] is not None
        shown = shown and right and not truth.may_lie_in(low_s, high_s) and verdict(naive) is not Verdict.MET
        expected.append(-(truth.low + truth.high) / 2 / NS)
        seen.append((low_s + high_s) / 2 + expected[-1])
    aim = fmean(expected) if expected else 0.0
    mean, near = _near(aim, seen, abs(aim) / 4)
    detail = f"{len(seen)} faults that took effect more than 1 s after their API had answered, judged by the answer"
    return Control("effect taken from the API's answer", aim, mean, near and shown, detail)


def recovery_for_downtime(pairings: Iterable[Pairing], judge: Judge) -> Control:
    """Take the recovery time of a flapping service for its downtime: it is too long by what it served in between."""
    expected: list[float] = []
    seen: list[float] = []
    outside = True
    for one in pairings:
        outage = one.outage
        low_s, high_s = bounds(judge(asked(one.seen, outage, FAR_NS, told(outage))))
        right = downtimes.bounds(downtimes.felt(one.seen, outage, FAR_NS, told(outage), judge))
        if not outage.flaps or low_s is None or high_s is None or right[1] is None:
            continue
        truly = downtimes.truth(outage)
        wrong = (low_s + high_s) / 2
        expected.append(downtimes.served(outage))
        seen.append(wrong - (truly[0] + truly[1]) / 2 / NS)
        outside = outside and wrong > right[1]
    aim = fmean(expected) if expected else 0.0
    mean, near = _near(aim, seen, aim / 4)
    detail = f"{len(seen)} flapping services, up again between failures, whose recovery time is no downtime"
    return Control("recovery time taken for the downtime", aim, mean, near and outside, detail)


def uncut(one: Uncut, cut: Sequence[Loss]) -> Control:
    """Judge a disaster that never cut replication: whatever its numbers, it must not be MET.

    What is expected is the loss of a primary that really was cut off; what is seen is the loss of this one.
    """
    losses = [(each.case.truth_low_s + each.case.truth_high_s) / 2 for each in cut if each.truly_lost]
    detected = one.verdict is not Verdict.MET and one.careless is Verdict.MET
    detail = f"replication was never cut: {one.verdict.value}, where the numbers alone say {one.careless.value}"
    return Control("disaster that never cut replication", fmean(losses) if losses else 0.0, one.low_s, detected, detail)


def completion(lane: Lane) -> Control:
    """Take the ends of requests for the outage's ends: in a black hole the timeout is lost."""
    timeout_s = lane.plan.terms.timeout_s
    seen: list[float] = []
    for outage in lane.outages:
        wrong = by_completion(lane.seen.during(outage.watched)[0])
        if wrong is not None:
            truth = Truth(outage.effect, outage.restored)
            seen.append((wrong - (truth.low + truth.high) / 2) / NS)
    mean, near = _near(-timeout_s, seen, timeout_s / 4)
    detail = f"{len(seen)} black holes, T {timeout_s * 1000:.0f} ms"
    return Control("bounds by completion time", -timeout_s, mean, near, detail)


def closed_loop(lane: Lane) -> Control:
    """Ask again only after the answer: in a black hole the interval becomes T, and the error (T - h)/2."""
    terms = lane.plan.terms
    seen: list[float] = []
    for outage in lane.outages:
        span = outage.watched
        wrong = send_to_send(one for one in lane.asked if span.earliest <= one.sent < span.latest)
        if wrong is not None:
            truth = Truth(outage.effect, outage.restored)
            seen.append((wrong - (truth.low + truth.high) / 2) / NS)
    expected_s = (terms.timeout_s - terms.every_s) / 2
    mean, near = _near(expected_s, seen, expected_s / 2)
    detail = f"{len(seen)} black holes, T {terms.timeout_s * 1000:.0f} ms, h {terms.every_s * 1000:.0f} ms"
    return Control("closed-loop prober", expected_s, mean, near, detail)


def ttl_client(made: Failovers, service: Sequence[Case], client: Sequence[Case], ttl_s: int) -> Control:
    """Take a client that honours the TTL for the service: it must be late by what its cache kept, at most the TTL."""
    expected: list[float] = []
    seen: list[float] = []
    missed, inside = 0, True
    for outage, late, ours, theirs in zip(made.service, made.client, service, client, strict=True):
        truth = Truth(outage.clock, outage.restored)
        if theirs.low_s is None or theirs.high_s is None or ours.low_s is None or ours.high_s is None:
            continue
        middle = Truth(late.clock, late.restored)
        expected.append((middle.low + middle.high - truth.low - truth.high) / 2 / NS)
        seen.append((theirs.low_s + theirs.high_s - ours.low_s - ours.high_s) / 2)
        missed += not truth.may_lie_in(theirs.low_s, theirs.high_s)
        inside = inside and truth.may_lie_in(max(0.0, theirs.low_s - ttl_s - _SLACK_S), theirs.high_s)
    aim = fmean(expected) if expected else 0.0
    mean, near = _near(aim, seen, _SLACK_S + made.cached.terms.every_s)
    detail = f"{missed} of {len(seen)} failovers seen late by a client with a TTL of {ttl_s} s"
    return Control("TTL client taken for the service", aim, mean, near and inside and missed > 0, detail)


def server_clock(losses: Sequence[Loss]) -> Control:
    """Take the recovery point from stamps of the server's clock: the RPO must be off by its skew."""
    seen = [one.server_clock_s for one in losses]
    held = bool(losses) and all(not one.case.wrong for one in losses)
    mean, near = _near(-SKEW_S, seen, _SLACK_S)
    return Control(
        "RPO by the server's clock", -SKEW_S, mean, near and held, f"a store whose clock is {SKEW_S:g} s ahead"
    )


def failing_runs(pairings: Sequence[Pairing], cases: Sequence[Case], judge: Judge) -> Control:
    """Feed runs that failed: a target below the truth, a service that never came back, an observer that died.

    What is expected is the least the longest of those outages had lasted when the watch broke off, what is seen
    the lower end that the judge gave for it.
    """
    runs = sum(1 for one in cases if one.truth_low_s > 0)
    met = sum(1 for one in cases if one.false_met)
    longest, said = 0.0, None
    for one in pairings:
        outage = one.outage
        if outage.kind in (Kind.SHORT_STALL, Kind.DELAYED, Kind.FLAPPING):
            continue
        until = outage.restored.earliest
        broken_off = replace(outage, watched=replace(outage.watched, latest=until))
        answer = judge(asked(one.seen, broken_off, FAR_NS, told(outage), until=outage.watched.latest))
        runs += 1
        met += verdict(answer) is Verdict.MET
        lasted = (until - outage.clock.latest) / NS
        if lasted > longest:
            longest, said = lasted, bounds(answer)[0]
    detail = (
        f"{met} of {runs} runs that must not pass were called MET: a target below the truth, a service not back, a "
        "dead observer. The seconds: how long the longest had lasted, and what the judge gave for it"
    )
    return Control("checker fed a failing run", longest, said, runs > 0 and met == 0, detail)
