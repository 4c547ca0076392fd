"""Experiments of AWS FIS, carried out: what they do happens to the world, for as long as they say.

Each turn of the reconcile loop moves an experiment on in a lane of its own: targets are chosen once, actions begin
after those they wait for, what lasts is taken back at its end. An alarm among the stop conditions, an engaged safety
lever or StopExperiment ends it early, and then all of it is taken back. Durations are real: ten minutes are ten
minutes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from drills.clock import NS
from drills.fis.template import alarm_name, duration
from drills.sandbox.choosing import chosen
from drills.sandbox.injections import INJECTIONS, Unfinished
from drills.sandbox.inside import client

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from drills.sandbox.injections import Injection
    from drills.sandbox.lanes import Lanes
    from drills.sandbox.state import World

OVER: Final = frozenset({"completed", "stopped", "failed", "cancelled"})
BY_ALARM: Final = "Experiment halted by stop condition."
BY_LEVER: Final = "Experiment halted by safety lever."
EMPTY: Final = "Target resolution returned empty set"
MOST_FAILURES: Final = 60
_LASTS: Final = ("duration", "startInstancesAfterDuration")


@dataclass(slots=True)
class _Act:
    """One action of an experiment that has begun; ``until_ns`` is monotonic."""

    injection: Injection
    until_ns: int
    over: bool = False


@dataclass(slots=True)
class _Run:
    """One experiment that is under way. ``experiment`` is moto's."""

    account: str
    region: str
    experiment: Any
    chosen: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    acts: dict[str, _Act] = field(default_factory=dict[str, _Act])
    skipped: set[str] = field(default_factory=set[str])
    failed: str = ""
    """Which action could not begin, and why: nothing more begins, and what has begun is taken back."""
    failures: int = 0

    def tell(self, name: str, status: str, reason: str = "") -> None:
        """Set the state of an action. Lock held."""
        self.experiment.actions[name]["state"] = {"status": status, "reason": reason or f"Action is {status}"}

    def end(self, status: str, reason: str = "") -> None:
        """Set the state of the experiment. Lock held."""
        self.experiment.status = status
        if reason:
            known = self.experiment.STATUS_REASONS
            self.experiment.STATUS_REASONS = {**known, "stopping": reason, "stopped": reason, status: reason}


class Experiments:
    """Moves every experiment on."""

    def __init__(self, world: World, lanes: Lanes) -> None:
        self._world = world
        self._lanes = lanes
        self._runs: dict[str, _Run] = {}

    def turn(self) -> None:
        """Look at every experiment that is not over, and move it on beside the loop."""
        with self._world.cloud.lock:
            standing = [*self._standing()]
        for run in standing:
            self._lanes.run(f"fis:{run.experiment.id}", lambda run=run: self._moved(run))

    def _standing(self) -> Iterator[_Run]:
        if "moto.fis.models" not in sys.modules:
            return
        from moto.backends import get_backend

        backends = cast("Any", get_backend(cast("Any", "fis")))
        for account in self._world.accounts:
            for region, backend in list(backends[account].items()):
                for identity, one in list(backend.experiments.items()):
                    if one.status not in OVER:
                        yield self._runs.setdefault(str(identity), _Run(account, str(region), one))
                    else:
                        self._runs.pop(str(identity), None)

    # -- one experiment ------------------------------------------------------------------------------------

    def _moved(self, run: _Run) -> None:
        """Move an experiment on; what cannot be done is asked for again, and in the end fails the experiment."""
        try:
            self._advance(run)
        except Unfinished:
            return
        except Exception as error:
            run.failures += 1
            if run.failures < MOST_FAILURES:
                raise
            with self._world.cloud.lock:
                run.end("failed", str(error))
            self._world.effects.add("", "experiment", f"{run.experiment.id} failed: {error}")

    def _advance(self, run: _Run) -> None:
        ec2 = client(self._world, "ec2", run.account, run.region)
        with self._world.cloud.lock:
            halt = self._halted(run)
            if halt and run.experiment.status != "stopping":
                run.end("stopping", halt)
                self._world.effects.add("", "experiment", f"{run.experiment.id} {halt}")
            status = run.experiment.status
        if run.failed:
            self._stop(run, ec2, "failed", run.failed)
        elif status == "stopping":
            self._stop(run, ec2, "stopped")
        elif status == "pending":
            self._begin(run, ec2)
        elif status == "running":
            self._act(run, ec2)

    def _halted(self, run: _Run) -> str:
        """Say what ends the experiment early; empty when nothing does. Lock held."""
        if self._world.levers.get((run.account, run.region), ("disengaged", ""))[0] != "disengaged":
            return BY_LEVER
        alarms = self._world.cloud.backend("cloudwatch", run.account, run.region).alarms
        for one in run.experiment.stop_conditions:
            alarm = alarms.get(alarm_name(str(one.get("value", ""))))
            if alarm is not None and alarm.state_value == "ALARM":
                return BY_ALARM
        return ""

    def _begin(self, run: _Run, ec2: Any) -> None:
        """Choose the targets; without one the experiment fails, or its actions are skipped."""
        found = {name: chosen(ec2, one) for name, one in run.experiment.targets.items()}
        options = run.experiment.experiment_options
        with self._world.cloud.lock:
            run.chosen = found
            empty = [name for name, names in found.items() if not names]
            if empty and options["emptyTargetResolutionMode"] == "fail":
                run.end("failed", f"{EMPTY}: {', '.join(empty)}")
                return
            every = set(run.experiment.actions) if options["actionsMode"] == "skip-all" else set[str]()
            for name, action in run.experiment.actions.items():
                if name in every or set(_targets(action)) & set(empty):
                    run.skipped.add(name)
                    run.tell(name, "skipped", EMPTY)
            run.end("running")
        self._world.effects.add("", "experiment", f"{run.experiment.id} running")

    def _act(self, run: _Run, ec2: Any) -> None:
        """End what is due, and begin what nothing holds up any more."""
        for name, act in run.acts.items():
            if not act.over and self._world.now_ns() >= act.until_ns:
                act.injection.heal(ec2)
                self._over(run, name, "completed")
        for name, action in run.experiment.actions.items():
            if name in run.acts or name in run.skipped or run.failed:
                continue
            if all(self._is_over(run, other) for other in action.get("startAfter") or ()):
                self._start(run, ec2, name, action)
        if run.failed:
            self._stop(run, ec2, "failed", run.failed)
            return
        with self._world.cloud.lock:
            if run.experiment.status == "running" and all(self._is_over(run, name) for name in run.experiment.actions):
                run.end("completed")
                self._world.effects.add("", "experiment", f"{run.experiment.id} completed")

    def _start(self, run: _Run, ec2: Any, name: str, action: Mapping[str, Any]) -> None:
        given: dict[str, str] = action.get("parameters") or {}
        injection = INJECTIONS[str(action["actionId"])](given)
        lasts = next((span for part in _LASTS if (span := duration(given.get(part))) is not None), None)
        until_ns = self._world.now_ns() + (int(lasts.total_seconds() * NS) if lasts else 0)
        run.acts[name] = _Act(injection, until_ns)
        hit = [one for target in _targets(action) for one in run.chosen[target]]
        try:
            injection.begin(ec2, hit)
        except Exception as error:  # noqa: BLE001 - whatever AWS would say, the experiment fails with its words
            with self._world.cloud.lock:
                run.tell(name, "failed", str(error))
            run.failed = f"{name}: {error}"
            return
        with self._world.cloud.lock:
            run.tell(name, "running")
        self._world.effects.add("", "experiment", f"{run.experiment.id} {name} hits {', '.join(hit) or 'nothing'}")

    def _stop(self, run: _Run, ec2: Any, status: str, reason: str = "") -> None:
        """Take back all that has begun; an ``Unfinished`` leaves it to the next turn."""
        for name, act in run.acts.items():
            if not act.over:
                act.injection.heal(ec2)
                self._over(run, name, "stopped")
        with self._world.cloud.lock:
            for name in run.experiment.actions.keys() - run.acts.keys() - run.skipped:
                run.tell(name, "cancelled")
            run.end(status, reason)
        self._world.effects.add("", "experiment", f"{run.experiment.id} {status}")

    def _over(self, run: _Run, name: str, status: str) -> None:
        run.acts[name].over = True
        with self._world.cloud.lock:
            if run.experiment.actions[name]["state"]["status"] != "failed":
                run.tell(name, status)

    def _is_over(self, run: _Run, name: str) -> bool:
        return name in run.skipped or (name in run.acts and run.acts[name].over)


def _targets(action: Mapping[str, Any]) -> tuple[str, ...]:
    given: Mapping[str, str] = action.get("targets") or {}
    return tuple(given.values())
