"""How often a service came back and went again, and how long it was down in all."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.evidence import Evidence
    from drills.measure.rto import Run


@dataclass(frozen=True, slots=True)
class Flaps:
    """``count``: down periods seen after the first success. Downtime from the effect to the end of the watch.

    ``downtime_high`` None: it was not seen back after its last failure, so nobody knows when that ended.
    """

    count: int
    first_success: int | None
    stable_since: int | None
    downtime_low: int
    downtime_high: int | None


@dataclass(slots=True)
class _Group:
    """Bads with no good sent between them."""

    before: int
    first_until: int
    last_sent: int

    def low(self, effect: int) -> int:
        """Give how long it was down at least, with an effect at ``effect`` or sooner."""
        return max(0, self.last_sent - max(self.first_until, effect))


def flaps(evidence: Evidence, elo: int, ehi: int | None, run: Run | None, until: int) -> Flaps:
    """Count the flaps of the restored predicate from the earliest effect ``elo`` on.

    The downtime is the sum over groups of bads without a good between them, each at least from its first bad's
    latest down instant (but not before the latest effect ``ehi``: an answer of the old site before it shows no
    downtime) to its last bad's send, at most from the send of the good before (or the effect) to the end of the
    good after. There is no upper bound without a good after the last bad, nor without any after ``ehi``. Without an
    ``ehi`` nothing is known to have been down.
    """
    effect = until if ehi is None else ehi
    goods = list(zip(evidence.good_sent, evidence.good_ended, strict=True))
    goods = goods[bisect_left(evidence.good_sent, elo) :]
    first = bisect_left(evidence.bad_sent, elo)
    first_success = next((sent for sent, _ in goods if ehi is not None and sent >= ehi), None)
    low = high = count = place = 0
    before = elo
    group: _Group | None = None
    for sent, end in zip(evidence.bad_sent[first:], evidence.bad_until[first:], strict=True):
        while place < len(goods) and goods[place][0] <= sent:
            if group is not None:
                low, high = low + group.low(effect), high + goods[place][1] - group.before
                group = None
            before = goods[place][0]
            place += 1
        if group is None:
            group = _Group(before, end, sent)
            count += first_success is not None and sent >= first_success
        else:
            group.first_until, group.last_sent = min(group.first_until, end), sent
    back = first_success is not None
    if group is not None:
        low, back = low + group.low(effect), back and place < len(goods)
        high += goods[place][1] - group.before if place < len(goods) else 0
    most = max(low, min(high, max(0, until - elo))) if back else None
    return Flaps(count, first_success, run.ended if run else None, low, most)


def overlaid(seen: Sequence[Flaps], watched: int) -> Flaps:
    """Put the flaps of several observers on each other: down is whatever is down for one of them.

    The whole was down at least as long as the worst part and at most as long as all parts one after the other. It
    cannot have served before its last part did; it has flapped at least as often as one of them alone.
    """
    firsts = [one.first_success for one in seen]
    low = max(one.downtime_low for one in seen)
    highs = [one.downtime_high for one in seen if one.downtime_high is not None]
    return Flaps(
        max(one.count for one in seen),
        None if None in firsts else max(first for first in firsts if first is not None),
        seen[0].stable_since,
        low,
        max(low, min(watched, sum(highs))) if len(highs) == len(seen) else None,
    )
