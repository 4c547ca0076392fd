"""What a world is to be, as plain data: read from an environment's ``world:`` and handed to the world's process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.errors import Refused
from drills.sandbox.state import Outage

if TYPE_CHECKING:
    from drills.runbook.environment import Environment


@dataclass(frozen=True, slots=True)
class SiteSpec:
    """One site: its place in AWS and the literal names of what is seeded there."""

    name: str
    account: str
    region: str
    db: str
    asg: str
    others_alarm: str
    capacity: int


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """A whole world. ``wan_delay_s`` is one way, seconds; ``ttl_s`` the record's time to live."""

    sites: tuple[SiteSpec, ...]
    primary: str
    record: str
    ttl_s: int
    wan_delay_s: float
    outage: Outage
    accounts: tuple[str, ...] = ()
    """Further accounts of the environment, of places that are no site."""
    environment: str = ""


def world_spec(environment: Environment) -> WorldSpec:
    """Read what to build from a sandbox environment; ``Refused`` when it does not say enough."""
    world = environment.world
    if world is None:
        raise Refused(f"environment {environment.environment} has no world: a sandbox cannot be built from it")
    sites: list[SiteSpec] = []
    for name, site in environment.sites.items():
        values = site.values
        missing = [key for key in ("db", "asg", "others_alarm") if not isinstance(values.get(key), str)]
        if missing:
            raise Refused(f"site {name} of {environment.environment} does not name its {', '.join(missing)}")
        sites.append(
            SiteSpec(
                name=name,
                account=site.account,
                region=site.region,
                db=str(values["db"]),
                asg=str(values["asg"]),
                others_alarm=str(values["others_alarm"]),
                capacity=world.capacity.get(name, 1),
            )
        )
    if world.primary not in environment.sites:
        raise Refused(f"the world's primary {world.primary} is none of the sites {', '.join(environment.sites)}")
    return WorldSpec(
        sites=tuple(sites),
        primary=world.primary,
        record=world.record.rstrip("."),
        ttl_s=int(world.ttl.total_seconds()),
        wan_delay_s=world.wan_delay.total_seconds(),
        outage=Outage(world.outage.value),
        accounts=tuple(sorted({place.account for place in environment.places.values()})),
        environment=environment.environment,
    )
