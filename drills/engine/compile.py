"""From a runbook and an environment, in one direction, to the compiled plan. Reads no AWS; makes no write."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from drills.engine.arming import armed, bound_dead_man
from drills.engine.bind import Binder, Direction, Scope, places_of, scope_of
from drills.engine.budget import worst_s
from drills.engine.environment_probes import freshness_steps
from drills.engine.gates import impaired
from drills.engine.ledgers import data_watches
from drills.engine.plan import (
    Allowed,
    Finally,
    Mode,
    Objective,
    Plan,
)
from drills.engine.rules import rules_of
from drills.engine.steps import bound_points, bound_steps
from drills.engine.watches import bound_watches
from drills.errors import Invalid, Refused, Usage
from drills.runbook.environment import EnvironmentKind
from drills.runbook.model import ParameterType
from drills.runbook.names import read_text, typed
from drills.runbook.problems import Problems, did_you_mean
from drills.timeline.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drills.engine.plan import Step
    from drills.errors import Problem
    from drills.runbook.load import LoadedEnvironment, LoadedRunbook
    from drills.runbook.world import SandboxValues
    from drills.timeline.facts import Json

_ALLOWED: Final = {
    Mode.REHEARSE: (EnvironmentKind.SANDBOX,),
    Mode.RUN: (EnvironmentKind.STAGING, EnvironmentKind.PRODUCTION, EnvironmentKind.SANDBOX),
    Mode.INCIDENT: tuple(EnvironmentKind),
}

_AVAILABILITY: Final = ("measure", "availability")


def compile_plan(  # noqa: PLR0913 - a plan is bound by all of these at once
    runbook: LoadedRunbook,
    environment: LoadedEnvironment,
    *,
    mode: Mode,
    from_site: str,
    to_site: str,
    parameters: Mapping[str, str],
    ask: bool,
    world: SandboxValues | None,
) -> Plan:
    """Bind ``runbook`` to ``environment`` in one direction.

    ``Usage`` when the command line names a site or parameter that is not there, ``Refused`` when this mode may not
    run there, ``Invalid`` with every missing name and every field that does not fit.
    """
    book, place = runbook.model, environment.model
    allow(mode, environment)
    direction = _direction(environment, from_site, to_site)
    chosen = _parameters(runbook, parameters)
    scope, untold = scope_of(environment, direction, chosen, world)
    problems = Problems(runbook.doc)
    binder = Binder(scope, direction, environment, problems)
    steps = bound_steps(runbook, mode, binder)
    watched = runbook.model.measure.availability
    availability = bound_watches(watched, binder, world.resolver if world else place.resolver, _AVAILABILITY)
    data = data_watches(runbook, binder)
    points = bound_points(runbook, binder)
    dead_man = bound_dead_man(runbook, place, problems) if mode is not Mode.INCIDENT else None
    if problems.found or untold:
        raise Invalid([*problems.found, *untold])
    hold_s = 0.0 if mode is Mode.REHEARSE and not ask else book.hold_for.total_seconds()
    secrets = {name for name, one in book.parameters.items() if one.type is ParameterType.SECRET}
    plan = Plan(
        runbook=book.runbook,
        title=book.title,
        environment=place.environment,
        environment_kind=place.kind.value,
        mode=mode,
        from_site=from_site,
        to_site=to_site,
        home=place.home,
        places=places_of(place, world),
        steps=steps,
        objectives=tuple(
            Objective(
                name,
                goal.begins,
                goal.ends,
                goal.within.total_seconds() if goal.within is not None else 0.0,
                goal.seen_by,
                goal.basis,
                goal.joint,
                goal.limits,
                goal.at_most or 0,
            )
            for name, goal in book.objectives.items()
        ),
        availability=availability,
        data=data,
        recovery_points=points,
        strategy=book.strategy.value if book.strategy else "",
        service=book.service or "",
        severity=book.severity or "",
        owner=book.owner or "",
        scope=Allowed(Facts(**place.scope.tags), place.scope.max_targets, place.scope.allow) if place.scope else None,
        rules=rules_of(place),
        freshness=freshness_steps(environment, scope, direction),
        parameters=Facts(**{name: value for name, value in chosen.items() if name not in secrets}),
        finally_=_finally(runbook),
        failback=book.finally_.failback or "",
        hold_for_s=hold_s,
        baseline_s=book.measure.baseline.total_seconds(),
        fence=book.no_fence or "",
        ask=ask,
        dns_ttl_s=_ttl(environment),
        dead_man=dead_man,
        people=_people(environment),
        break_glass=place.break_glass.profile if place.break_glass and mode is Mode.INCIDENT else "",
        world=world.folder if world else "",
        world_private=world.private if world else False,
    )
    plan = armed(plan)
    most = worst_s(plan)
    cap = book.deadline.total_seconds() if book.deadline else most
    return replace(plan, deadline_s=min(most, cap))


def check_bound(runbook: LoadedRunbook, environment: LoadedEnvironment) -> tuple[Problem, ...]:
    """Bind ``runbook`` to ``environment`` in every mode and direction it may run in; ``Invalid`` tells all.

    What only a booted sandbox or the command line will tell is taken as given. Gives the warnings: steps that need
    the control plane of the region that a direction loses.
    """
    sites = tuple(environment.model.sites)
    pairs = [(old, new) for old in sites for new in sites if old != new] or [(sites[0], sites[0])]
    declared_watches = runbook.model.measure.availability
    declared = runbook.model.parameters
    defaults: dict[str, Json] = {name: one.default for name, one in declared.items() if one.default is not None}
    problems = Problems(runbook.doc)
    for old, new in pairs:
        direction = Direction(old, new)
        scope, _untold = scope_of(environment, direction, defaults, None)
        scope = Scope(scope.values, scope.later | (declared.keys() - defaults.keys()))
        binder = Binder(scope, direction, environment, problems)
        freshness_steps(environment, scope, direction)
        for mode in Mode:
            if environment.model.kind in _ALLOWED[mode]:
                steps = bound_steps(runbook, mode, binder)
                if mode is Mode.RUN:
                    _warn_of_the_lost(runbook, steps, environment, direction, problems)
        bound_watches(declared_watches, binder, None, _AVAILABILITY)
        data_watches(runbook, binder)
        bound_points(runbook, binder)
    bound_dead_man(runbook, environment.model, problems)
    if problems.found:
        raise Invalid(problems.found)
    return tuple(sorted(set(problems.warnings)))


def _warn_of_the_lost(
    runbook: LoadedRunbook,
    steps: tuple[Step, ...],
    environment: LoadedEnvironment,
    direction: Direction,
    problems: Problems,
) -> None:
    """Warn of each step that the gate of the impaired region would tell of in this direction."""
    places, rules = places_of(environment.model, None), rules_of(environment.model)
    lost = impaired.lost_region(places, direction.from_site, direction.to_site)
    if impaired.is_planned(steps, Mode.RUN):
        return
    where = {one.step.id: one.where for one in runbook.model.listed()}
    for step, told in impaired.needed(steps, places, lost) if lost else ():
        if step.best_effort_s is None and rules.waived(impaired.NAME, step.id) is None:
            way = f"from {direction.from_site} to {direction.to_site}"
            problems.warn(where.get(step.id, ("steps",)), f"{step.id}, {way}: {told}")


def allow(mode: Mode, environment: LoadedEnvironment) -> None:
    """Refuse a mode that an environment of this kind does not take: ``Refused`` says why."""
    kind = environment.model.kind
    name = environment.model.environment
    if kind not in _ALLOWED[mode]:
        raise Refused(
            f"not started: a rehearsal needs an environment of kind sandbox, and {name} is {kind.value}; "
            "use 'drills run' there; nothing was changed"
        )
    if mode is Mode.RUN and kind is EnvironmentKind.PRODUCTION and environment.model.drills != "allowed":
        raise Refused(
            f"not started: {name} is production and its file does not say 'drills: allowed'; nothing was changed"
        )


def _direction(environment: LoadedEnvironment, from_site: str, to_site: str) -> Direction:
    sites = environment.model.sites
    for site in (from_site, to_site):
        if site not in sites:
            raise Usage(f"{environment.model.environment} has no site {site!r}; {did_you_mean(site, sites)}")
    if from_site == to_site and len(sites) > 1:
        raise Usage(f"from and to are both {to_site}; name two of: {', '.join(sites)}")
    return Direction(from_site, to_site)


def _parameters(runbook: LoadedRunbook, given: Mapping[str, str]) -> dict[str, Json]:
    declared = runbook.model.parameters
    for name in given:
        if name not in declared:
            raise Usage(f"{runbook.model.runbook} has no parameter {name!r}; {did_you_mean(name, declared)}")
    values: dict[str, Json] = {}
    for name, one in declared.items():
        try:
            if name in given:
                values[name] = read_text(one.type, given[name])
            elif one.default is not None:
                values[name] = typed(one.type, one.default)
        except ValueError as error:
            raise Usage(f"parameter {name}: {error}") from error
    missing = [name for name in declared if name not in values]
    if missing:
        raise Usage(f"no value for {', '.join(missing)}; give it with --set {missing[0]}=VALUE")
    return values


def _finally(runbook: LoadedRunbook) -> Finally:
    end = runbook.model.finally_
    if end.failback is not None:
        return Finally.FAILBACK
    return Finally.UNDO if end.undo else Finally.KEEP


def _ttl(environment: LoadedEnvironment) -> float | None:
    model = environment.model
    if model.dns_ttl is not None:
        return model.dns_ttl.total_seconds()
    return model.world.ttl.total_seconds() if model.world is not None else None


def _people(environment: LoadedEnvironment) -> Facts:
    roles: dict[str, Json] = {role: [*map(str, people)] for role, people in environment.model.people.items()}
    return Facts(**roles)
