"""Steps that need what the disaster takes away: the control plane of the lost region, or one that lives only there.

Advice, not a refusal: a drill may want to learn exactly this. ``best_effort`` on the step or a waiver silences it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drills.engine.gates.question import warns, yes
from drills.engine.plan import Mode, Section
from drills.timeline.marks import Mark
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from drills.engine.gates.question import Question
    from drills.engine.plan import Step
    from drills.timeline.events import Gated
    from drills.work import Place

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
    lost = lost_region(plan.places, plan.from_site, plan.to_site)
    if not lost or is_planned(plan.steps, plan.mode):
        yield yes(NAME, "the plan loses no region")
        return
    for step, told in needed(plan.steps, plan.places, lost):
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


def lost_region(places: Sequence[Place], from_site: str, to_site: str) -> str:
    """Give the region that a real disaster of this kind takes away; empty when both sites share one."""
    regions = {place.name: place.region for place in places}
    lost = regions.get(from_site, "")
    return lost if lost != regions.get(to_site) else ""


def is_planned(steps: Sequence[Step], mode: Mode) -> bool:
    """Say whether nothing is lost: no incident, and no step that marks a disaster, as in a planned switchover."""
    return mode is not Mode.INCIDENT and all(step.mark is not Mark.DISASTER for step in steps)


def needed(steps: Sequence[Step], places: Sequence[Place], lost: str) -> Iterator[tuple[Step, str]]:
    """Give each step behind the disaster that needs a control plane of the lost region, and which."""
    for step in _behind(steps):
        told = _needs(step, places, lost)
        if told:
            yield step, told


def _behind(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Give the steps that come after the disaster: all of an incident, else those that wait for its mark."""
    listed = [one for one in steps if one.section in (Section.STEPS, Section.SETTLE, Section.AFTER)]
    marks = {one.id for one in listed if one.mark is Mark.DISASTER}
    if not marks:
        return tuple(listed)
    after = set(marks)
    for one in listed:
        if after.intersection(one.needs) or one.section is not Section.STEPS:
            after.add(one.id)
    return tuple(one for one in listed if one.id in after - marks and one.kind is not Kind.FAULT)


def _needs(step: Step, places: Sequence[Place], lost: str) -> str:
    """Say which control plane of the lost region a step needs; empty when it needs none."""
    writes = [action for action in step.permissions if not action.partition(":")[2].startswith(READS)]
    for action in writes:
        home, instead = PINNED.get(action.partition(":")[0], ("", ""))
        if home == lost:
            return f"{action} is answered in {home} only, which is the region that is lost; {instead}"
    region = next((place.region for place in places if place.name == step.place), "")
    local = [action for action in step.permissions if action.partition(":")[0] not in PINNED]
    if region == lost and local:
        told = f"it calls {local[0]} in {lost}, which is lost and may not answer"
        return f"{told}; do it at the other site, or give the step `best_effort`"
    return ""
