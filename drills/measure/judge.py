"""One entry: a drill's evidence in, bounds and verdicts out. Pure; the same question has the same answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.measure.answers import (
    answer_bounds,
    answer_consistency,
    answer_observer,
    answer_rows,
    answer_store,
    assumptions,
    seconds,
    write_rate,
)
from drills.measure.bench import Bench
from drills.measure.evidence import Bracket
from drills.measure.exposure import ENDS, answer_exposure, limits_exposure
from drills.measure.judgement import (
    JudgedBounds,
    JudgedClock,
    JudgedCount,
    JudgedExposure,
    JudgedObjective,
    JudgedObserver,
    JudgedPhase,
    JudgedRecovery,
    Judgement,
)
from drills.measure.lints import clock_doubts, foreign, header_lints, scheduler_lints, watch_lints
from drills.measure.phases import UNDETECTED, UNTOLD, Course, phases
from drills.measure.points import assumed, judged_points, label
from drills.measure.question import Moment, Target
from drills.measure.recovery import between
from drills.measure.rto import ENDLESS
from drills.measure.verdict import NS, Span, Verdict, decide, explain, worst
from drills.timeline.marks import Basis, Limits, Mark, Unit
from drills.timeline.samples import Persona

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.availability import View
    from drills.measure.bench import Group
    from drills.measure.question import Question

CLIENTS = frozenset({Persona.TTL, Persona.POOL})
CLOCKS = (Mark.DISASTER, Mark.DETECTED, Mark.DECLARED, Mark.DECIDED)
"""When a recovery time may start to count; the effect itself is one more, which no step marks."""
_LISTED = 10
"""Relapses that are listed one by one."""


def judge(question: Question) -> Judgement:
    """Judge every objective of a drill, and give all numbers behind the verdicts.

    Raises ``ValueError`` for a question that cannot be meant (two observers of one name, a window that is not
    positive). Missing or contradictory evidence is never an error: it is UNPROVEN, and says why.
    """
    return _Judge(question).answer()


class _Judge(Bench):
    """Puts the answers together from what the bench holds."""

    def answer(self) -> Judgement:
        """Put the answer together."""
        question = self.question
        ours = [watch for watch in question.watches if not foreign(watch.header, question)]
        shown = [(watch, self.view((watch,), self.least(watch))) for watch in ours]
        spans = {one.name: self.restored((watch,), None, Mark.DISASTER) for watch, one in shown}
        service = [spans[one.name] for _, one in shown if one.persona is Persona.FRESH]
        ledgers = [ledger for ledger in question.ledgers if ledger.header.observer in self.losses]
        losses, counted = list(self.losses.values()), self.counted()
        objectives = tuple(self.objective(target) for target in question.targets)
        observers = tuple(answer_observer(one, spans[one.name]) for _, one in shown) + self._joint_observers()
        main = next((item for item in observers if item.persona == Persona.FRESH), observers[0] if observers else None)
        clients = [spans[one.name] for _, one in shown if one.persona is Persona.TTL]
        worst_client = self._worst_client(service, clients)
        parts, recovery = self._phases()
        return Judgement(
            objectives=objectives,
            observers=observers,
            stores=tuple(answer_store(one) for one in losses),
            rows=answer_rows([one.rows for one in counted.values()]),
            flaps=None if main is None else main.flaps,
            dns_tail=_dns_tail([one for _, one in shown]),
            worst_client=None if worst_client is None else answer_bounds(worst_client.low, worst_client.high),
            phases=parts,
            consistency=answer_consistency(list(zip([one.book for one in ledgers], losses, strict=True))),
            write_rate=write_rate(
                [one for one in question.ledgers if one.header.observer in counted], list(counted.values())
            ),
            assumptions=(
                *assumptions([one for _, one in shown], losses),
                *assumed(question),
                *self._downtime_assumed(),
                *self._rows_assumed(),
            ),
            warnings=self._warnings(worst_client),
            recovery_points=judged_points(question, self.disaster),
            exposure=self._exposure(),
            recovery=recovery,
        )

    def _exposure(self) -> JudgedExposure | None:
        """Tell the exposure of a drill that moved authority, or that names when redundancy is back."""
        target = next((one for one in self.question.targets if limits_exposure(one)), None)
        if target is None and self.question.moved is None and self.moment(ENDS[1]) is None:
            return None
        span = self.exposure(target or Target("exposure", *ENDS, ENDLESS))
        return answer_exposure(span) if span.high is not None or span.low else None

    def _downtime_assumed(self) -> tuple[str, ...]:
        """Say what the bounds of each downtime rest on."""
        wanted = [one for one in self.question.targets if one.limits is Limits.DOWNTIME]
        found = [total.said() for one in wanted for total in self.totals(one)[0] if total.span.high is not None]
        return tuple(dict.fromkeys(found))

    def _rows_assumed(self) -> tuple[str, ...]:
        """Say what a number of lost rows is a number of."""
        if not any(one.limits is Limits.LOST_ROWS for one in self.question.targets):
            return ()
        acked = sum(1 for ledger in self.question.ledgers for marker in ledger.book.markers if marker.acked)
        return (
            f"lost rows are counted among the {acked:,} acknowledged rows of the marker writers, which stand for all",
        )

    def objective(self, target: Target) -> JudgedObjective:
        """Judge one interval between two marks, the downtime in all, or the lost rows."""
        span = self.interval(target)
        verdict = decide(span.low, span.high, target.target, doubted=bool(span.doubts))
        why, decided_by = explain(span, target.target, verdict, target.limits.unit)
        known = span.high is not None or span.low > 0 or not span.doubts
        timed = known and (target.begins, target.ends) == (Mark.DISASTER, Mark.SERVICE_RESTORED)
        if timed and not self.moment(Mark.DETECTED):
            why = f"{why} ({self._undetected})"
        if self.question.disaster is not None and self.question.disaster.said and Mark.DISASTER in _ends(target):
            why = f"{why} ({self.question.disaster.said})"
        if limits_exposure(target) and verdict is Verdict.MISSED:
            why = "; ".join((why, *(doubt.why for doubt in span.doubts)))
        if target.basis is Basis.RESTORED_POINT:
            why = f"{label(self.question, target.seen_by)}; {why}"
        if target.limits.unit is Unit.ROWS:
            low = span.low if known else None
            count = JudgedCount(low, span.best, span.high, target.target, target.limits.unit)
            return JudgedObjective(target.name, verdict, None, None, None, None, why, decided_by, count=count)
        return JudgedObjective(
            target.name,
            verdict,
            seconds(span.low) if known else None,
            seconds(span.best),
            seconds(span.high),
            target.target_ns / NS,
            why,
            decided_by,
            self._clocks(target),
        )

    @property
    def _undetected(self) -> str:
        disaster = self.question.disaster
        return UNTOLD if disaster is not None and disaster.unplanned else UNDETECTED

    def _clocks(self, target: Target) -> tuple[JudgedClock, ...]:
        """Bound a recovery time from every clock that was started; one of them is judged."""
        groups, missing = self.groups(target)
        if target.ends is not Mark.SERVICE_RESTORED or missing or not groups or self.disaster is None:
            return ()
        found: list[JudgedClock] = []
        for mark in dict.fromkeys((Mark.DISASTER, None, *CLOCKS[1:], target.begins)):
            if mark is not None and self.moment(mark) is None:
                continue
            span = worst([self.restored(one, target.target_ns, mark) for one in groups])
            name = "effect" if mark is None else mark.value
            judged = mark is target.begins
            if mark is not None or span.high is not None:
                found.append(JudgedClock(name, span.low / NS, seconds(span.best), seconds(span.high), judged=judged))
        return tuple(found)

    def _joint_observers(self) -> tuple[JudgedObserver, ...]:
        """Show what each joint objective's observers saw as one, beside what each saw alone."""
        found: dict[str, JudgedObserver] = {}
        for target in self.question.targets:
            groups, missing = self.groups(target)
            if target.joint and not missing and target.ends is Mark.SERVICE_RESTORED:
                one, limit = groups[-1], target.target_ns
                if not any(foreign(watch.header, self.question) for watch in one):
                    seen = answer_observer(self.view(one, limit), self.restored(one, limit, Mark.DISASTER))
                    found.setdefault(seen.name, seen)
        return tuple(found.values())

    def _worst_client(self, service: list[Span], clients: list[Span]) -> Span | None:
        """Bound the slowest TTL client: each watched one is a single draw between the service's end and a TTL more."""
        watches = [one.header for one in self.question.watches if not foreign(one.header, self.question)]
        known = [one.ttl_ns for one in watches if one.ttl_ns is not None]  # a resolver may tell less than its server
        if not service or not known or not clients:
            return None
        one = worst(service)
        least = max(span.low for span in (one, *clients))
        return Span(least, None if one.high is None else max(least, one.high + max(known)))

    def _phases(self) -> tuple[tuple[JudgedPhase, ...], JudgedRecovery | None]:
        """Cut the recovery time, as its objective's observers saw it (without one: all of them), into its parts."""
        question = self.question
        target = self.recovery_time() or Target("rto", Mark.DISASTER, Mark.SERVICE_RESTORED, 0)
        limit = target.target_ns or None
        groups, _ = self.groups(target)
        fresh = [one for one in self.watches() if one.header.persona is Persona.FRESH]
        service = self._back([(one,) for one in fresh], limit)
        restored = self._back(groups, limit)
        if self.disaster is None or restored is None or (service is None and not target.joint):
            return (), None
        course = Course(self.disaster, service, restored)
        if target.joint:
            course = Course(self.disaster, None, restored, f"{', '.join(target.joint)} were up together")
        moments = [Moment(one.mark, self.moment(one.mark) or one.at) for one in question.moments]
        parts = phases(course, question.steps, moments, self._undetected, question.standstills)
        cut = tuple(JudgedPhase(one.name, one.best / NS, one.detail, one.low / NS, one.high / NS) for one in parts)
        return cut, self._recovery(groups, self.disaster, restored)

    def _recovery(self, groups: Sequence[Group], began: Bracket, restored: Bracket) -> JudgedRecovery:
        """Bound what the phases cut: no objective's own figure where none judges the recovery time."""
        span = between(began, restored)
        seen_by = tuple(" & ".join(watch.header.observer for watch in one) for one in groups)
        disaster = self.question.disaster
        begins = "the disaster" if disaster is not None and disaster.clock is not None else "the outage's beginning"
        told = f"from {begins} until {' and '.join(seen_by)} had the service back"
        if any(one.limits is Limits.DOWNTIME for one in self.question.targets):
            told += "; the downtime is counted by itself"
        return JudgedRecovery(seen_by, span.low / NS, (span.best or 0) / NS, (span.high or 0) / NS, told)

    def _back(self, groups: Sequence[Group], limit: int | None) -> Bracket | None:
        """Bracket when the last of these saw the service restored; None if nothing bounds it for one of them."""
        ours = [one for one in groups if not any(foreign(watch.header, self.question) for watch in one)]
        views = [self.view(one, limit if limit is not None else self.least(one[0])) for one in ours]
        ended = _ended(views) if views else None
        return None if ended is None else Bracket(max(one.earliest for one in views), ended)

    def _warnings(self, worst_client: Span | None) -> tuple[str, ...]:
        question = self.question
        said = list(question.lints)
        targets = [target.target_ns for target in question.targets if target.ends is Mark.SERVICE_RESTORED]
        for watch in question.watches:
            if foreign(watch.header, question):
                said += [doubt.why for doubt in clock_doubts(watch.header, question)]
                continue
            one = self.view((watch,), self.least(watch))
            said += watch_lints(watch, one, targets)
            if one.effect is not None and one.effect.note:
                said.append(f"{one.name}: {one.effect.note}")
            if one.effect is not None:
                began = one.effect.clock.latest
                said += [f"{one.name}: failed again at {(at - began) / NS:.3f} s" for at in one.relapses[:_LISTED]]
        for ledger in question.ledgers:
            said += header_lints(ledger.header)
        mine = [one.header for one in question.watches if not foreign(one.header, question)]
        said += scheduler_lints([*mine, *(one.header for one in question.ledgers)])
        slowest = None if worst_client is None else worst_client.high
        if slowest is not None and any(slowest > one for one in targets):
            at_most = f"{slowest / NS:.1f} s, above the target"
            said.append(f"one TTL client is one draw: the slowest may take up to {at_most}")
        return tuple(dict.fromkeys(said))


def _dns_tail(views: Sequence[View]) -> JudgedBounds | None:
    """Give ``[client_lo - service_hi, client_hi - service_lo]``; None without both kinds of observers.

    The ends are those of the moments of restoration: when the clock started is the same for both, so that its bracket
    does not widen the difference.
    """
    service = [one for one in views if one.persona is Persona.FRESH]
    clients = [one for one in views if one.persona in CLIENTS]
    if not service or not clients or any(one.effect is None for one in (*service, *clients)):
        return None
    first, last = max(one.earliest for one in service), max(one.earliest for one in clients)
    low = None if (by := _ended(service)) is None else (last - by) / NS
    return JudgedBounds(low, None if (by := _ended(clients)) is None else (by - first) / NS)


def _ended(views: Sequence[View]) -> int | None:
    """Give by when all of them had seen the service restored; None if one has not."""
    ends = [one.run.ended for one in views if one.run is not None]
    return max(ends) if len(ends) == len(views) else None


def _ends(target: Target) -> tuple[Mark | None, Mark | None]:
    return target.begins, target.ends
