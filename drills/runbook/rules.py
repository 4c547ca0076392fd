"""What an environment says about when a drill may begin: windows, freezes, alarms, freshness, waivers."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from drills.runbook.fields import Name, Span, Text, Written
from drills.runbook.problems import did_you_mean

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES: Final = 24 * 60
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")


class CostClass(StrEnum):
    """How much a drill may cost at most, by its most expensive step."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Insufficient(StrEnum):
    """What an alarm without data means."""

    REFUSE = "refuse"
    ALLOW = "allow"


class Waivable(StrEnum):
    """The gates that a person may answer instead, with a reason. No other gate can be waived."""

    ORGANIZATION = "organization"
    IMPAIRED = "impaired-region"
    REMEDIATION = "remediation"
    QUOTAS = "quotas"


def _minutes(value: Any) -> Any:
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    minutes = int(found[1]) * 60 + int(found[2]) if found else -1
    if not 0 <= minutes <= DAY_MINUTES:
        raise ValueError(f"{value!r} is no time of day; write it in quotes, as in '09:00', '24:00' at most")
    return minutes


def _zone(value: Any) -> Any:
    try:
        return ZoneInfo(value).key
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        hint = did_you_mean(str(value), tuple(sorted(available_timezones())))
        raise ValueError(f"{value!r} is no IANA time zone, as in Europe/Berlin; {hint}") from error


def _days(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of days: write [mon..fri], or [sat, sun]")
    found: list[str] = []
    for one in cast("list[object]", value):
        first, dots, last = str(one).partition("..")
        for name in (first, last) if dots else (first,):
            if name not in DAYS:
                raise ValueError(f"{name!r} is no day; use {', '.join(DAYS)}, or a range as in mon..fri")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found += [DAYS[(begin + step) % 7] for step in range((end - begin) % 7 + 1)]
    return sorted(set(found), key=DAYS.index)


def _moment(value: Any) -> Any:
    """Read a date or a date and a time of day, as the wall clock of the zone shows them."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        found = None
    if found is None or found.tzinfo is not None:
        raise ValueError(f"{value!r} is no date; write 2026-12-20, or 2026-12-20T18:00, without an offset")
    return value


Minutes = Annotated[int, BeforeValidator(_minutes, json_schema_input_type=str)]
Zone = Annotated[str, BeforeValidator(_zone)]
Days = Annotated[tuple[Text, ...], BeforeValidator(_days, json_schema_input_type=list[str])]
Moment = Annotated[str, BeforeValidator(_moment)]


class Window(Written):
    """When a drill may run: on these days from one time to another; past midnight where the end is not after it."""

    days: Days = DAYS
    from_: Minutes = Field(alias="from")
    to: Minutes
    zone: Zone

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.from_ in {self.to, DAY_MINUTES}:
            raise ValueError("a window must last: for a whole day write from '00:00' to '24:00'")
        return self


class Freeze(Written):
    """When no drill may run. Both ends are part of it: a date stands for the whole of its day."""

    from_: Moment = Field(alias="from")
    to: Moment
    zone: Zone
    why: Text

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.begins() >= self.ends():
            raise ValueError(f"the freeze ends ({self.to}) before it begins ({self.from_}); swap them")
        return self

    def begins(self) -> datetime:
        """Give its first moment, by the clock on the wall."""
        return datetime.fromisoformat(self.from_)

    def ends(self) -> datetime:
        """Give the first moment after it, by the clock on the wall."""
        end = datetime.fromisoformat(self.to)
        return end + timedelta(days=1) if _is_date(self.to) else end


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


class ChangeCalendar(Written):
    """AWS Systems Manager change calendars, all of which must be open, asked at a site or place."""

    names: tuple[Text, ...] = Field(min_length=1, max_length=10)
    at: Name


class Alarms(Written):
    """CloudWatch alarms that must not be open before a drill: by name, by prefix, by tag."""

    at: Name
    names: tuple[Text, ...] = Field(default=(), max_length=100)
    prefix: Text | None = None
    tags: dict[str, Text] = Field(default_factory=dict)
    insufficient_data: Insufficient = Insufficient.REFUSE

    @model_validator(mode="after")
    def _names_some(self) -> Self:
        if not (self.names or self.prefix or self.tags):
            raise ValueError("names no alarm: write names, prefix or tags")
        return self


class Freshness(Written):
    """A probe that says how much would be lost: its ``lag_s`` or ``age_s`` must not exceed the RPO's target."""

    probe: Text
    at: Literal["from", "to"] = "to"
    with_: dict[str, JsonValue] = Field(default_factory=dict, alias="with")
    timeout: Span = timedelta(seconds=30)


class Waiver(Written):
    """What a person has looked into, so that a gate need not refuse: which gate, about which steps, and why."""

    gate: Waivable
    steps: tuple[Name, ...] = ()
    why: Text
