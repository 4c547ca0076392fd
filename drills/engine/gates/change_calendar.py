"""The change calendars of AWS Systems Manager are open, and stay so until the drill is over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from drills.durations import show
from drills.engine.gates.question import no, unknown, why, yes
from drills.engine.gates.window import needs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.engine.rules import ChangeCalendar
    from drills.timeline.events import Gated

NAME: Final = "change-calendar"
PERMISSIONS: Final = ("ssm:GetCalendarState",)
OPEN: Final = "OPEN"


def ask(question: Question) -> Iterator[Gated]:
    """Ask once for each entry of ``calendars``; all its calendars must be open."""
    for one in question.plan.rules.calendars:
        yield _calendar(question, one)


def _calendar(question: Question, one: ChangeCalendar) -> Gated:
    told = ", ".join(one.names)
    try:
        answer = (
            question.aws(one.at)
            .client("ssm")
            .get_calendar_state(CalendarNames=list(one.names), AtTime=f"{question.now:%Y-%m-%dT%H:%M:%SZ}")
        )
        state, next_ = str(answer["State"]), str(answer.get("NextTransitionTime", ""))
        changes = datetime.fromisoformat(next_).astimezone(UTC) if next_ else None
    except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said yes
        return unknown(NAME, f"the state of {told} could not be learned ({why(error)})")
    until = f" until {changes:%Y-%m-%d %H:%M} UTC" if changes else ""
    if state != OPEN:
        return no(NAME, f"{told} is {state}{until}")
    length = needs(question.plan)
    if changes is not None and changes - question.now < length:
        long = show(round(length.total_seconds()))
        return no(NAME, f"{told} is open only{until}, and the drill with its undo may take {long}")
    return yes(NAME, f"{told} is open{until}")
