"""Put the values of one environment, in one direction, into what a runbook left open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from drills.errors import Problem
from drills.runbook.environment import EnvironmentKind
from drills.runbook.interpolate import bind, finish, plain, references, waits_for_output
from drills.runbook.problems import did_you_mean
from drills.runbook.works import check_fields, is_own
from drills.timeline.facts import Facts
from drills.work import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drills.runbook.environment import Environment, Spot
    from drills.runbook.load import LoadedEnvironment
    from drills.runbook.model import Listed
    from drills.runbook.problems import Problems
    from drills.runbook.works import Traits
    from drills.runbook.world import SandboxValues
    from drills.services.spec import Follow
    from drills.timeline.facts import Json
    from drills.yamldoc import Node, Where


class Direction(msgspec.Struct, frozen=True):
    """From which site to which."""

    from_site: str
    to_site: str


class Scope(msgspec.Struct, frozen=True):
    """The names that are known, and those that only a booted sandbox will tell."""

    values: Mapping[str, Json]
    later: frozenset[str]


class BoundWork(msgspec.Struct, frozen=True):
    """The fields of one work, bound; what the work declares with them; and the probe that follows it, if any."""

    params: Facts
    traits: Traits
    follow: Follow | None


class Binder:
    """Binds the texts and fields of one runbook, and collects what is missing."""

    def __init__(self, scope: Scope, direction: Direction, environment: LoadedEnvironment, problems: Problems) -> None:
        self._scope = scope
        self._direction = direction
        self._environment = environment
        self._problems = problems

    def work(self, given: Mapping[str, Node], where: Where, found: Traits, step: str = "") -> BoundWork:
        """Bind the fields under ``with:`` and validate the whole model, but for outputs and what a boot will tell.

        ``step`` is the id of the step they belong to.
        """
        if plain(given) and "site" not in found.work.model_fields:  # checked whole when the runbook was read
            return BoundWork(Facts(**given), found, found.work.follow(given, step))
        self._missing(dict(given), where, found)
        values = {name: self._site(name, value, found) for name, value in given.items()}
        before = len(self._problems.found)
        told = check_fields(found, values, self._scope.values, where, self._problems)
        bound = {name: bind(value, self._scope.values) for name, value in values.items()}
        follow = found.work.follow(bound, step) if len(self._problems.found) == before else None
        if follow is not None:
            follow = replace(follow, fields=_finished(follow.fields), say=str(finish(follow.say)))
        return BoundWork(_finished(bound), told, follow)

    def check_people(self, params: Facts, where: Where) -> None:
        """Check that each role a question names has people, and enough of them; a sandbox asks whoever is there."""
        model, named = self._environment.model, params.get("roles")
        if model.kind is EnvironmentKind.SANDBOX or not isinstance(named, list) or not named:
            return
        for role in named:
            if not model.people.get(str(role)):
                told = f"roles: environment {model.environment} names nobody as {role!r}; add it to its `people`"
                self._problems.add((*where, "roles"), told)
        count, people = params.get("approvers", 1), {one for role in named for one in model.people.get(str(role), ())}
        if people and isinstance(count, int) and not any("*" in one for one in people) and len(people) < count:
            told = f"approvers: {count} are wanted, and {', '.join(map(str, named))} are {len(people)} in all"
            self._problems.add((*where, "approvers"), told)

    def text(self, given: str, where: Where) -> str:
        """Bind one text."""
        self._missing(given, where, None)
        return str(finish(bind(given, self._scope.values)))

    def problem(self, where: Where, message: str) -> None:
        """Keep what is wrong with a value that was bound."""
        self._problems.add(where, message)

    def place(self, one: Listed) -> str:
        """Give the name of the place where a step acts."""
        return self.site("to" if one.step.at is None else one.step.at, (*one.where, "at"))

    def site(self, at: str, where: Where) -> str:
        """Give the name of the site behind ``from`` or ``to``, or of a place; ``where`` says who names it."""
        model = self._environment.model
        if at == "to":
            return self._direction.to_site
        if at == "from":
            return self._direction.from_site
        if at not in model.places:
            hint = did_you_mean(at, ("from", "to", *model.places))
            if at in model.sites:
                hint = "write from or to: a runbook is written against directions, never against a site's own name"
            name = model.environment
            self._problems.add(where, f"{where[-1]}: environment {name} has no place {at!r}; {hint}")
        return at

    def _site(self, name: str, value: Node, found: Traits) -> Node:
        """Read ``site: to`` as the name of the site that ``to`` is."""
        if name != "site" or "site" not in found.work.model_fields:
            return value
        return {"from": self._direction.from_site, "to": self._direction.to_site}.get(str(value), value)

    def _missing(self, value: Node, where: Where, found: Traits | None) -> None:
        for reference in references(value, where):
            name = reference.name
            if reference.output is not None or name in self._scope.values or name in self._scope.later:
                continue
            if found is not None and is_own(found.work, reference.where[len(where) :], reference):
                continue
            environment = self._environment.model.environment
            owner = f"environment {environment}"
            if reference.head in ("from", "to"):
                site = self._direction.from_site if reference.head == "from" else self._direction.to_site
                owner = f"site {site} of environment {environment}"
            known = (*self._scope.values, *self._scope.later)
            file = self._environment.path
            hint = f"{did_you_mean(name, known)} Else add it to {file}"
            self._problems.add(reference.where, f"${{{name}}}: {owner} has no value {reference.tail!r}; {hint}")


def _finished(fields: Mapping[str, Json]) -> Facts:
    """Bind for good all fields that no output is put into later."""
    return Facts(**{name: value if waits_for_output(value) else finish(value) for name, value in fields.items()})


def scope_of(
    environment: LoadedEnvironment,
    direction: Direction,
    parameters: Mapping[str, Json],
    world: SandboxValues | None,
) -> tuple[Scope, tuple[Problem, ...]]:
    """Give every name a runbook may use: parameters before the environment's values, and both sites' values.

    Also gives what a booted sandbox should have told and did not.
    """
    model = environment.model
    told: Mapping[str, Json] = {} if world is None else {**world.values}
    values, later, problems = _known(environment, model.values, ("values",), told, world)
    for head, site in (("from", direction.from_site), ("to", direction.to_site), ("site", direction.to_site)):
        mine: Mapping[str, Json] = {} if world is None else {**world.sites.get(site, {})}
        own, own_later, own_problems = _known(
            environment, model.sites[site].values, ("sites", site, "values"), mine, world
        )
        spot = model.sites[site]
        values |= {f"{head}.name": site, f"{head}.account": spot.account, f"{head}.region": spot.region}
        values |= {f"{head}.{name}": value for name, value in own.items()}
        later |= {f"{head}.{name}" for name in own_later}
        problems += own_problems
    values |= parameters
    return Scope(values, frozenset(later - parameters.keys())), tuple(problems)


def _known(
    environment: LoadedEnvironment,
    given: Mapping[str, str | int | float | bool],
    where: Where,
    told: Mapping[str, Json],
    world: SandboxValues | None,
) -> tuple[dict[str, Json], set[str], list[Problem]]:
    values: dict[str, Json] = {}
    later: set[str] = set()
    problems: list[Problem] = []
    scope: Mapping[str, Json] = {f"sandbox.{name}": value for name, value in told.items()}
    for name, value in given.items():
        missing = [each for each in references(value) if each.name not in scope]
        if missing and world is not None:
            message = f"the sandbox has told no {missing[0].tail!r}; boot it again, or take this value out"
            problems.append(environment.doc.problem((*where, name), message))
        elif missing:
            later.add(name)
        else:
            values[name] = finish(bind(value, scope))
    return values, later, problems


def places_of(environment: Environment, world: SandboxValues | None) -> tuple[Place, ...]:
    """Give every site and place. In a sandbox the account number is the access key: its gateway reads it there."""
    spots: dict[str, Spot] = {**environment.sites, **environment.places}
    if world is None:
        return tuple(
            Place(
                name,
                spot.account,
                spot.region,
                spot.role,
                resolver=environment.resolver,
                external_id=spot.external_id,
                source_identity=spot.source_identity,
            )
            for name, spot in spots.items()
        )
    return tuple(
        Place(name, spot.account, spot.region, None, world.endpoint_url, world.resolver, spot.account)
        for name, spot in spots.items()
    )
