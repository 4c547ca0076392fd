"""What a drill is, computed from its timeline alone: ``State = fold(events)``.

Pure: no clock, no I/O. Every decision is derived here from facts, never written as a second event beside the
fact that caused it.
"""

from __future__ import annotations

from functools import singledispatchmethod
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from drills.engine import people
from drills.engine.line import Line
from drills.engine.plan import Mode, OnFailure, Plan, Section
from drills.engine.progress import HOLD, TERMINAL, Progress, Schedules, Status, Stop
from drills.timeline import events as ev
from drills.timeline.events import Word
from drills.timeline.facts import Facts
from drills.work import Kind

CUT_OFF: Final = "the drill's process ended while it ran, and the sandbox with it"

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable

    from drills.clock import Stamp


class State:
    """The fold. Build it with ``fold(plan, events)``, or feed ``apply`` one event at a time."""

    began: ev.Began | None = None
    """What a person said of the disaster's beginning."""
    settling: Stamp | None = None
    """Since when the service has been seen restored, as long as nothing has failed since."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.progress = {step.id: Progress(step) for step in plan.steps}
        self.count = 0
        self.opened: Stamp | None = None
        self.last: Stamp | None = None
        self.idle_s = 0.0
        """How long nobody drove: what has a limit in time stood still meanwhile."""
        self.inbox = 0
        self.stages: dict[str, ev.Ready] = {}
        self.watching: dict[str, ev.Watching] = {}
        self.watched: list[ev.Watching] = []
        """Every observer there was; one that died and was started again stands here twice."""
        self.sealed: dict[str, ev.Sealed] = {}
        """By file: an observer that died has several."""
        self.points: dict[tuple[str, bool], ev.PointTold] = {}
        """What was last told of each recovery point, before the disaster and (True) after the recovery."""
        self.gates: list[ev.Gated] = []
        self.notes: list[tuple[Stamp, str, str]] = []
        self.stop: Stop | None = None
        self.drill = self.why = self.starter = ""
        self.held_since: Stamp | None = None
        self.held_for: set[str] = set()
        self.hold_expired = False
        self.undo_asked: set[str] = set()
        self.undo_all = False
        self.accept_data_loss = False
        self.paused = False
        self.parked = False
        """Somebody asked to put it aside: nothing more is begun."""
        self.parked_by = ""
        self.put_aside = self.resumed = False
        """It was put aside: nobody drives it."""
        self.claim: ev.Claimed | None = None
        """The lock of its target, while the drill owes it back."""
        self.schedules = Schedules()
        self.preempted = self.world_gone = ""
        self.finished: ev.Finished | None = None
        self.finished_at: Stamp | None = None
        self.was_over = self.deadline_passed = False
        self.running: dict[str, None] = {}
        self._order: dict[str, None] = {}
        self._line = Line(self.progress)

    # -- facts ---------------------------------------------------------------------------------------------

    def apply(self, event: ev.Event) -> None:
        """Take one fact in."""
        if isinstance(event.body, ev.Resumed) and self.last is not None:
            self.idle_s += max(0.0, event.at.since(self.last))
        self.count = event.seq
        self.last = event.at
        _TAKES(type(event.body))(self, event.body, event.at)

    @singledispatchmethod
    def _take(self, body: object, at: Stamp) -> None:
        """Take in what changes nothing here: the fact alone is enough."""

    @_take.register(ev.Opened)
    def _opened(self, body: ev.Opened, at: Stamp) -> None:
        self.opened, self.starter, self.drill = at, body.by, body.drill

    @_take.register(ev.Resumed)
    def _resumed(self, _: ev.Resumed, at: Stamp) -> None:
        self.parked = self.put_aside = self.paused = False
        self.resumed = True
        self.schedules.errors.clear()
        for one in self.progress.values():
            one.renew = ""
        self.preempted = ""
        for name in self.running:
            one = self.progress[name]
            one.in_doubt, one.attempted = one.step.changes, at
        for one in self.progress.values():
            one.undo_started = False
        if self.held and not self.undo_wanted:
            self._reopen()
        elif self.stop is None:
            self._forget_hold()
        if "collected" not in self.stages:
            self._watch_again()

    def _watch_again(self) -> None:
        self.settling = None
        for stage in ("watch", "settled", "collected"):
            self.stages.pop(stage, None)

    def _forget_hold(self) -> None:
        held, self.held_for, self.held_since, self.hold_expired = self.held_for, set(), None, False
        for name in sorted(held, key=lambda name: self.progress[name].step.number):
            self._again(name)

    def _reopen(self) -> None:
        """Give what stopped a held drill, and what that dropped, another turn: a person resumed it."""
        self.stop, self.why, self.deadline_passed = None, "", False
        self._watch_again()
        self._forget_hold()
        for name, one in self.progress.items():
            one.late = False
            dropped = one.status is Status.DROPPED and one.step.section is not Section.GUARD
            failed = one.status in (Status.FAILED, Status.UNKNOWN) and not one.released and not one.handled
            if dropped or (failed and one.step.section is Section.STEPS):
                self._again(name)

    @_take.register(ev.Gated)
    def _gated(self, body: ev.Gated, _: Stamp) -> None:
        self.gates.append(body)
        if body.ok is not True and self.plan.mode is not Mode.INCIDENT and self.stop is None:
            self.stop, self.why = Stop.REFUSED, f"{body.gate}: {body.detail}"

    @_take.register(ev.Began)
    def _began(self, body: ev.Began, _: Stamp) -> None:
        self.began = body

    @_take.register(ev.Watching)
    def _watching(self, body: ev.Watching, _: Stamp) -> None:
        self.watching[body.observer] = body
        if body not in self.watched:
            self.watched.append(body)

    @_take.register(ev.Ready)
    def _ready_stage(self, body: ev.Ready, _: Stamp) -> None:
        self.stages[body.stage] = body
        unseen = body.stage == "watch" and body.ok is not True and "baseline" not in self.stages
        if unseen and self.plan.mode is not Mode.INCIDENT and self.stop is None:
            self.stop, self.why = Stop.REFUSED, f"the observers do not watch: {body.detail}"

    @_take.register(ev.Settling)
    def _settling(self, body: ev.Settling, at: Stamp) -> None:
        ago = 0 if body.since is None else at.mono_ns - body.since
        self.settling = None if body.since is None else replace(at, mono_ns=body.since, utc_ns=at.utc_ns - ago)

    @_take.register(ev.Sealed)
    def _sealed(self, body: ev.Sealed, _: Stamp) -> None:
        self.sealed[body.file] = body

    @_take.register(ev.PointTold)
    def _point_told(self, body: ev.PointTold, _: Stamp) -> None:
        self.points[body.point, body.after] = body

    @_take.register(ev.Started)
    def _started(self, body: ev.Started, at: Stamp) -> None:
        one = self.progress[body.step]
        if one.started is None:
            one.started = at
        one.attempted = at
        one.status, one.attempt, one.in_doubt, one.ended = Status.RUNNING, body.attempt, False, None
        if one.before is None:
            one.before = body.before
        self.running[body.step] = None

    @_take.register(ev.CredentialsEnded)
    def _credentials_ended(self, body: ev.CredentialsEnded, _: Stamp) -> None:
        one = self.progress[body.step]
        one.renew, one.detail = body.renew, f"waiting for credentials: {body.renew}"

    @_take.register(ev.CredentialsBack)
    def _credentials_back(self, body: ev.CredentialsBack, _: Stamp) -> None:
        one = self.progress[body.step]
        one.renew, one.detail = "", ""

    @_take.register(ev.Performed)
    def _performed(self, body: ev.Performed, at: Stamp) -> None:
        one = self.progress[body.step]
        one.performed, one.receipt = at, body.receipt

    @_take.register(ev.Effective)
    def _effective(self, body: ev.Effective, at: Stamp) -> None:
        if body.ok is True:
            self.progress[body.step].effective = at

    @_take.register(ev.Looked)
    def _looked(self, body: ev.Looked, _: Stamp) -> None:
        one = self.progress[body.step]
        one.detail, one.denied = body.detail, one.denied or body.ok is False

    @_take.register(ev.Ended)
    def _ended(self, body: ev.Ended, at: Stamp) -> None:
        one = self.progress[body.step]
        if one.status is not Status.RUNNING:
            if body.receipt is not None and one.receipt is None:
                one.receipt = body.receipt
            return
        one.output, one.by = body.output, body.by
        one.adopted = body.adopted and not (one.touched or one.tried)
        one.receipt = body.receipt if body.receipt is not None else one.receipt
        self._end(at, one, _STATUS[body.outcome], body.detail)

    @_take.register(ev.TimedOut)
    def _timed_out(self, body: ev.TimedOut, at: Stamp) -> None:
        if not body.step:
            self.deadline_passed = True
            self._abort(f"the drill's deadline of {body.after_s:.0f} s has passed")
            return
        if body.step == HOLD:
            self.expire_hold()
            return
        one = self.progress[body.step]
        if one.status is not Status.RUNNING:
            return
        late = f"no end within {body.after_s:g} s" + (f"; last seen: {one.detail}" if one.detail else "")
        if one.step.best_effort_s is not None and not one.released and body.after_s < one.step.timeout_s:
            self._line.release(one)
            one.detail = late
        elif one.step.kind is Kind.OPERATOR:
            self._end(at, one, Status.FAILED, f"nobody answered within {body.after_s:g} s: taken as a no")
        else:
            self._end(at, one, Status.UNKNOWN if one.step.changes else Status.FAILED, late)

    @_take.register(ev.Asked)
    def _asked(self, body: ev.Asked, at: Stamp) -> None:
        one = self.progress[body.step]
        one.status, one.asked, one.shown = Status.RUNNING, True, body.shown
        one.started, one.attempted, one.said_yes = one.started or at, at, ()
        self.running[body.step] = None

    @_take.register(ev.Witnessed)
    def _witnessed(self, body: ev.Witnessed, _: Stamp) -> None:
        one = self.progress[body.step]
        one.shown = Facts(**{**one.shown, **{name: body.seen.record(name).text("detail") for name in body.seen}})

    @_take.register(ev.Guarded)
    def _guarded(self, body: ev.Guarded, _: Stamp) -> None:
        if self.plan.mode is not Mode.INCIDENT:
            self._abort(f"guard {body.guard}: {body.detail}")

    @_take.register(ev.Told)
    def _told(self, body: ev.Told, at: Stamp) -> None:
        self.inbox = max(self.inbox, body.inbox)
        one = self.progress.get(body.step)
        match body.word:
            case Word.ABORT:
                self._abort(f"aborted by {body.by}" + (f": {body.note}" if body.note else ""))
            case Word.PAUSE:
                self.paused = True
            case Word.CONTINUE:
                self.paused = False
            case Word.NOTE:
                self.notes.append((at, body.by, body.note))
            case Word.UNDO:
                self._undo_told(body)
            case Word.PARK:
                self.parked, self.parked_by = True, body.by
            case Word.APPROVE | Word.REJECT | Word.NOT_APPLICABLE if (
                one is not None and one.status is Status.RUNNING and one.asked
            ):
                self._answered(at, one, body)
            case Word.SKIP if one is not None and (one.status not in TERMINAL or self._open_question(one)):
                if not (one.step.changes and one.status is Status.RUNNING):
                    self._settle(at, one, Status.SKIPPED, f"skipped by {body.by}: {body.note}")
            case Word.RETRY if body.step in self.held_for:
                self.held_for.discard(body.step)
                self._again(body.step)
            case Word.RESOLVE_DONE if one is not None and self._open_question(one):
                self._settle(at, one, Status.DONE, f"resolved as done by {body.by}: {body.note}")
            case Word.RESOLVE_FAILED if one is not None and self._open_question(one):
                self._resolve_failed(at, one, f"resolved as failed by {body.by}: {body.note}")
            case _:
                pass
        if not self.held_for:
            self.held_since = None

    def _answered(self, at: Stamp, one: Progress, body: ev.Told) -> None:
        """Take an answer that counts: one no is a no, a yes waits for as many people as are wanted."""
        sandbox = body.inbox == 0 and not self.plan.ask
        not_counted = "" if sandbox else people.does_not_count(self.plan, one.step, body.by, self.starter)
        if not_counted:
            one.detail = f"an answer did not count: {not_counted}"
            return
        one.by = body.by
        said = f"by {body.by}" + (f": {body.note}" if body.note else "")
        if body.word is Word.REJECT:
            self._end(at, one, Status.FAILED, f"rejected {said}")
        elif body.word is Word.NOT_APPLICABLE:
            self._settle(at, one, Status.SKIPPED, f"not applicable, {said}")
        else:
            one.said_yes = (*one.said_yes, body.by)
            if sandbox or people.enough(one.step, self.plan.mode, one.said_yes):
                together = f"by {', '.join(dict.fromkeys(one.said_yes))}" if len(one.said_yes) > 1 else said
                self._end(at, one, Status.DONE, f"approved {together}")
            else:
                one.detail = f"{people.different(one.said_yes)} of {people.wanted(one.step)} have approved: {said}"

    def _resolve_failed(self, at: Stamp, one: Progress, detail: str) -> None:
        one.tried |= one.touched or one.in_doubt
        one.touched = False
        if one.status is Status.RUNNING:
            self._end(at, one, Status.FAILED, detail)
        elif one.status is not Status.WAITING:
            one.status, one.detail = Status.FAILED, detail

    def _open_question(self, one: Progress) -> bool:
        """Whether a person may still decide how the step ended: it failed, and nothing followed from it yet.

        The word may have been left while nobody drove; then the step has just been given another turn.
        """
        tried_again = one.status is Status.WAITING and one.attempt > 0
        return one.step.id in self.held_for or (one.in_doubt and one.status is Status.RUNNING) or tried_again

    def _undo_told(self, body: ev.Told) -> None:
        self.accept_data_loss |= body.accept_data_loss
        names = [body.step] if body.step else list(self.progress)
        for name in names:
            one = self.progress[name]
            one.undo_error, one.force = "", one.force or body.force
            if body.force and one.left_alone:
                one.undone = one.left_alone = False
        if body.step:
            self.undo_asked.add(body.step)
        else:
            self.undo_all = True
        self.schedules.errors.clear()
        self.was_over |= self.finished is not None
        self.finished = self.finished_at = None
        self.stages.pop("collected", None)
        self._abort(f"undo asked for by {body.by}")

    @_take.register(ev.UndoStarted)
    def _undo_started(self, body: ev.UndoStarted, _: Stamp) -> None:
        self.progress[body.step].undo_started = True

    @_take.register(ev.Undid)
    def _undid(self, body: ev.Undid, _: Stamp) -> None:
        one = self.progress[body.step]
        one.undone, one.undo_started = True, False
        one.undo_detail, one.left_alone = body.left_alone or body.detail, body.left_alone is not None
        self.running.pop(body.step, None)

    @_take.register(ev.UndoFailed)
    def _undo_failed(self, body: ev.UndoFailed, _: Stamp) -> None:
        one = self.progress[body.step]
        one.undo_started, one.undo_error, one.undo_by_hand = False, body.error, body.by_hand

    @_take.register(ev.Armed)
    def _armed(self, body: ev.Armed, _: Stamp) -> None:
        self.schedules.armed[body.step] = body
        self.schedules.disarmed.discard(body.step)
        self.schedules.fired.discard(body.step)

    @_take.register(ev.Disarmed)
    def _disarmed(self, body: ev.Disarmed, _: Stamp) -> None:
        self.schedules.armed.pop(body.step, None)
        self.schedules.errors.pop(body.step, None)
        self.schedules.disarmed.add(body.step)
        if body.fired:
            self.schedules.fired.add(body.step)

    @_take.register(ev.DisarmFailed)
    def _disarm_failed(self, body: ev.DisarmFailed, _: Stamp) -> None:
        self.schedules.errors[body.step] = body

    @_take.register(ev.Parked)
    def _parked(self, _: ev.Parked, __: Stamp) -> None:
        self.parked = self.put_aside = True

    @_take.register(ev.Claimed)
    def _claimed(self, body: ev.Claimed, _: Stamp) -> None:
        self.claim = body

    @_take.register(ev.Unclaimed)
    def _unclaimed(self, _: ev.Unclaimed, __: Stamp) -> None:
        self.claim = None

    @_take.register(ev.Preempted)
    def _preempted(self, body: ev.Preempted, _: Stamp) -> None:
        self.claim, self.preempted = None, body.by
        self._abort(f"the target is no longer this drill's: {body.by}")

    @_take.register(ev.WorldGone)
    def _world_gone(self, body: ev.WorldGone, _: Stamp) -> None:
        self.world_gone = body.detail
        for name in self.running:
            one = self.progress[name]
            one.status = Status.UNKNOWN if one.step.changes else Status.DROPPED
            one.detail, one.in_doubt = CUT_OFF + (f"; last seen: {one.detail}" if one.detail else ""), False
        self.running.clear()

    @_take.register(ev.Finished)
    def _finished(self, body: ev.Finished, at: Stamp) -> None:
        self.finished, self.finished_at = body, at

    # -- what follows from a fact --------------------------------------------------------------------------

    def _end(self, at: Stamp, one: Progress, status: Status, detail: str) -> None:
        """End a step by itself: give its dependents their turn, or do what its ``on_failure`` says."""
        step = one.step
        if status in (Status.DONE, Status.SKIPPED):
            self._settle(at, one, status, detail)
            return
        one.touched |= step.changes and status is Status.UNKNOWN
        one.late = self.stop is Stop.ABORTED
        one.renew = ""
        self.running.pop(step.id, None)
        one.status, one.detail, one.ended = status, detail, at
        self._order[step.id] = None
        if step.section is Section.BEFORE:
            self._line.settle(one)
            if self.plan.mode is not Mode.INCIDENT and self.stop is None:
                self.stop, self.why = Stop.REFUSED, f"{step.id}: {detail}"
        elif step.section is Section.AFTER or one.released or step.best_effort_s is not None:
            self._line.settle(one)
        elif step.kind is Kind.OPERATOR and self.stop is None:
            self._abort(f"{step.id}: {detail}")
        elif step.on_failure is OnFailure.CONTINUE:
            self._line.settle(one)
        elif step.on_failure is OnFailure.RUN:
            self._line.run_instead(one)
        elif step.on_failure is OnFailure.UNDO or self.stop is not None:
            self._fail(f"{step.id}: {detail}")
        else:
            self.held_for.add(step.id)
            self.held_since = self.held_since or at
            if self.plan.hold_for_s <= 0:
                self.expire_hold()

    def _settle(self, at: Stamp, one: Progress, status: Status, detail: str) -> None:
        """End a step well, or as a person said that it may count."""
        self.running.pop(one.step.id, None)
        self.held_for.discard(one.step.id)
        one.status, one.detail, one.ended, one.in_doubt = status, detail, at, False
        self._order.setdefault(one.step.id)
        self._line.settle(one)

    def _again(self, name: str) -> None:
        self._order.pop(name, None)
        self._line.again(self.progress[name])

    def _abort(self, why: str) -> None:
        if self.stop is not None or self.finished is not None:
            return
        self.stop, self.why = Stop.ABORTED, why
        self._drop()

    def _fail(self, why: str) -> None:
        if self.stop is None:
            self.stop, self.why = Stop.FAILED, why
            self._drop()

    def expire_hold(self) -> None:
        """Nobody decided in time (or nobody can): the failure stands."""
        if self.stop is None and self.held_for:
            self.hold_expired = True
            first = next(name for name in self._order if name in self.held_for)
            self._fail(f"{first}: {self.progress[first].detail}")

    def _drop(self) -> None:
        """Drop probes and questions at once; only writes in flight are let settle."""
        for name in list(self.running):
            one = self.progress[name]
            if not one.step.changes:
                one.status = Status.DROPPED
                del self.running[name]

    # -- what stands ---------------------------------------------------------------------------------------

    @property
    def past_return(self) -> bool:
        """Whether authority may have moved: the point of no return has been passed."""
        return any(one.step.authority and one.happened and not one.adopted for one in self.progress.values())

    @property
    def hands_off(self) -> bool:
        """Whether nothing may be undone unless a person asks.

        Past the point of no return, in an incident, or when somebody else has taken the target.
        """
        return self.past_return or self.plan.mode is Mode.INCIDENT or bool(self.preempted)

    @property
    def undo_wanted(self) -> bool:
        """Whether a person asked for an undo."""
        return self.undo_all or bool(self.undo_asked)

    @property
    def held(self) -> bool:
        """Whether the drill stays as it is until a person decides.

        It stopped where nothing is undone by itself, and nobody has asked for all that is owed to be taken back.
        """
        if self.stop not in (Stop.FAILED, Stop.ABORTED) or not self.hands_off:
            return False
        if self.preempted:
            return self.past_return or bool(self.owed())
        return not self.undo_wanted or (not self.was_over and any(not one.undo_error for one in self.owed()))

    def ready(self, section: Section) -> deque[str]:
        """Give the steps of a section whose needs are met and that have not been started, first come first."""
        return self._line.ready(section)

    def open_steps(self, section: Section) -> int:
        """How many steps of a section are not over."""
        return self._line.open_steps(section)

    def owed(self) -> list[Progress]:
        """Everything owed, in the order in which it is to be taken back (last completed first)."""
        if self.world_gone:
            return []
        rank = {name: place for place, name in enumerate(self._order)}
        begun = {name: place for place, name in enumerate(self.progress)}
        owed = [one for one in self.progress.values() if one.owed]
        owed.sort(key=lambda one: rank.get(one.step.id, len(rank) + begun[one.step.id]), reverse=True)
        return owed

    def to_undo(self) -> list[Progress]:
        """Give what is to be taken back now and has not failed to be.

        Past the point of no return nothing is, but what a person named (``undo STEP``), and what holds
        authority only if that person accepted the loss of data.
        """
        todo = [one for one in self.owed() if not one.undo_error]
        if self.preempted:
            return []
        if self.hands_off:
            return [
                one
                for one in todo
                if (one.step.id in self.undo_asked or self.undo_all)
                and (self.accept_data_loss or not (self.past_return and one.step.holds_authority))
            ]
        if self.undo_asked and not self.undo_all and self.stop is not Stop.FAILED:
            return [one for one in todo if one.step.id in self.undo_asked]
        return todo

    def may_be_armed(self) -> list[Progress]:
        """Give the steps whose schedules may stand: recorded as armed, or begun by a process that told no more."""
        armed, disarmed = self.schedules.armed, self.schedules.disarmed
        begun = [one for one in self.progress.values() if one.before is not None and not one.adopted]
        return [one for one in begun if one.step.id in armed or (one.step.armed and one.step.id not in disarmed)]

    def to_disarm(self) -> list[Progress]:
        """Give the steps whose schedules are to be deleted before the end; one whose undo failed keeps what may help.

        Past the point of no return, or where somebody else has the target, none keeps it.
        """
        if self.world_gone:
            return []
        keeps = not self.past_return and not self.preempted
        return [
            one
            for one in self.may_be_armed()
            if one.step.id not in self.schedules.errors and not (keeps and one.undo_error)
        ]

    def failed_steps(self) -> list[Progress]:
        """Give the steps that ended FAILED or UNKNOWN and that nothing made good, but best effort and a person's no."""
        return [
            one
            for one in self.progress.values()
            if one.status in (Status.FAILED, Status.UNKNOWN)
            and not self._made_good(one)
            and not one.late
            and one.step.best_effort_s is None
            and one.step.kind is not Kind.OPERATOR
            and one.step.section in (Section.STEPS, Section.AFTER)
        ]

    def _made_good(self, one: Progress) -> bool:
        """Say whether the fallback of a step that failed has done what the step could not."""
        if not one.handled:
            return False
        instead = self.progress[one.step.run_on_failure]
        return instead.status is Status.DONE or self._made_good(instead)


def fold(plan: Plan, events: Iterable[ev.Event]) -> State:
    """Compute the state of a drill from its timeline."""
    state = State(plan)
    for event in events:
        state.apply(event)
    return state


_STATUS: Final = {outcome: Status(outcome.value) for outcome in ev.Outcome}
_TAKES: Final = State.__dict__["_take"].dispatcher.dispatch
"""Finds who takes a kind of fact in: asked of the class itself, it costs no new method for each event."""
