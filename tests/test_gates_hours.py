"""Windows and freezes: open only where the clock on the wall says so, DST or not; and a freeze never opens anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drills import catalog
from drills.aws.sessions import Accounts
from drills.engine.gates import hours, window
from drills.engine.gates.question import Question
from drills.engine.plan import Plan
from drills.engine.rules import Freeze, Rules, Window
from drills.testing import plan, step
from drills.work import Kind

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "UTC")
BERLIN = ZoneInfo("Europe/Berlin")
WEEK = tuple(range(7))
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda one: one.replace(tzinfo=UTC))  # noqa: DTZ001


def window_of(days: set[int], begins: int, length: int, zone: str) -> Window:
    return Window(tuple(days), begins, (begins + length) % 1440 or 1440, zone)


def freeze_of(begins: datetime, length: int, zone: str) -> Freeze:
    return Freeze(begins, begins + timedelta(minutes=length), zone, "a test")


WINDOWS = st.builds(
    window_of,
    st.sets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(1, 1439),
    st.sampled_from(ZONES),
)
FREEZES = st.builds(
    freeze_of,
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001 - a clock on a wall
    st.integers(1, 60 * 24 * 30),
    st.sampled_from(ZONES),
)


def on_the_wall(one: Window, moment: datetime) -> bool:
    """Ask the clock on the wall, and nothing else: today's window, or what is left of yesterday's."""
    shown = moment.astimezone(ZoneInfo(one.zone))
    minute = shown.hour * 60 + shown.minute
    over = one.ends <= one.begins
    today = shown.weekday() in one.days and one.begins <= minute and (over or minute < one.ends)
    yesterday = over and (shown.weekday() - 1) % 7 in one.days and minute < one.ends
    return today or yesterday


def is_open(spans: tuple[hours.Span, ...], moment: datetime) -> bool:
    return any(span.begins <= moment < span.ends for span in spans)


@settings(max_examples=200, deadline=None)
@given(WINDOWS, MOMENTS)
@example(Window(WEEK, 150, 300, "Europe/Berlin"), datetime(2026, 3, 29, 0, 30, tzinfo=UTC))
@example(Window(WEEK, 150, 300, "Europe/Berlin"), datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
def test_open_only_where_the_clock_on_the_wall_says_so_and_apart_from_folds_wherever_it_does(
    one: Window, now: datetime
) -> None:
    spans = hours.openings((one,), (), now)
    for minutes in range(-60, 60 * 30, 17):
        moment = now + timedelta(minutes=minutes)
        shown = on_the_wall(one, moment)
        if is_open(spans, moment):
            assert shown, moment
        elif shown:
            near = [(moment + timedelta(hours=step)).astimezone(ZoneInfo(one.zone)).utcoffset() for step in (-25, 25)]
            assert near[0] != near[1], f"{moment} is open on the wall and no clock is put back near it"


@settings(max_examples=150, deadline=None)
@given(st.lists(WINDOWS, max_size=3), st.lists(FREEZES, max_size=3), FREEZES, MOMENTS)
def test_another_freeze_never_opens_anything(
    windows: list[Window], freezes: list[Freeze], more: Freeze, now: datetime
) -> None:
    before = hours.openings(windows, freezes, now)
    after = hours.openings(windows, (*freezes, more), now)
    closed = hours.frozen(more)
    assert all(any(old.begins <= new.begins and new.ends <= old.ends for old in before) for new in after)
    assert not any(span.begins < closed.ends and closed.begins < span.ends for span in after)
    assert sum((one.ends - one.begins for one in after), timedelta()) <= sum(
        (one.ends - one.begins for one in before), timedelta()
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(WINDOWS, min_size=2, max_size=4), MOMENTS, st.integers(0, 24 * 60))
def test_the_next_opening_is_open_from_end_to_end_and_none_is_earlier(
    windows: list[Window], now: datetime, needs: int
) -> None:
    length = timedelta(minutes=needs)
    spans = hours.openings(windows, (), now)
    found = hours.opening(spans, now, length)
    if found is None:
        assert all(span.ends - max(span.begins, now) < length for span in spans if span.ends > now)
        return
    assert found.begins >= now
    assert any(span.begins <= found.begins and found.begins + length <= span.ends for span in spans)
    earlier = [span for span in spans if span.ends > now and span.begins < found.begins and span.ends <= found.begins]
    assert all(span.ends - max(span.begins, now) < length for span in earlier)


def test_a_window_that_begins_in_the_gap_of_spring_opens_when_the_clock_jumps() -> None:
    (span, *_) = [
        one
        for one in hours.openings((Window(WEEK, 150, 300, "Europe/Berlin"),), (), datetime(2026, 3, 29, tzinfo=UTC))
        if one.begins.date() == datetime(2026, 3, 29, tzinfo=UTC).date()
    ]
    assert span == (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 3, 29, 3, tzinfo=UTC))


def test_in_the_fold_of_autumn_a_window_begins_with_the_second_and_ends_with_the_first_of_two_moments() -> None:
    now = datetime(2026, 10, 25, tzinfo=UTC)
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    begins = {one.begins for one in hours.openings((Window(WEEK, 150, 300, "Europe/Berlin"),), (), now)}
    ends = {one.ends for one in hours.openings((Window(WEEK, 60, 150, "Europe/Berlin"),), (), now)}
    assert (second in begins, first in begins) == (True, False)
    assert (first in ends, second in ends) == (True, False)
    frozen = hours.frozen(Freeze(datetime(2026, 10, 25, 2, 30), datetime(2026, 10, 25, 2, 45), "Europe/Berlin", ""))  # noqa: DTZ001
    assert frozen == (first, datetime(2026, 10, 25, 1, 45, tzinfo=UTC))


def asked(rules: Rules, now: datetime, deadline_s: float = 3600.0) -> dict[str, tuple[bool | None, str]]:
    pinned: Plan = plan(step("look", Kind.PROBE, timeout_s=deadline_s), rules=rules, deadline_s=deadline_s)
    question = Question(pinned, Accounts(), catalog.load, now)
    return {one.gate: (one.ok, one.detail) for one in window.ask(question)}


OFFICE = Rules(windows=(Window((0, 1, 2, 3, 4), 540, 960, "Europe/Berlin"),))


def test_a_drill_that_fits_into_the_window_may_begin() -> None:
    ok, told = asked(OFFICE, datetime(2026, 11, 18, 9, tzinfo=BERLIN))["window"]
    assert (ok, "open until Wed 2026-11-18 16:00 CET" in told) == (True, True)


def test_a_drill_that_would_outlast_the_window_is_refused_and_told_when_it_would_fit() -> None:
    ok, told = asked(OFFICE, datetime(2026, 11, 20, 15, 30, tzinfo=BERLIN))["window"]
    assert ok is False
    assert told.endswith("it would fit from Mon 2026-11-23 09:00 CET")


def test_outside_every_window_it_is_refused() -> None:
    ok, told = asked(OFFICE, datetime(2026, 11, 21, 12, tzinfo=BERLIN))["window"]
    assert (ok, "no window is open now" in told) == (False, True)


def test_a_drill_that_fits_nowhere_is_told_so() -> None:
    _, told = asked(OFFICE, datetime(2026, 11, 18, 10, tzinfo=BERLIN), deadline_s=8 * 3600.0)["window"]
    assert told.endswith("it fits nowhere in the next 400 days")


def test_a_freeze_that_begins_before_the_drill_is_over_refuses_it_and_says_why() -> None:
    freeze = Freeze(datetime(2026, 12, 20), datetime(2027, 1, 7), "Europe/Berlin", "the shops are open late")  # noqa: DTZ001
    rules = replace(OFFICE, freezes=(freeze,))
    assert asked(rules, datetime(2026, 12, 18, 10, tzinfo=BERLIN))["freeze"][0] is True
    ok, told = asked(replace(rules, windows=()), datetime(2026, 12, 19, 23, 30, tzinfo=BERLIN))["freeze"]
    assert ok is False
    assert "the shops are open late" in told
    assert told.endswith("it would fit from Thu 2027-01-07 00:00 CET")


@pytest.mark.parametrize("hour", [21, 23])
def test_a_window_over_midnight_stays_open_into_the_next_day(hour: int) -> None:
    night = Rules(windows=(Window((4,), 21 * 60, 5 * 60, "Europe/Berlin"),))
    assert asked(night, datetime(2026, 11, 20, hour, tzinfo=BERLIN))["window"][0] is True
    assert asked(night, datetime(2026, 11, 21, 3, tzinfo=BERLIN))["window"][0] is True
    assert asked(night, datetime(2026, 11, 21, hour, tzinfo=BERLIN))["window"][0] is False
