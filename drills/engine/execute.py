"""Carry out acts in worker threads and post what came of them. The one place where work meets AWS.

An ending is decided here and nowhere else: AWS said no -> FAILED; nobody answered, or an error nobody foresaw
once the change began -> UNKNOWN; before it began -> FAILED.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from drills.engine import decide, drive
from drills.engine.changing import Changes, Patience
from drills.engine.crew import Crew, Token
from drills.engine.deadman import DeadMan
from drills.engine.outputs import bind_outputs
from drills.engine.plan import Section
from drills.engine.renewal import Renewal
from drills.engine.shown import criteria
from drills.errors import Busy, DrillsError, Rejected, WorkError
from drills.runbook.works import build as build_work
from drills.timeline import events as ev
from drills.timeline.events import Outcome
from drills.timeline.facts import Facts
from drills.work import Kind, Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from drills.clock import Stamp
    from drills.engine.means import Means
    from drills.engine.plan import Hand, Step
    from drills.engine.progress import Progress
    from drills.engine.state import State
    from drills.timeline.facts import Json
    from drills.work import Aws, Probe

LOOKED_AT_MOST_EVERY_S = 1.0


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


LAST_WORDS: Final = (ev.Ended, ev.UndoFailed, ev.Finished, drive.Prepared)
"""A worker that posts one of these has nothing more to do in its job; after ``Undid`` a schedule is deleted."""


class Workshop:
    """Carries out acts for one drill. ``post`` and, after each job, ``after`` are called from worker threads."""

    def __init__(
        self, state: State, means: Means, post: Callable[[drive.Fact], None], after: Callable[[], None]
    ) -> None:
        self._state = state
        self.clock = means.clock
        self.warden = means.warden
        self._means = means
        self._post = post
        self._crew = Crew(means.clock, after)
        self._tokens: dict[str, Token] = {}
        self.deadman = DeadMan(state, means.accounts, means.clock, self.tell)
        self._changes = Changes(state.plan, self)
        self._renewal = Renewal(state, means.accounts, means.clock, self.tell)

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
            case drive.Witness(step=name, moment=moment):
                self._crew.do(lambda: self._witness(name, moment))
            case drive.Prepare(step=name):
                self._spawn(name, self._prepare)
            case drive.Perform(step=name):
                self._spawn(name, self._changes.perform)
            case decide.Recheck(step=name):
                self._spawn(name, self._changes.recheck)
            case decide.TakeBack(step=name):
                self._spawn(name, self._changes.take_back, though_all_hang=True)
            case decide.Observe(stage=stage):
                token = self._tokens[f"@{stage}"] = Token()
                self._crew.do(lambda: self._observe(stage, token), though_all_hang=True)
            case decide.Disarm(step=name):
                self._crew.do(lambda: self.deadman.disarm(self._state.progress[name].step), though_all_hang=True)
            case decide.Conclude():
                self._crew.do(self._conclude, though_all_hang=True)

    def begun(self, *, beside_me: bool = False) -> None:
        """Say that all acts of a turn have been handed over; ``beside_me``: the caller has still other things to do."""
        self._crew.grow(1 if beside_me else 0)

    def stop(self) -> None:
        """Tell every worker that nobody waits any more."""
        self.deadman.close()
        for token in tuple(self._tokens.values()):
            token.set()

    def _spawn(self, name: str, job: Callable[[Progress, Token], None], *, though_all_hang: bool = False) -> None:
        token = self._tokens[name] = Token()
        one = self._state.progress[name]

        def run() -> None:
            try:
                job(one, token)
            except Exception as error:  # noqa: BLE001 - a fault of our own must end the step as doubt, never as silence
                changed = one.step.changes and one.started is not None
                self._end(name, Outcome.UNKNOWN if changed else Outcome.FAILED, f"{type(error).__name__}: {error}")

        self._crew.do(run, though_all_hang=though_all_hang)

    # -- looking -------------------------------------------------------------------------------------------

    def _look_by_hand(self, step: Step, hand: Hand, token: Token) -> None:
        """Look whether people have done a task; what cannot be looked at waits for their word alone."""
        try:
            work = self.build(step)
            aws = self.read(step)
        except DrillsError as error:
            self.tell(ev.Looked(step.id, None, f"the tool cannot see whether it is done: {error}"))
            return
        first, told = True, ""
        while not token.is_set():
            seen = self.look(step, lambda: work.in_effect(aws) if hand.kind is Kind.FAULT else work.already(aws))
            if token.is_set():
                return
            if seen.ok is True:
                self.tell(ev.Ended(step.id, Outcome.DONE, f"seen done: {seen.detail}", adopted=first, by="people"))
                return
            if seen.detail != told:
                told = seen.detail
                self.tell(ev.Looked(step.id, seen.ok, seen.detail))
            first = False
            token.wait(step.every_s)

    def _look(self, one: Progress, token: Token) -> None:
        step = one.step
        if step.hand is not None:
            self._look_by_hand(step, step.hand, token)
            return
        probe: Probe = self.build(step)
        aws = self.read(step)
        told: tuple[str, Stamp] = ("", self._means.clock.now())
        denied = one.denied
        while not token.is_set():
            seen = self._observed(step, probe, aws)
            if seen.ok is True:
                value = Facts(**dict(seen.value.items(), detail=seen.detail))
                self.tell(ev.Ended(step.id, Outcome.DONE, seen.detail, value))
                return
            if seen.final:
                self._end(step.id, Outcome.FAILED, seen.detail)
                return
            now = self._means.clock.now()
            denies = step.mark is not None and seen.ok is False and not denied  # the mark is set no sooner than this
            if denies or (told[0] != seen.detail and now.since(told[1]) >= LOOKED_AT_MOST_EVERY_S):
                denied = denied or seen.ok is False
                told = (seen.detail, now)
                self._post(drive.Fact(now, ev.Looked(step.id, seen.ok, seen.detail)))
            token.wait(step.every_s if seen.again_s is None else min(step.every_s, seen.again_s))

    def _observed(self, step: Step, probe: Probe, aws: Aws) -> Observation:
        try:
            return self.tried(step, lambda: probe.observe(aws), Patience.of(step))
        except Rejected as error:
            return Observation(ok=None, detail=str(error), final=True)
        except WorkError as error:
            return Observation(ok=None, detail=f"no answer: {error}")

    def _witness(self, name: str, moment: str) -> None:
        """Ask the probes that a question shows, each once and all at the same time as the question stands."""
        seen: dict[str, Json] = {}
        for probe in criteria(self._state, self._state.progress[name].step):
            step = self._state.plan.step(probe)
            try:
                look = self.build(step).observe(self.read(step))
                seen[probe] = {"ok": look.ok, "detail": look.detail}
            except Exception as error:  # noqa: BLE001 - no answer is what a person has to see then
                seen[probe] = {"ok": None, "detail": f"no answer: {error}"}
        self.tell(ev.Witnessed(name, moment, Facts(**seen)))

    def _guard(self, one: Progress, token: Token) -> None:
        step = one.step
        probe: Probe = self.build(step)
        aws = self.read(step)
        missed = 0
        while not token.is_set():
            seen = self._observed(step, probe, aws)
            missed = 0 if seen.ok is True else missed + 1
            if missed > step.tolerance and not token.is_set():
                self.tell(ev.Guarded(step.id, seen.ok, seen.detail))
                return
            token.wait(step.every_s)

    def _prepare(self, one: Progress, _: Token) -> None:
        found = self._changes.prepare(one)
        if isinstance(found, DrillsError):
            self._end(one.step.id, Outcome.FAILED, f"not begun, nothing was changed: {found}")
            return
        before, seen = found
        there = seen.ok is True
        prepared = drive.Prepared(one.step.id, before, there, f"found done: {seen.detail}" if there else seen.detail)
        self._post(drive.Fact(self.clock.now(), prepared))

    # -- observing and judging -----------------------------------------------------------------------------

    def _observe(self, stage: str, token: Token) -> None:
        try:
            for body in self._means.observers.stage(stage, self._state, token):
                self.tell(body)
        except Exception as error:  # noqa: BLE001 - an observer that failed proves nothing, and must say so
            self.tell(ev.Ready(stage, None, f"{type(error).__name__}: {error}"))

    def _conclude(self) -> None:
        try:
            finished = self._means.conclude(self._state)
        except Exception as error:  # noqa: BLE001 - a crash of the checker is UNPROVEN, never MET
            end = decide.ending(self._state, ("UNPROVEN",))
            claims = Facts(error=f"{type(error).__name__}: {error}")
            finished = ev.Finished(end.value, decide.EXIT_CODES[end], claims)
        self.tell(finished)

    # -- the small parts -----------------------------------------------------------------------------------

    @property
    def drill(self) -> str:
        """The drill's name."""
        return self._state.drill

    def build(self, step: Step) -> Any:
        """Build the work of a step, with the outputs of those before it."""
        params = bind_outputs(step.params, _Outputs(self._state))
        kind = step.kind if step.hand is None else step.hand.kind
        opened = self._state.opened
        # Two laptops may give two drills one name in one second, never at one nanosecond.
        drill = f"{self._state.drill}@{opened.utc_ns if opened is not None else 0}"
        return build_work(self._means.load(kind, step.uses), params).of(drill, step.id)

    def read(self, step: Step) -> Aws:
        """Give the reading session of a step's place."""
        return self._means.accounts.read(self._state.plan.place(step.place))

    def write(self, step: Step) -> Aws:
        """Give the writing session of a step's place."""
        return self._means.accounts.write(self._state.plan.place(step.place))

    def tried(self, step: Step, call: Callable[[], Any], patience: Patience, token: Token | None = None) -> Any:
        """Call, and repeat what may be repeated until ``token`` is set; each repeat of a change is told."""

        def tell(attempt: int, why: str) -> None:
            if patience.reads:
                return
            self.tell(ev.Retried(step.id, attempt, why))
            if token is not None and token.is_set():
                raise Busy(f"the drill has turned back; last: {why}")

        def repeated() -> Any:
            return self._means.retrying(
                call,
                attempts=patience.attempts,
                limit_s=patience.limit_s,
                reads=patience.silence,
                on_retry=tell,
            )

        # An undo and a guard are worth the time in which people are waited for: what they keep safe is at stake.
        keeps_safe = step.section is Section.GUARD or (patience.silence and not patience.reads)
        limit_s = max(patience.limit_s, self._state.plan.hold_for_s) if keeps_safe else patience.limit_s
        return self._renewal.through(step, repeated, limit_s, token or self._tokens.get(step.id))

    def look(self, step: Step, call: Callable[[], Observation]) -> Observation:
        """Ask once or a few times; an error is no answer."""
        try:
            return self.tried(step, call, Patience.of(step))
        except WorkError as error:
            return Observation(ok=None, detail=f"no answer: {error}")

    def _end(self, name: str, outcome: Outcome, detail: str) -> None:
        self.tell(ev.Ended(name, outcome, detail))

    def tell(self, body: ev.Body) -> None:
        """Post one fact, with the moment."""
        if isinstance(body, ev.Preempted):
            self.deadman.disarm_all()  # what belongs to somebody else now is not taken back by a schedule of ours
        self._post(drive.Fact(self.clock.now(), body))
