"""When a drill could begin nothing new, and why: a person held it, or nobody drove it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from drills.clock import NS
from drills.engine.state import State
from drills.measure.question import Standstill
from drills.timeline import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from drills.engine.plan import Plan

WAITED, UNDRIVEN = "human wait", "not driven"
"""The parts of the recovery time that such a stretch belongs to."""


def standstills(plan: Plan, events: Sequence[ev.Event], clock: str) -> Iterator[Standstill]:
    """Give the stretches on ``clock`` in which nothing new was begun, in the order in which they were told."""
    state = State(plan)
    for event, following in pairwise(events):
        state.apply(event)
        if not event.at.clock == following.at.clock == clock:
            continue
        phase, why = _now(state, following)
        if why:
            yield Standstill(event.at.mono_ns, following.at.mono_ns, phase, why)
        told = following.body
        if isinstance(told, ev.Told) and told.held_s:
            ended = following.at.mono_ns
            yield Standstill(ended - round(told.held_s * NS), ended, WAITED, "a question after Ctrl-C")


def _now(state: State, following: ev.Event) -> tuple[str, str]:
    """Say why nothing is begun until the following event; empty where nothing keeps it."""
    if state.stop is not None:
        return WAITED, "held until a person decided"
    if isinstance(following.body, ev.Resumed):
        return (WAITED, "put aside") if state.put_aside else (UNDRIVEN, "nobody drove the drill")
    if state.paused:
        return WAITED, "paused"
    if state.held_for:
        return WAITED, f"a decision about {', '.join(sorted(state.held_for))}"
    return "", ""
