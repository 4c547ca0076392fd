"""Which of the outages that were seen is the incident, and when it began: measured, declared, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.measure import joint
from drills.measure.effect import Effect, Known
from drills.measure.evidence import Bracket
from drills.measure.rto import ENDLESS
from drills.measure.verdict import Doubt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.effect import Disaster
    from drills.measure.rto import Track


def incident(ways: Sequence[Track], window: int, disaster: Disaster) -> tuple[Effect | None, list[Doubt]]:
    """Bracket the beginning of the incident that a drill is about; None with the reason when it cannot be told.

    Without a word of a person it is the one outage that was not over when the drill was opened. With a declared
    beginning it is the last outage that may have been under way then; both brackets hold, so they are intersected.
    Where they contradict each other their hull is taken, and where no outage was seen the declared one.
    """
    found = joint.incidents(ways, window)
    if disaster.mark is not None and disaster.opened is None:
        latest = disaster.mark.latest
        found = [one for one in found if one.earliest <= latest][-1:]
    if disaster.declared is not None:
        return _declared(ways, window, found, disaster.declared)
    opened = disaster.opened
    current = found if opened is None else [one for one in found if not _over(ways, one, window, opened)]
    if found and not current:
        why = "no incident was under way when the drill was opened; those seen before it were over"
        return None, [Doubt(why, "--began, which says when it began")]
    if not found:
        return None, [Doubt("no outage was seen", "an outage, and an observer that watches it")]
    if disaster.mark is not None:
        current = current[:1]  # the first after people were asked to bring it about
    if len(current) > 1:
        return None, [Doubt(f"{len(current)} incidents were seen and no mark says which", "a `disaster` mark")]
    one = current[0]
    doubts: list[Doubt] = []
    if one.earliest == -ENDLESS:
        doubts.append(Doubt("the service was never seen up before the incident", "an observer that was there before"))
    return Effect(one, one.earliest, one.latest, Known.UNKNOWN), doubts


def _declared(
    ways: Sequence[Track], window: int, found: Sequence[Bracket], said: Bracket
) -> tuple[Effect, list[Doubt]]:
    open_then = [one for one in found if one.earliest <= said.latest and not _over(ways, one, window, said.earliest)]
    seen = open_then[-1] if open_then else None
    if seen is None or seen.earliest == -ENDLESS:
        note = "its beginning is declared by a person, and what was found down at first is taken for that outage"
        return Effect(said, said.earliest, said.latest, Known.DECLARED, note), []
    both = Bracket(max(seen.earliest, said.earliest), min(seen.latest, said.latest))
    if both.earliest <= both.latest:
        narrowed = both.width < seen.width
        note = "what a person declared narrows the measured beginning" if narrowed else ""
        return Effect(both, both.earliest, both.latest, Known.UNKNOWN, note), []
    hull = Bracket(min(seen.earliest, said.earliest), max(seen.latest, said.latest))
    note = "the beginning that a person declared is not the one that was seen; both are held possible"
    return Effect(hull, hull.earliest, hull.latest, Known.UNKNOWN, note), []


def _over(ways: Sequence[Track], one: Bracket, window: int, moment: int) -> bool:
    """Say whether a whole window without failure had been seen after an outage by a moment."""
    back = joint.upper(ways, one.latest, window)
    return back is not None and back.run.closed <= moment
