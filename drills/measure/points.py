"""Recovery points as services tell of them: how old they were when the disaster struck, and what that may judge.

Evidence, never the loss itself: a service's word says nothing about what a restored copy holds. It is shown beside the
markers. It judges only an objective with ``basis: restored_point``, only after a step has proved the content of the
copy, and only with a bound on the service's clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.durations import show
from drills.measure.evidence import Bracket
from drills.measure.judgement import JudgedPoint
from drills.measure.recovery import NO_DISASTER
from drills.measure.skew import SECOND, drift
from drills.measure.verdict import NS, Doubt, Share, Span, worst
from drills.timeline.marks import Basis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.question import PointSeen, Question

MILLISECOND = 1_000_000
NOT_CHECKED = Doubt("the content of the restored copy was never checked", "a step that checks the content, once DONE")
NO_MARKERS = Doubt("nothing was measured: no markers were written", "a marker writer")
ONLY_EVIDENCE = Doubt(
    "no markers were written, and a recovery point is evidence only",
    "a marker writer, or `basis: restored_point` with a check of the content",
)


def assumed(question: Question) -> tuple[str, ...]:
    """Say what is taken for granted wherever recovery points are told."""
    if not question.points:
        return ()
    clock = "a service stamps its recovery points by the clock that the Date headers of its answers tell"
    judges = any(target.basis is Basis.RESTORED_POINT for target in question.targets)
    used = "basis restored_point: the restore used no older point than was known at the start of the drill"
    return (clock, used) if judges else (clock,)


def age(point: PointSeen, disaster: Bracket) -> Bracket | None:
    """Bound the time from a recovery point to the disaster; negative when the point is later. None without a bound.

    A moment told in whole seconds may have lost the rest of its second, one with a fraction that of its millisecond.
    """
    if point.at is None or point.skew is None:
        return None
    more = max(drift(disaster.latest - point.asked), drift(disaster.earliest - point.asked))
    ours = point.asked_utc - point.asked
    grain = SECOND if point.at % SECOND == 0 else MILLISECOND
    earliest = disaster.earliest + ours + point.skew.earliest - more - (point.at + grain)
    return Bracket(earliest, disaster.latest + ours + point.skew.latest + more - point.at)


def judged_points(question: Question, disaster: Bracket | None) -> tuple[JudgedPoint, ...]:
    """Give every recovery point that was asked for, with its bounds and a sentence that says whose word it is."""
    return tuple(_judged(one, disaster) for one in question.points)


def _judged(one: PointSeen, disaster: Bracket | None) -> JudgedPoint:
    found = None if disaster is None else age(one, disaster)
    skew = one.skew
    return JudgedPoint(
        name=one.name,
        source=one.source,
        asked="after the recovery" if one.after else "at the start",
        low_s=None if found is None else found.earliest / NS,
        high_s=None if found is None else found.latest / NS,
        skew_low_s=None if skew is None else skew.earliest / NS,
        skew_high_s=None if skew is None else skew.latest / NS,
        told=_sentence(one, found, known=disaster is not None),
    )


def _sentence(one: PointSeen, found: Bracket | None, *, known: bool) -> str:
    by = f"by {one.source} (evidence)"
    if one.at is None:
        return f"no recovery point, {by}: {one.why}"
    if found is None:
        why = one.why if known else "no disaster stands on the timeline"
        return f"a recovery point without bounds, {by}: {why}"
    if found.latest < 0:
        between = f"[{show(-found.latest / NS)}, {show(-found.earliest / NS)}] after the disaster"
    else:
        between = f"[{show(found.earliest / NS)}, {show(found.latest / NS)}] before the disaster"
    return f"recovery point {between}, {by}"


def restored_point(question: Question, disaster: Bracket | None, names: Sequence[str]) -> Span:
    """Bound the RPO by what services say was restored, or could be: the worst of the points that are named.

    Where a service says to which moment its copy was restored, that moment counts. Where it says only how far back
    a restore could reach, the loss lies between the newest point known after the recovery and the oldest known at all:
    what was known before the disaster was there to be restored, and nothing newer than the newest was.
    """
    if disaster is None:
        return Span(0, None, (NO_DISASTER,))
    wanted = dict.fromkeys(one.name for one in question.points if not names or one.name in names)
    missing = [name for name in names if name not in wanted]
    if missing or not wanted:
        told = (
            f"the recovery point {', '.join(missing)} was never asked for" if missing else "no recovery point is known"
        )
        return Span(0, None, (Doubt(told, "a probe under `measure: recovery_points:` that answers"),))
    doubts = () if question.content_checked else (NOT_CHECKED,)
    span = worst([_one([p for p in question.points if p.name == name], disaster) for name in wanted])
    return Span(span.low, span.high, (*doubts, *span.doubts), span.shares)


def label(question: Question, names: Sequence[str]) -> str:
    """Say on what a verdict by restored points rests."""
    sources = dict.fromkeys(one.source for one in question.points if not names or one.name in names)
    checked = f"content checked by {', '.join(question.content_checked)}" if question.content_checked else "unchecked"
    return f"basis: restored_point, by {', '.join(sources) or 'nobody'} ({checked})"


def _one(seen: Sequence[PointSeen], disaster: Bracket) -> Span:
    """Bound the loss by one recovery point, as it was told before and after."""
    if any(one.restored for one in seen):
        seen = [one for one in seen if one.after]
    before = next((one for one in seen if not one.after), None)
    after = next((one for one in seen if one.after), None)
    first = before or after
    name = first.name if first is not None else "a recovery point"
    needed = [after] if first is not None and first.restored else [before]
    if after is not None and after.at is not None and not after.restored:
        needed.append(after)
    ages: list[Bracket] = []
    for one in needed:
        found = None if one is None else age(one, disaster)
        if found is None:
            told = f"{name}: {one.why}" if one is not None else f"{name} was not asked in time"
            return Span(0, None, (Doubt(told, "an answer of the service, and a bound on its clock"),))
        ages.append(found)
    newer_unknown = after is None or after.at is None
    low = 0 if newer_unknown else max(0, min(one.earliest for one in ages))
    high = max(0, *(one.latest for one in ages))
    shares = (
        Share("when the disaster struck", disaster.width, "a tighter bracket around the fault"),
        Share(f"the word of {name}", max(0, high - low - disaster.width), "markers"),
    )
    return Span(low, high, (), shares)
