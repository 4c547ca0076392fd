"""How long a service was down in all while it was watched: bounds from samples, with or without a disaster.

Down is what a request met that reached the service then; every site's answer counts as up. Assumptions beside those of
``evidence``, printed with the result:

* **U**: between two good answers not further apart than ``unseen``, with neither a failure nor an unknown sample
  between them, the service was up; an outage that fits between them may be unseen and is then not counted.
* **D**: between two failures not further apart than ``merged``, with neither a good answer nor an unknown sample
  between them, the service was down; a recovery that fits between them may be unseen and then counts as down.

What neither shows counts towards the upper end: gaps, unknown samples, and whatever lies around a failure.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from drills.measure.evidence import Evidence
from drills.measure.rto import bads_by_end
from drills.timeline.samples import BAD, GOOD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.timeline.samples import Samples

Stretch: TypeAlias = tuple[int, int]
"""From one moment to a later one."""


@dataclass(frozen=True, slots=True)
class Felt:
    """What users felt: goods and bads with ``until`` as in ``Evidence``, and the requests that say nothing."""

    seen: Evidence
    unknown_sent: list[int]
    unknown_ended: list[int]


@dataclass(frozen=True, slots=True)
class Shown:
    """Where the service is shown up and where it is shown down; each in order and apart from each other.

    ``unseen`` is the widest link between two goods that was used, ``merged`` that between two failures. ``failed`` is
    the latest moment at which a failed request may still have met the service down.
    """

    up: list[Stretch]
    down: list[Stretch]
    unseen: int
    merged: int
    failed: int | None


@dataclass(frozen=True, slots=True)
class Downtime:
    """Bounds of the total; ``open`` are the stretches of the span in which nothing shows the service up."""

    low: int
    high: int
    open: list[Stretch]


def felt(samples: Samples, until: int, l_max: int | None, sites: Sequence[str], failed: tuple[str, int]) -> Felt:
    """Take what users felt as the predicate, over samples sent by ``until``.

    ``sites``: who may answer; empty: any success counts. A success that names none of them (a maintenance page), or
    ``failed`` = (site, since) sent from then on (the lost site flaps back), is no evidence.
    """
    known = {at for at, name in enumerate(samples.names) if name in sites} if sites else None
    lost = samples.names.index(failed[0]) if failed[0] in samples.names else -1
    goods: list[Stretch] = []
    bads: list[Stretch] = []
    unknown: list[Stretch] = []
    rows = zip(samples.sent, samples.ended, samples.up, samples.hard, samples.by, strict=True)
    for sent, ended, up, hard, by in rows:
        if sent > until:
            continue
        if up == BAD:
            bads.append((sent, ended if hard or l_max is None else min(ended, sent + l_max)))
        elif up == GOOD and (known is None or (by in known and not (by == lost and sent >= failed[1]))):
            goods.append((sent, ended))
        else:
            unknown.append((sent, ended))
    good_sent, good_ended = _columns(goods)
    return Felt(Evidence(good_sent, good_ended, *_columns(bads)), *_columns(unknown))


def shown(what: Felt, unseen: int, merged: int) -> Shown:
    """Show where the service was up, and where down, with links no wider than ``unseen`` and ``merged``.

    A chain of goods, each linked to the later good that ended first, shows no outage wider than its widest link
    between its first good's end and its last good's send: an outage there would lie between two linked up instants.
    No failure meets a link, so an outage that a failure has met lies outside. Chains of failures mirror that. More
    unknown samples leave fewer links, so they never narrow anything. O(n log n).
    """
    seen = what.seen
    up, widest = _chains(
        seen.good_sent,
        seen.good_ended,
        [*seen.bad_sent, *what.unknown_sent],
        [*seen.bad_until, *what.unknown_ended],
        unseen,
    )
    down, slowest = _chains(
        seen.bad_sent,
        seen.bad_until,
        [*seen.good_sent, *what.unknown_sent],
        [*seen.good_ended, *what.unknown_ended],
        merged,
    )
    return Shown(up, down, widest, slowest, max(seen.bad_until, default=None))


def downtime(parts: Sequence[Shown], begin: int, end: int) -> Downtime:
    """Bound the total downtime in [begin, end]; of several observers: down is whatever is down for one of them."""
    down = _union([one for part in parts for one in part.down])
    dark = _union([one for part in parts for one in _outside(part.up, begin, end)])
    low = sum(max(0, min(last, end) - max(first, begin)) for first, last in down)
    return Downtime(low, sum(last - first for first, last in dark), dark)


def _columns(pairs: list[Stretch]) -> tuple[list[int], list[int]]:
    pairs.sort()
    return [first for first, _ in pairs], [last for _, last in pairs]


def _chains(
    sent: list[int], ended: list[int], other_sent: list[int], other_ended: list[int], widest: int
) -> tuple[list[Stretch], int]:
    """Give the union of [first's end, last's send] over all chains, and the widest link."""
    ends, earliest = bads_by_end(Evidence([], [], other_sent, other_ended))
    reach = sent[:]
    soonest = used = 0
    for place in range(len(sent) - 1, -1, -1):
        first = sent[place]
        if place < len(sent) - 1:
            last = ended[soonest]
            met = bisect_left(ends, first)
            if _fits(last - first, widest) and (met == len(ends) or earliest[met] > last):
                reach[place] = reach[soonest]
                used = max(used, last - first)
        if place == len(sent) - 1 or ended[place] <= ended[soonest]:
            soonest = place
    return _union([(first, last) for first, last in zip(ended, reach, strict=True) if last > first]), used


def _fits(link: int, widest: int) -> bool:
    """Say whether a link may be used: what it is too wide for counts as not shown."""
    return link <= widest


def _union(stretches: list[Stretch]) -> list[Stretch]:
    found: list[Stretch] = []
    for first, last in sorted(stretches):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _outside(stretches: list[Stretch], begin: int, end: int) -> list[Stretch]:
    """Give what of [begin, end] lies in none of the stretches, which are in order and apart."""
    found: list[Stretch] = []
    at = begin
    for first, last in stretches:
        if first > at and at < end:
            found.append((at, min(first, end)))
        at = max(at, last)
    if at < end:
        found.append((at, end))
    return found
