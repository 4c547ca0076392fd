"""A drill of a part of its runbook: ``--from STEP`` and ``--only STEP``. Pure.

What is left out stands in the plan and on the timeline. A change that is left out and that a chosen step waits for
is looked at when its turn comes: its goal must be there already, else the step fails before anything depends on it;
``--assume STEP`` takes a person's word instead. Faults, probes and questions are left out without a look. A mark on a
step that was left out is dropped, so objectives on it are UNPROVEN.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from msgspec.structs import replace as altered

from drills.engine.plan import LeftOut, OnFailure, Plan, Section, Step
from drills.errors import Usage
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a runbook a person wants; empty: all of it."""

    begins: str = ""
    only: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    def of(self, plan: Plan) -> Plan:
        """Give the plan of this part; ``Usage`` when it names a step that is not there, or nothing to leave out."""
        if not (self.begins or self.only):
            if self.assumed:
                raise Usage("--assume belongs to --from or --only: without them no step is left out")
            return plan
        if self.begins and self.only:
            raise Usage("say --from STEP or --only STEP, not both")
        steps = {step.id: step for step in plan.steps if step.section is Section.STEPS}
        for name in (*((self.begins,) if self.begins else ()), *self.only, *self.assumed):
            if name not in steps:
                near = get_close_matches(name, steps, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(steps)}"
                raise Usage(f"{plan.runbook} has no step {name!r}; {hint}")
        chosen = [self.begins] if self.begins else [*self.only]
        for name in chosen:
            if steps[name].reserve:
                users = ", ".join(step.id for step in plan.steps if step.run_on_failure == name)
                raise Usage(f"{name!r} runs only when {users} fails, so a drill cannot be of it; name {users}")
        needed = _ancestors(steps, chosen)
        chosen += [step.id for step in steps.values() if any(step.id == f"{name}.wait" for name in chosen)]
        out = needed - set(chosen) if self.begins else steps.keys() - set(chosen)
        why = f"left out by --from {self.begins}" if self.begins else f"left out by --only {' '.join(self.only)}"
        wrong = [name for name in self.assumed if name not in out]
        if wrong:
            raise Usage(f"--assume {wrong[0]}: that step is not left out")
        return replace(plan, steps=tuple(self._step(step, out, why, needed) for step in plan.steps), left_out=why)

    def _step(self, step: Step, out: set[str], why: str, needed: set[str]) -> Step:
        """Give a step as it is in this part; nothing stands in for one that is left out, and none that is itself."""
        if step.id in out or step.run_on_failure in out:
            step = altered(step, on_failure=OnFailure.HOLD, run_on_failure="")
        return self._left_out(step, why, needed) if step.id in out else step

    def _left_out(self, step: Step, why: str, needed: set[str]) -> Step:
        looked_at = step.kind is Kind.ACTION and step.id in needed and step.id not in self.assumed
        word = f"{why}, taken as done on a person's word" if step.id in self.assumed else why
        return altered(step, left_out=LeftOut(word, goal=looked_at))


def _ancestors(steps: dict[str, Step], chosen: Iterable[str]) -> set[str]:
    """Give everything that the chosen steps wait for, directly or not."""
    found: set[str] = set()
    todo = [need for name in chosen for need in steps[name].needs]
    while todo:
        name = todo.pop()
        if name in steps and name not in found:
            found.add(name)
            todo += steps[name].needs
    return found
