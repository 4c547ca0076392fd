"""The dead man: schedules in AWS that take a drill's changes back when nobody drives it any more.

Before a change is made, EventBridge Scheduler is given its undo as one-time schedules ``dead_man`` ahead; while the
drill lives they are moved on, and at its end deleted. A universal target calls the API of the schedule's own region
(EventBridge Scheduler user guide), so a schedule stands where the step acts; only Route 53, which has no region, is
left to the home region. Names follow from the drill and the step: what was armed and never written down is found.

Past the point of no return nothing is taken back by itself, so before it is entered every schedule is deleted.
A schedule that cannot be deleted, or is gone because it has fired, refuses that step.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from drills.aws.classify import error_code, mapped
from drills.clock import NS
from drills.errors import Busy, Rejected, WorkError
from drills.runbook.works import build
from drills.timeline import events as ev
from drills.work import Expressible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from drills.clock import Clock
    from drills.engine.execute import Accounts
    from drills.engine.plan import Step
    from drills.engine.state import State
    from drills.timeline.facts import Before
    from drills.work import Place, UndoCall

RENEWALS: Final = 4
"""How often schedules are moved on before they would fire."""
DELETIONS: Final = 3
LONGEST_NAME: Final = 64
_STRANGE: Final = re.compile(r"[^0-9a-zA-Z-_.]")
_HOME: Final = frozenset({"route53"})
_NOT_FOUND: Final = "ResourceNotFoundException"
_THERE: Final = "ConflictException"


def name_of(drill: str, step: str, number: int) -> str:
    """Name a step's schedule: the same from every process, and no other's."""
    digest = hashlib.sha256(f"{drill}/{step}/{number}".encode()).hexdigest()[:12]
    told = _STRANGE.sub("-", f"drills-{step}-{drill}")
    return f"{told[: LONGEST_NAME - len(digest) - 1]}-{digest}"


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
        """Names of schedules that an earlier process may have made, and did not write down."""
        self._fired: set[str] = set()
        self._past = False
        self._stopped = threading.Event()

    def watch(self) -> None:
        """Begin to renew, also what an earlier process has armed."""
        if self._man is None or self._state.world_gone:
            return
        with self._lock:
            for one in self._state.may_be_armed() if not self._state.past_return else ():
                if one.owed and one.before is not None:
                    found = self._requests(one.step, self._calls(one.step, one.before))
                    self._armed |= found
                    self._unsure |= set(found) if one.step.id not in self._state.schedules.armed else set()
        threading.Thread(target=self._renew_all, daemon=True, name="dead-man").start()

    def close(self) -> None:
        """End renewing: what still stands fires when its time comes."""
        self._stopped.set()

    # -- before a change -----------------------------------------------------------------------------------

    def before(self, step: Step, work: object, before: Before) -> None:
        """Arm a step that can be; before the point of no return disarm all. ``Rejected``: it must not be begun."""
        if self._man is None:
            return
        if step.authority:
            self._enter(step)
        elif step.armed and not self._past and not self._state.past_return and isinstance(work, Expressible):
            try:
                self._arm(step, work.undo_calls(before))
            except WorkError as error:
                told = f"{step.id}: not begun, nothing was changed: its dead man could not be armed: {error}"
                raise (Rejected(told) if isinstance(error, Rejected) else Busy(told)) from error

    def _arm(self, step: Step, calls: tuple[UndoCall, ...]) -> None:
        if not calls:
            return
        place = self._place(step)
        with self._lock:
            if self._past:
                return  # the point of no return was entered beside it
            at_ns = self._ahead_ns()
            requests = self._requests(step, calls)
            client = self._client(place)
            for name, request in requests.items():
                with mapped(writes=True):
                    try:
                        client.create_schedule(
                            **request, ScheduleExpression=_at(at_ns), ClientToken=_token(name, at_ns)
                        )
                    except client.exceptions.ClientError as error:
                        if error_code(error) != _THERE:
                            raise
                        client.update_schedule(**request, ScheduleExpression=_at(at_ns))
            self._armed |= requests
            self._unsure -= set(requests)
            self._fired.discard(step.id)
        self._tell(ev.Armed(step.id, tuple(requests), place.account, place.region, at_ns))

    def _enter(self, step: Step) -> None:
        with self._lock:
            self._past = True
            failed = [*self._disarmed_all()]
            gone = self._fired | self._state.schedules.fired
            failed += [
                f"the dead man of {name} has fired, so its change may no longer stand"
                for name, one in self._state.progress.items()
                if name in gone and one.owed
            ]
        if failed:
            self._past = False
            raise Rejected(f"{step.id}: not begun, nothing was changed: {'; '.join(dict.fromkeys(failed))}")

    # -- while it lives ------------------------------------------------------------------------------------

    def _renew_all(self) -> None:
        assert self._man is not None  # noqa: S101 - only then it is watched
        while True:
            for step in self._state.plan.steps:
                if step.armed:
                    self._renew(step)
            if self._stopped.wait(self._man.after_s / RENEWALS):
                return

    def _renew(self, step: Step) -> None:
        with self._lock:
            mine = {name: self._armed[name] for name in self._names(step) if name in self._armed}
            try:
                for request in mine.values():
                    client = self._client(self._place(step))
                    with mapped(writes=True):
                        client.update_schedule(**request, ScheduleExpression=_at(self._ahead_ns()))
            except Rejected as error:
                if _NOT_FOUND in str(error):
                    self._gone(step)
                    return
                self._say(step, error)
            except Exception as error:  # noqa: BLE001 - whatever went wrong, it was not moved on, and that is said
                self._say(step, error)
            else:
                self._told.discard(step.id)

    def _gone(self, step: Step) -> None:
        """Tell that a schedule is gone while the drill lives: its change was taken back, or somebody deleted it."""
        names = {name for name in self._names(step) if self._armed.pop(name, None) is not None}
        if names & self._unsure:
            self._unsure -= names  # it was never made
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
        """Delete a step's schedules, if any may stand; what fails is told, with the commands that finish it."""
        self._disarmed(step)

    def _disarmed(self, step: Step) -> str:
        """Do so, and say what keeps the point of no return from being entered; empty when nothing does."""
        if self._man is None or not step.armed:
            return ""
        with self._lock:
            fired = False
            try:
                for name in self._names(step):
                    was_there = self._deleted(step, name)
                    fired |= name in self._armed and name not in self._unsure and not was_there
                    self._armed.pop(name, None)
            except Exception as error:  # noqa: BLE001 - whatever went wrong, it may stand, and a person must know
                told = f"the dead man of {step.id} may still fire: {error}"
                self._tell(ev.DisarmFailed(step.id, str(error), self.by_hand(step)))
                return told
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

    def _deleted(self, step: Step, name: str) -> bool:
        assert self._man is not None  # noqa: S101 - only then anything is armed
        client = self._client(self._place(step))
        for attempt in range(1, DELETIONS + 1):
            try:
                with mapped(writes=True):
                    client.delete_schedule(Name=name, GroupName=self._man.group)
            except Rejected as error:
                if _NOT_FOUND not in str(error):
                    raise
                return attempt > 1  # an earlier attempt may have deleted it, and nobody told
            except WorkError:
                if attempt == DELETIONS:
                    raise
                self._stopped.wait(0.2 * attempt)
            else:
                return True
        return False

    def by_hand(self, step: Step) -> tuple[str, ...]:
        """Give the commands that delete a step's schedules."""
        region = self._place(step).region
        group = self._man.group if self._man is not None else "default"
        return tuple(
            f"aws scheduler delete-schedule --region {region} --group-name {group} --name {name}"
            for name in self._names(step)
        )

    # -- the small parts -----------------------------------------------------------------------------------

    def _calls(self, step: Step, before: Before) -> tuple[UndoCall, ...]:
        from drills import catalog

        try:
            work = build(catalog.load(step.kind, step.uses), step.params)
        except WorkError:
            return ()
        return work.undo_calls(before) if isinstance(work, Expressible) else ()

    def _names(self, step: Step) -> tuple[str, ...]:
        return (name_of(self._state.drill, step.id, 1),)

    def _requests(self, step: Step, calls: tuple[UndoCall, ...]) -> dict[str, dict[str, Any]]:
        assert self._man is not None  # noqa: S101 - only then anything is armed
        if len(calls) > 1:
            raise Rejected(f"its undo is {len(calls)} calls, whose order no schedule keeps")
        return {
            name: {
                "Name": name,
                "GroupName": self._man.group,
                "Description": f"drills: takes {step.id} of {self._state.drill} back unless somebody drives it",
                "State": "ENABLED",
                "ScheduleExpressionTimezone": "UTC",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "ActionAfterCompletion": "DELETE",
                "Target": {
                    "Arn": f"arn:{_partition(self._man.role)}:scheduler:::aws-sdk:{_target(call)}",
                    "RoleArn": self._man.role,
                    "Input": json.dumps(dict(call.parameters), separators=(",", ":")),
                },
            }
            for name, call in zip(self._names(step), calls, strict=False)
        }

    def _place(self, step: Step) -> Place:
        """Give where a step's schedules stand: where it acts; of a service without a region, in the home region."""
        place = self._state.plan.place(step.place)
        service = str(step.params.get("service", "")) or step.uses.partition(".")[0]
        return replace(place, region=self._state.plan.home) if service in _HOME else place

    def _client(self, place: Place) -> Any:
        return self._accounts.write(place).client("scheduler")

    def _ahead_ns(self) -> int:
        assert self._man is not None  # noqa: S101 - only then anything is armed
        return self._clock.now().utc_ns + int(self._man.after_s * NS)


def _at(at_ns: int) -> str:
    """Write a one-time expression, rounded up to the second: never earlier than meant."""
    return f"at({datetime.fromtimestamp(-(-at_ns // NS), UTC):%Y-%m-%dT%H:%M:%S})"


def _token(name: str, at_ns: int) -> str:
    return hashlib.sha256(f"{name}/{at_ns}".encode()).hexdigest()[:64]


def _partition(arn: str) -> str:
    return arn.split(":")[1]


def _target(call: UndoCall) -> str:
    return f"{call.service.replace('-', '')}:{call.operation[0].lower()}{call.operation[1:]}"
