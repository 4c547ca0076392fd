"""A clock is bounded by Date headers: the truth is always inside, and the bound is as narrow as promised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drills.measure.skew import (
    DRIFT_PPM,
    MOST_ANSWERS,
    SECOND,
    NoSkew,
    Skew,
    bound,
    bound_all,
    drift,
    enough,
    send_next,
)
from drills.timeline.dated import Dated

MS = 1_000_000
EPOCH = 1_790_000_000 * SECOND
skews = st.integers(-400 * 86_400 * SECOND, 400 * 86_400 * SECOND)
delays = st.one_of(st.integers(0, 5 * MS), st.integers(0, 3 * SECOND))


@dataclass
class Server:
    """A server whose clock is our monotonic one plus an offset, plus a drift; it cuts its Date off to the second."""

    offset: int
    ppm: int = 0
    host: str = "rds.us-east-1.amazonaws.com"
    now: int = 7 * SECOND
    answers: list[Dated] = field(default_factory=list[Dated])

    def truth(self, at: int) -> int:
        return self.offset + at * self.ppm // 1_000_000

    def ask(self, there: int, back: int, sent: int | None = None) -> None:
        """Send a request that takes so long to arrive, and its answer so long to come back."""
        sent = self.now if sent is None else sent
        stamped = sent + there
        date = (stamped + self.truth(stamped)) // SECOND * SECOND
        self.now = stamped + back
        self.answers.append(Dated(self.host, sent, self.now, date))


@given(skews, st.lists(st.tuples(st.integers(0, 2 * SECOND), delays, delays), min_size=1, max_size=40), st.data())
def test_the_truth_is_inside_for_any_skew_delay_phase_and_allowed_drift(
    skew: int, trips: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    server = Server(EPOCH + skew, data.draw(st.integers(-DRIFT_PPM, DRIFT_PPM)))
    for pause, there, back in trips:
        server.now += pause
        server.ask(there, back)
    at = data.draw(st.integers(server.answers[0].sent, server.now + 3_600 * SECOND))
    found = bound(server.answers, at)
    assert isinstance(found, Skew)
    assert found.low <= server.truth(at) <= found.high
    later = at + data.draw(st.integers(0, 86_400 * SECOND))
    moved = found.moved(later)
    assert moved.low <= server.truth(later) <= moved.high


@given(skews, st.integers(0, 5 * MS), st.integers(0, 5 * MS))
def test_asking_at_the_best_moment_gives_20_ms_in_8_answers(skew: int, there: int, back: int) -> None:
    server = Server(EPOCH + skew)
    while not enough(server.answers, server.now):
        server.ask(there, back, send_next(server.answers, server.now))
    found = bound(server.answers, server.now)
    assert isinstance(found, Skew)
    assert found.low <= server.truth(server.now) <= found.high
    assert found.width <= 20 * MS
    assert len(server.answers) <= 8
    assert server.now <= 7 * SECOND + 8 * SECOND + 100 * MS


@given(skews, st.integers(0, SECOND))
def test_40_answers_spread_over_the_phases_of_a_second_give_26_ms_and_two_trips(skew: int, phase: int) -> None:
    server = Server(EPOCH + skew, now=phase)
    for number in range(40):
        server.ask(MS, MS, sent=phase + number * (SECOND + SECOND // 40))
    found = bound(server.answers, server.now)
    assert isinstance(found, Skew)
    drifted = drift(server.now - phase)
    assert found.width <= SECOND // 40 + 2 * MS + 2 * drifted


@given(skews, st.integers(-3600, 3600).filter(lambda by: abs(by) >= 2))
def test_a_clock_that_steps_by_seconds_gives_no_bound_and_says_so(skew: int, by: int) -> None:
    server = Server(EPOCH + skew)
    for _ in range(3):
        server.ask(MS, MS)
    server.offset += by * SECOND
    server.ask(MS, MS)
    found = bound(server.answers, server.now)
    assert isinstance(found, NoSkew)
    assert "its clock stepped: 4 answers contradict each other" in found.why


@given(skews, delays, delays)
def test_it_ends_after_40_answers_or_10_seconds_however_wide_it_still_is(skew: int, there: int, back: int) -> None:
    server = Server(EPOCH + skew)
    begun = server.now
    while not enough(server.answers, server.now):
        server.ask(there, back, send_next(server.answers, server.now))
    assert len(server.answers) <= MOST_ANSWERS
    assert server.now - begun <= 10 * SECOND + SECOND + there + back
    found = bound(server.answers, server.now)
    assert isinstance(found, Skew)
    assert found.low <= server.truth(server.now) <= found.high


@given(skews, st.integers(-SECOND, SECOND))
def test_of_two_hosts_whichever_told_it_the_truth_is_inside(skew: int, apart: int) -> None:
    one, other = Server(EPOCH + skew), Server(EPOCH + skew + apart, host="other")
    for server in (one, other):
        for _ in range(5):
            server.ask(3 * MS, 3 * MS)
    found = bound_all(one.answers + other.answers, one.now)
    assert isinstance(found, Skew)
    for server in (one, other):
        assert found.low <= server.truth(one.now) <= found.high
    stepped = [*other.answers, replace(other.answers[0], date=other.answers[0].date + 9 * SECOND)]
    assert isinstance(bound_all(one.answers + stepped, one.now), NoSkew)


@pytest.mark.prove
@given(st.builds(Random, st.integers(0, 2**63)))
@settings(max_examples=100_000)
def test_100_000_worlds_of_any_skew_drift_delay_and_phase_hold_the_truth(random: Random) -> None:
    server = Server(EPOCH + random.randint(-(10**18), 10**18), random.randint(-DRIFT_PPM, DRIFT_PPM))
    slow = random.choice([MS, 50 * MS, SECOND])
    for _ in range(random.randint(1, 12)):
        aimed = send_next(server.answers, server.now)
        sent = aimed if random.random() < 0.5 else server.now + random.randint(0, SECOND)
        server.ask(random.randint(0, slow), random.randint(0, slow), sent)
    found = bound(server.answers, server.now)
    assert isinstance(found, Skew)
    assert found.low <= server.truth(server.now) <= found.high


Wrong: TypeAlias = Callable[[Sequence[Dated], int], tuple[int, int]]


def without_drift(answers: Sequence[Dated], _: int) -> tuple[int, int]:
    """Forget that clocks drift apart."""
    return max(one.date - one.received for one in answers), min(one.date + SECOND - one.sent for one in answers)


def by_the_middle(answers: Sequence[Dated], at: int) -> tuple[int, int]:
    """Take it that the server stamps half-way between send and receipt."""
    ends = [((one.sent + one.received) // 2, one.date) for one in answers]
    more = drift(at - answers[0].sent)
    return max(date - middle for middle, date in ends) - more, min(date + SECOND - m for m, date in ends) + more


def as_rounded(answers: Sequence[Dated], at: int) -> tuple[int, int]:
    """Take the Date for rounded to the nearest second."""
    more, half = drift(at - answers[0].sent), SECOND // 2
    low, high = without_drift(answers, at)
    return low - half - more, high - half + more


@pytest.mark.parametrize("wrong", [without_drift, by_the_middle, as_rounded])
def test_wrong_ways_to_bound_are_seen_to_be_wrong(wrong: Wrong) -> None:
    random = Random(7)
    missed = 0
    for _ in range(300):
        server = Server(EPOCH + random.randint(0, SECOND), random.choice([-DRIFT_PPM, DRIFT_PPM]))
        for _ in range(12):
            server.ask(random.randint(0, 40 * MS), random.randint(0, 2 * MS), send_next(server.answers, server.now))
        right, (low, high) = bound(server.answers, server.now), wrong(server.answers, server.now)
        assert isinstance(right, Skew)
        assert right.low <= server.truth(server.now) <= right.high
        missed += not low <= server.truth(server.now) <= high
    assert missed > 15


def test_without_an_answer_there_is_no_bound_and_the_first_request_is_sent_at_once() -> None:
    assert bound_all([], 0) == NoSkew("no answer carried a Date")
    assert send_next([], 5) == 5
    assert not enough([], 5)
