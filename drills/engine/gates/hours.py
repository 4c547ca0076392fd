"""When the doors are open: windows less freezes, as spans of UTC. Pure, but for the zones of the IANA database.

A wall clock shows some moments twice (the fold of autumn) and some never (the gap of spring). Where there is a
choice the drill is kept out: a window begins at the later and ends at the earlier of two such moments, a freeze the
other way round; a moment that never comes stands for the instant at which the clock jumps over it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from drills.engine.rules import Freeze, Window

AHEAD: Final = timedelta(days=400)
"""How far ahead the next opening is looked for."""
BEHIND: Final = timedelta(days=3)
_SECOND: Final = timedelta(seconds=1)


class Span(NamedTuple):
    """From one moment to another, both in UTC; the end is no part of it."""

    begins: datetime
    ends: datetime


def instants(wall: datetime, zone: ZoneInfo) -> Span:
    """Give the first and the last instant at which the clocks of ``zone`` show ``wall`` (naive)."""
    early = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    late = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if early <= late:
        return Span(early, late)
    jump = _jump(late, early, zone)
    return Span(jump, jump)


def _jump(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Find the instant at which the offset changes, between two that lie on either side of it."""
    old = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def openings(windows: Sequence[Window], freezes: Sequence[Freeze], now: datetime) -> tuple[Span, ...]:
    """Give every span in which a drill may run, in order, from a little before ``now`` to 400 days after it.

    Without windows it is always open, but for the freezes.
    """
    whole = Span(now - BEHIND, now + AHEAD)
    spans = _joined(span for one in windows for span in _window(one, whole)) if windows else [whole]
    for one in freezes:
        closed = frozen(one)
        spans = [left for span in spans for left in _without(span, closed)]
    return tuple(spans)


def frozen(freeze: Freeze) -> Span:
    """Give the span of a freeze."""
    zone = ZoneInfo(freeze.zone)
    return Span(instants(freeze.begins, zone).begins, instants(freeze.ends, zone).ends)


def opening(spans: Iterable[Span], now: datetime, needs: timedelta) -> Span | None:
    """Give the first span, from ``now`` on, that is long enough; None when there is none."""
    for span in spans:
        begins = max(span.begins, now)
        if span.ends - begins >= needs and span.ends > now:
            return Span(begins, span.ends)
    return None


def _window(window: Window, whole: Span) -> Iterator[Span]:
    zone = ZoneInfo(window.zone)
    day = whole.begins.astimezone(zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    for _ in range((whole.ends - whole.begins).days + 2):
        if day.weekday() in window.days:
            over = 0 if window.ends > window.begins else 1
            begins = instants(day + timedelta(minutes=window.begins), zone).ends
            ends = instants(day + timedelta(days=over, minutes=window.ends), zone).begins
            if ends > begins:
                yield Span(begins, ends)
        day += timedelta(days=1)


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.begins <= joined[-1].ends:
            joined[-1] = Span(joined[-1].begins, max(joined[-1].ends, span.ends))
        else:
            joined.append(span)
    return joined


def _without(span: Span, closed: Span) -> Iterator[Span]:
    if closed.begins >= span.ends or closed.ends <= span.begins:
        yield span
        return
    if span.begins < closed.begins:
        yield Span(span.begins, closed.begins)
    if closed.ends < span.ends:
        yield Span(closed.ends, span.ends)
