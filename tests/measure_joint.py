"""Worlds of several components with a known truth: the whole is up only while every one of them is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from measure_worlds import START, Bounds, Outage, draw_episodes, probe

from drills.measure import evidence, joint, rto
from drills.measure.effect import Disaster, Effect, Known
from drills.measure.evidence import Bracket
from drills.timeline.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random


@dataclass(frozen=True)
class Whole:
    """Components of one service, hit by one disaster, watched by one observer each."""

    window: int
    clock: int
    disaster: Disaster
    parts: tuple[Outage, ...]

    def down(self, *, seen: bool) -> list[tuple[int, int]]:
        """Times at which any component is down, merged; ``seen``: without what the resolution allows to hide."""
        every = sorted(one for part in self.parts for one in (part.visible() if seen else part.episodes))
        merged: list[tuple[int, int]] = []
        for at, past in every:
            if merged and at <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(past, merged[-1][1]))
            else:
                merged.append((at, past))
        return merged

    def begun(self) -> int:
        return self.down(seen=False)[0][0]

    def restored(self, begun: int, *, seen: bool) -> int:
        """R: the earliest moment from the effect on from which nothing is down for a whole window."""
        moment = begun
        for at, past in self.down(seen=seen):
            if past <= moment:
                continue
            if at - moment >= self.window:
                break
            moment = past
        return moment

    def incidents(self) -> list[int]:
        down = self.down(seen=False)
        later = [at for (_, past), (at, _) in pairwise(down) if at - past >= self.window]
        return [down[0][0], *later]


def draw_whole(random: Random, kind: str = "") -> Whole:
    """Draw two or three components; what is known of the effect is known of the first that fails."""
    window = random.randint(20, 60)
    effects = [START + random.choice((0, 0, random.randint(0, 2 * window))) for _ in range(random.randint(2, 3))]
    every = [draw_episodes(random, begun, window) for begun in effects]
    bracket = Bracket(START - random.randint(0, 2), START + random.randint(0, 2))
    kinds = ["confirmed", "unconfirmed", "incident"] + ["synchronous"] * (min(effects) <= bracket.latest)
    kind = kind or random.choice(kinds)
    injected = kind in {"confirmed", "synchronous"}
    last = max(episodes[-1][1] for episodes in every)
    parts = tuple(_draw_part(random, episodes, last, window, injected=injected) for episodes in every)
    whole = Whole(window, START, Disaster(bracket), parts)
    if kind == "synchronous":
        return replace(whole, disaster=Disaster(bracket, synchronous=True))
    if kind == "confirmed":
        return replace(whole, disaster=Disaster(bracket, confirmed=min(effects) + random.randint(0, 20)))
    if kind == "unconfirmed":
        return whole
    marked = random.choice(whole.down(seen=False))[0]
    return replace(whole, disaster=Disaster(None, mark=random.choice((None, Bracket(marked, marked + 5)))))


def _draw_part(random: Random, episodes: list[tuple[int, int]], last: int, window: int, *, injected: bool) -> Outage:
    """Watch one component; gaps may hide its outages only where the effect is known from elsewhere."""
    shortest = min(past - at for at, past in episodes)
    rho_max = random.choice((shortest, random.randint(0, shortest), random.randint(10, 40) if injected else shortest))
    l_max = random.choice((None, random.randint(0, 30)))
    samples = probe(random, episodes, l_max, START - 3 * window, last + 3 * window)
    return Outage(window, rho_max, l_max, tuple(episodes), START, Disaster(None), samples)


def joint_bounds(whole: Whole) -> Bounds | None:
    """Bound the joint RTO with the production functions; None when no incident can be placed."""
    seen = [evidence.seen_up(Samples.of(part.samples), 1 << 40, part.l_max) for part in whole.parts]
    ways = [rto.track(one, part.rho_max) for one, part in zip(seen, whole.parts, strict=True)]
    felt = _felt(whole, ways)
    if felt is None:
        return None
    low = max(0, rto.lower(joint.bads(seen), felt.elo, whole.window) - felt.clock.latest)
    found = None if felt.ehi is None else joint.upper(ways, felt.ehi, whole.window)
    bounded = found is not None and felt.clock.earliest != -rto.ENDLESS
    high = found.run.ended - felt.clock.earliest if found is not None and bounded else None
    return Bounds(low, high, felt.clock, felt.known)


def _felt(whole: Whole, ways: Sequence[rto.Track]) -> Effect | None:
    if whole.disaster.clock is not None:
        return joint.effect(ways, whole.disaster, None)
    found = joint.incidents(ways, whole.window)
    if whole.disaster.mark is not None:
        found = [one for one in found if one.earliest <= whole.disaster.mark.latest][-1:]
    if len(found) != 1:
        return None
    return Effect(found[0], found[0].earliest, found[0].latest, Known.UNKNOWN)


def joint_holds(whole: Whole) -> bool:
    """Whether the bounds found for a world contain its truth."""
    bounds = joint_bounds(whole)
    if bounds is None:
        return True
    if bounds.known is not Known.UNKNOWN:
        begun, clock = whole.begun(), whole.clock
        return bounds.hold(whole.restored(begun, seen=True) - clock, whole.restored(begun, seen=False) - clock)
    held = [one for one in whole.incidents() if bounds.clock.earliest <= one <= bounds.clock.latest]
    return any(bounds.hold(whole.restored(one, seen=True) - one, whole.restored(one, seen=False) - one) for one in held)
