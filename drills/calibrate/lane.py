"""One lane: a service that fails again and again, and one prober that watches it all the time."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from drills.calibrate.outages import Breaker, Kind, Outage, Terms
from drills.calibrate.world import Service
from drills.calibrate.wrong import ClosedLoop
from drills.clock import process_start
from drills.observe.job import ProbeJob
from drills.observe.start import Observers
from drills.observe.store import read_controls, read_header, read_samples
from drills.timeline.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from drills.calibrate.world import Moment
    from drills.calibrate.wrong import Asked
    from drills.clock import Clock
    from drills.timeline.samples import Control, ObserverHeader

LONGEST_S = 1800.0
HEADER = "X-Drills-Site"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a lane does: the kinds of outages in turn, ``count`` of them. ``closed``: beside a closed-loop prober."""

    name: str
    terms: Terms
    kinds: tuple[Kind, ...]
    count: int
    seed: int = 0
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What one prober saw in its life, sorted by send, and how it looked."""

    header: ObserverHeader
    samples: Samples
    controls: tuple[Control, ...]
    terms: Terms

    def during(self, span: Moment) -> tuple[Samples, tuple[Control, ...]]:
        """Cut out what was sent within a span."""
        one = self.samples
        first, last = bisect_left(one.sent, span.earliest), bisect_left(one.sent, span.latest)
        sent, ended, up, hard, by = (column[first:last] for column in _columns(one))
        controls = tuple(row for row in self.controls if row.ended >= span.earliest and row.sent <= span.latest)
        return Samples(sent, ended, up, hard, by, one.names), controls


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane that has run: the truth of each outage, and what the prober saw."""

    plan: Plan
    outages: tuple[Outage, ...]
    seen: Seen
    asked: tuple[Asked, ...] = ()


def run_lane(plan: Plan, folder: Path, clock: Clock) -> Lane:
    """Run one lane to its end; its processes end with it, whatever happens."""
    observers = Observers()
    with Service() as service:
        closed = ClosedLoop(service, plan.terms.every_s, plan.terms.timeout_s)
        (watching,) = observers.start([probe(plan.name, service.url, plan.terms)], folder)
        try:
            if plan.closed:
                closed.start()
            clock.sleep(plan.terms.rest_s)
            breaker = Breaker(service, plan.terms, clock, Random(plan.seed))  # noqa: S311 - durations, no secrets
            outages = tuple(breaker.strike(kind) for kind in _in_turn(plan))
            clock.sleep(2 * plan.terms.every_s + plan.terms.timeout_s)
        finally:
            closed.stop()
            observers.stop([watching])
    return Lane(plan, outages, look(Path(watching.file), plan.terms), tuple(closed.asked))


def _in_turn(plan: Plan) -> Iterator[Kind]:
    for number in range(plan.count):
        yield plan.kinds[number % len(plan.kinds)]


def probe(name: str, url: str, terms: Terms, resolve: str = "fresh", resolver: str | None = None) -> ProbeJob:
    """Describe a prober that ends with this process, at the latest after half an hour."""
    return ProbeJob(
        name,
        url,
        "",
        header=HEADER,
        every_s=terms.every_s,
        timeout_s=terms.timeout_s,
        stable_for_s=terms.window_s,
        resolve=resolve,
        resolver=resolver,
        deadline_s=LONGEST_S,
        grace_s=0.0,
        owner_pid=os.getpid(),
        owner_start=process_start(os.getpid()),
    )


def look(file: Path, terms: Terms) -> Seen:
    """Read a prober's file."""
    samples = read_samples(file)
    order = sorted(range(len(samples)), key=samples.sent.__getitem__)
    sent, ended, up, hard, by = (array(column.typecode, [column[row] for row in order]) for column in _columns(samples))
    ordered = Samples(sent, ended, up, hard, by, samples.names)
    return Seen(read_header(file), ordered, tuple(read_controls(file)), terms)


def _columns(samples: Samples) -> Sequence[array[int]]:
    return (samples.sent, samples.ended, samples.up, samples.hard, samples.by)
