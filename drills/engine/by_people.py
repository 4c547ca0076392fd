"""A plan in which people act and the tool judges: every change becomes a task, and is looked for. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace as altered

from drills.aws.readonly import READ_VERBS
from drills.engine.budget import worst_s
from drills.engine.plan import Hand
from drills.work import Kind

if TYPE_CHECKING:
    from drills.engine.plan import Plan, Step

LEAST_S: Final = 3600.0
"""How long people have for a task at least."""


def by_people(plan: Plan) -> Plan:
    """Give the plan with no step that changes anything, nobody's answer made up, and time for people to act."""
    made = replace(plan, steps=tuple(map(_task, plan.steps)), ask=True, observe_only=True)
    return replace(made, deadline_s=max(plan.deadline_s, worst_s(made)))


def _task(step: Step) -> Step:
    """Make a task of a change: done when a person says so, or when a look sees it done.

    A person's word proves no cut of replication, so the evidence goes; of the permissions only the reading ones stay.
    """
    if not step.changes or step.left_out is not None:
        return step
    reads = tuple(one for one in step.permissions if READ_VERBS.match(one.partition(":")[2]))
    return altered(
        step,
        kind=Kind.OPERATOR,
        hand=Hand(step.kind, step.authority),
        timeout_s=max(step.timeout_s, LEAST_S),
        best_effort_s=None,
        permissions=reads,
        evidence=(),
        one_way=None,
        authority=False,
        holds_authority=False,
    )
