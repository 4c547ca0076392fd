"""What the complete readings of a survivor found, and which writes each of them could have found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.timeline.samples import Marker, ReadRound, Recovered

Key: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Reading:
    """One complete reading: when it began (nanoseconds), and the keys that it found."""

    started: int
    keys: frozenset[Key]

    def lacks(self, marker: Marker) -> bool:
        """Say whether a write that was acknowledged before the reading began was not found by it."""
        asked = marker.ended is not None and marker.ended <= self.started
        return asked and (marker.writer, marker.seq) not in self.keys


def readings_of(rounds: Sequence[ReadRound], recovered: Sequence[Recovered]) -> list[Reading]:
    """Give the complete readings in order.

    What a reading that broke off has found is there, unless a complete one that began later does not find it.
    """
    whole = sorted((one.started, one.round) for one in rounds if one.complete)
    if not whole:
        return []
    began, last = whole[-1]
    later = {one.round for one in rounds if one.started >= began}
    earlier = {one.round for one in rounds} - later
    found: dict[int, set[Key]] = {number: set() for _, number in whole}
    for row in recovered:
        # A reading that never said its end has broken off as well; rounds are counted upwards.
        number = last if row.round in later or (row.round > last and row.round not in earlier) else row.round
        found.setdefault(number, set()).add((row.writer, row.seq))
    return [Reading(started, frozenset(found[number])) for started, number in whole]
