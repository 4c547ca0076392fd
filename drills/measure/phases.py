"""The parts of the recovery time: every instant between disaster and restoration belongs to exactly one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from drills.timeline.marks import Mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.question import Moment, StepSpan

UNDETECTED = "announced drill, detection not exercised"


@dataclass(frozen=True, slots=True)
class Phase:
    """One part: its name, its length in nanoseconds, and the step or the mark it is known by."""

    name: str
    length: int
    detail: str = ""


def phases(
    began: int, service: int, restored: int, steps: Sequence[StepSpan], moments: Sequence[Moment]
) -> tuple[Phase, ...]:
    """Cut [began, restored] into detect, decide, automation by step, data, traffic switch, DNS tail, validate.

    ``began`` and ``restored`` are the midpoints of disaster and restoration for all personas, ``service`` that of
    restoration for fresh DNS. Where steps run side by side the instant belongs to the one that ends last, for it
    is the one waited for. Between two steps: ``between steps``. After the last step (and before the service
    answers): ``traffic switch``. A step's own ``phase`` (as in ``validate``) names its
    part. The parts add up to ``restored - began`` exactly.
    """
    if restored <= began:
        return ()
    service = min(max(service, began), restored)
    known = {moment.mark: moment.at.middle for moment in moments}
    detected = min(max(known.get(Mark.DETECTED, began), began), service)
    decided = min(max(known.get(Mark.DECIDED, detected), detected), service)
    found = [Phase("detect", detected - began, "" if Mark.DETECTED in known else UNDETECTED)]
    found.append(Phase("decide", decided - detected, "" if Mark.DECIDED in known else "no decision was marked"))
    found += _automation(decided, service, steps)
    found.append(Phase("DNS tail", restored - service, "clients that keep an old answer"))
    return tuple(part for part in found if part.length or part.name in {"detect", "decide"})


def _automation(begin: int, end: int, steps: Sequence[StepSpan]) -> list[Phase]:
    ran = [(max(step.started_ns, begin), min(_ended(step, end), end), step) for step in steps]
    ran = [(first, last, step) for first, last, step in ran if first < last and step.mark is not Mark.DISASTER]
    edges = sorted({begin, end, *(edge for first, last, _ in ran for edge in (first, last))})
    lengths: dict[str, int] = {}
    details: dict[str, str] = {}
    last_end = max((last for _, last, _ in ran), default=begin)
    for left, right in pairwise(edges):
        running = [(_ended(step, end), step) for first, last, step in ran if first <= left and last >= right]
        name, detail = "between steps", "no step was running"
        if running:
            step = max(running, key=lambda pair: (pair[0], pair[1].id))[1]
            name, detail = _named(step), step.id
        elif left >= last_end:
            name, detail = "traffic switch", "after the last step, until requests were served"
        lengths[name] = lengths.get(name, 0) + right - left
        details[name] = detail
    return [Phase(name, length, details[name]) for name, length in lengths.items()]


def _named(step: StepSpan) -> str:
    if step.phase:
        return step.phase
    return "data" if step.mark is Mark.DATA_RESTORED else f"automation: {step.id}"


def _ended(step: StepSpan, end: int) -> int:
    return end if step.ended_ns is None else step.ended_ns
