"""Worlds with a known truth for the estimators: integer milliseconds, no float edges.

A world is drawn from a ``random.Random`` (or hypothesis's stand-in for it), so that the same generator serves the
shrinking properties, the long sweeps and the mutants.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from drills.measure import effect as effects
from drills.measure import evidence, rpo, rto
from drills.measure.effect import Disaster, Known
from drills.measure.evidence import Bracket
from drills.timeline.samples import Marker, ReadRound, Recovered, Sample, Samples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

START = 10_000


@dataclass(frozen=True)
class Outage:
    """What truly happened to a service, and what an observer was told of it."""

    window: int
    rho_max: int
    l_max: int | None
    episodes: tuple[tuple[int, int], ...]
    """Down intervals [first, past), the first one being the effect."""
    clock: int
    disaster: Disaster
    samples: tuple[Sample, ...]

    def visible(self) -> list[tuple[int, int]]:
        """Outages as long as the resolution allowed, and shorter ones that alone explain some failed request."""
        shown: set[tuple[int, int]] = set()
        for one in self.samples:
            if one.up is False:
                until = one.ended if one.hard or self.l_max is None else min(one.ended, one.sent + self.l_max)
                met = [(at, past) for at, past in self.episodes if at <= until and one.sent < past]
                shown |= set(met) if len(met) == 1 else set()
        return [one for one in self.episodes if one in shown or one[1] - one[0] >= self.rho_max]

    def restored(self, begun: int, episodes: Sequence[tuple[int, int]] | None = None) -> int:
        """R of the incident whose effect was at ``begun``; of all outages, or of those given."""
        later = [one for one in (self.episodes if episodes is None else episodes) if one[0] >= begun]
        moment = begun
        for at, past in later:
            if at - moment >= self.window:
                break
            moment = past
        return moment

    def incidents(self) -> list[int]:
        """Effects that a whole window of uptime precedes."""
        found = [self.episodes[0][0]]
        for (_, past), (following, _) in zip(self.episodes, self.episodes[1:], strict=False):
            if following - past >= self.window:
                found.append(following)
        return found


@dataclass(frozen=True)
class Bounds:
    low: int
    high: int | None
    clock: Bracket
    known: Known

    def hold(self, seen: int, truth: int) -> bool:
        """``seen`` leaves out the outages that are shorter than the resolution allowed; mostly it is the truth."""
        return self.low <= truth and (self.high is None or seen <= self.high)


def draw_outage(random: Random, kind: str = "") -> Outage:
    """Draw a world; ``kind`` (of what is known of the effect) is drawn too if it is not given."""
    window = random.randint(20, 60)
    clock = START
    begun = clock + (0 if random.random() < 0.5 else random.randint(0, 2 * window))
    episodes = draw_episodes(random, begun, window)
    shortest = min(past - at for at, past in episodes)
    l_max = random.choice((None, random.randint(0, 30)))
    disaster = _known(random, clock, episodes, kind)
    sharp = random.randint(0, shortest)
    injected = disaster.synchronous or disaster.confirmed is not None
    rho_max = random.choice((shortest, sharp, random.randint(10, 40) if injected else shortest))
    samples = probe(random, episodes, l_max, clock - 3 * window, episodes[-1][1] + 3 * window)
    return Outage(window, rho_max, l_max, tuple(episodes), clock, disaster, samples)


def draw_episodes(random: Random, begun: int, window: int) -> list[tuple[int, int]]:
    """Draw one to four down intervals with gaps about a window long, or much shorter."""
    episodes: list[tuple[int, int]] = []
    at = begun
    for _ in range(random.randint(1, 4)):
        past = at + random.randint(1, 40)
        episodes.append((at, past))
        gaps = ((1, 15), (window - 3, window + 3), (window + 4, 2 * window))
        at = past + random.randint(*random.choice(gaps))
    return episodes


def _known(random: Random, clock: int, episodes: list[tuple[int, int]], kind: str) -> Disaster:
    begun = episodes[0][0]
    bracket = Bracket(clock - random.randint(0, 2), clock + random.randint(0, 2))
    kinds = ["confirmed", "unconfirmed", "incident"] + ["synchronous"] * (begun <= bracket.latest)
    kind = kind or random.choice(kinds)
    if kind == "synchronous":
        return Disaster(bracket, synchronous=True)
    if kind == "confirmed":
        return Disaster(bracket, confirmed=begun + random.randint(0, 20))
    if kind == "unconfirmed":
        return Disaster(bracket)
    marked = random.choice(episodes)[0]
    return Disaster(None, mark=random.choice((None, Bracket(marked, marked + 5))))


def _down(episodes: list[tuple[int, int]], first: int, last: int) -> bool:
    return any(at <= last and first < past for at, past in episodes)


def _up(episodes: list[tuple[int, int]], first: int, last: int) -> bool:
    return not any(at <= first and last < past for at, past in episodes)


def probe(
    random: Random, episodes: list[tuple[int, int]], l_max: int | None, begin: int, end: int
) -> tuple[Sample, ...]:
    every, late, slow = random.randint(2, 12), random.random() < 0.3, random.random() < 0.4
    unknowns = random.choice((0.0, 0.1, 0.4))
    honest = random.choice((0.8, 0.8, 0.2))
    found: list[Sample] = []
    for slot in range(begin, end, every):
        sent = slot + (random.randint(0, 2 * every) if late else 0)
        ended = sent + random.randint(0, 30 if slow else 2)
        hard = random.random() < 0.5
        until = ended if hard or l_max is None else min(ended, sent + l_max)
        labels: list[bool | None] = [None] if random.random() < unknowns else []
        if _up(episodes, sent, ended):
            labels.append(True)
        if _down(episodes, sent, until):
            labels.append(False)
        natural = not _down(episodes, sent, sent)
        if natural in labels and random.random() < honest:
            labels = [natural]
        label = random.choice(labels) if labels else None
        found.append(Sample(sent, ended, label, hard=hard))
    return tuple(found)


def rto_bounds(world: Outage) -> Bounds | None:
    """Bound the world's RTO with the production functions; None when no incident can be placed."""
    seen = evidence.seen_up(Samples.of(world.samples), 1 << 40, world.l_max)
    way = rto.track(seen, world.rho_max)
    felt = _felt(world, way)
    if felt is None:
        return None
    low = max(0, rto.lower(seen, felt.elo, world.window) - felt.clock.latest)
    run = None if felt.ehi is None else rto.upper(way, felt.ehi, world.window)
    high = None if run is None or felt.clock.earliest == -rto.ENDLESS else run.ended - felt.clock.earliest
    return Bounds(low, high, felt.clock, felt.known)


def _felt(world: Outage, way: rto.Track) -> effects.Effect | None:
    if world.disaster.clock is not None:
        return effects.effect(way, world.disaster, None)
    found = effects.incidents(way, world.window)
    if world.disaster.mark is not None:
        found = [one for one in found if one.earliest <= world.disaster.mark.latest][-1:]
    if len(found) != 1:
        return None
    return effects.Effect(found[0], found[0].earliest, found[0].latest, Known.UNKNOWN)


def truths(world: Outage, bounds: Bounds) -> list[tuple[int, int]]:
    """The true RTO, without and with outages below the resolution; of an incident, of all that fit the bracket."""
    if bounds.known is not Known.UNKNOWN:
        begun = world.episodes[0][0]
        return [(world.restored(begun, world.visible()) - world.clock, world.restored(begun) - world.clock)]
    held = [one for one in world.incidents() if bounds.clock.earliest <= one <= bounds.clock.latest]
    return [(world.restored(one) - one, world.restored(one) - one) for one in held]


def holds(world: Outage) -> bool:
    """Whether the bounds found for a world contain its truth."""
    bounds = rto_bounds(world)
    return bounds is None or any(bounds.hold(*pair) for pair in truths(world, bounds))


def without(world: Outage, place: int) -> Outage:
    """The same world with one sample turned unknown."""
    samples = list(world.samples)
    samples[place] = replace(samples[place], up=None)
    return replace(world, samples=tuple(samples))


@dataclass(frozen=True)
class Shipment:
    """What truly happened to the writes of one store: commits, what was acked, what the survivor has."""

    book: rpo.Book
    disaster: Bracket
    truth: int
    kind: str


KINDS = ("plain", "plain", "hole", "retry", "post-failover", "shard", "late-cut", "writer-stops", "writer-dies")


def draw_shipment(random: Random) -> Shipment:
    kind = random.choice(KINDS)
    fault = START
    disaster = Bracket(fault - random.randint(0, 2), fault + random.randint(0, 2))
    lag = random.choice((0, random.randint(0, 120)))
    late = random.randint(0, 60) if kind == "late-cut" else 0
    old_stops = max(fault, fault + random.choice((0, random.randint(0, 80))))
    writers = random.randint(1, 3)
    markers: list[tuple[Marker, int]] = []
    for number in range(writers):
        markers += _write(random, f"w{number}", old_stops, fault, kind)
    limits = {
        f"w{number}": fault + late - lag - (random.randint(0, 60) if kind == "shard" else 0)
        for number in range(writers)
    }
    present = {(m.writer, m.seq) for m, commit in markers if m.primary != "new" and 0 <= commit < limits[m.writer]}
    executed = [(m.writer, m.seq) for m, commit in markers if commit >= 0]
    if kind == "hole" and present:
        after = [key for key in executed if key not in present]
        present |= set(random.sample(sorted(after), min(len(after), random.randint(1, 3))))
        present -= set(random.sample(sorted(present), min(len(present), random.randint(0, 2))))
    lost = [commit for m, commit in markers if m.acked and m.primary == "old" and (m.writer, m.seq) not in present]
    if kind not in {"hole", "shard"}:
        last = max([fault, *(commit for m, commit in markers if m.acked and commit >= 0)])
        last = old_stops if kind == "writer-dies" else last
        lost += [at for at in range(fault - 200, last) if at >= fault + late - lag and at % 3]
    truth = max(fault, *lost) - min(lost) if lost else 0
    rows = [Recovered(1, fault + 900, writer, seq, "old") for writer, seq in sorted(present)]
    rows += [Recovered(1, fault + 900, m.writer, m.seq, "new") for m, _ in markers if m.primary == "new"]
    if kind == "retry":
        again = [m for m, _ in markers if m.acked is None and (m.writer, m.seq) not in present]
        rows += [Recovered(1, fault + 900, m.writer, m.seq, "new") for m in again if random.random() < 0.5]
    book = rpo.Book(
        "store",
        [m if m.acked else replace(m, primary="") for m, _ in markers],
        [ReadRound(1, fault + 800, fault + 900, "new", complete=True)],
        rows,
        old="old",
        ordered=kind != "shard",
    )
    return Shipment(book, disaster, truth, kind)


def _write(random: Random, writer: str, old_stops: int, fault: int, kind: str) -> list[tuple[Marker, int]]:
    """One sequential writer: markers with the instant of their commit (-1: never executed by the old primary)."""
    every = random.randint(3, 25)
    at, seq = fault - random.randint(200, 400), random.randint(0, 50)
    ends = {"writer-stops": random.randint(0, 60), "writer-dies": -random.randint(1, 150)}
    end = fault + ends.get(kind, 200)
    found: list[tuple[Marker, int]] = []
    while at < end:
        seq += 1
        commit = at + random.randint(0, 4)
        ack = commit + random.randint(0, 4)
        if commit <= old_stops:
            lost_answer = random.random() < 0.1
            if lost_answer:
                ack = commit + 30
            found.append((Marker(writer, seq, at, ack, None if lost_answer else True, "old"), commit))
        elif kind == "post-failover" and at > old_stops + 80:
            found.append((Marker(writer, seq, at, ack, acked=True, primary="new"), -1))
        else:
            ack = at + random.randint(0, 30)
            found.append((Marker(writer, seq, at, ack, random.choice((None, False)), "old"), -1))
        at = max(at + every, ack if random.random() < 0.5 else 0)
    if kind == "writer-dies" and found:  # with a marker open, or one that it had just given up
        gave_up = random.choice((None, min(at + 30, fault - 3)))
        found.append((Marker(writer, seq + 1, min(at, fault - 3), gave_up, None, "old"), -1))
    return found


def rpo_holds(world: Shipment) -> bool:
    """Whether the bounds found for a shipment contain its truth."""
    found = rpo.loss(world.book, world.disaster)
    return found.low <= world.truth and (found.high is None or world.truth <= found.high)


@dataclass(frozen=True)
class SlowIncident:
    """An incident that swallows requests: whatever had not been answered when it began times out."""

    samples: tuple[Sample, ...]
    every: int
    begun: int
    restored: int
    window: int


def draw_slow_incident(random: Random) -> SlowIncident:
    """Draw a healthy service with a tail of slow answers, a black hole, and 3,200 baseline answers before it."""
    every, timeout, window = 5, 200, 1_200
    begun = START + 3_200 * every + random.randint(0, every)
    restored = begun + random.randint(50, 400)
    found: list[Sample] = []
    for place, sent in enumerate(range(START, restored + 3 * window, every)):
        latency = random.randint(10, 50) if random.random() < 0.009 else random.randint(0, 3)
        latency = 50 if place == 0 else latency
        served = sent + latency < begun or sent >= restored
        found.append(Sample(sent, sent + (latency if served else timeout), up=served))
    return SlowIncident(tuple(found), every, begun, restored, window)


def slow_incident_holds(world: SlowIncident) -> bool:
    """Whether the bounds contain the truth, with the ``l_max`` that the baseline itself gives."""
    samples = Samples.of(world.samples)
    known = evidence.latency(samples, world.begun - 250, world.every)
    seen = evidence.seen_up(samples, 1 << 40, known.l_max)
    way = rto.track(seen, world.window // 5)
    found = effects.incidents(way, world.window)
    if len(found) != 1:
        return False
    run = rto.upper(way, found[0].latest, world.window)
    low = max(0, rto.lower(seen, found[0].earliest, world.window) - found[0].latest)
    truth = world.restored - world.begun
    return low <= truth and run is not None and truth <= run.ended - found[0].earliest
