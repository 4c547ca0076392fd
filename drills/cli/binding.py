"""From the words of a command line to a compiled plan: which files, which direction, which values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drills.engine.partial import Part
from drills.engine.plan import Mode
from drills.errors import Refused, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drills.aws.sessions import Accounts
    from drills.engine.plan import Plan
    from drills.runbook.load import LoadedEnvironment, LoadedRunbook
    from drills.runbook.world import SandboxValues


@dataclass(frozen=True, slots=True)
class Wish:
    """What a command line asks for: files by path or name, the site that takes over, parameters as ``NAME=VALUE``."""

    runbook: str
    environment: str
    to_site: str = ""
    settings: tuple[str, ...] = ()
    part: Part = field(default_factory=Part)

    def files(self) -> tuple[LoadedRunbook, LoadedEnvironment]:
        """Read both files; ``Usage`` when one is not there, ``Invalid`` with everything wrong in them."""
        from drills.runbook import find
        from drills.runbook.load import load_environment, load_runbook

        path = find.runbook_path(self.runbook)
        return load_runbook(path), load_environment(find.environment_path(self.environment, book=path))

    def parameters(self) -> Mapping[str, str]:
        """Read the settings; ``Usage`` when one is not ``NAME=VALUE``."""
        pairs: dict[str, str] = {}
        for one in self.settings:
            name, equals, value = one.partition("=")
            if not equals:
                raise Usage(f"--set {one}: write NAME=VALUE")
            pairs[name] = value
        return pairs


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a plan is bound: the files, the sandbox if there is one, and the sites in their direction."""

    book: LoadedRunbook
    place: LoadedEnvironment
    from_site: str
    to_site: str
    world: SandboxValues | None = None

    def plan(self, wish: Wish, mode: Mode, *, ask: bool) -> Plan:
        """Compile; ``Invalid``, ``Usage`` or ``Refused`` says why there is no plan."""
        from drills.engine.compile import compile_plan

        whole = compile_plan(
            self.book,
            self.place,
            mode=mode,
            from_site=self.from_site,
            to_site=self.to_site,
            parameters=wish.parameters(),
            ask=ask,
            world=self.world,
        )
        return wish.part.of(whole)


def declared_direction(place: LoadedEnvironment, to_site: str) -> tuple[str, str]:
    """Take the direction a sandbox's file declares, before one is booted; ``Usage`` or ``Refused`` when it has none."""
    world = place.model.world
    primary = world.primary if world is not None else next(iter(place.model.sites))
    if to_site and to_site not in place.model.sites:
        raise Usage(f"there is no site {to_site!r}; {place.model.environment} has {', '.join(place.model.sites)}")
    if to_site == primary and len(place.model.sites) > 1:
        raise Refused(f"not started: {to_site} is where it begins, take another site; nothing was changed")
    others = [name for name in place.model.sites if name != primary]
    return primary, to_site or (others[0] if others else primary)


def declared_world(place: LoadedEnvironment) -> SandboxValues:
    """Stand in for a sandbox that is not booted: what only a boot knows is shown as ``<name>``."""
    from drills.runbook.world import SANDBOX_SITE_VALUES, SANDBOX_VALUES, SandboxValues

    values = {name: f"<{name}>" for name in SANDBOX_VALUES} | {"url": "http://<url>"}  # work checks that it is one
    sites = {
        site: {name: f"<{site}.{name}>" for name in SANDBOX_SITE_VALUES} | {"address": f"192.0.2.{number}"}
        for number, site in enumerate(place.model.sites, 1)
    }
    return SandboxValues("http://127.0.0.1", "127.0.0.1:53", "", private=True, values=values, sites=sites)


def direction(
    place: LoadedEnvironment, world: SandboxValues | None, to_site: str, mode: Mode, accounts: Accounts
) -> tuple[str, str]:
    """Find which site is active, by asking; refuse on doubt, but in an incident take a person's word for it."""
    from drills import catalog
    from drills.engine.bind import places_of
    from drills.engine.environment_probes import active_steps
    from drills.engine.gates.direction import direction as ask_sites

    sites = list(place.model.sites)
    if to_site and to_site not in sites:
        raise Usage(f"there is no site {to_site!r}; {place.model.environment} has {', '.join(sites)}")
    if len(sites) == 1:
        return sites[0], sites[0]
    places = places_of(place.model, world)
    active, said = ask_sites(active_steps(place, world), places, accounts, catalog.load)
    told = _together(said) or "the environment names no `active` probe"
    if not active and not (mode is Mode.INCIDENT and to_site):
        hint = "; say --to SITE, the one that is to take over" if mode is Mode.INCIDENT else ""
        raise Refused(f"not started: which site is active is not known ({told}){hint}; nothing was changed")
    others = [name for name in sites if name != active]
    target = to_site or (others[0] if len(others) == 1 else "")
    if not target:
        raise Usage(f"say --to SITE: one of {', '.join(others)}")
    if target == active:
        raise Refused(f"not started: {target} is active already ({told}); nothing was changed")
    return active or next(name for name in sites if name != target), target


def _together(said: Mapping[str, str]) -> str:
    """Say what each site answered, and what several answered alike only once."""
    sites: dict[str, list[str]] = {}
    for site, detail in said.items():
        sites.setdefault(detail, []).append(site)
    return "; ".join(f"{' and '.join(names)}: {detail}" for detail, names in sites.items())
