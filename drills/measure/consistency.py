"""Recovery consistency (RCO): how much of what was written at one moment is there in all stores.

Each store has a writer of its own, so a write to one store has no partner in another that carries its number. A tick
is the moment of a write that some store acknowledged. In another store a write at that moment would have stood
between two neighbours, the last marker sent by then and the next one: it would be there if both are, gone if both
are, and nobody knows if one of them is.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.rpo import Book, Loss

_FEWEST = 2
"""One store is consistent with itself."""


@dataclass(frozen=True, slots=True)
class Consistency:
    """Of ``ticks`` moments between ``low`` and ``high`` are present in all stores, as counts.

    ``worst`` is the store that lacks the most of them for certain.
    """

    ticks: int
    low: int
    high: int
    worst: str


@dataclass(frozen=True, slots=True)
class _Log:
    """One store's markers by the moment they were sent: whether each is there, and those that it acknowledged."""

    store: str
    sent: list[int]
    there: list[bool]
    acked: list[int]

    def at(self, tick: int) -> tuple[bool, bool]:
        """Say whether a write at ``tick`` is surely there, and whether it may be."""
        after = bisect_right(self.sent, tick)
        around = self.there[max(0, after - 1) : after + 1]
        if after and self.sent[after - 1] == tick:
            around = around[:1]
        return all(around), any(around)


def consistency(stores: Sequence[tuple[Book, Loss]]) -> Consistency | None:
    """Bound the share of acknowledged moments that are present in all stores; None below two stores or without any.

    Only moments at which every store was being written to count.
    """
    logs = [_log(book, loss) for book, loss in stores]
    if len(logs) < _FEWEST or not all(log.sent for log in logs):
        return None
    first, last = max(log.sent[0] for log in logs), min(log.sent[-1] for log in logs)
    ticks = sorted(at for log in logs for at in log.acked if first <= at <= last)
    if not ticks:
        return None
    low = high = 0
    gone = {log.store: 0 for log in logs}
    for tick in ticks:
        seen = [(log.store, *log.at(tick)) for log in logs]
        low += all(sure for _, sure, _ in seen)
        high += all(may for _, _, may in seen)
        for store, _, may in seen:
            gone[store] += not may
    worst = max(gone, key=lambda store: gone[store])
    return Consistency(len(ticks), low, high, worst if gone[worst] else "")


def _log(book: Book, loss: Loss) -> _Log:
    markers = sorted(book.markers, key=lambda marker: marker.sent)
    keys = [(marker.writer, marker.seq) for marker in markers]
    return _Log(
        book.store,
        [marker.sent for marker in markers],
        [key in loss.present for key in keys],
        [marker.sent for marker, key in zip(markers, keys, strict=True) if key in loss.acked],
    )
