"""What one availability observer proves of the moment the service was restored."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.durations import show
from drills.measure.effect import Effect, Known, effect, incidents
from drills.measure.evidence import (
    Bracket,
    Evidence,
    Latency,
    censor,
    last_success_of,
    latency,
    seen_restored,
    seen_up,
)
from drills.measure.flaps import Flaps, flaps
from drills.measure.rto import ENDLESS, Run, Track, lower, track, upper
from drills.measure.verdict import NS, Doubt, Share
from drills.timeline.samples import BAD, Persona

if TYPE_CHECKING:
    from drills.measure.question import Question, Watch
    from drills.timeline.samples import Samples

LATER_WATCH = "a longer watch, so that a whole window without failure can be seen"


@dataclass(frozen=True, slots=True)
class View:
    """One observer's bounds. R lies in [``earliest``, ``run.ended``]; without a run nothing bounds it.

    ``effect`` None: no disaster could be placed. ``doubts`` stand against MET; ``shares`` are what the width of
    the bracket is made of.
    """

    name: str
    persona: Persona
    samples: int
    latency: Latency
    effect: Effect | None
    earliest: int
    run: Run | None
    flaps: Flaps | None
    doubts: tuple[Doubt, ...]
    shares: tuple[Share, ...]
    relapses: tuple[int, ...] = ()


def view(watch: Watch, question: Question, rho_max: int, last_old_ack: int | None) -> View:
    """Bound the moment of restoration as one observer saw it.

    ``rho_max`` is the longest outage that may hide in the chosen run. ``last_old_ack`` is the last send of a
    marker that the failed site acknowledged after the clock's start: like a success of its own, it refutes that
    the fault was in effect when its call returned.
    """
    samples = censor(watch.samples, watch.controls)
    known = latency(samples, _first_trouble(samples, question), watch.header.every_ns)
    seen = seen_up(samples, question.until, known.l_max)
    way = track(seen, rho_max)
    felt, doubts = _felt(way, watch, samples, question, last_old_ack)
    name, persona = watch.header.observer, watch.header.persona
    if felt is None:
        return View(name, persona, len(samples), known, None, 0, None, None, tuple(doubts), ())
    to = question.to_site if watch.header.identified else ""
    good = seen_restored(samples, seen, question.until, felt.elo, to) if to else seen
    path = track(good, rho_max) if to else way
    earliest = lower(good, felt.elo, watch.window_ns)
    run = None if felt.ehi is None else upper(path, felt.ehi, watch.window_ns)
    relapses = () if run is None else tuple(good.bad_sent[bisect_left(good.bad_sent, run.closed + 1) :])
    if persona is not Persona.DIRECT and felt.known is not Known.UNKNOWN:
        doubts += _baseline(seen, felt, watch.window_ns)
    doubts += _open_end(path, felt, run, watch, rho_max, to)
    if relapses:
        since = show((relapses[0] - (run.ended if run is not None else felt.elo)) / NS)
        why = f"relapse: {len(relapses)} requests failed again, the first {since} after the service had come back"
        doubts.append(Doubt(why, "a service that stays up"))
    return View(
        name,
        persona,
        len(samples),
        known,
        felt,
        earliest,
        run,
        flaps(good, felt.elo, felt.ehi, run, question.until),
        tuple(doubts),
        _shares(felt, earliest, run, watch),
        relapses,
    )


def _first_trouble(samples: Samples, question: Question) -> int:
    """Give where the baseline ends: at the disaster, or at the first failure if nobody injected one."""
    disaster = question.disaster
    if disaster is not None and disaster.clock is not None:
        return disaster.clock.earliest
    return min((sent for sent, up in zip(samples.sent, samples.up, strict=True) if up == BAD), default=question.until)


def _felt(
    way: Track, watch: Watch, samples: Samples, question: Question, last_old_ack: int | None
) -> tuple[Effect | None, list[Doubt]]:
    disaster = question.disaster
    if disaster is None:
        return None, [Doubt("no disaster stands on the timeline", "a step that marks the disaster")]
    if not len(samples):
        return None, [Doubt(f"{watch.header.observer} measured nothing", "an observer that runs")]
    if disaster.clock is None:
        return _incident(way, watch.window_ns, disaster.mark)
    after = disaster.clock.latest
    site = question.from_site if watch.header.identified and question.from_site != question.to_site else ""
    old = max((one for one in (last_success_of(samples, site, after), last_old_ack) if one is not None), default=None)
    felt = effect(way, disaster, old)
    doubts: list[Doubt] = []
    if felt.known is Known.UNCONFIRMED:
        why = "the fault was never confirmed to be in effect" + (f": {felt.note}" if felt.note else "")
        doubts.append(Doubt(why, "a look that sees the fault in effect (`in_effect`), or a process exit"))
    return felt, doubts


def _incident(way: Track, window: int, mark: Bracket | None) -> tuple[Effect | None, list[Doubt]]:
    found = incidents(way, window)
    if mark is not None:
        found = [one for one in found if one.earliest <= mark.latest][-1:]
    if not found:
        return None, [Doubt("no incident was seen", "an observer that watches while it happens")]
    if len(found) > 1:
        return None, [Doubt(f"{len(found)} incidents were seen and no mark says which", "a `disaster` mark")]
    one = found[0]
    doubts: list[Doubt] = []
    if one.earliest == -ENDLESS:
        doubts.append(Doubt("the service was never seen up before the incident", "an observer that was there before"))
    return Effect(one, one.earliest, one.latest, Known.UNKNOWN), doubts


def _baseline(seen: Evidence, felt: Effect, window: int) -> list[Doubt]:
    """Doubt a drill that began with a service that was not well, or that nobody had seen up."""
    tb = felt.clock.earliest
    pairs = zip(seen.bad_sent, seen.bad_until, strict=True)
    failed = sum(1 for sent, until in pairs if sent < tb and tb - window <= until < tb)
    doubts: list[Doubt] = []
    if failed:
        why = f"{failed} requests failed in the {show(window / NS)} before the disaster"
        doubts.append(Doubt(why, "a disaster that strikes a healthy service"))
    if not seen.good_sent or min(seen.good_ended) > tb:
        doubts.append(Doubt("the service was never seen up before the disaster", "an observer that starts earlier"))
    return doubts


def _open_end(path: Track, felt: Effect, run: Run | None, watch: Watch, rho_max: int, to: str) -> list[Doubt]:
    """Say why nothing bounds the restoration from above, if nothing does."""
    if run is not None:
        return []
    if felt.ehi is None:
        return [Doubt(felt.note, "a look that sees the fault in effect, or a shorter interval")]
    goods = path.evidence.good_sent
    by = f" by {to}" if to else ""
    if not goods or goods[-1] < felt.ehi:
        return [Doubt(f"no request was served{by} after the disaster", "a service that recovers")]
    loose = upper(track(path.evidence, ENDLESS), felt.ehi, watch.window_ns)
    if loose is None:
        window = show(watch.window_ns / NS)
        return [Doubt(f"no whole window of {window} without failure{by} was seen after the disaster", LATER_WATCH)]
    limit, gap = show(rho_max / NS), show(loose.resolution / NS) if loose.resolution < ENDLESS else "more"
    why = f"an outage of {gap} could hide between two answers, {limit} is allowed (the less of W/5 and target/10)"
    return [Doubt(why, "a shorter interval, a shorter timeout or fewer unknown samples")]


def _shares(felt: Effect, earliest: int, run: Run | None, watch: Watch) -> tuple[Share, ...]:
    header = watch.header
    clock = Share("when the clock started", felt.clock.width, "a tighter bracket around the fault")
    if run is None:
        return (clock,)
    end = run.ended - earliest
    if felt.ehi is not None and earliest == felt.elo and felt.ehi > felt.clock.latest:
        waited = Share(
            "when the fault took effect", min(end, felt.ehi - felt.elo), "a closer look at the fault's effect"
        )
        return (clock, waited, Share("the first good answer", max(0, run.ended - felt.ehi), "a shorter interval"))
    every = show(header.every_ns / NS)
    what = f"between the last failed and the first good request of {header.observer} (one each {every})"
    return (clock, Share(what, end, f"an interval below {every}, answers below {show((run.ended - run.sent) / NS)}"))
