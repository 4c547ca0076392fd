"""How far a server's clock is from ours, bounded by the Date headers of its answers.

An answer with Date D says that at some moment between its request's send s and its receipt r the server's clock
stood in [D, D + 1 s). So (server's UTC - our monotonic clock) lies in (D - r, D + 1 s - s]: about a second wide. The
intersection over answers at different phases of the server's second is narrow: an answer whose second has just begun
gives the lower end, one whose second is about to end the upper. Sending each request so that it arrives when the
middle of what is left would begin a new second halves it, down to about one round trip.

Assumptions: the Date is cut off to the second, not rounded up, and made for this answer (not kept in a cache).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from drills.timeline.dated import Dated

SECOND = 1_000_000_000
DRIFT_PPM = 500
"""How fast two clocks may drift apart: the most by which NTP's discipline slews one (RFC 5905)."""
NARROW = 20_000_000
"""A bound of this width is narrow enough: 20 ms."""
MOST_ANSWERS = 40
MOST_NS = 10 * SECOND
"""After so many answers, or so long, the bound is taken as it is."""


@dataclass(frozen=True, slots=True)
class Skew:
    """(A server's UTC - our monotonic clock) lies in [low, high] at our moment ``at``. Nanoseconds."""

    low: int
    high: int
    at: int
    answers: int

    @property
    def width(self) -> int:
        """How much is not known."""
        return self.high - self.low

    def moved(self, at: int) -> Skew:
        """Give the bound for another moment, wider by what the clocks may have drifted apart."""
        more = drift(at - self.at)
        return Skew(self.low - more, self.high + more, at, self.answers)


@dataclass(frozen=True, slots=True)
class NoSkew:
    """There is no bound, and why."""

    why: str


def drift(span: int) -> int:
    """Give how far two clocks may drift apart in a span, rounded up."""
    return -(-abs(span) * DRIFT_PPM // 1_000_000)


def bound(answers: Iterable[Dated], at: int) -> Skew | NoSkew:
    """Bound one server's clock at our moment ``at`` from its answers; nothing fits when a clock has stepped."""
    low: int | None = None
    high: int | None = None
    count = 0
    for one in answers:
        more = max(drift(at - one.sent), drift(at - one.received))
        least, most = one.date - one.received - more, one.date + SECOND - one.sent + more
        low = least if low is None else max(low, least)
        high = most if high is None else min(high, most)
        count += 1
    if low is None or high is None:
        return NoSkew("no answer carried a Date")
    if low > high:
        return NoSkew(f"its clock stepped: {count} answers contradict each other by {(low - high) / SECOND:.3f} s")
    return Skew(low, high, at, count)


def bound_all(answers: Sequence[Dated], at: int) -> Skew | NoSkew:
    """Bound the clock behind several hosts, whichever of them it is: from the least to the most of theirs."""
    hosts = dict.fromkeys(one.host for one in answers)
    found = [bound((one for one in answers if one.host == host), at) for host in hosts]
    bounds = [one for one in found if isinstance(one, Skew)]
    if not bounds or len(bounds) < len(found):
        return next((one for one in found if isinstance(one, NoSkew)), NoSkew("no answer carried a Date"))
    return Skew(min(one.low for one in bounds), max(one.high for one in bounds), at, sum(one.answers for one in bounds))


def enough(answers: Sequence[Dated], now: int) -> bool:
    """Say whether more answers are not worth their time: narrow enough, as narrow as a round trip, or the limit."""
    if not answers:
        return False
    if len(answers) >= MOST_ANSWERS or now - answers[0].sent >= MOST_NS:
        return True
    found = bound_all(answers, now)
    quickest = min(one.received - one.sent for one in answers)
    return isinstance(found, Skew) and found.width <= max(NARROW, quickest * 3 // 2)


def send_next(answers: Sequence[Dated], now: int) -> int:
    """Give the moment from ``now`` on at which the next request should be sent; ``now`` where nothing is known.

    It should arrive (half a round trip later) when the middle of the bound would begin a new second. All hosts
    count as one: of several only the first is asked at its best moment.
    """
    if not answers:
        return now
    host = answers[0].host
    found = bound([one for one in answers if one.host == host], now)
    if isinstance(found, NoSkew):
        return now
    trip = min(one.received - one.sent for one in answers if one.host == host)
    arrives = now + trip // 2 + (found.low + found.high) // 2
    return now + -arrives % SECOND
