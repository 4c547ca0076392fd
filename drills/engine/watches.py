"""The availability observers of a plan, bound: one form for each kind of target."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from drills.engine.bind import Binder, Direction, scope_of
from drills.engine.plan import AvailabilityWatch
from drills.errors import Invalid, Usage
from drills.runbook.interpolate import references
from drills.runbook.problems import Problems, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network, IPv6Network

    from drills.runbook.availability import Availability
    from drills.runbook.load import LoadedEnvironment, LoadedRunbook
    from drills.runbook.world import SandboxValues
    from drills.yamldoc import Where

ALIVE = "SELECT 1"
"""What a SQL server is asked where the runbook names no query."""


def bound_watches(
    written: Sequence[Availability], binder: Binder, resolver: str | None, where: Where
) -> tuple[AvailabilityWatch, ...]:
    """Bind observers that stand in a list at ``where``; addresses that are secret references stay references."""
    return tuple(_bound(one, binder, resolver, (*where, number)) for number, one in enumerate(written))


def _bound(one: Availability, binder: Binder, resolver: str | None, where: Where) -> AvailabilityWatch:
    texts = {inner: binder.text(text, (*where, *inner)) for inner, text, _ in one.spoken()}
    ca = texts.get(("ca",), "")
    query = texts.get(("sql", "query"), ALIVE) if one.sql is not None and one.sql.read is not None else ""
    return AvailabilityWatch(
        id=one.id,
        url=_url(one, texts),
        status=one.expect.status,
        body=texts.get(("expect", "body"), ""),
        header=(one.served_by.header or "") if one.served_by else "",
        every_s=one.every.total_seconds(),
        timeout_s=one.timeout.total_seconds(),
        stable_for_s=one.stable_for.total_seconds(),
        resolve=one.resolve.value,
        resolver=resolver,
        connect_to=texts.get(("connect_to",), ""),
        method=one.method,
        addresses=tuple(texts["expect", "address", number] for number in range(len(one.expect.address))),
        ca=str(Path(ca).absolute()) if ca else "",
        dsn=texts.get(("sql", "read"), "") or texts.get(("sql", "write"), ""),
        query=query,
        value=texts.get(("expect", "value")),
        at_least=_least(one, texts, binder, where),
        at_json=(one.expect.at_least.json_ or "") if one.expect.at_least else "",
        at_header=(one.expect.at_least.header or "") if one.expect.at_least else "",
        by_json=(one.served_by.json_ or "") if one.served_by else "",
        by_address=_networks(one, texts, binder, where),
    )


def _networks(
    one: Availability, texts: dict[tuple[str | int, ...], str], binder: Binder, where: Where
) -> tuple[tuple[str, str], ...]:
    """Read the networks of both sites: (address or network, site's name)."""
    found: list[tuple[IPv4Network | IPv6Network, str]] = []
    for inner, text in texts.items():
        if inner[:2] != ("served_by", "address") or "${" in text:  # what was found missing is said elsewhere
            continue
        at = (*where, *inner)
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            told = f"{one.id}: {text!r} is no address and no network; write it as in 10.1.2.3 or 10.1.0.0/16"
            binder.problem(at, told)
            continue
        site = binder.site(str(inner[2]), at)
        both = [other for other, its in found if its != site and other.version == network.version]
        if any(network.overlaps(other) for other in both):
            binder.problem(at, f"{one.id}: {text} is an address of the other site as well; tell them apart")
        found.append((network, site))
    return tuple((str(network), site) for network, site in found)


def _least(one: Availability, texts: dict[tuple[str | int, ...], str], binder: Binder, where: Where) -> float | None:
    """Read the least capacity, which may be a parameter or a value of the environment."""
    if one.expect.at_least is None:
        return None
    inner = ("expect", "at_least", "value")
    text = texts.get(inner, str(one.expect.at_least.value))
    try:
        return float(text)
    except ValueError:
        if "${" not in text:  # what is still to come, or was found missing, is said elsewhere
            binder.problem((*where, *inner), f"{one.id}: at_least: {text!r} is not a number; give a number there")
        return None


def _url(one: Availability, texts: dict[tuple[str | int, ...], str]) -> str:
    """Write every kind of target as a URL; that of a SQL server names no server, which may be a secret."""
    if one.sql is not None:
        return f"sql-{'read' if one.sql.read is not None else 'write'}://{one.id}"
    if one.http is not None:
        return texts["http",]
    kind = "tcp" if one.tcp is not None else "dns"
    text = texts[kind,]
    return text if text.startswith(f"{kind}://") else f"{kind}://{text}"


def standing_watches(
    environment: LoadedEnvironment, runbook: LoadedRunbook | None, to_site: str, world: SandboxValues | None
) -> tuple[AvailabilityWatch, ...]:
    """Bind the observers that watch an environment all the time: those of a runbook, or its own.

    ``Usage`` when there are none, or when one names a site's value and nobody said which site takes over; ``Invalid``
    with every name that the environment does not have.
    """
    sites = list(environment.model.sites)
    if to_site and to_site not in sites:
        raise Usage(f"{environment.model.environment} has no site {to_site!r}; {did_you_mean(to_site, sites)}")
    own = environment.model.observe
    if runbook is not None:
        written, doc, where = runbook.model.measure.availability, runbook.doc, ("measure", "availability")
        defaults = {name: one.default for name, one in runbook.model.parameters.items() if one.default is not None}
    else:
        written, doc, where = own.availability if own else (), environment.doc, ("observe", "availability")
        defaults = {}
    if not written:
        raise Usage(f"{doc.name}: nothing stands under '{'.'.join(where)}', so there is nothing to observe")
    directed = {reference.head for one in written for _, text, _ in one.spoken() for reference in references(text)}
    if any(one.served_by is not None and one.served_by.address is not None for one in written):
        directed.add("to")
    if not to_site and len(sites) > 1 and directed & {"from", "to"}:
        raise Usage(f"an observer names a value of 'from' or 'to': say --to SITE, one of {', '.join(sites)}")
    target = to_site or sites[-1]
    direction = Direction(next((name for name in sites if name != target), target), target)
    scope, untold = scope_of(environment, direction, defaults, world)
    if scope.later:
        raise Usage(f"{environment.model.environment} is a sandbox: say which with --in NAME (`drills sandbox up`)")
    problems = Problems(doc)
    binder = Binder(scope, direction, environment, problems)
    found = bound_watches(written, binder, world.resolver if world else environment.model.resolver, where)
    if problems.found or untold:
        raise Invalid([*problems.found, *untold])
    return found


def slowed(watch: AvailabilityWatch, every_s: float) -> AvailabilityWatch:
    """Give an observer the pace of a ring, and a window in which such a pace can show an outage."""
    every = max(watch.every_s, every_s)
    return replace(watch, every_s=every, stable_for_s=max(watch.stable_for_s, 5 * (every + watch.timeout_s)))
