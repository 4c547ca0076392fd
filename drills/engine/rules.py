"""What an environment says about when a drill may begin, as it is pinned in the plan. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from drills.timeline.facts import Facts

if TYPE_CHECKING:
    from drills.runbook.environment import Environment


class Window(msgspec.Struct, frozen=True):
    """Open on ``days`` (0 is Monday) between two minutes of the day; past midnight where the end is not later."""

    days: tuple[int, ...]
    begins: int
    ends: int
    zone: str


class Freeze(msgspec.Struct, frozen=True):
    """Closed from one moment to another, both by the clock on the wall of ``zone``; the end is no part of it."""

    begins: datetime
    ends: datetime
    zone: str
    why: str


class ChangeCalendar(msgspec.Struct, frozen=True):
    """SSM change calendars, all of which must be open, asked at a place."""

    names: tuple[str, ...]
    at: str


class Alarms(msgspec.Struct, frozen=True):
    """Alarms that must not be open; ``insufficient``: one without data does not refuse."""

    at: str
    names: tuple[str, ...] = ()
    prefix: str = ""
    tags: Facts = msgspec.field(default_factory=Facts)
    insufficient: bool = False


class Waiver(msgspec.Struct, frozen=True):
    """A gate that a person has answered, about all steps or some."""

    gate: str
    steps: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Rules:
    """All that an environment says about when and at what cost a drill may begin."""

    windows: tuple[Window, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    calendars: tuple[ChangeCalendar, ...] = ()
    alarms: tuple[Alarms, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    regions: tuple[str, ...] = ()
    cost: str = ""

    def waived(self, gate: str, step: str = "") -> Waiver | None:
        """Give the waiver of a gate that covers ``step``; one that names no step covers all."""
        for one in self.waivers:
            if one.gate == gate and (not one.steps or step in one.steps):
                return one
        return None


def rules_of(environment: Environment) -> Rules:
    """Take from an environment what its gates go by."""
    from drills.runbook.rules import DAYS, Insufficient

    return Rules(
        windows=tuple(
            Window(tuple(map(DAYS.index, one.days)), one.from_, one.to, one.zone) for one in environment.windows
        ),
        freezes=tuple(Freeze(one.begins(), one.ends(), one.zone, one.why) for one in environment.freezes),
        calendars=tuple(ChangeCalendar(one.names, one.at) for one in environment.calendars),
        alarms=tuple(
            Alarms(
                one.at,
                one.names,
                one.prefix or "",
                Facts(**one.tags),
                insufficient=one.insufficient_data is Insufficient.ALLOW,
            )
            for one in environment.alarms
        ),
        waivers=tuple(Waiver(one.gate.value, one.steps, one.why) for one in environment.waivers),
        regions=environment.scope.regions,
        cost=environment.scope.cost.value if environment.scope.cost else "",
    )
