"""What is worked out once for one question: views of the observers, losses of the stores, and any interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from drills.measure.availability import View, joint_window, view
from drills.measure.evidence import Bracket
from drills.measure.exposure import exposed, limits_exposure
from drills.measure.felt import Total, total
from drills.measure.lints import clock_doubts, foreign, slept
from drills.measure.lost_rows import Switch, all_stores, lost_rows
from drills.measure.points import NO_MARKERS, ONLY_EVIDENCE, restored_point
from drills.measure.recovery import already, between, last_old_ack, lost
from drills.measure.rpo import Loss, loss
from drills.measure.rto import ENDLESS
from drills.measure.verdict import NS, Doubt, Span, worst
from drills.timeline.marks import Basis, Limits, Mark
from drills.timeline.samples import Persona

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.question import Question, Target, Watch

Group: TypeAlias = "tuple[Watch, ...]"
"""One observer, or several that count as one."""
_WINDOW_PARTS, _TARGET_PARTS = 5, 10
_ANSWERS = frozenset(Mark) - {Mark.RECOVERY_POINT, Mark.DISASTER, Mark.WRITES_STOPPED}
"""Marks of what a disaster is answered by; writes may be stopped before one."""


class Bench:
    """What is worked out once for one question."""

    def __init__(self, question: Question) -> None:
        names = [watch.header.observer for watch in question.watches]
        if len(set(names)) != len(names):
            raise ValueError(f"two observers have one name: {', '.join(sorted(names))}")
        if any(watch.window_ns <= 0 for watch in question.watches):
            raise ValueError("a window (stable_for) must be longer than nothing")
        self.question = question
        self.views: dict[tuple[tuple[str, ...], int], View] = {}
        self.felt: dict[tuple[tuple[str, ...], int], Total] = {}
        self.last_old_ack = last_old_ack(question)
        self.disaster = self._disaster()
        self.losses = self._losses(self.disaster)
        self.switch = self._switch()

    def view(self, watches: Group, target_ns: int | None) -> View:
        """Look through one observer, or several as one, with the resolution that a target asks for."""
        rho_max = joint_window(watches) // _WINDOW_PARTS
        if target_ns is not None:
            rho_max = min(rho_max, target_ns // _TARGET_PARTS)
        key = (tuple(watch.header.observer for watch in watches), rho_max)
        if key not in self.views:
            self.views[key] = view(watches, self.question, rho_max, self.last_old_ack)
        return self.views[key]

    def _disaster(self) -> Bracket | None:
        """Bracket the disaster on the timeline; of an incident, the span of all observers' brackets."""
        disaster = self.question.disaster
        if disaster is None or disaster.clock is not None:
            return None if disaster is None else disaster.clock
        felt = [
            self.view((watch,), self.least(watch)).effect
            for watch in self.watches()
            if not foreign(watch.header, self.question)
        ]
        brackets = [one.clock for one in felt if one is not None and one.clock.earliest > -ENDLESS]
        if not brackets:
            return None
        return Bracket(min(one.earliest for one in brackets), max(one.latest for one in brackets))

    def _losses(self, at: Bracket | None) -> dict[str, Loss]:
        if at is None:
            return {}
        usable = [ledger for ledger in self.question.ledgers if not foreign(ledger.header, self.question)]
        seen = None if self.question.disaster is None else self.question.disaster.confirmed
        return {ledger.header.observer: loss(ledger.book, at, seen) for ledger in usable}

    def counted(self) -> dict[str, Loss]:
        """Give the losses for their rows: without a disaster, those since writes were to stop."""
        stopping = self.question.stopping
        if self.losses or stopping is None:
            return self.losses
        return self._losses(Bracket(stopping, stopping))

    def least(self, watch: Watch) -> int | None:
        """Give the smallest RTO target an observer judges: what its figures are shown for."""
        named = [one for one in self.question.targets if one.ends is Mark.SERVICE_RESTORED]
        name = watch.header.observer
        own = [one.target_ns for one in named if not (one.seen_by or one.joint) or name in (*one.seen_by, *one.joint)]
        return min(own, default=None)

    def watches(self, seen_by: Sequence[str] = ()) -> list[Watch]:
        """Give the observers that judge: those named, or all but the one that looks past DNS at one site."""
        if seen_by:
            return [watch for watch in self.question.watches if watch.header.observer in seen_by]
        return [watch for watch in self.question.watches if watch.header.persona is not Persona.DIRECT]

    def interval(self, target: Target) -> Span:
        """Bound what an objective limits: the interval between any two marks, the downtime in all, or lost rows."""
        if target.limits is Limits.LOST_ROWS:
            return self._lost_rows(target)
        if target.limits is Limits.DOWNTIME:
            totals, missing = self.totals(target)
            return worst([one.span for one in totals]) if totals and not missing else _unwatched(missing)
        if target.begins is Mark.RECOVERY_POINT:
            return self._recovery_point(target)
        if limits_exposure(target) and self._sought(Mark.REDUNDANCY_RESTORED):
            return self.exposure(target)
        if target.ends is Mark.SERVICE_RESTORED:
            groups, missing = self.groups(target)
            if missing or not groups:
                return _unwatched(missing)
            return worst([self.restored(one, target.target_ns, target.begins) for one in groups])
        if target.begins is None or target.ends is None:
            raise ValueError(f"{target.name}: an interval has two marks")
        (begin, before), (end, after) = self._bracket(target.begins, target), self._bracket(target.ends, target)
        if begin is None or end is None:
            return Span(0, None, tuple(dict.fromkeys((*before, *after))))
        doubts = slept(self.question)
        if begin.earliest > -ENDLESS:
            return between(begin, end, doubts)
        return Span(max(0, end.earliest - begin.latest), None, (*doubts, already(target.begins)))

    def totals(self, target: Target) -> tuple[list[Total], list[str]]:
        """Bound the downtime in all for each group of observers; and the names that no observer has."""
        groups, missing = self.groups(target)
        found: list[Total] = []
        for one in groups:
            key = (tuple(watch.header.observer for watch in one), target.target_ns)
            if key not in self.felt:
                self.felt[key] = total(one, self.question, target.target_ns, self._counts_from(one, target.target_ns))
            found.append(self.felt[key])
        return found, missing

    def _counts_from(self, watches: Group, target_ns: int) -> int:
        """Give from when downtime counts: where a ring holds hours of before, from the incident, else from anywhere."""
        disaster = self.question.disaster
        if disaster is None or disaster.opened is None or not any(watch.coarse_ns for watch in watches):
            return -ENDLESS
        felt = self.view(watches, target_ns).effect
        if felt is None or felt.elo == -ENDLESS:
            return disaster.opened
        return min(disaster.opened, felt.elo)

    def _bracket(self, mark: Mark, target: Target) -> tuple[Bracket | None, tuple[Doubt, ...]]:
        """Bracket a mark for an objective, or say why it cannot be.

        Work is not recovered before the service is: a person's word that comes sooner counts from the restoration.
        """
        if mark is Mark.SERVICE_RESTORED:
            return self._restoration(target)
        at = self.moment(mark)
        if at is None:
            return None, (_unset(mark),)
        if mark is Mark.WORK_RECOVERED:
            back, doubts = self._restoration(target)
            if back is None:
                return None, doubts
            at = Bracket(max(at.earliest, back.earliest), max(at.latest, back.latest))
        return at, ()

    def _restoration(self, target: Target) -> tuple[Bracket | None, tuple[Doubt, ...]]:
        """Bracket the restoration as the objective's observers saw it, else as those of recovery or downtime did."""
        if not (target.seen_by or target.joint):
            target = self.recovery_time() or self._downtime() or target
        groups, missing = self.groups(target)
        if missing or not groups:
            return None, (Doubt("the restoration of the service was not measured", "an availability observer"),)
        views = [self.view(one, target.target_ns) for one in groups]
        doubts = tuple(dict.fromkeys(doubt for one in views for doubt in one.doubts))
        ends = [one.run.ended for one in views if one.run is not None]
        if doubts or len(ends) < len(views):
            return None, doubts
        return Bracket(max(one.earliest for one in views), max(ends)), ()

    def recovery_time(self) -> Target | None:
        """Give the objective that judges the recovery time from the disaster, None without one."""
        wanted = (Mark.DISASTER, Mark.SERVICE_RESTORED)
        return next((one for one in self.question.targets if (one.begins, one.ends) == wanted), None)

    def _sought(self, mark: Mark) -> bool:
        """Say whether the timeline has a step that was to find this mark, whether it did or not."""
        return self.moment(mark) is not None or any(step.mark is mark for step in self.question.steps)

    def _downtime(self) -> Target | None:
        """Give the objective that limits the downtime, None without one."""
        return next((one for one in self.question.targets if one.limits is Limits.DOWNTIME), None)

    def groups(self, target: Target) -> tuple[list[Group], list[str]]:
        """Give what judges a restoration, each group as one, and the names that no observer has."""
        alone = [] if target.joint and not target.seen_by else self.watches(target.seen_by)
        groups: list[Group] = [(watch,) for watch in alone]
        if target.joint:
            groups.append(tuple(self.watches(target.joint)))
        there = {watch.header.observer for one in groups for watch in one}
        gone = () if target.seen_by or target.joint else self.question.unwatched
        return groups, sorted({*target.seen_by, *target.joint, *gone} - there)

    def restored(self, watches: Group, target_ns: int | None, begins: Mark | None) -> Span:
        """Bound the time from a mark until one observer, or several as one, saw the service restored.

        ``begins`` None: from the moment the effect began, which no step can mark.
        """
        limit = self.least(watches[0]) if target_ns is None else target_ns
        doubts = [doubt for watch in watches for doubt in clock_doubts(watch.header, self.question)]
        if any(foreign(watch.header, self.question) for watch in watches):
            return Span(0, None, tuple(doubts))
        one = self.view(watches, limit)
        doubts += one.doubts
        begin = self._began(one, begins)
        if one.effect is None or begin is None:
            if one.effect is not None and begins is not None:
                doubts.append(_unset(begins))
            return Span(0, None, tuple(doubts), one.shares)
        low = max(0, one.earliest - begin.latest)
        if begin.earliest == -ENDLESS and begins is not None and begins is not Mark.DISASTER:
            doubts.append(already(begins))
        if one.run is None or begin.earliest == -ENDLESS:
            return Span(low, None, tuple(doubts), one.shares)
        high = max(0, one.run.ended - begin.earliest)
        if low > high:
            why = f"what {one.name} saw contradicts itself: restored by {high / NS:.3f} s, yet down at {low / NS:.3f} s"
            doubts.append(Doubt(why, "a look at the observer's file"))
            low, high = high, low
        return Span(low, high, tuple(doubts), one.shares)

    def _began(self, one: View, begins: Mark | None) -> Bracket | None:
        if one.effect is None:
            return None
        if begins is None:
            return None if one.effect.ehi is None else Bracket(one.effect.elo, one.effect.ehi)
        return one.effect.clock if begins is Mark.DISASTER else self.moment(begins)

    def moment(self, mark: Mark) -> Bracket | None:
        """Bracket a mark that is not the restoration: the disaster from evidence, the others from their steps.

        What was found to be so at the first look has no beginning; what answers a disaster began after it.
        """
        if mark is Mark.DISASTER:
            return self.disaster
        at = next((moment.at for moment in self.question.moments if moment.mark is mark), None)
        if at is None or at.earliest > -ENDLESS or mark not in _ANSWERS or self.disaster is None:
            return at
        return Bracket(min(self.disaster.earliest, at.latest), at.latest)

    def _lost_rows(self, target: Target) -> Span:
        """Bound the rows that were lost: those of all stores, or of the named ones, together."""
        named, names = target.seen_by, {one.header.observer for one in self.question.ledgers}
        missing = dict.fromkeys((*named, *(one for one in self.question.unwritten if not named)))
        absent = [name for name in missing if name not in names]
        if absent:
            return Span(
                0, None, (Doubt(f"no markers of {', '.join(absent)} are there", "the evidence of every store"),)
            )
        wanted = [one for one in self.question.ledgers if not target.seen_by or one.header.observer in target.seen_by]
        if not wanted:
            return Span(0, None, (NO_MARKERS,))
        return all_stores([lost_rows(one, self.question, self.switch) for one in wanted])

    def _switch(self) -> Switch:
        """Say when the old primary was to stop at the soonest: by the timeline, else by the disaster that was felt."""
        stopping, moved = self.question.stopping, self.question.moved is not None
        if stopping is None and self.disaster is not None:
            stopping = self.disaster.earliest
        return Switch(stopping, moved, self.question.from_site != self.question.to_site)

    def exposure(self, target: Target) -> Span:
        """Bound how long the service ran without redundancy; where nothing was felt, from the move of authority on."""
        begin, doubts = self._restoration(target)
        if begin is None and self.disaster is None and self.question.moved is not None:
            begin = self.question.moved
        if begin is None:
            return Span(0, None, doubts)
        return exposed(begin, self.moment(Mark.REDUNDANCY_RESTORED), self.question.until, slept(self.question))

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
        missing = [one for one in question.unwritten if not target.seen_by or one in target.seen_by]
        if missing:
            why = f"nothing is there of what {', '.join(missing)} recorded"
            return Span(0, None, (Doubt(why, "the evidence of every store"),))
        return worst([lost(one, self.losses.get(one.header.observer), question, self.disaster) for one in wanted])


def _unwatched(missing: Sequence[str]) -> Span:
    why = f"no observer {', '.join(missing)} stands in the drill" if missing else "nothing was measured"
    return Span(0, None, (Doubt(why, "an availability observer"),))


def _unset(mark: Mark) -> Doubt:
    return Doubt(f"the mark {mark.value} was never set", f"a step that marks {mark.value}")
