"""When a person says a disaster began: what is understood, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.cli.began import read_began
from drills.clock import NS
from drills.errors import Usage

NOW = datetime(2026, 1, 10, 3, 0, tzinfo=UTC)


def bracket(text: str, now: datetime = NOW) -> str:
    ends = [datetime.fromtimestamp(one / NS, UTC) for one in read_began(text, round(now.timestamp()) * NS)]
    return "..".join(f"{one:%d %H:%M:%S}" for one in ends)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("02:41Z..02:44Z", "10 02:41:00..10 02:44:00"),
        ("02:41..02:44Z", "10 02:41:00..10 02:44:00"),
        ("23:58Z..00:03Z", "09 23:58:00..10 00:03:00"),
        ("04:10Z..04:20Z", "09 04:10:00..09 04:20:00"),
        ("03:41+01:00..03:44+01:00", "10 02:41:00..10 02:44:00"),
        ("03:41..03:44 Europe/Berlin", "10 02:41:00..10 02:44:00"),
        ("2026-01-08T02:41Z..2026-01-08T02:44:30Z", "08 02:41:00..08 02:44:30"),
        ("2026-01-08T23:59Z..00:03Z", "08 23:59:00..09 00:03:00"),
        ("2026-01-10T03:41[Europe/Berlin]", "10 02:41:00..10 02:42:00"),
        ("02:41:30Z", "10 02:41:30..10 02:41:31"),
        ("03:00Z", "10 03:00:00..10 03:00:00"),
    ],
)
def test_a_beginning_is_understood(text: str, meant: str) -> None:
    assert bracket(text) == meant


def test_a_local_time_that_occurs_twice_stands_for_both() -> None:
    after = datetime(2026, 10, 25, 12, 0, tzinfo=UTC)
    assert bracket("02:30..02:40 Europe/Berlin", after) == "25 00:30:00..25 01:40:00"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("02:41..02:44", "whose clock"),
        ("02:55Z..03:05Z", "ends in the future"),
        ("02:44Z..02:41Z", "reversed"),
        ("2026-01-10T04:00Z..2026-01-10T04:10Z", "lies in the future"),
        ("2026-01-08T02:44Z..2026-01-08T02:41Z", "reversed"),
        ("yesterday", "is no moment"),
        ("25:00Z", "hour must be in"),
        ("02:41+99:00", "no offset"),
        ("02:41 Mars/Olympus", "knows no zone"),
        ("2026-13-01T02:41Z", "month must be in"),
        ("", "is no moment"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(Usage, match=why):
        bracket(text)


@given(st.integers(0, 10 * 86_400), st.integers(0, 6 * 3600))
def test_a_range_without_days_is_the_latest_that_has_passed(begin: int, length: int) -> None:
    base = round(NOW.timestamp()) - 86_400
    ends = [datetime.fromtimestamp(base + (begin + extra) % 86_400, UTC) for extra in (0, length)]
    text = "..".join(f"{one:%H:%M:%S}Z" for one in ends)
    now = round(NOW.timestamp())
    try:
        first, last = (one // NS for one in read_began(text, now * NS))
    except Usage:
        assert now - (now - base - begin) % 86_400 + length > now
        return
    assert (now - 86_400 <= first <= last <= now, last - first) == (True, length)
