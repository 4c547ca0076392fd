"""How long the service ran without redundancy: from its restoration until redundancy was shown to be back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.durations import measured
from drills.measure.evidence import Bracket
from drills.measure.judgement import JudgedExposure
from drills.measure.recovery import between
from drills.measure.verdict import NS, Doubt, Span
from drills.timeline.marks import Mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.question import Target

ENDS = (Mark.SERVICE_RESTORED, Mark.REDUNDANCY_RESTORED)
"""The marks of every exposure."""


def limits_exposure(target: Target) -> bool:
    """Say whether an objective limits the exposure."""
    return (target.begins, target.ends) == ENDS


def exposed(begin: Bracket, end: Bracket | None, until: int, doubts: Sequence[Doubt] = ()) -> Span:
    """Bound the exposure; where redundancy was never shown to be back it lasted at least until the drill's end."""
    if end is not None:
        first = max(end.earliest, min(begin.earliest, end.latest))  # what was back all the while has no beginning
        return between(begin, Bracket(first, end.latest), doubts)
    low = max(0, until - begin.latest)
    told = f"redundancy was not restored: exposed until the drill's end, at least {measured(low / NS)}"
    return Span(low, None, (Doubt(told, f"a step that marks {Mark.REDUNDANCY_RESTORED.value}"), *doubts))


def answer_exposure(span: Span) -> JudgedExposure:
    """Write the exposure in seconds."""
    high = None if span.high is None else span.high / NS
    best = None if span.best is None else span.best / NS
    return JudgedExposure(span.low / NS, best, high, span.high is not None, "; ".join(one.why for one in span.doubts))
