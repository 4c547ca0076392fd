"""How a persona finds the address behind a name: afresh each time, by its own TTL cache, or as the system does."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol

from drills.clock import NS
from drills.errors import Refused
from drills.observe.process import now
from drills.timeline.samples import Persona

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dns.asyncresolver import Resolver

    from drills.observe.job import ProbeJob

DNS_PORT = 53
BY_SYSTEM = "the system's resolver is asked for names"
OTHERWISE = "the system's resolver gives"
"""How the notes begin that make a measurement weaker."""
_WALK_S = 3.0
"""How long one question on the way to a zone's servers may take."""
_TRY_S = 0.25
"""A lost UDP question is asked again after this long, or a quarter of the timeout: a lost packet is no outage."""


class NameRefused(OSError):
    """DNS answered, and the answer was no."""


class NameUnanswered(OSError):
    """No DNS server answered."""


class NameUnfound(OSError):
    """Nobody tells which servers are to be asked: that is no evidence about the service."""


class Names(Protocol):
    """What turns a host name into addresses. ``note`` is what a reader should know of the way it does so."""

    note: str

    async def prepare(self, host: str) -> None:
        """Find, before anything is measured, what the first question would otherwise have to look for."""
        ...

    @property
    def ttl_s(self) -> float | None:
        """The largest TTL seen so far."""
        ...

    async def addresses(self, host: str) -> Sequence[str]:
        """Give the addresses of ``host``; ``NameRefused``: there are none, ``NameUnanswered``: nobody answered."""
        ...


class Fresh:
    """Asks one name server each time. Following a CNAME out of the answer is left to the server."""

    note = ""

    def __init__(self, resolver: Resolver) -> None:
        self.ttl_s: float | None = None
        self._resolver = resolver

    async def prepare(self, host: str) -> None:
        """Need nothing: who is asked is known."""

    async def addresses(self, host: str) -> Sequence[str]:
        """Ask for A records, and for AAAA only where there are none."""
        return (await self.ask(host))[0]

    async def ask(self, host: str) -> tuple[tuple[str, ...], int]:
        """Give the addresses and for how many seconds they may be kept (the smallest TTL on the way)."""
        from dns.exception import DNSException
        from dns.resolver import NXDOMAIN, NoAnswer, NoNameservers

        if host == "localhost" or host.endswith(".localhost"):  # RFC 6761: never asked of a server
            return ("127.0.0.1",), 0
        try:
            for kind in ("A", "AAAA"):
                answer = await self._resolver.resolve(host, kind, raise_on_no_answer=kind == "AAAA")
                if answer.rrset is not None:
                    ttl = answer.chaining_result.minimum_ttl
                    self.ttl_s = max(self.ttl_s or 0, ttl)
                    return tuple(record.to_text() for record in answer), ttl
        except (NXDOMAIN, NoAnswer, NoNameservers) as error:
            raise NameRefused(f"DNS has no address of {host}: {type(error).__name__}") from error
        except DNSException as error:
            raise NameUnanswered(f"DNS gave no answer about {host}: {type(error).__name__}") from error
        raise NameRefused(f"DNS has no address of {host}")


class Cached:
    """One client's cache: an address is kept for the TTL that came with it, and no longer; a no is not kept."""

    note = ""

    def __init__(self, fresh: Fresh) -> None:
        self._fresh = fresh
        self._kept: dict[str, tuple[tuple[str, ...], int]] = {}

    async def prepare(self, host: str) -> None:
        """Need nothing: a cache begins empty."""

    @property
    def ttl_s(self) -> float | None:
        """The largest TTL seen so far."""
        return self._fresh.ttl_s

    async def addresses(self, host: str) -> Sequence[str]:
        """Give what is kept, or ask."""
        kept = self._kept.get(host)
        if kept is not None and now() < kept[1]:
            return kept[0]
        addresses, ttl = await self._fresh.ask(host)
        self._kept[host] = (addresses, now() + ttl * NS)
        return addresses


class System:
    """Asks the system as any program does (hosts file, its resolver, perhaps a cache of its own)."""

    ttl_s: float | None = None
    note = ""

    async def prepare(self, host: str) -> None:
        """Need nothing."""

    async def addresses(self, host: str) -> Sequence[str]:
        """Ask ``getaddrinfo`` in a thread."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno == socket.EAI_NONAME:
                raise NameRefused(f"the system knows no address of {host}") from error
            raise NameUnanswered(f"the system's resolver gave no answer about {host}: {error.strerror}") from error
        return tuple(dict.fromkeys(str(place[4][0]) for place in found))


def names_for(job: ProbeJob) -> Names:
    """Choose by persona.

    ``ttl`` and ``keepalive`` cache by TTL what ``resolver`` or the system's server told; ``fresh`` asks ``resolver``
    each time, without one the servers that are responsible for the name; ``direct`` has one in ``connect_to`` at most.
    """
    caches = job.persona in (Persona.TTL, Persona.POOL)
    if job.persona is Persona.DIRECT and job.resolver is None:
        return System()
    if job.resolver is None and not caches:
        from drills.observe.authority import Authority
        from drills.observe.chosen import Chosen

        # Where the walk begins may be said for a network in which the system's resolver leads nowhere.
        return Chosen(Authority(_resolver(job, job.walk_from, _WALK_S), job.timeout_s, job.dns_port))
    fresh = Fresh(_resolver(job, job.resolver, job.timeout_s))
    return Cached(fresh) if caches else fresh


def _resolver(job: ProbeJob, server: str | None, within_s: float) -> Resolver:
    """Give a resolver without a cache that asks one server, or those of the system, for so long."""
    from dns.asyncresolver import Resolver
    from dns.resolver import NoResolverConfiguration

    try:
        resolver = Resolver(configure=server is None)
    except NoResolverConfiguration as error:
        raise Refused(f"observer {job.id}: this host names no DNS server: {error}") from error
    resolver.cache = None
    if server is not None:
        address, port = split_address(server, DNS_PORT)
        resolver.nameservers = [address]
        resolver.port = port
    resolver.lifetime = within_s
    resolver.timeout = min(_TRY_S, within_s / 4)
    return resolver


def split_address(text: str, port: int) -> tuple[str, int]:
    """Split ``host[:port]`` or ``[v6]:port``; ``Refused`` when the port is no number."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        rest = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, rest = text.partition(":")
    else:
        host, rest = text, ""
    if rest and not rest.isdecimal():
        raise Refused(f"{text!r} is not host:port")
    return host, int(rest) if rest else port


def is_address(host: str) -> bool:
    """Say whether ``host`` is an address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
