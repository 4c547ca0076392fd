"""The dead man: schedules in AWS that take a drill's changes back when nobody drives it any more.

Before a change is made, EventBridge Scheduler is given its undo as a one-time schedule ``dead_man`` ahead; while the
drill lives it is moved on, and at its end deleted. It makes one call: a change that several calls undo is refused, for
no schedule keeps their order. A universal target calls the API of the schedule's own region (EventBridge Scheduler
user guide), so a schedule stands where the step acts; only Route 53, which has no region, is left to the home region.
Names follow from the drill and the step: what was armed and never written down is found.

Before the point of no return is entered, the schedules of what holds authority from then on are deleted: fences and
isolations, and what the new primary stands on. What is left moves beyond the drill's deadline, at which the drill
itself will have ended. A schedule that cannot be deleted or moved, or has fired, refuses that step, and so does a
change that ends by itself before the deadline. If the step is not made after all, what was deleted is armed again.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from drills.clock import NS
from drills.engine import decide, expiry, schedule
from drills.engine.progress import Phase, Status
from drills.errors import Busy, Rejected, WorkError
from drills.timeline import events as ev
from drills.work import Expressible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from drills.clock import Clock
    from drills.engine.means import Accounts
    from drills.engine.plan import Step
    from drills.engine.progress import Progress
    from drills.engine.state import State
    from drills.timeline.facts import Before
    from drills.work import Place, UndoCall

RENEWALS: Final = 4
"""How often schedules are moved on before they would fire."""
_HOME: Final = frozenset({"route53"})


class DeadMan:
    """The schedules of one drill. ``tell`` takes what is to stand on the timeline; threads may call all of it."""

    def __init__(self, state: State, accounts: Accounts, clock: Clock, tell: Callable[[ev.Body], None]) -> None:
        self._state = state
        self._man = state.plan.dead_man
        self._accounts = accounts
        self._clock = clock
        self._tell = tell
        self._lock = threading.RLock()
        self._armed: dict[str, dict[str, Any]] = {}
        """Step -> the request of its schedule, as it was last sent."""
        self._told: set[str] = set()
        self._unsure: set[str] = set()
        """Steps whose schedule an earlier process may have made, and did not write down."""
        self._fired: set[str] = set()
        self._past = state.past_return
        self._stopped = threading.Event()

    def watch(self) -> None:
        """Begin to renew, also what an earlier process has armed."""
        if self._man is None or self._state.world_gone:
            return
        with self._lock:
            self._past = self._state.past_return
            for one in self._state.may_be_armed():
                call = self._call(one) if one.owed and not self._lays_down(one.step) else None
                if call is not None:
                    self._armed[one.step.id] = self._request(one.step, call)
                    self._unsure |= {one.step.id} - self._state.schedules.armed.keys()
        threading.Thread(target=self._renew_all, daemon=True, name="dead-man").start()

    def close(self) -> None:
        """End renewing: what still stands fires when its time comes."""
        self._stopped.set()

    # -- before a change -----------------------------------------------------------------------------------

    def before(self, step: Step, work: object, before: Before) -> None:
        """Arm a step that can be; before the point of no return disarm. ``Rejected``: it must not be begun."""
        if step.authority:
            self._enter(step)
            return
        short = expiry.short_fence(self._state, step, self._clock.now())
        if short:
            raise Rejected(f"not begun, nothing was changed: {short}")
        if self._man is not None and step.armed and not self._lays_down(step) and isinstance(work, Expressible):
            try:
                self._arm(step, _only(work.undo_calls(before)))
            except WorkError as error:
                told = f"{step.id}: not begun, nothing was changed: its dead man could not be armed: {error}"
                raise (Rejected(told) if isinstance(error, Rejected) else Busy(told)) from error

    def _lays_down(self, step: Step) -> bool:
        """Say whether a step has no dead man because the point of no return is, or is being, passed."""
        return self._past and self._state.plan.lays_down(step)

    def _arm(self, step: Step, call: UndoCall | None) -> None:
        if call is None:
            return
        place = self._place(step)
        with self._lock:
            if self._lays_down(step):
                return  # the point of no return was entered beside it
            at_ns = self._ahead_ns()
            request = self._request(step, call)
            schedule.make(self._client(place), request, at_ns)
            self._armed[step.id] = request
            self._unsure.discard(step.id)
            self._fired.discard(step.id)
        self._tell(ev.Armed(step.id, (self._name(step),), place.account, place.region, at_ns))

    def _enter(self, point: Step) -> None:
        failed = [*expiry.too_early(self._state)]
        with self._lock:
            self._past = True
            for one in self._state.may_be_armed() if not failed and self._man is not None else ():
                lays_down = self._state.plan.lays_down(one.step)
                told = self._disarmed(one.step) if lays_down else self._moved(one.step)
                failed += [told] if told else []
            gone = self._fired | self._state.schedules.fired
            failed += [
                f"the dead man of {name} has fired, so its change may no longer stand"
                for name, one in self._state.progress.items()
                if name in gone and one.owed
            ]
        if failed:
            raise Rejected(f"{point.id}: not begun, nothing was changed: {'; '.join(dict.fromkeys(failed))}")

    def _moved(self, step: Step) -> str:
        """Move a step's schedule beyond the deadline; say what keeps it from that, empty when nothing does."""
        request = self._armed.get(step.id)
        if request is None:
            return ""
        at_ns, place = self._ahead_ns(), self._place(step)
        try:
            schedule.move(self._client(place), request, at_ns)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, it may fire before the drill has ended
            if not (isinstance(error, Rejected) and schedule.NOT_FOUND in str(error)):
                until = expiry.clock(expiry.deadline_ns(self._state))
                return f"the dead man of {step.id} could not be moved beyond the drill's deadline ({until}): {error}"
            self._gone(step)
        else:
            self._tell(ev.Armed(step.id, (self._name(step),), place.account, place.region, at_ns))
        return ""

    def refused(self, point: Step) -> None:
        """Arm again what was disarmed for a point of no return that was not entered; what cannot be is told."""
        progress = self._state.progress
        entered = any(
            one.step.authority and not one.adopted and (one.touched or (one.happened and one.step.id != point.id))
            for one in progress.values()
        )
        if self._man is None or not point.authority or entered or progress[point.id].status is not Status.RUNNING:
            return
        self._past = False
        self._arm_again()

    def _arm_again(self) -> None:
        for one in self._state.progress.values():
            if one.owed and one.step.armed and one.before is not None and one.step.id in self._state.schedules.disarmed:
                self._armed_again(one)

    def _armed_again(self, one: Progress) -> None:
        step = one.step
        if step.id in self._fired | self._state.schedules.fired:
            return
        try:
            call = self._call(one)
            self._arm(step, call)
            why = "" if call is not None else "what undoes it is not known any more"
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody watches it, and that is said
            why = str(error)
        if why and step.id not in self._told:
            self._told.add(step.id)
            note = f"nobody watches {step.id} any more: its dead man could not be armed again ({why})"
            self._tell(ev.Told(ev.Word.NOTE, "drills", 0, note=note))

    # -- while it lives ------------------------------------------------------------------------------------

    def _renew_all(self) -> None:
        assert self._man is not None  # noqa: S101 - only then it is watched
        while True:
            for step in self._state.plan.steps:
                if step.armed:
                    self._renew(step)
            if self._resolved():
                self._arm_again()
            if self._stopped.wait(self._man.after_s / RENEWALS):
                return

    def _resolved(self) -> bool:
        """Say whether the point of no return lies ahead, though it was about to be passed once."""
        with self._lock:  # the point of no return is begun first and entered then: seen together, or not at all
            if self._state.past_return:
                return False
            self._past = False
        return decide.phase(self._state) is Phase.STEPS

    def _renew(self, step: Step) -> None:
        with self._lock:
            request = self._armed.get(step.id)
            if request is None:
                return
            try:
                schedule.move(self._client(self._place(step)), request, self._ahead_ns())
            except Rejected as error:
                if schedule.NOT_FOUND in str(error):
                    self._gone(step)
                    return
                self._say(step, error)
            except Exception as error:  # noqa: BLE001 - whatever went wrong, it was not moved on, and that is said
                self._say(step, error)
            else:
                self._told.discard(step.id)

    def _gone(self, step: Step) -> None:
        """Tell that a schedule is gone while the drill lives: its change was taken back, or somebody deleted it."""
        self._armed.pop(step.id, None)
        if step.id in self._unsure:
            self._unsure.discard(step.id)  # it was never made
            return
        self._fired.add(step.id)
        self._tell(ev.Disarmed(step.id, "its schedule is gone: it has fired, or somebody deleted it", fired=True))

    def _say(self, step: Step, error: Exception) -> None:
        if step.id not in self._told:
            self._told.add(step.id)
            note = f"the dead man of {step.id} could not be moved on ({error}); unless that mends it fires"
            self._tell(ev.Told(ev.Word.NOTE, "drills", 0, note=note))

    # -- at the end ----------------------------------------------------------------------------------------

    def disarm(self, step: Step) -> None:
        """Delete a step's schedule, if it may stand; what fails is told, with the command that finishes it."""
        self._disarmed(step)

    def _disarmed(self, step: Step) -> str:
        """Do so, and say what keeps the point of no return from being entered; empty when nothing does."""
        if self._man is None or not step.armed:
            return ""
        with self._lock:
            try:
                client = self._client(self._place(step))
                was_there = schedule.delete(client, self._name(step), self._man.group, self._stopped.wait)
            except Exception as error:  # noqa: BLE001 - whatever went wrong, it may stand, and a person must know
                told = f"the dead man of {step.id} may still fire: {error}"
                self._tell(ev.DisarmFailed(step.id, str(error), self.by_hand(step)))
                return told
            armed = self._armed.pop(step.id, None) is not None
            fired = armed and step.id not in self._unsure and not was_there
        if fired:
            self._fired.add(step.id)
        detail = "its schedule was gone already: it has fired, or somebody deleted it" if fired else ""
        self._tell(ev.Disarmed(step.id, detail, fired=fired))
        return f"the dead man of {step.id} has fired: the change may have been taken back" if fired else ""

    def disarm_all(self) -> None:
        """Delete every schedule that may stand."""
        if self._man is not None:
            list(self._disarmed_all())

    def _disarmed_all(self) -> Iterator[str]:
        for one in self._state.may_be_armed():
            told = self._disarmed(one.step)
            if told:
                yield told

    def by_hand(self, step: Step) -> tuple[str, ...]:
        """Give the command that deletes a step's schedule."""
        region = self._place(step).region
        group = self._man.group if self._man is not None else "default"
        return (f"aws scheduler delete-schedule --region {region} --group-name {group} --name {self._name(step)}",)

    # -- the small parts -----------------------------------------------------------------------------------

    def _call(self, one: Progress) -> UndoCall | None:
        """Give the call that undoes a change; None when it was not begun, or nothing undoes it."""
        if one.before is None:
            return None
        work = expiry.built(self._state, one.step)
        return _only(work.undo_calls(one.before)) if isinstance(work, Expressible) else None

    def _name(self, step: Step) -> str:
        return schedule.name_of(self._state.drill, step.id)

    def _request(self, step: Step, call: UndoCall) -> dict[str, Any]:
        assert self._man is not None  # noqa: S101 - only then anything is armed
        why = f"drills: takes {step.id} of {self._state.drill} back unless somebody drives it"
        return schedule.request(self._name(step), call, self._man, why)

    def _place(self, step: Step) -> Place:
        """Give where a step's schedules stand: where it acts; of a service without a region, in the home region."""
        place = self._state.plan.place(step.place)
        service = str(step.params.get("service", "")) or step.uses.partition(".")[0]
        return replace(place, region=self._state.plan.home) if service in _HOME else place

    def _client(self, place: Place) -> Any:
        return self._accounts.write(place).client("scheduler")

    def _ahead_ns(self) -> int:
        """Give the moment to which schedules are moved: past the point of no return also beyond the deadline."""
        assert self._man is not None  # noqa: S101 - only then anything is armed
        now_ns = self._clock.now().utc_ns
        return (max(now_ns, expiry.deadline_ns(self._state)) if self._past else now_ns) + int(self._man.after_s * NS)


def _only(calls: tuple[UndoCall, ...]) -> UndoCall | None:
    """Give the call that a schedule can make; ``Rejected`` where there are several: such a change has no dead man."""
    if len(calls) > 1:
        raise Rejected(f"its undo is {len(calls)} calls, whose order no schedule keeps: it has no dead man")
    return calls[0] if calls else None
