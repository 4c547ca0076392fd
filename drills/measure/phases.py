"""The parts of the recovery time: every instant between disaster and restoration belongs to exactly one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from drills.timeline.marks import Mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.evidence import Bracket
    from drills.measure.question import Moment, Standstill, StepSpan

UNDETECTED = "announced drill, detection not exercised"
UNTOLD = "no step says when it was detected"
"""What is said in its place of an incident, which nobody announced."""
_TAIL, _AFTER, _BETWEEN = "DNS tail", "propagation", "between steps"
_ALWAYS = frozenset({"detect", "decide"})
_END = frozenset({"service", "restored"})
_ENDLESS = 1 << 62


@dataclass(frozen=True, slots=True)
class Phase:
    """One part: bounds of its length and its length at the midpoints, in nanoseconds; ``detail``: what tells it."""

    name: str
    low: int
    best: int
    high: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Course:
    """What is cut: the disaster, when requests were served again (fresh DNS), and when all was restored.

    ``service`` None: there is no tail behind it. ``until`` says what was waited for after the last step.
    """

    began: Bracket
    service: Bracket | None
    restored: Bracket
    until: str = "requests were served"


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of the moments between which the parts lie; None: nobody marked it."""

    began: Bracket
    detected: Bracket | None
    decided: Bracket | None
    service: Bracket
    restored: Bracket


@dataclass(frozen=True, slots=True)
class _Cut:
    """One choice of those moments."""

    began: int
    detected: int | None
    decided: int | None
    service: int
    restored: int


@dataclass(frozen=True, slots=True)
class _Segment:
    """A stretch of time that belongs to one step or standstill, or to none (``name`` empty)."""

    first: int
    past: int
    name: str = ""
    detail: str = ""

    def within(self, first: int, past: int) -> int:
        return max(0, min(self.past, past) - max(self.first, first))


def phases(
    course: Course,
    steps: Sequence[StepSpan],
    moments: Sequence[Moment],
    undetected: str = UNDETECTED,
    standstills: Sequence[Standstill] = (),
) -> tuple[Phase, ...]:
    """Cut the recovery time into detect, decide, automation by step, data, traffic switch, DNS tail, validate.

    Where steps run side by side the instant belongs to the one that ends last, for it is the one waited for. Between
    two steps: to the standstill that kept the later one from beginning (``human wait``, ``not driven``), else
    ``between steps``. After the last step, until the service answers: ``propagation``. A step's own ``phase``
    (``traffic switch``, ``human wait``, ``validate``) names its part.

    The lengths at the midpoints (``best``) add up to that of the recovery time, and none is negative. Each length
    only grows or only shrinks with each moment that it depends on, so its bounds come from the ends of the brackets;
    but for the propagation, which starts anew whenever a step begins. ``undetected`` is said where no detection is
    marked.
    """
    at = {moment.mark: moment.at for moment in moments}
    service = course.restored if course.service is None else course.service
    known = _Known(course.began, at.get(Mark.DETECTED), at.get(Mark.DECIDED), service, course.restored)
    segments = _segments(steps, standstills)
    best = _lengths(_best(known), segments)
    grows = {"detect": _END | {"detected"}, "decide": _END | {"decided"}, _TAIL: frozenset({"restored"})}
    said = {
        "detect": "" if known.detected is not None else undetected,
        "decide": "" if known.decided is not None else "no decision was marked",
        **_details(segments),
        _BETWEEN: "no step was running",
        _AFTER: f"after the last step, until {course.until}",
    }
    if course.service is not None:
        said[_TAIL] = "clients that keep an old answer"
    found: list[Phase] = []
    for name, detail in said.items():
        if name == _AFTER:
            low, high = _after(known, segments)
        else:
            growing = grows.get(name, _END)
            low, high = (
                _lengths(_corner(known, growing, shortest=one), segments).get(name, 0) for one in (True, False)
            )
        middle = best.get(name, 0)
        if middle or high or name in _ALWAYS:
            found.append(Phase(name, min(low, middle), middle, max(high, middle), detail))
    return tuple(found)


def _corner(known: _Known, growing: frozenset[str], *, shortest: bool) -> _Cut:
    """Choose the end of each bracket at which a part is shortest (or longest) that grows with ``growing``."""

    def end(name: str, one: Bracket) -> int:
        return one.earliest if (name in growing) is shortest else one.latest

    return _Cut(
        end("began", known.began),
        None if known.detected is None else end("detected", known.detected),
        None if known.decided is None else end("decided", known.decided),
        end("service", known.service),
        end("restored", known.restored),
    )


def _best(known: _Known) -> _Cut:
    """Choose the midpoints, those of the end so that the whole is the midpoint of the recovery time."""
    began = known.began.middle
    return _Cut(
        began,
        None if known.detected is None else known.detected.middle,
        None if known.decided is None else known.decided.middle,
        began + _between(known.began, known.service),
        began + _between(known.began, known.restored),
    )


def _between(begin: Bracket, end: Bracket) -> int:
    return (max(0, end.earliest - begin.latest) + max(0, end.latest - begin.earliest)) // 2


def _lengths(cut: _Cut, segments: Sequence[_Segment]) -> dict[str, int]:
    """Measure all parts of one choice of moments; they add up to ``restored - began`` where that is not negative."""
    began, restored = cut.began, max(cut.began, cut.restored)
    service = min(max(cut.service, began), restored)
    detected = began if cut.detected is None else min(max(cut.detected, began), service)
    decided = detected if cut.decided is None else min(max(cut.decided, detected), service)
    found = {"detect": detected - began, "decide": decided - detected, _TAIL: restored - service}
    for one in segments:
        name = one.name or (_BETWEEN if one.past < service else _AFTER)
        length = one.within(decided, service)
        if length:
            found[name] = found.get(name, 0) + length
    return found


def _after(known: _Known, segments: Sequence[_Segment]) -> tuple[int, int]:
    """Bound the time after the last step: it may end in any stretch without steps that the service's bracket meets."""
    begins = [one for one in (known.began, known.detected, known.decided) if one is not None]
    first, last = max(one.earliest for one in begins), max(one.latest for one in begins)
    soonest = min(known.service.earliest, known.restored.earliest)
    latest = min(known.service.latest, known.restored.latest)
    idle = [one for one in segments if not one.name and one.first < latest and soonest <= one.past]
    high = max((min(one.past, latest) - max(one.first, first) for one in idle), default=0)
    certain = [one for one in idle if one.first <= soonest and latest <= one.past]
    low = max((soonest - max(one.first, last) for one in certain), default=0)
    return max(0, low), max(0, high)


def _segments(steps: Sequence[StepSpan], standstills: Sequence[Standstill]) -> list[_Segment]:
    """Give all time to the steps: at each instant the one that ends last; else to what kept a later one, or to none."""
    ran = [
        (step.started_ns, _ENDLESS if step.ended_ns is None else step.ended_ns, step)
        for step in steps
        if step.mark is not Mark.DISASTER and step.started_ns != step.ended_ns
    ]
    last = max((first for first, _, _ in ran), default=-_ENDLESS)
    held = [(one.first_ns, min(one.past_ns, last), one) for one in standstills if one.first_ns < min(one.past_ns, last)]
    edges = sorted({-_ENDLESS, _ENDLESS, *(edge for first, past, _ in (*ran, *held) for edge in (first, past))})
    found: list[_Segment] = []
    for left, right in pairwise(edges):
        running = [(past, step.id, step) for first, past, step in ran if first <= left and past >= right]
        step = max(running, key=lambda one: one[:2])[2] if running else None
        stop = next((one for first, past, one in held if first <= left and past >= right), None)
        if step is not None:
            part = _Segment(left, right, _named(step), step.id)
        else:
            part = _Segment(left, right) if stop is None else _Segment(left, right, stop.phase, stop.why)
        if found and found[-1].name == part.name == "":
            part = _Segment(found.pop().first, right)
        found.append(part)
    return found


def _details(segments: Sequence[_Segment]) -> dict[str, str]:
    """Give for each part that steps are the steps, in order of time."""
    found: dict[str, dict[str, None]] = {}
    for one in segments:
        if one.name:
            found.setdefault(one.name, {})[one.detail] = None
    return {name: ", ".join(steps) for name, steps in found.items()}


def _named(step: StepSpan) -> str:
    if step.phase:
        return step.phase
    return "data" if step.mark is Mark.DATA_RESTORED else f"automation: {step.id}"
