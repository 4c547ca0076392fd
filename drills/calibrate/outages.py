"""Ways in which the calibrated service goes down and comes back, each with the truth about when.

``S(t)`` is up when a request that reaches the service at t is served within the timeout T. So a process that stands
still for longer than T and then answers what had queued up was down from its stop until T *before* it went on, and
one that stands still for less was never down.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from drills.calibrate.service import NS, now
from drills.calibrate.world import Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from drills.calibrate.world import Service
    from drills.clock import Clock


class Kind(StrEnum):
    """A way to fail."""

    REFUSED = "refused"
    """The listener is closed."""
    KILLED = "killed"
    """The process is killed, and another one started."""
    BROKEN = "503"
    MAINTENANCE = "maintenance page"
    """Answers 200, but from the wrong site."""
    HANG = "hang"
    """A black hole: accepts, and never answers."""
    FULL = "accepts nothing"
    """A black hole: the backlog is full, and the kernel drops whoever knocks."""
    LONG_STALL = "stall longer than T"
    SHORT_STALL = "stall shorter than T"
    FLAPPING = "flapping"
    DELAYED = "late effect"
    """The order is answered at once, and takes effect more than a second later."""
    FAILOVER = "failover"
    """The service is closed, and its name then leads to another site."""
    TTL = "failover, TTL client"


HARD = frozenset({Kind.REFUSED, Kind.KILLED, Kind.BROKEN, Kind.MAINTENANCE})
"""Failures that are answered at once: what theory says of the spread holds for them."""


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage as it really was. ``clock``: when it was ordered; ``confirmed``: when its effect had been seen.

    ``watched`` is the span of samples by which it may be judged: well after the outage before, well before the next.
    ``flaps`` are the times at which it was up for a while and went again, before it was restored.
    """

    kind: Kind
    clock: Moment
    effect: Moment
    restored: Moment
    watched: Moment
    confirmed: int | None = None
    came_from: str = "main"
    went_to: str = "main"
    flaps: tuple[tuple[Moment, Moment], ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """How one lane looks, in seconds: interval, timeout and window of its prober."""

    every_s: float
    timeout_s: float

    @property
    def window_s(self) -> float:
        """W: five times the longest gap between two answers that is no finding (an answer may take 0.1 s)."""
        return 5 * (1.2 * self.every_s + 0.12)

    @property
    def rest_s(self) -> float:
        """How long a good service is watched between two outages."""
        return 1.3 * self.window_s + self.timeout_s + 2 * self.every_s


@dataclass(frozen=True, slots=True)
class Breaker:
    """Breaks one service, again and again. ``chance`` draws the durations."""

    service: Service
    terms: Terms
    clock: Clock
    chance: Random

    def strike(self, kind: Kind) -> Outage:
        """Make one outage and rest after it; the rest after the one before is its baseline."""
        self.clock.sleep(self.chance.random() * self.terms.every_s)
        begun = now() - round(1.1 * self.terms.window_s * NS)
        struck, effect, restored, confirmed, *flaps = _WAYS[kind](self)
        self.clock.sleep(self.terms.rest_s)
        return Outage(kind, struck, effect, restored, Moment(begun, now()), confirmed, flaps=tuple(flaps))

    def last(self) -> None:
        """Let an outage last: uniform over whole intervals, so that it ends at any phase of the schedule."""
        every = self.terms.every_s
        spans = max(1, round(0.5 / every))
        self.clock.sleep(max(2.2 * every, 0.1) + self.chance.random() * spans * every)

    def between(self, down: tuple[str, str], up: tuple[str, str]) -> _Ends:
        """Go down by one order (its mode after it) and up by another."""
        struck = self.service.order(down[0], mode=down[1])
        self.last()
        return struck, struck, self.service.order(up[0], mode=up[1]), None

    def stall(self, seconds: float) -> tuple[Moment, Moment]:
        """Stop the process for so long; give when it stood still and when it had answered what had queued up.

        A request needs its way there and back within T as well, so the latter ends a raw round trip later.
        """
        trip = max(self.service.round_trip() for _ in range(5))
        struck = self.service.order("stop")
        self.clock.sleep(seconds)
        gone_on = self.service.order("go")
        return struck, Moment(gone_on.earliest, gone_on.latest + trip)


_Ends = tuple[Moment, Moment, Moment, "int | None", *tuple[tuple[Moment, Moment], ...]]
_DELAY_S = 1.2
_FLAPS = 3


def _long_stall(breaker: Breaker) -> _Ends:
    every, timeout = breaker.terms.every_s, breaker.terms.timeout_s
    struck, gone_on = breaker.stall(timeout + 2.2 * every + breaker.chance.random() * 0.5)
    return struck, struck, gone_on.later(-round(timeout * NS)), None


def _short_stall(breaker: Breaker) -> _Ends:
    """Stand still for less than T. If the machine made more than T of it, only that is known."""
    timeout = round(breaker.terms.timeout_s * NS)
    struck, gone_on = breaker.stall(breaker.terms.timeout_s * 0.4)
    latest = max(struck.latest, gone_on.latest - timeout)
    return struck, struck, Moment(struck.earliest, latest), None


def _flapping(breaker: Breaker) -> _Ends:
    """Come back several times for less than the window; restored is the last time."""
    service, part = breaker.service, 0.35 * breaker.terms.window_s
    struck = service.order("close")
    flaps: list[tuple[Moment, Moment]] = []
    for _ in range(_FLAPS):
        breaker.clock.sleep(part)
        came = service.order("open")
        breaker.clock.sleep(part)
        flaps.append((came, service.order("close")))
    breaker.last()
    return struck, struck, service.order("open"), None, *flaps


def _delayed(breaker: Breaker) -> _Ends:
    """Close later than ordered: the clock starts with the order, and the effect is confirmed when it was seen."""
    delay_s = max(_DELAY_S, 2 * breaker.terms.window_s)
    struck = breaker.service.order("later", after_s=delay_s)
    breaker.clock.sleep(delay_s + 0.02)
    effect = breaker.service.order("effect")
    while not effect.latest:
        breaker.clock.sleep(0.005)
        effect = breaker.service.order("effect")
    confirmed = now()
    breaker.last()
    return struck, effect, breaker.service.order("open"), confirmed


_WAYS: Mapping[Kind, Callable[[Breaker], _Ends]] = {
    Kind.REFUSED: lambda one: one.between(("close", ""), ("open", "")),
    Kind.KILLED: lambda one: one.between(("kill", ""), ("start", "")),
    Kind.BROKEN: lambda one: one.between(("mode", "503"), ("mode", "up")),
    Kind.MAINTENANCE: lambda one: one.between(("mode", "maintenance"), ("mode", "up")),
    Kind.HANG: lambda one: one.between(("mode", "hang"), ("mode", "up")),
    Kind.FULL: lambda one: one.between(("full", ""), ("drain", "")),
    Kind.LONG_STALL: _long_stall,
    Kind.SHORT_STALL: _short_stall,
    Kind.FLAPPING: _flapping,
    Kind.DELAYED: _delayed,
}
