"""Everything that must hold in an environment, beyond what each field says for itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from drills.durations import show
from drills.runbook.environment import EnvironmentKind
from drills.runbook.interpolate import references
from drills.runbook.names import SITE_FACTS
from drills.runbook.problems import did_you_mean
from drills.runbook.works import check_fields
from drills.runbook.world import SANDBOX_SITE_VALUES, SANDBOX_VALUES
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drills.runbook.environment import Environment, Spot
    from drills.runbook.problems import Problems
    from drills.runbook.works import Works
    from drills.yamldoc import Node, Where

RESERVED = ("from", "to")


def check_environment(environment: Environment, works: Works, problems: Problems) -> None:
    """Check accounts, names, sandbox values, the ``active`` probe and the world."""
    sandbox = environment.kind is EnvironmentKind.SANDBOX
    for group, spots in (("sites", environment.sites), ("places", environment.places)):
        for name, spot in spots.items():
            _spot((group, name), name, spot, problems)
    for name in environment.places.keys() & environment.sites.keys():
        problems.add(("places", name), f"{name!r} is a site already; give the place another name")
    _values(("values",), environment.values, SANDBOX_VALUES if sandbox else None, problems)
    for name, site in environment.sites.items():
        where = ("sites", name, "values")
        _values(where, site.values, SANDBOX_SITE_VALUES if sandbox else None, problems)
        for value in site.values:
            if value in SITE_FACTS:
                problems.add(
                    (*where, value), f"{value!r} is known of every site by itself; give the value another name"
                )
    _active(environment, works, problems)
    _rules(environment, works, problems)
    _world(environment, problems)
    _observe(environment, problems)
    if environment.drills is not None and environment.kind is not EnvironmentKind.PRODUCTION:
        problems.add(("drills",), "'drills: allowed' has a meaning only in production; remove it")


def _spot(where: Where, name: str, spot: Spot, problems: Problems) -> None:
    if name in RESERVED:
        problems.add(where, f"{name!r} is a direction, not a name; give it another, such as its region's")
    if spot.role is not None:
        account = spot.role.split(":")[4]
        if account != spot.account:
            problems.add(
                (*where, "role"),
                f"the role is of account {account}, and this place is in {spot.account}; mend one of them",
            )


def _values(where: Where, values: Mapping[str, Node], sandbox: tuple[str, ...] | None, problems: Problems) -> None:
    for reference in references(dict(values), where):
        shown = f"${{{reference.name}}}"
        if not reference.name or reference.head != "sandbox":
            problems.add(reference.where, f"{shown}: a value names nothing but ${{sandbox.x}}; write it out, or $${{")
        elif sandbox is None:
            problems.add(reference.where, f"{shown} has a meaning only in an environment of kind sandbox; write it out")
        elif reference.tail not in sandbox:
            problems.add(
                reference.where,
                f"{shown}: a sandbox tells no {reference.tail!r} here; {did_you_mean(reference.tail, sandbox)}",
            )


def _active(environment: Environment, works: Works, problems: Problems) -> None:
    if environment.active is None:
        return
    probe = environment.active
    found = works.find(Kind.PROBE, probe.probe)
    if isinstance(found, str):
        problems.add(("active", "probe"), found)
        return
    check_fields(found, probe.with_, {}, ("active", "with"), problems)
    for reference in references(probe.with_, ("active", "with")):
        shown = f"${{{reference.name}}}"
        if reference.head == "site":
            for name, site in environment.sites.items():
                if reference.tail not in (*site.values, *SITE_FACTS):
                    hint = did_you_mean(reference.tail, (*site.values, *SITE_FACTS))
                    problems.add(reference.where, f"{shown}: site {name} has no value {reference.tail!r}; {hint}")
        elif reference.head or reference.name not in environment.values:
            problems.add(reference.where, f"{shown}: here only ${{site.x}} and the environment's own values are known")


def _observe(environment: Environment, problems: Problems) -> None:
    """Check that each observer has an id of its own and names only what the environment knows."""
    if environment.observe is None:
        return
    first: dict[str, int] = {}
    paces = environment.observe
    for number, one in enumerate(paces.availability):
        where = ("observe", "availability", number)
        if "every" in one.model_fields_set and one.every < paces.every:
            told = (
                f"{one.id}: every {_show(one.every)} is closer than 'observe: every' ({_show(paces.every)}), the pace"
            )
            problems.add((*where, "every"), f"{told} of all that is kept here; write {_show(paces.every)} or more")
        least = 5 * (max(one.every, paces.every) + one.timeout)
        if "stable_for" in one.model_fields_set and one.stable_for < least:
            told = f"{one.id}: stable_for {_show(one.stable_for)} is shorter than 5 x (timeout + every); write"
            problems.add((*where, "stable_for"), f"{told} {_show(least)} or more, or remove it")
        if first.setdefault(one.id, number) != number:
            line = problems.doc.line(("observe", "availability", first[one.id]))
            problems.add((*where, "id"), f"the id {one.id!r} stands already on line {line}; give one of them another")
        for inner, text, _ in one.spoken():
            for reference in references(text, (*where, *inner)):
                shown = f"${{{reference.name}}}"
                sites = [site for site in environment.sites.values() if reference.tail in (*site.values, *SITE_FACTS)]
                if reference.head in ("from", "to"):
                    if len(sites) < len(environment.sites):
                        problems.add(reference.where, f"{shown}: not every site has a value {reference.tail!r}; add it")
                elif reference.head or reference.name not in environment.values:
                    hint = did_you_mean(reference.name, environment.values)
                    problems.add(reference.where, f"{shown}: the environment has no such value; {hint}")


def _rules(environment: Environment, works: Works, problems: Problems) -> None:
    places = (*environment.sites, *environment.places)
    for group, asked in (("alarms", environment.alarms), ("calendars", environment.calendars)):
        for number, one in enumerate(asked):
            if one.at not in places:
                problems.add((group, number, "at"), f"there is no place {one.at!r}; {did_you_mean(one.at, places)}")
    for number, one in enumerate(environment.freshness):
        found = works.find(Kind.PROBE, one.probe)
        if isinstance(found, str):
            problems.add(("freshness", number, "probe"), found)
    used = {spot.region for spot in (*environment.sites.values(), *environment.places.values())}
    for number, region in enumerate(environment.scope.regions):
        if region not in used:
            told = f"no site or place is in {region}; {did_you_mean(region, tuple(sorted(used)))}"
            problems.add(("scope", "regions", number), told)


def _world(environment: Environment, problems: Problems) -> None:
    if environment.kind is not EnvironmentKind.SANDBOX:
        if environment.world is not None:
            problems.add(("world",), "only a sandbox builds its world; remove it, or write 'kind: sandbox'")
        return
    if environment.world is None:
        if not problems.is_broken(("world",)) and not problems.has_broken_field(("world",)):
            problems.add(("kind",), "a sandbox needs 'world:', which says what is built; add it")
        return
    sites = environment.sites
    if environment.world.primary not in sites:
        name = environment.world.primary
        problems.add(("world", "primary"), f"there is no site {name!r}; {did_you_mean(name, sites)}")
    if environment.world.ttl % timedelta(seconds=1):
        problems.add(("world", "ttl"), "ttl: a name server tells whole seconds; write 1s or more")
    for name, count in environment.world.capacity.items():
        if name not in sites:
            problems.add(("world", "capacity", name), f"there is no site {name!r}; {did_you_mean(name, sites)}")
        if not 0 <= count <= 20:  # noqa: PLR2004 - each is a process on this machine
            problems.add(("world", "capacity", name), f"{count} is no capacity for one machine; write 0 to 20")


def _show(span: timedelta) -> str:
    return show(span.total_seconds())
