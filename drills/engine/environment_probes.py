"""The probes that an environment names: which site is active, and how much would be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.engine.bind import Binder, Direction, scope_of
from drills.engine.plan import Section, Step
from drills.errors import Invalid
from drills.runbook.problems import Problems
from drills.runbook.works import Works
from drills.work import Kind

if TYPE_CHECKING:
    from drills.engine.bind import Scope
    from drills.runbook.load import LoadedEnvironment
    from drills.runbook.world import SandboxValues


def active_steps(environment: LoadedEnvironment, world: SandboxValues | None) -> tuple[Step, ...]:
    """Give one probe for each site that asks whether it is the active one; none when the environment does not say.

    ``Step.place`` is the site asked. Exactly one yes gives the direction.
    """
    probe = environment.model.active
    if probe is None:
        return ()
    found = Works().find(Kind.PROBE, probe.probe)
    if isinstance(found, str):
        raise Invalid([environment.doc.problem(("active", "probe"), found)])
    problems = Problems(environment.doc)
    steps: list[Step] = []
    for number, site in enumerate(environment.model.sites, 1):
        direction = Direction(site, site)
        scope, untold = scope_of(environment, direction, {}, world)
        problems.found.extend(untold)
        where = ("active", "with")
        bound = Binder(scope, direction, environment, problems).work(probe.with_, where, found)
        steps.append(
            Step(
                id=f"active-{site}",
                number=number,
                kind=Kind.PROBE,
                uses=probe.probe,
                place=site,
                section=Section.BEFORE,
                params=bound.params,
                timeout_s=probe.timeout.total_seconds(),
                permissions=bound.traits.permissions,
            )
        )
    if problems.found:
        raise Invalid(problems.found)
    return tuple(steps)


def freshness_steps(environment: LoadedEnvironment, scope: Scope, direction: Direction) -> tuple[Step, ...]:
    """Give one probe for each entry of ``freshness``, bound in one direction; ``Invalid`` tells what does not fit."""
    problems = Problems(environment.doc)
    binder = Binder(scope, direction, environment, problems)
    steps: list[Step] = []
    for number, one in enumerate(environment.model.freshness):
        found = Works().find(Kind.PROBE, one.probe)
        if isinstance(found, str):
            problems.add(("freshness", number, "probe"), found)
            continue
        bound = binder.work(one.with_, ("freshness", number, "with"), found)
        steps.append(
            Step(
                id=f"freshness-{number + 1}",
                number=number + 1,
                kind=Kind.PROBE,
                uses=one.probe,
                place=direction.from_site if one.at == "from" else direction.to_site,
                section=Section.BEFORE,
                params=bound.params,
                timeout_s=one.timeout.total_seconds(),
                permissions=bound.traits.permissions,
            )
        )
    if problems.found:
        raise Invalid(problems.found)
    return tuple(steps)
