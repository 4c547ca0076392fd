"""Read what a person says of when a disaster began: ``02:41Z..02:44Z``, ``2026-01-10T02:41+01:00``, a named zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

from drills.clock import NS
from drills.errors import Usage

_MOMENT = re.compile(
    r"(?:(?P<day>\d{4}-\d{2}-\d{2})[T ])?(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
    r"\s*(?P<zone>Z|z|[+-]\d{2}:?\d{2}|UTC|\[?[A-Za-z]+(?:/[A-Za-z0-9_+-]+)+\]?)?"
)
_LONGEST = timedelta(hours=12)
_FORMS = "write 02:41Z..02:44Z, 2026-01-10T02:41+01:00..02:44+01:00 or '02:41..02:44 Europe/Berlin'"


@dataclass(frozen=True, slots=True)
class _Said:
    text: str
    day: date | None
    hour: int
    minute: int
    second: int | None
    zone: tzinfo | None

    @property
    def precision(self) -> timedelta:
        return timedelta(minutes=1) if self.second is None else timedelta(seconds=1)


def read_began(text: str, now_ns: int) -> tuple[int, int]:
    """Give the bracket that a text says, in nanoseconds of UTC; ``now_ns`` is the present in UTC.

    Without a day it is the latest past occurrence; an end without a day is the first one after the beginning, so that
    a range may cross midnight. A single moment is known as closely as it is written: to its minute or its second. A
    local time that occurs twice stands for both. ``Usage`` says what is wrong with a text.
    """
    now = datetime.fromtimestamp(now_ns / NS, UTC)
    first, dots, second = text.strip().partition("..")
    end = _said(second, text) if dots else None
    begin = _said(first, text)
    zone = begin.zone or (end.zone if end is not None else None)
    if zone is None:
        raise Usage(f"--began {text}: whose clock is that? {_FORMS}")
    began = _begin(begin, zone, now)
    if began > now:
        raise Usage(f"--began {text}: {_iso(began)} lies in the future (it is {_iso(now)} now)")
    if end is None:
        ended = min(_on(began.astimezone(zone).date(), begin, zone, late=True) + begin.precision, now)
    else:
        ended = _end(end, end.zone or zone, began)
    if ended < began:
        raise Usage(f"--began {text}: the range is reversed, its end {_iso(ended)} lies before its beginning")
    if ended > now or (end is not None and end.day is None and ended - began > _LONGEST):
        raise Usage(
            f"--began {text}: {_iso(began)}..{_iso(ended)} ends in the future or is reversed (it is {_iso(now)} now); "
            "write the days too, if that is meant"
        )
    return _ns(began), _ns(ended)


def _said(text: str, whole: str) -> _Said:
    found = _MOMENT.fullmatch(text.strip())
    if found is None:
        raise Usage(f"--began {whole}: {text.strip()!r} is no moment; {_FORMS}")
    try:
        day = date.fromisoformat(found["day"]) if found["day"] else None
        datetime(2000, 1, 1, int(found["hour"]), int(found["minute"]), int(found["second"] or 0), tzinfo=UTC)
    except ValueError as error:
        raise Usage(f"--began {whole}: {text.strip()!r}: {error}") from error
    second = int(found["second"]) if found["second"] else None
    return _Said(text, day, int(found["hour"]), int(found["minute"]), second, _zone(found["zone"], whole))


def _zone(text: str | None, whole: str) -> tzinfo | None:
    if text is None:
        return None
    if text in ("Z", "z", "UTC"):
        return UTC
    if text[0] in "+-":
        hours, minutes = int(text[1:3]), int(text[-2:])
        if hours > 14 or minutes > 59:  # noqa: PLR2004 - the ends of the map
            raise Usage(f"--began {whole}: there is no offset {text}")
        return timezone(timedelta(hours=hours, minutes=minutes) * (1 if text[0] == "+" else -1))
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(text.strip("[]"))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Usage(f"--began {whole}: this machine knows no zone {text.strip('[]')!r}") from error


def _begin(said: _Said, zone: tzinfo, now: datetime) -> datetime:
    """Give the moment as UTC; without a day the latest that has passed, or today's if none has."""
    if said.day is not None:
        return _on(said.day, said, zone)
    today = now.astimezone(zone).date()
    moments = [_on(today + timedelta(days=back), said, zone) for back in (0, -1)]
    return next(one for one in moments if one <= now)


def _end(said: _Said, zone: tzinfo, began: datetime) -> datetime:
    """Give the end of a range as UTC; without a day the first at or after its beginning."""
    if said.day is not None:
        return _on(said.day, said, zone, late=True)
    day = began.astimezone(zone).date()
    moments = [_on(day + timedelta(days=ahead), said, zone, late=True) for ahead in (0, 1, 2)]
    return next(one for one in moments if one >= began)


def _on(day: date, said: _Said, zone: tzinfo, *, late: bool = False) -> datetime:
    """Put a time of day on a day; of a local time that occurs twice the first, or the second when ``late``."""
    local = datetime(
        day.year, day.month, day.day, said.hour, said.minute, said.second or 0, tzinfo=zone, fold=1 if late else 0
    )
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None, fold=0) != local.replace(tzinfo=None, fold=0):
        raise Usage(f"--began: {said.text.strip()} did not occur on {day} in {zone}: the clocks were put forward")
    return moment


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _ns(moment: datetime) -> int:
    return round(moment.timestamp()) * NS if not moment.microsecond else round(moment.timestamp() * NS)
