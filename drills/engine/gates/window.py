"""The whole drill, its undo included, fits into an open window and into no freeze. It binds manual runs too."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from drills.durations import show
from drills.engine import budget
from drills.engine.gates import hours
from drills.engine.gates.question import no, yes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from drills.engine.gates.question import Question
    from drills.engine.plan import Plan
    from drills.timeline.events import Gated

NAME = "window"
FREEZE = "freeze"


def needs(plan: Plan) -> timedelta:
    """Give the longest that a drill may take: to its deadline, and the undo that may follow it."""
    return timedelta(seconds=min(budget.worst_s(plan), plan.deadline_s + budget.undo_s(plan)))


def ask(question: Question) -> Iterator[Gated]:
    """Hold the drill's whole time against the environment's windows and freezes; asks nobody."""
    rules, now, length = question.plan.rules, question.now, needs(question.plan)
    long = show(round(length.total_seconds()))
    zone = ZoneInfo(rules.windows[0].zone if rules.windows else rules.freezes[0].zone if rules.freezes else "UTC")
    spans = hours.openings(rules.windows, rules.freezes, now)
    fits = hours.opening(spans, now, length)
    later = f"; it would fit from {_local(fits.begins, zone)}" if fits else "; it fits nowhere in the next 400 days"
    if not rules.windows:
        yield yes(NAME, "the environment names no windows: any time of day is good")
    else:
        open_now = hours.opening(hours.openings(rules.windows, (), now), now, timedelta(0))
        if open_now is None or open_now.begins > now:
            yield no(NAME, f"no window is open now, {_local(now, zone)}{later}")
        elif open_now.ends - now < length:
            closes = _local(open_now.ends, zone)
            yield no(NAME, f"the window closes at {closes}, and the drill with its undo may take {long}{later}")
        else:
            yield yes(NAME, f"open until {_local(open_now.ends, zone)}; the drill with its undo may take {long}")
    hit = [one for one in rules.freezes if _meets(hours.frozen(one), now, now + length)]
    for one in hit:
        begins, ends = hours.frozen(one)
        told = f"{_local(begins, ZoneInfo(one.zone))} to {_local(ends, ZoneInfo(one.zone))}"
        yield no(FREEZE, f"frozen from {told} ({one.why}); the drill with its undo may take {long}{later}")
    if not hit:
        count = len(rules.freezes)
        yield yes(FREEZE, f"none of the {count} freezes is near" if count else "the environment names no freezes")


def _meets(span: hours.Span, begins: datetime, ends: datetime) -> bool:
    return span.begins < ends and begins < span.ends


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return (
        f"{moment.astimezone(zone):%a %Y-%m-%d %H:%M %Z}"
        if zone.key != "UTC"
        else f"{moment.astimezone(UTC):%a %Y-%m-%d %H:%M} UTC"
    )
