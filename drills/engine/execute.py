"""Carry out acts in worker threads and post what came of them. The one place where work meets AWS.

An ending is decided here and nowhere else: AWS said no -> FAILED; nobody answered, or an error nobody foresaw
once the change began -> UNKNOWN; before it began -> FAILED.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from drills.engine import decide, drive
from drills.engine.outputs import bind_outputs
from drills.errors import Busy, DrillsError, Partly, Rejected, Unanswered, WorkError
from drills.timeline import events as ev
from drills.timeline.events import Outcome
from drills.timeline.facts import Before, Facts
from drills.work import Fault, Kind, Observation, Reversible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from drills.clock import Clock, Stamp
    from drills.engine.plan import Step
    from drills.engine.progress import Progress
    from drills.engine.state import State
    from drills.work import Action, Aws, Place, Probe

EFFECT_EVERY_S = 0.02
RESTORED_EVERY_S = 0.25
RESTORED_WITHIN_S = 120.0
LOOKED_AT_MOST_EVERY_S = 1.0
UNANSWERED_LOOKS = 3


class Token:
    """Says to a worker that nobody waits for it any more. Costs nothing until somebody waits on it."""

    __slots__ = ("_dropped", "_event")

    def __init__(self) -> None:
        self._dropped = False
        self._event: threading.Event | None = None

    def set(self) -> None:
        """Let go of whoever waits."""
        self._dropped = True
        if self._event is not None:
            self._event.set()

    def is_set(self) -> bool:
        """Say whether nobody waits for the worker any more."""
        return self._dropped

    def wait(self, seconds: float) -> bool:
        """Let that many seconds pass, or fewer when the token is set meanwhile."""
        if self._event is None:
            self._event = threading.Event()
        return self._dropped or self._event.wait(seconds)


class Accounts(Protocol):
    """Gives the sessions of a place; the reading one refuses to write."""

    def read(self, place: Place) -> Aws:
        """Give a session that refuses every write."""
        ...

    def write(self, place: Place) -> Aws:
        """Give a session that writes, each call at most once."""
        ...


class Retrying(Protocol):
    """The one retry policy: repeats what may be repeated, bounded in count and time."""

    def __call__(
        self,
        call: Callable[[], Any],
        *,
        attempts: int,
        limit_s: float,
        reads: bool,
        on_retry: Callable[[int, str], None],
    ) -> Any:
        """Call until it answers; raise the last ``WorkError`` when the bounds are reached."""
        ...


class Observers(Protocol):
    """The stages of observing; each gives the events it comes to, and may be asked again after a crash."""

    def stage(self, name: str, state: State, cancelled: Token) -> Iterable[ev.Body]:
        """Do one stage: watch, baseline, settled, collected."""
        ...


class NoObservers:
    """For a drill that watches nothing: it has no stages."""

    def stage(self, name: str, state: State, cancelled: Token) -> Iterable[ev.Body]:
        """Say that there is nothing to wait for."""
        _ = state, cancelled
        return (ev.Ready(name, ok=True, detail="nothing is watched"),)


class _Outputs(Mapping[str, Facts]):
    """The outputs of the steps so far, looked up when one is asked for: most steps ask for none."""

    def __init__(self, state: State) -> None:
        self._progress = state.progress

    def __getitem__(self, name: str) -> Facts:
        one = self._progress[name]
        if not len(one.output):
            raise KeyError(name)
        return one.output

    def __iter__(self) -> Iterator[str]:
        return (name for name, one in self._progress.items() if len(one.output))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Crew:
    """Daemon threads that live as long as there is work: a stuck call can never keep the process from ending."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._idle = 0
        self._alive = 0
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def do(self, job: Callable[[], None]) -> None:
        """Have a job done, by an idle thread or a new one."""
        with self._lock:
            grow = self._idle <= self._jobs.qsize() and self._alive < self._most
            self._alive += grow
        self._jobs.put(job)
        if grow:
            threading.Thread(target=self._serve, daemon=True, name="drills-worker").start()

    def _serve(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            job = self._jobs.get()
            with self._lock:
                self._idle -= 1
            job()


@dataclass(frozen=True, slots=True)
class Means:
    """What acts are carried out with."""

    accounts: Accounts
    retrying: Retrying
    clock: Clock
    load: Callable[[Kind, str], Any]
    observers: Observers
    conclude: Callable[[State], ev.Finished]


class Workshop:
    """Carries out acts for one drill. ``post`` is called from worker threads."""

    def __init__(self, state: State, means: Means, post: Callable[[drive.Fact], None]) -> None:
        self._state = state
        self._means = means
        self._post = post
        self._crew = Crew()
        self._tokens: dict[str, Token] = {}

    def do(self, act: drive.Act) -> None:
        """Begin one act; returns at once."""
        match act:
            case drive.Drop(step=name):
                token = self._tokens.pop(name, None)
                if token is not None:
                    token.set()
            case drive.Look(step=name):
                self._spawn(name, self._look)
            case drive.Guard(step=name):
                self._spawn(name, self._guard)
            case drive.Prepare(step=name):
                self._spawn(name, self._prepare)
            case drive.Perform(step=name):
                self._spawn(name, self._perform)
            case decide.Recheck(step=name):
                self._spawn(name, self._recheck)
            case decide.TakeBack(step=name):
                self._spawn(name, self._take_back)
            case decide.Observe(stage=stage):
                token = self._tokens[f"@{stage}"] = Token()
                self._crew.do(lambda: self._observe(stage, token))
            case decide.Conclude():
                self._crew.do(self._conclude)

    def stop(self) -> None:
        """Tell every worker that nobody waits any more."""
        for token in tuple(self._tokens.values()):
            token.set()

    def _spawn(self, name: str, job: Callable[[Progress, Token], None]) -> None:
        token = self._tokens[name] = Token()
        one = self._state.progress[name]

        def run() -> None:
            try:
                job(one, token)
            except Exception as error:  # noqa: BLE001 - a fault of our own must end the step as doubt, never as silence
                changed = one.step.changes and one.started is not None
                self._end(name, Outcome.UNKNOWN if changed else Outcome.FAILED, f"{type(error).__name__}: {error}")

        self._crew.do(run)

    # -- looking -------------------------------------------------------------------------------------------

    def _look(self, one: Progress, token: Token) -> None:
        step = one.step
        probe: Probe = self._build(step)
        aws = self._read(step)
        told: tuple[str, Stamp] = ("", self._means.clock.now())
        while not token.is_set():
            seen = self._observed(step, probe, aws)
            if seen.ok is True:
                value = Facts(**{**seen.value, "detail": seen.detail})
                self._post_now(ev.Ended(step.id, Outcome.DONE, seen.detail, value))
                return
            if seen.final:
                self._end(step.id, Outcome.FAILED, seen.detail)
                return
            now = self._means.clock.now()
            if told[0] != seen.detail and now.since(told[1]) >= LOOKED_AT_MOST_EVERY_S:
                told = (seen.detail, now)
                self._post(drive.Fact(now, ev.Looked(step.id, seen.ok, seen.detail)))
            token.wait(step.every_s if seen.again_s is None else min(step.every_s, seen.again_s))

    def _observed(self, step: Step, probe: Probe, aws: Aws) -> Observation:
        try:
            return self._tried(step, lambda: probe.observe(aws), reads=True)
        except Rejected as error:
            return Observation(ok=None, detail=str(error), final=True)
        except WorkError as error:
            return Observation(ok=None, detail=f"no answer: {error}")

    def _guard(self, one: Progress, token: Token) -> None:
        step = one.step
        probe: Probe = self._build(step)
        aws = self._read(step)
        missed = 0
        while not token.is_set():
            seen = self._observed(step, probe, aws)
            missed = 0 if seen.ok is True else missed + 1
            if missed > step.tolerance and not token.is_set():
                self._post_now(ev.Guarded(step.id, seen.ok, seen.detail))
                return
            token.wait(step.every_s)

    # -- changing ------------------------------------------------------------------------------------------

    def _prepare(self, one: Progress, _: Token) -> None:
        step = one.step
        try:
            work: Action = self._build(step)
            aws = self._read(step)
            before = one.before if one.before is not None else self._tried(step, lambda: work.capture(aws), reads=True)
            seen: Observation = self._tried(step, lambda: work.already(aws), reads=True)
        except DrillsError as error:
            self._end(step.id, Outcome.FAILED, f"not begun, nothing was changed: {error}")
            return
        found = drive.Prepared(step.id, Before(**before), adopted=seen.ok is True, detail=f"found done: {seen.detail}")
        self._post(drive.Fact(self._means.clock.now(), found))

    def _perform(self, one: Progress, token: Token) -> None:
        step = one.step
        work: Action = self._build(step)
        before = one.before or Before()
        aws = self._means.accounts.write(self._state.plan.place(step.place))
        for attempt in range(1, step.attempts + 1):
            try:
                receipt = self._tried(step, lambda: work.perform(aws, before), reads=False)
            except (Rejected, Busy) as error:
                self._end(step.id, Outcome.FAILED, str(error))
                return
            except Partly as error:
                body = ev.Ended(step.id, Outcome.UNKNOWN, f"changed in part: {error}", receipt=error.receipt)
                self._post_now(body)
                return
            except Unanswered as error:
                seen = self._after_silence(step, work, token)
                if seen.ok is True:
                    self._done(step, work, None, f"nobody answered, but {seen.detail}", token)
                    return
                if seen.ok is None or not step.idempotent or attempt == step.attempts:
                    self._end(step.id, Outcome.UNKNOWN, f"{error}; then: {seen.detail}")
                    return
                self._post_now(ev.Retried(step.id, attempt, str(error)))
            else:
                self._done(step, work, receipt, "", token)
                return

    def _after_silence(self, step: Step, work: Action, token: Token) -> Observation:
        """After a write that nobody answered: look whether it happened, a few times, for effects come late."""
        aws = self._read(step)
        seen = Observation(ok=None, detail="nothing could be seen")
        for _ in range(UNANSWERED_LOOKS):
            try:
                seen = self._tried(step, lambda: work.already(aws), reads=True)
            except WorkError as error:
                seen = Observation(ok=None, detail=f"no answer to the look either: {error}")
            if seen.ok is True:
                break
            token.wait(step.every_s)
        return seen

    def _done(self, step: Step, work: Action, receipt: Any, detail: str, token: Token) -> None:
        output = Facts(**receipt) if receipt is not None else Facts()
        if step.kind is not Kind.FAULT or not isinstance(work, Fault):
            self._post_now(ev.Ended(step.id, Outcome.DONE, detail, output, receipt))
            return
        if receipt is not None:
            self._post_now(ev.Performed(step.id, receipt))
        seen = self._in_effect(step, work, token)
        self._post_now(ev.Effective(step.id, seen.ok, seen.detail))
        outcome = Outcome.DONE if seen.ok is True else Outcome.UNKNOWN
        why = seen.detail if seen.ok is True else f"not seen in effect: {seen.detail}"
        self._post_now(ev.Ended(step.id, outcome, why, output, receipt))

    def _in_effect(self, step: Step, work: Fault, token: Token) -> Observation:
        aws = self._read(step)
        begun = self._means.clock.now()
        limit_s = min(step.timeout_s, work.effect_timeout.total_seconds())
        while True:
            try:
                seen = self._tried(step, lambda: work.in_effect(aws), reads=True)
            except WorkError as error:
                seen = Observation(ok=None, detail=str(error))
            if seen.ok is True or self._means.clock.now().since(begun) >= limit_s:
                return seen
            token.wait(EFFECT_EVERY_S)

    def _recheck(self, one: Progress, token: Token) -> None:
        step = one.step
        work: Action = self._build(step)
        seen = self._after_silence(step, work, token)
        if seen.ok is True:
            self._done(step, work, one.receipt, f"in doubt after a crash; {seen.detail}", token)
        elif step.idempotent and seen.ok is False:
            self._post_now(ev.Retried(step.id, one.attempt + 1, f"in doubt after a crash; {seen.detail}"))
            self._perform(one, token)
        else:
            self._end(step.id, Outcome.UNKNOWN, f"in doubt after a crash; {seen.detail}; `drills resolve` decides")

    def _take_back(self, one: Progress, token: Token) -> None:
        step = one.step
        before = one.before or Before()
        by_hand: tuple[str, ...] = ()
        try:
            work: Reversible = self._build(step)
            by_hand = work.by_hand(before)
            aws = self._means.accounts.write(self._state.plan.place(step.place))
            undone = self._tried(step, lambda: work.undo(aws, before, one.receipt), reads=False)
            if undone.left_alone is None:
                self._await_restored(step, work, before, token)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the step stays owed and is shown
            self._post_now(ev.UndoFailed(step.id, f"{type(error).__name__}: {error}", by_hand))
            return
        self._post_now(ev.Undid(step.id, undone.detail, undone.left_alone))

    def _await_restored(self, step: Step, work: Reversible, before: Before, token: Token) -> None:
        aws = self._read(step)
        begun = self._means.clock.now()
        while True:
            seen: Observation = self._tried(step, lambda: work.restored(aws, before), reads=True)
            if seen.ok is True:
                return
            if self._means.clock.now().since(begun) >= RESTORED_WITHIN_S:
                raise Unanswered(f"taken back, but not seen as before within {RESTORED_WITHIN_S:.0f} s: {seen.detail}")
            token.wait(RESTORED_EVERY_S)

    # -- observing and judging -----------------------------------------------------------------------------

    def _observe(self, stage: str, token: Token) -> None:
        try:
            for body in self._means.observers.stage(stage, self._state, token):
                self._post_now(body)
        except Exception as error:  # noqa: BLE001 - an observer that failed proves nothing, and must say so
            self._post_now(ev.Ready(stage, None, f"{type(error).__name__}: {error}"))

    def _conclude(self) -> None:
        try:
            finished = self._means.conclude(self._state)
        except Exception as error:  # noqa: BLE001 - a crash of the checker is UNPROVEN, never MET
            end = decide.ending(self._state, ("UNPROVEN",))
            claims = Facts(error=f"{type(error).__name__}: {error}")
            finished = ev.Finished(end.value, decide.EXIT_CODES[end], claims)
        self._post_now(finished)

    # -- the small parts -----------------------------------------------------------------------------------

    def _build(self, step: Step) -> Any:
        params = bind_outputs(step.params, _Outputs(self._state))
        return self._means.load(step.kind, step.uses).model_validate(dict(params))

    def _read(self, step: Step) -> Aws:
        return self._means.accounts.read(self._state.plan.place(step.place))

    def _tried(self, step: Step, call: Callable[[], Any], *, reads: bool) -> Any:
        def tell(attempt: int, why: str) -> None:
            if not reads:
                self._post_now(ev.Retried(step.id, attempt, why))

        return self._means.retrying(call, attempts=step.attempts, limit_s=step.timeout_s, reads=reads, on_retry=tell)

    def _end(self, name: str, outcome: Outcome, detail: str) -> None:
        self._post_now(ev.Ended(name, outcome, detail))

    def _post_now(self, body: ev.Body) -> None:
        self._post(drive.Fact(self._means.clock.now(), body))
