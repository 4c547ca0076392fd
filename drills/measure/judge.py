"""One entry: a drill's evidence in, bounds and verdicts out. Pure; the same question has the same answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.measure.answers import (
    answer_bounds,
    answer_observer,
    answer_rows,
    answer_store,
    assumptions,
    seconds,
    write_rate,
)
from drills.measure.availability import View, view
from drills.measure.evidence import Bracket
from drills.measure.judgement import JudgedBounds, JudgedObjective, JudgedPhase, Judgement
from drills.measure.lints import clock_doubts, foreign, header_lints, watch_lints
from drills.measure.phases import UNDETECTED, phases
from drills.measure.points import NO_MARKERS, ONLY_EVIDENCE, judged_points, label, restored_point
from drills.measure.recovery import between, last_old_ack, lost
from drills.measure.rpo import Loss, loss, recovery_consistency
from drills.measure.rto import ENDLESS
from drills.measure.verdict import NS, Doubt, Span, decide, explain, worst
from drills.timeline.marks import Basis, Mark
from drills.timeline.samples import Persona

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.question import Question, Target, Watch

CLIENTS = frozenset({Persona.TTL, Persona.POOL})
_WINDOW_PARTS, _TARGET_PARTS = 5, 10
_LISTED = 10
"""Relapses that are listed one by one."""


def judge(question: Question) -> Judgement:
    """Judge every objective of a drill, and give all numbers behind the verdicts.

    Raises ``ValueError`` for a question that cannot be meant (two observers of one name, a window that is not
    positive). Missing or contradictory evidence is never an error: it is UNPROVEN, and says why.
    """
    return _Bench(question).answer()


class _Bench:
    """What is worked out once for one question."""

    def __init__(self, question: Question) -> None:
        names = [watch.header.observer for watch in question.watches]
        if len(set(names)) != len(names):
            raise ValueError(f"two observers have one name: {', '.join(sorted(names))}")
        if any(watch.window_ns <= 0 for watch in question.watches):
            raise ValueError("a window (stable_for) must be longer than nothing")
        self.question = question
        self.views: dict[tuple[str, int], View] = {}
        self.last_old_ack = last_old_ack(question)
        self.disaster = self._disaster()
        self.losses = self._losses()

    def view(self, watch: Watch, target_ns: int | None) -> View:
        """Look through one observer, with the resolution that a target asks for."""
        rho_max = watch.window_ns // _WINDOW_PARTS
        if target_ns is not None:
            rho_max = min(rho_max, target_ns // _TARGET_PARTS)
        key = (watch.header.observer, rho_max)
        if key not in self.views:
            self.views[key] = view(watch, self.question, rho_max, self.last_old_ack)
        return self.views[key]

    def _disaster(self) -> Bracket | None:
        """Bracket the disaster on the timeline; of an incident, the span of all observers' brackets."""
        disaster = self.question.disaster
        if disaster is None or disaster.clock is not None:
            return None if disaster is None else disaster.clock
        felt = [
            self.view(watch, self._least(watch)).effect
            for watch in self._watches()
            if not foreign(watch.header, self.question)
        ]
        brackets = [one.clock for one in felt if one is not None and one.clock.earliest > -ENDLESS]
        if not brackets:
            return None
        return Bracket(min(one.earliest for one in brackets), max(one.latest for one in brackets))

    def _losses(self) -> dict[str, Loss]:
        if self.disaster is None:
            return {}
        usable = [ledger for ledger in self.question.ledgers if not foreign(ledger.header, self.question)]
        return {ledger.header.observer: loss(ledger.book, self.disaster) for ledger in usable}

    def _least(self, watch: Watch) -> int | None:
        """Give the smallest RTO target an observer judges: what its figures are shown for."""
        named = [one for one in self.question.targets if one.ends is Mark.SERVICE_RESTORED]
        own = [one.target_ns for one in named if not one.seen_by or watch.header.observer in one.seen_by]
        return min(own, default=None)

    def _watches(self, seen_by: Sequence[str] = ()) -> list[Watch]:
        """Give the observers that judge: those named, or all but the one that looks past DNS at one site."""
        if seen_by:
            return [watch for watch in self.question.watches if watch.header.observer in seen_by]
        return [watch for watch in self.question.watches if watch.header.persona is not Persona.DIRECT]

    def answer(self) -> Judgement:
        """Put the answer together."""
        question = self.question
        ours = [watch for watch in question.watches if not foreign(watch.header, question)]
        shown = [(watch, self.view(watch, self._least(watch))) for watch in ours]
        spans = {one.name: self.restored(watch, None, Mark.DISASTER) for watch, one in shown}
        service = [spans[one.name] for _, one in shown if one.persona is Persona.FRESH]
        clients = [spans[one.name] for _, one in shown if one.persona in CLIENTS]
        ledgers = [ledger for ledger in question.ledgers if ledger.header.observer in self.losses]
        losses = list(self.losses.values())
        objectives = tuple(self.objective(target) for target in question.targets)
        observers = tuple(answer_observer(one, spans[one.name]) for _, one in shown)
        main = next((item for item in observers if item.persona == Persona.FRESH), observers[0] if observers else None)
        worst_client = self._worst_client(service)
        return Judgement(
            objectives=objectives,
            observers=observers,
            stores=tuple(answer_store(one) for one in losses),
            rows=answer_rows([one.rows for one in losses]),
            flaps=None if main is None else main.flaps,
            dns_tail=_dns_tail(service, clients),
            worst_client=None if worst_client is None else answer_bounds(worst_client.low, worst_client.high),
            phases=self._phases(service, service + clients),
            consistency=recovery_consistency(losses),
            write_rate=write_rate(ledgers, losses),
            assumptions=assumptions([one for _, one in shown], losses),
            warnings=self._warnings(worst_client),
            recovery_points=judged_points(question, self.disaster),
        )

    def objective(self, target: Target) -> JudgedObjective:
        """Judge one interval between two marks."""
        span = self.interval(target)
        verdict = decide(span.low, span.high, target.target_ns, doubted=bool(span.doubts))
        why, decided_by = explain(span, target.target_ns, verdict)
        if (target.begins, target.ends) == (Mark.DISASTER, Mark.SERVICE_RESTORED) and not self._moment(Mark.DETECTED):
            why = f"{why} ({UNDETECTED})"
        if target.basis is Basis.RESTORED_POINT:
            why = f"{label(self.question, target.seen_by)}; {why}"
        known = span.high is not None or span.low > 0 or not span.doubts
        return JudgedObjective(
            target.name,
            verdict,
            seconds(span.low) if known else None,
            seconds(span.best),
            seconds(span.high),
            target.target_ns / NS,
            why,
            decided_by,
        )

    def interval(self, target: Target) -> Span:
        """Bound the interval between any two marks; one function for all of them."""
        if target.begins is Mark.RECOVERY_POINT:
            return self._recovery_point(target)
        if target.ends is Mark.SERVICE_RESTORED:
            watches = self._watches(target.seen_by)
            missing = sorted(set(target.seen_by) - {watch.header.observer for watch in watches})
            if missing or not watches:
                why = f"no observer {', '.join(missing)} stands in the drill" if missing else "nothing was measured"
                return Span(0, None, (Doubt(why, "an availability observer"),))
            return worst([self.restored(watch, target.target_ns, target.begins) for watch in watches])
        begin, end = self._moment(target.begins, target), self._moment(target.ends, target)
        if begin is None or end is None:
            absent = target.begins if begin is None else target.ends
            return Span(
                0, None, (Doubt(f"the mark {absent.value} was never set", f"a step that marks {absent.value}"),)
            )
        return between(begin, end)

    def restored(self, watch: Watch, target_ns: int | None, begins: Mark) -> Span:
        """Bound the time from a mark until one observer saw the service restored."""
        limit = self._least(watch) if target_ns is None else target_ns
        doubts = clock_doubts(watch.header, self.question)
        if foreign(watch.header, self.question):
            return Span(0, None, tuple(doubts))
        one = self.view(watch, limit)
        doubts += one.doubts
        begin = one.effect.clock if one.effect is not None and begins is Mark.DISASTER else self._moment(begins)
        if one.effect is None or begin is None:
            if begin is None and one.effect is not None:
                doubts.append(_unset(begins))
            return Span(0, None, tuple(doubts), one.shares)
        low = max(0, one.earliest - begin.latest)
        if one.run is None or begin.earliest == -ENDLESS:
            return Span(low, None, tuple(doubts), one.shares)
        high = max(0, one.run.ended - begin.earliest)
        if low > high:
            why = f"what {one.name} saw contradicts itself: restored by {high / NS:.3f} s, yet down at {low / NS:.3f} s"
            doubts.append(Doubt(why, "a look at the observer's file"))
            low, high = high, low
        return Span(low, high, tuple(doubts), one.shares)

    def _moment(self, mark: Mark, target: Target | None = None) -> Bracket | None:
        """Bracket a mark: the disaster and the restoration from evidence, the others from their steps."""
        if mark is Mark.DISASTER:
            return self.disaster
        if mark is Mark.SERVICE_RESTORED:
            limit = None if target is None else target.target_ns
            views = [self.view(watch, limit) for watch in self._watches(target.seen_by if target else ())]
            ends = [one.run.ended for one in views if one.run is not None and not one.doubts]
            if not views or len(ends) < len(views):
                return None
            return Bracket(max(one.earliest for one in views), max(ends))
        return next((moment.at for moment in self.question.moments if moment.mark is mark), None)

    def _recovery_point(self, target: Target) -> Span:
        """Bound the data lost: the worst store, or the restored point where markers cannot reach."""
        question = self.question
        if target.ends is not Mark.DISASTER:
            why = "a recovery point is measured back from the disaster only"
            return Span(0, None, (Doubt(why, "an objective recovery_point -> disaster"),))
        if target.basis is Basis.RESTORED_POINT:
            return restored_point(question, self.disaster, target.seen_by)
        wanted = [one for one in question.ledgers if not target.seen_by or one.header.observer in target.seen_by]
        if not wanted:
            return Span(0, None, (ONLY_EVIDENCE if question.points else NO_MARKERS,))
        return worst([lost(one, self.losses.get(one.header.observer), question, self.disaster) for one in wanted])

    def _worst_client(self, service: list[Span]) -> Span | None:
        """Bound the slowest TTL client: each watched one is a single draw between the service's end and a TTL more."""
        ttls = [watch.header.ttl_ns for watch in self.question.watches if watch.header.persona is Persona.TTL]
        known = [ttl for ttl in ttls if ttl is not None]
        if not service or not known:
            return None
        one = worst(service)
        return Span(one.low, None if one.high is None else one.high + max(known))

    def _phases(self, service: list[Span], spans: list[Span]) -> tuple[JudgedPhase, ...]:
        if self.disaster is None or not service:
            return ()
        first, last = worst(service).best, worst(spans).best
        if first is None:
            return ()
        began = self.disaster.middle
        restored = began + max(first, last if last is not None else first)
        parts = phases(began, began + first, restored, self.question.steps, self.question.moments)
        return tuple(JudgedPhase(part.name, part.length / NS, part.detail) for part in parts)

    def _warnings(self, worst_client: Span | None) -> tuple[str, ...]:
        question = self.question
        said = list(question.lints)
        targets = [target.target_ns for target in question.targets if target.ends is Mark.SERVICE_RESTORED]
        for watch in question.watches:
            if foreign(watch.header, question):
                said += [doubt.why for doubt in clock_doubts(watch.header, question)]
                continue
            one = self.view(watch, self._least(watch))
            said += watch_lints(watch, one, targets)
            if one.effect is not None and one.effect.note:
                said.append(f"{one.name}: {one.effect.note}")
            if one.effect is not None:
                began = one.effect.clock.latest
                said += [f"{one.name}: failed again at {(at - began) / NS:.3f} s" for at in one.relapses[:_LISTED]]
        for ledger in question.ledgers:
            said += header_lints(ledger.header)
        slowest = None if worst_client is None else worst_client.high
        if slowest is not None and any(slowest > one for one in targets):
            at_most = f"{slowest / NS:.1f} s, above the target"
            said.append(f"one TTL client is one draw: the slowest may take up to {at_most}")
        return tuple(dict.fromkeys(said))


def _unset(mark: Mark) -> Doubt:
    return Doubt(f"the mark {mark.value} was never set", f"a step that marks {mark.value}")


def _dns_tail(service: list[Span], clients: list[Span]) -> JudgedBounds | None:
    """Give ``[client_lo - service_hi, client_hi - service_lo]``; None without both kinds of observers."""
    if not service or not clients:
        return None
    ours, theirs = worst(service), worst(clients)
    low = None if ours.high is None else seconds(theirs.low - ours.high)
    return JudgedBounds(low, None if theirs.high is None else seconds(theirs.high - ours.low))
