"""From samples to evidence: which requests show the service up, which show it down, and when.

Assumptions under which every bound of this room holds (printed with each result):

* **G**: a good sample has an up instant in [sent, ended].
* **A0**: a bad sample has a down instant in [sent, until]; ``until`` is ``ended`` for a hard failure.
* **A2**: a service that is up answers within ``l_max``, so a timeout has its down instant in
  [sent, min(ended, sent + l_max)].
* Unknown is no evidence, neither way.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from math import exp
from typing import TYPE_CHECKING

from drills.timeline.samples import BAD, GOOD, UNKNOWN, Samples

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable

    from drills.timeline.samples import Control

ENOUGH_BASELINE = 3_000
"""Baseline goods from which the largest latency may stand for ``l_max``."""

RISK_ALLOWED = 1e-3
"""Above this risk A2 is not used and every bad counts until its end."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """A moment known to lie in [earliest, latest]; nanoseconds of one monotonic clock."""

    earliest: int
    latest: int

    @property
    def width(self) -> int:
        """How much is not known."""
        return self.latest - self.earliest

    @property
    def middle(self) -> int:
        """The best single guess."""
        return (self.earliest + self.latest) // 2


@dataclass(frozen=True, slots=True)
class Evidence:
    """Goods and bads of one predicate, each sorted by send; ``bad_until`` is the *e* of A0 and A2."""

    good_sent: list[int]
    good_ended: list[int]
    bad_sent: list[int]
    bad_until: list[int]


@dataclass(frozen=True, slots=True)
class Latency:
    """What the baseline says of a healthy answer; ``l_max`` None: A2 is not used. Nanoseconds.

    ``risk`` is P(Poisson(mu) >= 3) with mu = E[(L - l_max)+] / h over all goods of the observer: how likely
    slow answers of a healthy service would be taken for an outage.
    """

    goods: int
    largest: int
    risk: float
    l_max: int | None
    why: str


def largest_latency(latencies: list[int]) -> int:
    """Give the largest of the baseline's latencies: a p99 puts lower ends above the truth in 1-13 % of drills."""
    return max(latencies, default=0)


def poisson_at_least_3(mu: float) -> float:
    """Give P(Poisson(mu) >= 3)."""
    return max(0.0, 1.0 - exp(-mu) * (1.0 + mu + mu * mu / 2.0)) if mu > 1e-5 else mu**3 / 6.0  # noqa: PLR2004 - below this the difference is lost to rounding; the leading term is exact


def latency(samples: Samples, before: int, every_ns: int) -> Latency:
    """Measure a healthy answer's latency over the goods that ended by ``before``, and decide whether A2 may be used.

    Fewer than ``ENOUGH_BASELINE`` goods or a risk above ``RISK_ALLOWED``: ``l_max`` is None (then *e* = ended).
    """
    baseline: list[int] = []
    every: list[int] = []
    for sent, ended, up in zip(samples.sent, samples.ended, samples.up, strict=True):
        if up == GOOD:
            every.append(ended - sent)
            if ended <= before:
                baseline.append(ended - sent)
    largest = largest_latency(baseline)
    excess = sum(value - largest for value in every if value > largest)
    mu = excess / len(every) / every_ns if every and every_ns > 0 else 0.0
    risk = poisson_at_least_3(mu)
    goods = len(baseline)
    if goods < ENOUGH_BASELINE:
        why = (
            f"A2 not used: {goods:,} answers in the baseline, {ENOUGH_BASELINE:,} are needed to know the largest "
            "latency; a timed-out request counts until its timeout"
        )
        return Latency(goods, largest, risk, None, why)
    if risk > RISK_ALLOWED:
        return Latency(goods, largest, risk, None, f"A2 not used: its risk is {risk:.2g}, above {RISK_ALLOWED:g}")
    why = f"A2: a healthy service answers within {largest / 1e6:.1f} ms ({goods:,} answers, risk {risk:.2g})"
    return Latency(goods, largest, risk, largest, why)


def censor(samples: Samples, controls: Iterable[Control]) -> Samples:
    """Turn into unknown whatever overlaps a control probe that failed or was late: the observer was not itself."""
    failed = sorted((control.sent, control.ended) for control in controls if not control.ok)
    if not failed:
        return samples
    spans: list[tuple[int, int]] = []
    for begin, end in failed:
        if spans and begin <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((begin, end))
    ends = [end for _, end in spans]
    up = samples.up[:]
    for row, (sent, ended) in enumerate(zip(samples.sent, samples.ended, strict=True)):
        place = bisect_left(ends, sent)
        if place < len(spans) and spans[place][0] <= ended:
            up[row] = UNKNOWN
    return Samples(samples.sent, samples.ended, up, samples.hard, samples.by, samples.names)


def seen_up(samples: Samples, until: int, l_max: int | None) -> Evidence:
    """Take ``up`` as the predicate, over samples sent by ``until``."""
    goods: list[tuple[int, int]] = []
    bads: list[tuple[int, int]] = []
    for sent, ended, up, hard in zip(samples.sent, samples.ended, samples.up, samples.hard, strict=True):
        if sent > until:
            continue
        if up == GOOD:
            goods.append((sent, ended))
        elif up == BAD:
            bads.append((sent, ended if hard or l_max is None else min(ended, sent + l_max)))
    return _evidence(goods, bads)


def seen_restored(samples: Samples, seen: Evidence, until: int, since: int, to: str) -> Evidence:
    """Take ``restored`` as the predicate: up *and* answered by ``to``; ``seen`` is the evidence of ``up``.

    A success of any other site, or of none, sent from ``since`` (the earliest effect) on is a hard bad: the old
    site flapping back and a maintenance page with 200 are not restored. Sent earlier it says nothing about ``to``.
    """
    here = samples.names.index(to) if to in samples.names else -1
    goods: list[tuple[int, int]] = []
    bads = list(zip(seen.bad_sent, seen.bad_until, strict=True))
    for sent, ended, up, by in zip(samples.sent, samples.ended, samples.up, samples.by, strict=True):
        if up != GOOD or sent > until:
            continue
        if by == here:
            goods.append((sent, ended))
        elif sent >= since:
            bads.append((sent, ended))
    return _evidence(goods, bads)


def last_success_of(samples: Samples, site: str, after: int) -> int | None:
    """Give the last send, later than ``after``, of a success answered by ``site``; None if there is none."""
    if not site or site not in samples.names:
        return None
    there = samples.names.index(site)
    columns = zip(samples.sent, samples.up, samples.by, strict=True)
    return max((sent for sent, up, by in columns if up == GOOD and by == there and sent > after), default=None)


def sent_between(sent: array[int] | list[int], earliest: int, latest: int) -> tuple[int, int]:
    """Give the index range of sorted ``sent`` within [earliest, latest]."""
    return bisect_left(sent, earliest), bisect_right(sent, latest)


def _evidence(goods: list[tuple[int, int]], bads: list[tuple[int, int]]) -> Evidence:
    goods.sort()
    bads.sort()
    return Evidence(
        [sent for sent, _ in goods],
        [ended for _, ended in goods],
        [sent for sent, _ in bads],
        [until for _, until in bads],
    )
