"""A service whose name leads from one site to another, watched by a fresh client and by one that honours the TTL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from drills.calibrate.lane import Seen, look, probe
from drills.calibrate.outages import Kind, Outage, Terms
from drills.calibrate.service import NS, now
from drills.calibrate.world import Moment, NameServer, Service
from drills.errors import DrillsError
from drills.observe.start import Observers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.calibrate.world import Told
    from drills.clock import Clock

TTL_S = 1
TERMS = Terms(0.05, 0.25)
_FRESH, _CLIENT = "fresh.calibrate.test", "client.calibrate.test"
_TRIES = 20
_SITES = (("east", "127.0.0.1"), ("west", "127.0.0.2"))


@dataclass(frozen=True, slots=True)
class Failovers:
    """All failovers of one run, as the service was and as the TTL client must have felt it."""

    service: tuple[Outage, ...]
    client: tuple[Outage, ...]
    fresh: Seen
    cached: Seen


def run_failovers(count: int, folder: Path, clock: Clock, seed: int = 0) -> Failovers:
    """Fail over ``count`` times; every other time just after the client has asked for the name."""
    sites = _two_sites()
    observers = Observers()
    try:
        with NameServer(_SITES[0][1], TTL_S) as names:
            jobs = [
                probe("fresh", f"http://{_FRESH}:{sites[0].port}/", TERMS, "fresh", names.at),
                probe("client", f"http://{_CLIENT}:{sites[0].port}/", TERMS, "ttl", names.at),
            ]
            watching = observers.start(jobs, folder)
            try:
                clock.sleep(TERMS.rest_s)
                made = [
                    _fail_over(sites[number % 2], sites[1 - number % 2], names, _Pace(clock, seed + number))
                    for number in range(count)
                ]
            finally:
                observers.stop(watching)
            fresh, cached = (look(Path(one.file), TERMS) for one in watching)
    finally:
        for site in sites:
            site.end()
    return Failovers(tuple(one for one, _ in made), tuple(one for _, one in made), fresh, cached)


def _two_sites() -> tuple[Service, Service]:
    """Start a service on each of two addresses, both on one port: DNS carries none."""
    (name, host), (other_name, other_host) = _SITES
    for _ in range(_TRIES):
        first = Service(host, name)
        try:
            return first, Service(other_host, other_name, first.port)
        except DrillsError:  # somebody has that port on the other address
            first.end()
    raise DrillsError(f"no port is free on both {host} and {other_host}")


@dataclass(frozen=True, slots=True)
class _Pace:
    clock: Clock
    number: int

    def last(self) -> None:
        self.clock.sleep(0.2 + Random(self.number).random() * 0.5)  # noqa: S311 - a duration, no secret


def _fail_over(old: Service, new: Service, names: NameServer, pace: _Pace) -> tuple[Outage, Outage]:
    begun = now()
    pace.clock.sleep(TERMS.rest_s)
    struck = old.order("close")
    pace.last()
    if pace.number % 2 == 0:
        _await_question(names, pace.clock)
    flipped = names.flip(new.host)
    client = _client_sees(names, new.host, flipped, pace.clock)
    pace.clock.sleep(TERMS.rest_s)
    span = Moment(begun, now())
    old.order("open")
    return (
        Outage(Kind.FAILOVER, struck, struck, flipped, span, None, old.site, new.site),
        Outage(Kind.TTL, struck, struck, client, span, None, old.site, new.site),
    )


def _asked(names: NameServer) -> Iterator[Told]:
    return (one for one in reversed(names.told) if one.name == _CLIENT)


def _await_question(names: NameServer, clock: Clock) -> None:
    """Wait until the client has just been told the old address, which it will keep for a whole TTL."""
    begun = now()
    while (last := next(_asked(names), None)) is None or last.at < begun:
        if now() - begun > 3 * TTL_S * NS:
            raise DrillsError("the TTL client has not asked for its name for three TTLs")
        clock.sleep(0.005)
    clock.sleep(0.02)


def _client_sees(names: NameServer, address: str, flipped: Moment, clock: Clock) -> Moment:
    """Bracket when the client's cache ran out: a TTL after its last old answer, and before it asked again."""
    begun = now()
    while True:
        told = list(_asked(names))
        new = [one.at for one in told if one.address == address and one.at >= flipped.earliest]
        if new:
            old = next((one.at for one in told if one.address != address), 0)
            return Moment(max(flipped.earliest, old + TTL_S * NS), max(min(new), flipped.latest))
        if now() - begun > 3 * TTL_S * NS:
            raise DrillsError("the TTL client has not asked again for three TTLs")
        clock.sleep(0.01)
