"""Which steps of a plan a dead man takes back, which not and why. Reads no AWS."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace as altered

from drills import catalog
from drills.engine.plan import DeadMan
from drills.runbook.environment import EnvironmentKind
from drills.services.spec import ActionSpec

if TYPE_CHECKING:
    from drills.engine.plan import Plan, Step
    from drills.runbook.environment import Environment
    from drills.runbook.load import LoadedRunbook
    from drills.runbook.problems import Problems

PERMISSIONS: Final = (
    "iam:PassRole",
    "scheduler:CreateSchedule",
    "scheduler:DeleteSchedule",
    "scheduler:GetSchedule",
    "scheduler:UpdateSchedule",
)
SHORTEST: Final = timedelta(minutes=5)
"""EventBridge Scheduler fires within the minute (its user guide), and a renewal must have time to be asked again."""


def bound_dead_man(runbook: LoadedRunbook, environment: Environment, problems: Problems) -> DeadMan | None:
    """Bind ``dead_man`` of a runbook to the role the environment names for it; what is missing is a problem."""
    after, given = runbook.model.dead_man, environment.dead_man
    if after is None:
        return None
    if given is None:
        told = (
            f"dead_man needs a role in which schedules act: write `dead_man: {{role: arn:aws:iam::ACCOUNT:role/NAME}}` "
            f"in the environment {environment.environment}, or leave dead_man out"
        )
        problems.add(("dead_man",), told)
        return None
    if environment.kind is not EnvironmentKind.SANDBOX and after < SHORTEST:
        problems.add(("dead_man",), "EventBridge Scheduler fires within the minute, not sooner: write at least 5m")
    return DeadMan(after.total_seconds(), given.role, given.group)


def armed(plan: Plan) -> Plan:
    """Give the plan with each step that its dead man takes back, what that needs from IAM, and why others stay."""
    if plan.dead_man is None:
        return plan
    behind = behind_the_point(plan)
    return replace(plan, steps=tuple(_step(one, plan, plan.dead_man, behind) for one in plan.steps))


def _step(step: Step, plan: Plan, man: DeadMan, behind: frozenset[str]) -> Step:
    if not step.reversible:
        return step
    account, theirs = plan.place(step.place).account, man.role.split(":")[4]
    work = catalog.load(step.kind, step.uses)
    why = work.unarmable(step.params) if issubclass(work, ActionSpec) else "it is no change"
    if not why and step.id in behind:
        why = "it comes after the point of no return, where nothing is taken back by itself"
    if not why and account != theirs:
        why = f"the schedules' role is of account {theirs}, the step's place of {account}"
    if why:
        return altered(step, unarmed=why)
    return altered(step, armed=True, permissions=tuple(sorted({*step.permissions, *PERMISSIONS})))


def behind_the_point(plan: Plan) -> frozenset[str]:
    """Name the steps that wait, however far back, for one that moves authority."""
    found = {step.id for step in plan.steps if step.authority}
    points = frozenset(found)
    for _ in plan.steps:
        more = {step.id for step in plan.steps if found.intersection(step.needs)} - found
        if not more:
            break
        found |= more
    return frozenset(found - points)
