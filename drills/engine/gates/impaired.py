"""Steps that need what the disaster takes away: the control plane of the lost region, or one that lives only there.

Advice, not a refusal: a drill may want to learn exactly this. ``best_effort`` on the step or a waiver silences it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drills.engine.gates.question import warns, yes
from drills.engine.plan import Section
from drills.timeline.marks import Mark
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.engine.plan import Plan, Step
    from drills.timeline.events import Gated

NAME: Final = "impaired-region"

PINNED: Final = {
    "route53": ("us-east-1", "switch with an ARC routing control or an inverted health check, which are data plane"),
    "iam": ("us-east-1", "have the role and its policies there before; credentials are data plane"),
    "organizations": ("us-east-1", "no recovery should need it"),
    "cloudfront": ("us-east-1", "use an origin group, which fails over by itself"),
    "route53domains": ("us-east-1", "no recovery should need it"),
    "globalaccelerator": ("us-west-2", "its health checks move traffic by themselves, which is data plane"),
    "route53-recovery-control-config": ("us-west-2", "change routing control states by the cluster's endpoints"),
}
"""Global services: the region their control plane lives in, and what needs it not. Their reads stay where they are."""
READS: Final = ("Get", "List", "Describe")


def ask(question: Question) -> Iterator[Gated]:
    """Look at every step behind the disaster; asks nobody."""
    plan, found = question.plan, False
    lost = _lost(plan)
    if not lost:
        yield yes(NAME, "the plan loses no region")
        return
    for step in behind(plan):
        told = needs(plan, step, lost)
        if not told:
            continue
        found = True
        waiver = plan.rules.waived(NAME, step.id)
        name = f"{NAME}:{step.id}"
        if step.best_effort_s is not None:
            yield yes(name, f"best effort: {told}")
        elif waiver is not None:
            yield yes(name, f"waived ({waiver.why}): {told}")
        else:
            yield warns(name, told)
    if not found:
        yield yes(NAME, f"no step behind the disaster needs the control plane of {lost}")


def _lost(plan: Plan) -> str:
    """Give the region that a real disaster of this kind takes away; empty when both sites share one."""
    regions = {place.name: place.region for place in plan.places}
    lost = regions.get(plan.from_site, "")
    return lost if lost != regions.get(plan.to_site) else ""


def behind(plan: Plan) -> tuple[Step, ...]:
    """Give the steps that come after the disaster: all of an incident, else those that wait for its mark."""
    steps = [one for one in plan.steps if one.section in (Section.STEPS, Section.SETTLE, Section.AFTER)]
    marks = {one.id for one in steps if one.mark is Mark.DISASTER}
    if not marks:
        return tuple(steps)
    after = set(marks)
    for one in steps:
        if after.intersection(one.needs) or one.section is not Section.STEPS:
            after.add(one.id)
    return tuple(one for one in steps if one.id in after - marks and one.kind is not Kind.FAULT)


def needs(plan: Plan, step: Step, lost: str) -> str:
    """Say which control plane of the lost region a step needs; empty when it needs none."""
    writes = [action for action in step.permissions if not action.partition(":")[2].startswith(READS)]
    for action in writes:
        home, instead = PINNED.get(action.partition(":")[0], ("", ""))
        if home == lost:
            return f"{action} is answered in {home} only, which is the region that is lost; {instead}"
    region = next((place.region for place in plan.places if place.name == step.place), "")
    local = [action for action in step.permissions if action.partition(":")[0] not in PINNED]
    if region == lost and local:
        told = f"it calls {local[0]} in {lost}, which is lost and may not answer"
        return f"{told}; do it at the other site, or give the step `best_effort`"
    return ""
