"""Ask services when their recovery points are, and bound how far their clocks are from ours. Reads only."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from drills.aws.dates import listening
from drills.clock import NS
from drills.engine.changing import Patience
from drills.engine.decide import ADVISORY_S
from drills.engine.plan import Mode
from drills.errors import DrillsError, WorkError
from drills.measure.skew import NoSkew, bound_all, enough, send_next
from drills.runbook.works import build
from drills.timeline import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from drills.aws.dates import Listening
    from drills.clock import Clock, Stamp
    from drills.engine.crew import Token
    from drills.engine.means import Accounts, Retrying
    from drills.engine.plan import Plan, Step
    from drills.work import Kind, Observation, PointProbe

LOOK_S = 0.05


class Points:
    """Asks the probes of a plan that say when a recovery point is, all at once, each within its timeout."""

    def __init__(self, accounts: Accounts, retrying: Retrying, clock: Clock, load: Callable[[Kind, str], Any]) -> None:
        self._accounts = accounts
        self._retrying = retrying
        self._clock = clock
        self._load = load

    def ask(self, plan: Plan, cancelled: Token, *, after: bool) -> Iterator[ev.PointTold]:
        """Give one event for each recovery point; one that gives no answer in time says so."""
        begun = self._clock.now()
        limits = {step.id: _limit_s(step, plan) for step in plan.recovery_points}
        told: dict[str, ev.PointTold] = {}

        def ask(step: Step) -> None:
            told[step.id] = self._asked(step, plan, cancelled, after=after)

        threads = {
            step.id: threading.Thread(target=ask, args=(step,), daemon=True, name=f"drills-point-{step.id}")
            for step in plan.recovery_points
        }
        for thread in threads.values():
            thread.start()
        for step in plan.recovery_points:
            while threads[step.id].is_alive() and self._clock.now().since(begun) < limits[step.id]:
                threads[step.id].join(LOOK_S)
            late = f"no answer within {limits[step.id]:g} s"
            yield told.get(step.id) or ev.PointTold(step.id, after, step.uses, late, self._clock.now())

    def _asked(self, step: Step, plan: Plan, cancelled: Token, *, after: bool) -> ev.PointTold:
        try:
            probe: PointProbe = build(self._load(step.kind, step.uses), step.params)  # pyright: ignore[reportAssignmentType] - the check has looked
            with listening(self._accounts.read(plan.place(step.place)), self._clock) as heard:
                return self._told(step, probe, heard, _Until(self._clock, cancelled, _limit_s(step, plan)), after=after)
        except DrillsError as error:
            return ev.PointTold(step.id, after, step.uses, f"no answer: {error}", self._clock.now())
        except Exception as error:  # noqa: BLE001 - evidence that failed must say so, and must not end the drill
            why = f"no answer: {type(error).__name__}: {error}"
            return ev.PointTold(step.id, after, step.uses, why, self._clock.now())

    def _told(self, step: Step, probe: PointProbe, heard: Listening, until: _Until, *, after: bool) -> ev.PointTold:
        """Ask once with patience, and then again until the service's clock is bounded narrowly enough."""
        patience = Patience.of(step)
        seen: Observation = self._retrying(
            lambda: probe.observe(heard),
            attempts=patience.attempts,
            limit_s=until.left_s(),
            reads=True,
            on_retry=lambda _attempt, _why: None,
        )
        asked = self._clock.now()
        if seen.happened_utc_ns is None:
            return ev.PointTold(step.id, after, probe.told_by, seen.detail, asked)
        while not enough(heard.answers, self._clock.now().mono_ns):
            now = self._clock.now().mono_ns
            if not heard.answers or not until.wait((send_next(heard.answers, now) - now) / NS):
                break
            try:
                again = probe.observe(heard)
            except WorkError:
                break
            if again.happened_utc_ns is not None:
                seen, asked = again, self._clock.now()
        return _event(step, probe, seen, asked, heard, after=after)


class _Until:
    """Waits, but not beyond a limit and not when nobody waits for the answer any more."""

    def __init__(self, clock: Clock, cancelled: Token, limit_s: float) -> None:
        self._clock = clock
        self._cancelled = cancelled
        self._limit_s = limit_s
        self._begun = clock.now()

    def left_s(self) -> float:
        """Give the seconds that are left, a moment at least."""
        return max(LOOK_S, self._limit_s - self._clock.now().since(self._begun))

    def wait(self, seconds: float) -> bool:
        """Let that many seconds pass; False when there are not so many, or the wait was cancelled."""
        return seconds < self.left_s() - LOOK_S and not self._cancelled.wait(seconds)


def _event(
    step: Step, probe: PointProbe, seen: Observation, asked: Stamp, heard: Listening, *, after: bool
) -> ev.PointTold:
    found = bound_all(heard.answers, asked.mono_ns)
    if isinstance(found, NoSkew):
        return ev.PointTold(
            step.id, after, probe.told_by, seen.detail, asked, seen.happened_utc_ns, skew_detail=found.why
        )
    ours = asked.utc_ns - asked.mono_ns
    return ev.PointTold(
        step.id,
        after,
        probe.told_by,
        seen.detail,
        asked,
        seen.happened_utc_ns,
        found.low - ours,
        found.high - ours,
        f"from {found.answers} Date headers",
    )


def _limit_s(step: Step, plan: Plan) -> float:
    return min(step.timeout_s, ADVISORY_S) if plan.mode is Mode.INCIDENT else step.timeout_s
