"""What one availability observer proves of the moment the service was restored, or several as one."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.durations import show
from drills.measure import joint
from drills.measure.effect import Effect, Known
from drills.measure.evidence import (
    Evidence,
    Latency,
    censor,
    last_success_of,
    latency,
    seen_restored,
    seen_up,
)
from drills.measure.flaps import Flaps, flaps, overlaid
from drills.measure.incident import incident
from drills.measure.recovery import NO_DISASTER
from drills.measure.rto import ENDLESS, Run, Track, lower, track, upper
from drills.measure.verdict import NS, Doubt, Share
from drills.timeline.samples import BAD, Persona

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.question import Question, Watch
    from drills.timeline.samples import Samples

WINDOW_PARTS = 5
"""The longest outage that may hide is a fifth of a window."""
LATER_WATCH = "a longer watch, so that a whole window without failure can be seen"


@dataclass(frozen=True, slots=True)
class View:
    """The bounds of one observer, or of several as one. R lies in [``earliest``, ``run.ended``]; no run: no bound.

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


@dataclass(frozen=True, slots=True)
class _Part:
    """One observer of a view: its samples, and what shows the service up (``seen``, ``way``)."""

    watch: Watch
    samples: Samples
    latency: Latency
    seen: Evidence
    way: Track

    @property
    def name(self) -> str:
        return self.watch.header.observer


def view(watches: Sequence[Watch], question: Question, rho_max: int, last_old_ack: int | None) -> View:
    """Bound the moment of restoration as one observer saw it, or as several saw it together (all up at once).

    ``rho_max`` is the longest outage that may hide in the chosen run. ``last_old_ack`` is the last send of a
    marker that the failed site acknowledged after the clock's start: like a success of its own, it refutes that
    the fault was in effect when its call returned.
    """
    parts = [_part(watch, question, rho_max) for watch in watches]
    window = joint_window(watches)
    felt, doubts = _felt(parts, rho_max, question, last_old_ack)
    name = " & ".join(part.name for part in parts)
    persona = watches[0].header.persona if len(watches) == 1 else Persona.JOINT
    count, known = sum(len(part.samples) for part in parts), _latency(parts)
    if felt is None:
        return View(name, persona, count, known, None, 0, None, None, tuple(doubts), ())
    goods = [_restored(part, question, felt.elo) for part in parts]
    paths = [part.way if good is part.seen else track(good, rho_max) for part, good in zip(parts, goods, strict=True)]
    down = goods[0] if len(goods) == 1 else joint.bads(goods)
    earliest = lower(down, _down_from(felt, down, goods), window)
    found = None if felt.ehi is None else joint.upper(paths, felt.ehi, window)
    run, relapses = (None, ()) if found is None else (found.run, _relapses(goods, found))
    if persona is not Persona.DIRECT and felt.known not in (Known.UNKNOWN, Known.DECLARED):
        for part in parts:
            doubts += _baseline(part, felt, window, f"{part.name}: " if len(parts) > 1 else "")
    if found is None:
        doubts += _open_end(parts, paths, felt, rho_max, question)
    if relapses:
        since = show((relapses[0] - (run.ended if run is not None else felt.elo)) / NS)
        why = f"relapse: {len(relapses)} requests failed again, the first {since} after the service had come back"
        doubts.append(Doubt(why, "a service that stays up"))
    seen = [flaps(good, felt.elo, felt.ehi, run, question.until) for good in goods]
    return View(
        name,
        persona,
        count,
        known,
        felt,
        earliest,
        run,
        seen[0] if len(seen) == 1 else overlaid(seen, max(0, question.until - felt.elo)),
        tuple(dict.fromkeys(doubts)),
        _shares(felt, earliest, run, parts),
        relapses,
    )


def joint_window(watches: Sequence[Watch]) -> int:
    """Give W of several observers: the longest of theirs."""
    return max(watch.window_ns for watch in watches)


def _part(watch: Watch, question: Question, rho_max: int) -> _Part:
    samples = censor(watch.samples, watch.controls)
    known = latency(samples, first_trouble(samples, question), watch.header.every_ns)
    seen = seen_up(samples, question.until, known.l_max)
    return _Part(watch, samples, known, seen, track(seen, rho_max))


def _latency(parts: Sequence[_Part]) -> Latency:
    """Give the one observer's latency; of several only a sentence, for each uses its own."""
    if len(parts) == 1:
        return parts[0].latency
    why = f"up only while {', '.join(part.name for part in parts)} are all up"
    return Latency(sum(part.latency.goods for part in parts), 0, 0.0, None, why)


def _site(part: _Part, question: Question) -> str:
    return question.to_site if part.watch.header.identified else ""


def _restored(part: _Part, question: Question, elo: int) -> Evidence:
    to = _site(part, question)
    return seen_restored(part.samples, part.seen, question.until, elo, to) if to else part.seen


def _relapses(goods: Sequence[Evidence], found: joint.Together) -> tuple[int, ...]:
    """Give the sends of what failed after the run was closed, each observer's own."""
    failed = [
        sent
        for good, closed in zip(goods, found.closed, strict=True)
        for sent in good.bad_sent[bisect_left(good.bad_sent, closed + 1) :]
    ]
    return tuple(sorted(failed))


def first_trouble(samples: Samples, question: Question) -> int:
    """Give where the baseline ends: at the disaster, or at the first failure if nobody injected one."""
    disaster = question.disaster
    if disaster is not None and disaster.clock is not None:
        return disaster.clock.earliest
    return min((sent for sent, up in zip(samples.sent, samples.up, strict=True) if up == BAD), default=question.until)


def _felt(
    parts: Sequence[_Part], rho_max: int, question: Question, last_old_ack: int | None
) -> tuple[Effect | None, list[Doubt]]:
    disaster, window = question.disaster, joint_window([part.watch for part in parts])
    if disaster is None:
        return None, [NO_DISASTER]
    silent = [Doubt(f"{part.name} measured nothing", "an observer that runs") for part in parts if not part.samples]
    if silent:
        return None, silent
    ways = [part.way for part in parts]
    if disaster.clock is None:
        coarse = max(part.watch.coarse_ns for part in parts)
        before = [track(part.seen, max(coarse, rho_max)) for part in parts] if coarse else ways
        return incident(before, max(window, WINDOW_PARTS * coarse), disaster)
    late = [last_old_ack, *(_last_old_success(part, question, disaster.clock.latest) for part in parts)]
    felt = joint.effect(ways, disaster, max((one for one in late if one is not None), default=None))
    doubts: list[Doubt] = []
    if felt.known is Known.UNCONFIRMED:
        why = "the fault was never confirmed to be in effect" + (f": {felt.note}" if felt.note else "")
        doubts.append(Doubt(why, "a look that sees the fault in effect (`in_effect`), or a process exit"))
    return felt, doubts


def _last_old_success(part: _Part, question: Question, after: int) -> int | None:
    named = part.watch.header.identified and question.from_site != question.to_site
    return last_success_of(part.samples, question.from_site if named else "", after)


def _down_from(felt: Effect, down: Evidence, goods: Sequence[Evidence]) -> int:
    """Give from when the service was down: the effect, or of a declared one the first failure if no success precedes.

    A person who declares an outage says that it went on: what the observers find down is that outage.
    """
    if felt.known is not Known.DECLARED or not down.bad_sent:
        return felt.elo
    first = next((sent for sent in down.bad_sent if sent >= felt.elo), felt.elo)
    up_before = any(felt.elo <= sent < first for good in goods for sent in good.good_sent)
    return felt.elo if up_before else first


def _baseline(part: _Part, felt: Effect, window: int, who: str) -> list[Doubt]:
    """Doubt a drill that began with a service that was not well, or that nobody had seen up."""
    seen, tb = part.seen, felt.clock.earliest
    pairs = zip(seen.bad_sent, seen.bad_until, strict=True)
    failed = sum(1 for sent, until in pairs if sent < tb and tb - window <= until < tb)
    doubts: list[Doubt] = []
    if failed:
        why = f"{who}{failed} requests failed in the {show(window / NS)} before the disaster"
        doubts.append(Doubt(why, "a disaster that strikes a healthy service"))
    if not seen.good_sent or min(seen.good_ended) > tb:
        why = f"{who}the service was never seen up before the disaster"
        doubts.append(Doubt(why, "an observer that starts earlier"))
    return doubts


def _open_end(
    parts: Sequence[_Part], paths: Sequence[Track], felt: Effect, rho_max: int, question: Question
) -> list[Doubt]:
    """Say why nothing bounds the restoration from above, of each observer and of all together."""
    if felt.ehi is None:
        return [Doubt(felt.note, "a look that sees the fault in effect, or a shorter interval")]
    window = joint_window([part.watch for part in parts])
    silent = [doubt for part in parts for doubt in _fell_silent(part, question)]
    doubts = silent or [
        doubt
        for part, path in zip(parts, paths, strict=True)
        for doubt in _never(part if len(parts) > 1 else None, path, felt.ehi, rho_max, window, _site(part, question))
    ]
    if doubts:
        return doubts
    named = " and ".join(part.name for part in parts)
    return [Doubt(f"{named} were never all up together for a whole window of {show(window / NS)}", LATER_WATCH)]


def _fell_silent(part: _Part, question: Question) -> list[Doubt]:
    """Say that an observer left no rows of the drill's end: then no recovery was seen because nobody looked."""
    header = part.watch.header
    last = max(part.samples.sent)
    if header.ended is not None or question.until - last <= header.timeout_ns + WINDOW_PARTS * header.every_ns:
        return []
    quiet = show((question.until - last) / NS)
    why = f"{part.name} recorded nothing in the last {quiet}: its process had died, or its disk was full"
    return [Doubt(why, "an observer that lives")]


def _never(part: _Part | None, path: Track, ehi: int, rho_max: int, window: int, to: str) -> list[Doubt]:
    """Say why one observer (named if there are several) shows no window; nothing if it shows one."""
    if upper(path, ehi, window) is not None:
        return []
    goods = path.evidence.good_sent
    who, by = "" if part is None else f"{part.name}: ", f" by {to}" if to else ""
    if not goods or goods[-1] < ehi:
        return [Doubt(f"{who}no request was served{by} after the disaster", "a service that recovers")]
    loose = upper(track(path.evidence, ENDLESS), ehi, window)
    if loose is None:
        whole = f"no whole window of {show(window / NS)} without failure{by} was seen after the disaster"
        return [Doubt(f"{who}{whole}", LATER_WATCH)]
    limit, gap = show(rho_max / NS), show(loose.resolution / NS) if loose.resolution < ENDLESS else "more"
    why = f"an outage of {gap} could hide between two answers, {limit} is allowed (the less of W/5 and target/10)"
    return [Doubt(f"{who}{why}", "a shorter interval, a shorter timeout or fewer unknown samples")]


def _shares(felt: Effect, earliest: int, run: Run | None, parts: Sequence[_Part]) -> tuple[Share, ...]:
    clock = Share("when the clock started", felt.clock.width, "a tighter bracket around the fault")
    if run is None:
        return (clock,)
    end = run.ended - earliest
    if felt.ehi is not None and earliest == felt.elo and felt.ehi > felt.clock.latest:
        waited = Share(
            "when the fault took effect", min(end, felt.ehi - felt.elo), "a closer look at the fault's effect"
        )
        return (clock, waited, Share("the first good answer", max(0, run.ended - felt.ehi), "a shorter interval"))
    every = show(max(part.watch.header.every_ns for part in parts) / NS)
    named = " & ".join(part.name for part in parts)
    what = f"between the last failed and the first good request of {named} (one each {every})"
    return (clock, Share(what, end, f"an interval below {every}, answers below {show((run.ended - run.sent) / NS)}"))
