"""Make a change, find out about one in doubt, take one back: the part of the workshop that writes."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from drills.durations import show
from drills.errors import Busy, DrillsError, Partly, Rejected, Unanswered
from drills.timeline import events as ev
from drills.timeline.events import Outcome
from drills.timeline.facts import Before, Facts
from drills.work import Fault, Kind, Observation, Restorable, Reversible

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from drills.clock import Clock
    from drills.engine.crew import Token
    from drills.engine.deadman import DeadMan
    from drills.engine.means import Warden
    from drills.engine.plan import Plan, Step
    from drills.engine.progress import Progress
    from drills.work import Action, Aws, Undone

EFFECT_EVERY_S = 0.02
RESTORED_EVERY_S = 0.25
RESTORED_EVERY_MOST_S = 2.0
"""What AWS takes minutes to bring back is looked for less often as time passes, down to this."""
UNANSWERED_LOOKS = 3
LONGEST_FACTS = 400
IN_FLIGHT_S = 60.0
"""How long an undo waits for the change it takes back, when that still hangs."""


class Patience(msgspec.Struct, frozen=True):
    """How often and how long a call is repeated; ``silence``: also when nobody answered. Seconds."""

    attempts: int
    limit_s: float
    silence: bool = False
    reads: bool = False

    @classmethod
    def of(cls, step: Step) -> Patience:
        """Give the patience of a step's looks."""
        return cls(step.attempts, step.timeout_s, silence=True, reads=True)


UNDO = Patience(20, 120.0, silence=True)
"""An undo is safe twice and leaves nothing owed: it is worth more patience than the change was."""


class Bench(Protocol):
    """What a change is made with; given by the workshop."""

    clock: Clock
    warden: Warden
    deadman: DeadMan

    @property
    def drill(self) -> str:
        """The drill's name."""
        ...

    def build(self, step: Step) -> Any:
        """Build the work of a step, with the outputs of those before it."""
        ...

    def read(self, step: Step) -> Aws:
        """Give the reading session of a step's place."""
        ...

    def write(self, step: Step) -> Aws:
        """Give the writing session of a step's place."""
        ...

    def tried(self, step: Step, call: Callable[[], Any], patience: Patience, token: Token | None = None) -> Any:
        """Call, and repeat what may be repeated until ``token`` is set; each repeat stands on the timeline."""
        ...

    def look(self, step: Step, call: Callable[[], Observation]) -> Observation:
        """Ask once or a few times; an error is no answer."""
        ...

    def tell(self, body: ev.Body) -> None:
        """Post one fact, with the moment."""
        ...


class Changes:
    """The changes of one drill. At most one hand is on a step: an undo waits for the change that it takes back."""

    def __init__(self, plan: Plan, bench: Bench) -> None:
        self._bench = bench
        self._hands = {step.id: threading.Lock() for step in plan.steps if step.changes}

    # -- before and during ---------------------------------------------------------------------------------

    def prepare(self, one: Progress) -> tuple[Before, Observation] | DrillsError:
        """Read what is there and whether the goal is; the error says why nothing can be begun."""
        step = one.step
        patience = Patience.of(step)
        try:
            work: Action = self._bench.build(step)
            aws = self._bench.read(step)
            before = one.before
            if before is None:
                before = self._bench.tried(step, lambda: work.capture(aws), patience)
            return Before(**before), self._bench.tried(step, lambda: work.already(aws), patience)
        except DrillsError as error:
            return error

    def perform(self, one: Progress, token: Token) -> None:
        """Make the change for the first time."""
        if token.is_set():
            self._end(one.step, Outcome.FAILED, "not begun, nothing was changed: the drill has turned back")
            return
        with self._hands[one.step.id]:
            self._make(one, token, "")

    def recheck(self, one: Progress, token: Token) -> None:
        """Look after a change that a process began which is gone; make it only if it is not there and that is safe."""
        step = one.step
        with self._hands[step.id]:
            work: Action = self._bench.build(step)
            seen = self._after_silence(step, work, token)
            doubt = f"in doubt after a crash; {seen.detail}"
            if seen.ok is True:
                self._done(step, work, one.receipt, doubt, token)
            elif step.idempotent and seen.ok is False and not token.is_set():
                self._bench.tell(ev.Retried(step.id, one.attempt + 1, doubt))
                self._make(one, token, doubt)
            else:
                self._end(step, Outcome.UNKNOWN, f"{doubt}; `drills resolve` decides")

    def _make(self, one: Progress, token: Token, doubt: str) -> None:
        """Ask for the change. ``doubt``: an earlier attempt may have made it, and then a refusal proves nothing."""
        step, before = one.step, one.before or Before()
        work: Action = self._bench.build(step)
        aws = self._bench.write(step)
        begun, attempt = self._bench.clock.now(), 0

        def change() -> Any:
            self._bench.warden.before(step)
            self._bench.deadman.before(step, work, before)
            return work.perform(aws, before)

        while True:
            attempt += 1
            again = attempt < step.attempts
            try:
                receipt = self._bench.tried(step, change, Patience(step.attempts, step.timeout_s), token)
            except (Rejected, Busy) as error:
                why = str(error)
                if not doubt:
                    self._bench.deadman.refused(step)
                    self._end(step, Outcome.FAILED, why)
                    return
                # A promotion under way refuses the next one: what passes is waited for, as long as the step may.
                again = isinstance(error, Busy) and self._bench.clock.now().since(begun) < step.timeout_s
            except Partly as error:
                ended = ev.Ended(step.id, Outcome.UNKNOWN, f"changed in part: {error}", receipt=error.receipt)
                self._bench.tell(ended)
                return
            except Unanswered as error:
                why, doubt = str(error), doubt or "nobody answered"
            else:
                self._done(step, work, receipt, "", token)
                return
            seen = self._after_silence(step, work, token)
            if seen.ok is True:
                self._done(step, work, None, f"{doubt}, but {seen.detail}", token)
                return
            if seen.ok is None or not step.idempotent or not again or token.is_set():
                self._end(step, Outcome.UNKNOWN, f"{why}; then: {seen.detail}")
                return
            self._bench.tell(ev.Retried(step.id, attempt, why))

    def _after_silence(self, step: Step, work: Action, token: Token) -> Observation:
        """Look whether a change happened of which nobody told, a few times, for effects come late."""
        aws = self._bench.read(step)
        seen = Observation(ok=None, detail="nothing could be seen")
        for _ in range(UNANSWERED_LOOKS):
            seen = self._bench.look(step, lambda: work.already(aws))
            if seen.ok is True or token.wait(step.every_s):
                break
        return seen

    def _done(self, step: Step, work: Action, receipt: Any, detail: str, token: Token) -> None:
        output = Facts(**receipt) if receipt is not None else Facts()
        if step.kind is not Kind.FAULT or not isinstance(work, Fault):
            self._bench.tell(ev.Ended(step.id, Outcome.DONE, detail, output, receipt))
            return
        if receipt is not None:
            self._bench.tell(ev.Performed(step.id, receipt))
        seen = self._in_effect(step, work, token)
        self._bench.tell(ev.Effective(step.id, seen.ok, seen.detail))
        outcome = Outcome.DONE if seen.ok is True else Outcome.UNKNOWN
        why = seen.detail if seen.ok is True else f"not seen in effect: {seen.detail}"
        self._bench.tell(ev.Ended(step.id, outcome, why, output, receipt))

    def _in_effect(self, step: Step, work: Fault, token: Token) -> Observation:
        aws = self._bench.read(step)
        begun = self._bench.clock.now()
        limit_s = min(step.timeout_s, work.effect_timeout.total_seconds())
        while True:
            seen = self._bench.look(step, lambda: work.in_effect(aws))
            if seen.ok is True or seen.final or self._bench.clock.now().since(begun) >= limit_s:
                return seen
            if token.wait(EFFECT_EVERY_S if seen.again_s is None else seen.again_s):
                return seen

    # -- taking back ---------------------------------------------------------------------------------------

    def take_back(self, one: Progress, token: Token) -> None:
        """Undo a step and look; what fails stays owed, with the commands that finish it by hand."""
        step, before = one.step, one.before or Before()
        by_hand: tuple[str, ...] = ()
        try:
            work: Reversible = self._bench.build(step)
            by_hand = work.by_hand(before)
            with self._after_the_change(step):
                undone = self._undo(step, work, before, one)
                seen = ""
                if undone.left_alone is None:
                    seen = f"; seen back: {self._await_restored(step, work, before, token)}"
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the step stays owed and is shown
            self._bench.tell(ev.UndoFailed(step.id, f"{type(error).__name__}: {error}", by_hand))
            return
        self._bench.tell(
            ev.Undid(step.id, f"{undone.detail}{seen}", _left(undone, one, by_hand, self._bench.drill, work))
        )
        self._bench.deadman.disarm(step)

    @contextmanager
    def _after_the_change(self, step: Step) -> Generator[None]:
        """Wait until a change that still hangs (its time is up, its call is not) has ended, or fail."""
        hand = self._hands[step.id]
        if not hand.acquire(timeout=IN_FLIGHT_S):
            raise Unanswered(f"the change itself still hangs after {IN_FLIGHT_S:.0f} s; nothing was taken back")
        try:
            yield
        finally:
            hand.release()

    def _undo(self, step: Step, work: Reversible, before: Before, one: Progress) -> Undone:
        aws = self._bench.write(step)
        patience = Patience(UNDO.attempts, max(UNDO.limit_s, step.timeout_s), UNDO.silence)
        if one.force and isinstance(work, Restorable):
            read = self._bench.read(step)
            now = self._bench.look(step, lambda: work.restored(read, before))
            ours = brief(one.receipt) if one.receipt is not None else "not known"
            self._bench.tell(ev.Forced(step.id, brief(before), ours, now.detail))
            return self._bench.tried(step, lambda: work.restore(aws, before), patience)
        return self._bench.tried(step, lambda: work.undo(aws, before, one.receipt), patience)

    def _await_restored(self, step: Step, work: Reversible, before: Before, token: Token) -> str:
        """Look until what was captured is back, and give what was seen."""
        aws = self._bench.read(step)
        begun, limit_s = self._bench.clock.now(), work.restore_timeout.total_seconds()
        while True:
            seen = self._bench.look(step, lambda: work.restored(aws, before))
            if seen.ok is True:
                return seen.detail
            passed_s = self._bench.clock.now().since(begun)
            if passed_s >= limit_s:
                raise Unanswered(f"taken back, but not seen as before within {show(limit_s)}: {seen.detail}")
            token.wait(min(max(RESTORED_EVERY_S, passed_s / 10), RESTORED_EVERY_MOST_S, limit_s - passed_s))

    def _end(self, step: Step, outcome: Outcome, detail: str) -> None:
        self._bench.tell(ev.Ended(step.id, outcome, detail))


def _left(undone: Undone, one: Progress, by_hand: tuple[str, ...], drill: str, work: object) -> str | None:
    """Say of what somebody else changed since: what is there now, what was before, what we made, and the way back."""
    if undone.left_alone is None:
        return None
    ours = f"; ours: {brief(one.receipt)}" if one.receipt is not None else ""
    ways = [f"`drills undo {drill} {one.step.id} --force`"] if isinstance(work, Restorable) else []
    ways += [" ; ".join(by_hand)] if by_hand else []
    anyway = f"; to restore it anyway: {', or '.join(ways)}" if ways else ""
    return f"now: {undone.left_alone}; before: {brief(one.before or Before())}{ours}{anyway}"


def brief(facts: Facts) -> str:
    """Write facts in one bearable line."""
    text = ", ".join(f"{name} {value}" for name, value in facts.items())
    return text if len(text) <= LONGEST_FACTS else f"{text[: LONGEST_FACTS - 3]}..."
