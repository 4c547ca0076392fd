"""Asks the servers that are responsible for a name, each time anew, and nobody who may have kept an answer.

Which servers those are is found by the system's resolver (SOA upwards from the name, then NS and their addresses),
before the first request; it is found again when they fail, and every ten minutes. They are asked without recursion.
An alias (CNAME) is followed into whichever zone it leads to.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from drills.clock import NS
from drills.observe.names import DNS_PORT, NameRefused, NameUnanswered, NameUnfound
from drills.observe.process import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dns.asyncresolver import Resolver
    from dns.message import QueryMessage
    from dns.name import Name
    from dns.rdatatype import RdataType

    from drills.observe.names import Names

T = TypeVar("T")
_FIND_S = 4.0
"""A zone and its servers are found within this time, or not."""
_FIND_AGAIN_NS = 600 * NS
_NOT_SOONER_NS = 5 * NS
"""Servers that fail are looked for again at most this often, and are asked last for so long."""
_PAUSE_NS = NS // 4
"""So long nobody looks for a zone again after the first look that found none; doubled each time, up to the above."""
_TRY_S = 0.25
"""A server that is silent for this long, or for a quarter of the timeout, is passed over."""
PREPARE_S = 6.0
"""How long the first look at a name may take, before anything is measured."""
_MOST_ALIASES = 8
_MOST_SERVERS = 13
_MOST_ZONES = 100
_PASSES = 4


@dataclass(frozen=True, slots=True)
class _Missed:
    """A look for a zone that found none: what was said, how long the pause after it is, and until when."""

    why: str
    pause: int
    until: int


@dataclass(slots=True)
class _Zone:
    """One zone, the addresses of its servers, and until when each of them is asked last."""

    name: Name
    servers: tuple[str, ...]
    found: int
    turn: int = 0
    failing: dict[str, int] = field(default_factory=dict[str, int])

    def order(self) -> list[str]:
        """Give the servers for one question: another one first each time, and last those that have just failed."""
        self.turn = (self.turn + 1) % len(self.servers)
        turned = [*self.servers[self.turn :], *self.servers[: self.turn]]
        return sorted(turned, key=lambda one: self.failing.get(one, 0) > now())

    def failed(self, server: str) -> None:
        """Ask a server last for a while."""
        self.failing[server] = now() + _NOT_SOONER_NS


class Authority:
    """The authoritative servers of names, as ``Names``. ``recursive`` finds them; they listen at ``port``."""

    note = ""

    def __init__(self, recursive: Resolver, timeout_s: float, port: int = DNS_PORT) -> None:
        self.ttl_s: float | None = None
        self._recursive = recursive
        self._try_s = min(_TRY_S, timeout_s / 4)
        self._find_within_s = timeout_s * 0.8
        self._port = port
        self._zones: dict[Name, _Zone] = {}
        self._finding: dict[Name, asyncio.Task[_Zone]] = {}
        self._missed: dict[Name, _Missed] = {}

    async def prepare(self, host: str) -> None:
        """Find the servers of ``host``; who cannot be found now is looked for again by the first request."""
        await outcome(self, host, PREPARE_S)

    @property
    def zones(self) -> Sequence[str]:
        """Give the zones whose servers are asked."""
        return sorted({zone.name.to_text(omit_final_dot=True) for zone in self._zones.values()})

    async def addresses(self, host: str) -> Sequence[str]:
        """Give the addresses of ``host``.

        Raises ``NameRefused`` when a server says with authority that there are none, or none of them will answer for
        its zone, ``NameUnanswered`` when all are silent, ``NameUnfound`` when nobody tells which servers to ask.
        """
        from dns.name import from_text

        name = from_text(host)
        for _ in range(_MOST_ALIASES):
            found, name = await self._asked(name)
            if found:
                return found
        raise NameRefused(f"the aliases of {host} do not end")

    async def _asked(self, name: Name) -> tuple[tuple[str, ...], Name]:
        """Ask for one name: its addresses, or the name of which it is an alias."""
        from dns.exception import DNSException
        from dns.rcode import NXDOMAIN
        from dns.rdatatype import AAAA, A

        zone = await self._zone(name)
        for kind in (A, AAAA):
            response = await self._answer(zone, name, kind)
            try:
                chain = response.resolve_chaining()
            except DNSException as error:
                raise NameRefused(f"DNS gave nonsense about {name}: {type(error).__name__}") from error
            if chain.answer is not None:
                self.ttl_s = max(self.ttl_s or 0, chain.minimum_ttl)
                records: Iterable[object] = chain.answer
                return tuple(map(str, records)), name
            if chain.canonical_name != name:
                return (), chain.canonical_name
            if response.rcode() == NXDOMAIN:
                break
        told = "NXDOMAIN" if response.rcode() == NXDOMAIN else "it has no address"
        raise NameRefused(f"DNS has no address of {name.to_text(omit_final_dot=True)}: {told}")

    async def _answer(self, zone: _Zone, name: Name, kind: RdataType) -> QueryMessage:
        """Ask the zone's servers, one after the other, until one answers with authority."""
        from dns.exception import DNSException

        trouble: OSError | None = None
        unwilling: dict[str, str] = {}
        for _ in range(_PASSES):
            for server in [one for one in zone.order() if one not in unwilling]:
                try:
                    response = await self._ask_one(server, name, kind)
                except (DNSException, OSError) as error:
                    trouble = error if isinstance(error, OSError) else trouble
                else:
                    if isinstance(response, str):
                        unwilling[server] = response
                    else:
                        if now() - zone.found > _FIND_AGAIN_NS:
                            self._look_again(zone)
                        return response
                zone.failed(server)
                self._look_again(zone)
        if unwilling:
            words = ", ".join(f"{server}: {why}" for server, why in unwilling.items())
            raise NameRefused(f"no server of {zone.name} answers for {name} ({words})")
        raise trouble or NameUnanswered(f"none of the {len(zone.servers)} servers of {zone.name} answered")

    async def _ask_one(self, server: str, name: Name, kind: RdataType) -> QueryMessage | str:
        """Ask one server without recursion; give its answer, or why it is none that counts."""
        from dns.asyncquery import udp_with_fallback
        from dns.flags import AA, RD
        from dns.message import QueryMessage, make_query
        from dns.rcode import NOERROR, NXDOMAIN
        from dns.rcode import to_text as told

        question = make_query(name, kind)
        question.flags &= ~RD
        response, _ = await udp_with_fallback(question, server, self._try_s, self._port)
        if not isinstance(response, QueryMessage) or response.rcode() not in (NOERROR, NXDOMAIN):
            return told(response.rcode())
        return response if response.flags & AA else "an answer without authority"

    async def _zone(self, name: Name) -> _Zone:
        """Give what is known of a name's zone, or wait for it a while.

        In the pause after a look that found none this is unknown, whatever was said then: it may have changed since.
        """
        known = self._zones.get(name)
        if known is not None:
            return known
        missed = self._missed.get(name)
        if missed is not None and now() < missed.until:
            raise NameUnfound(missed.why)
        task = self._find(name)
        try:
            async with asyncio.timeout(self._find_within_s):
                return await asyncio.shield(task)
        except TimeoutError as error:
            raise NameUnfound(f"the servers of {name} are still being looked for") from error

    def _look_again(self, zone: _Zone) -> None:
        """Find a zone's servers once more while the ones known are asked; no more often than is decent."""
        if now() - zone.found < _NOT_SOONER_NS:
            return
        zone.found = now()
        for name in [name for name, one in self._zones.items() if one is zone]:
            self._find(name)

    def _find(self, name: Name) -> asyncio.Task[_Zone]:
        """Begin to find a name's zone, unless that is under way."""
        task = self._finding.get(name)
        if task is None:
            task = self._finding[name] = asyncio.create_task(self._found(name))
            task.add_done_callback(lambda done: self._keep(name, done))
        return task

    def _keep(self, name: Name, done: asyncio.Task[_Zone]) -> None:
        self._finding.pop(name, None)
        if done.cancelled():
            return
        missed = self._missed.pop(name, None)
        error = done.exception()
        if error is None:
            _put(self._zones, name, done.result())
        else:
            pause = _PAUSE_NS if missed is None else min(2 * missed.pause, _NOT_SOONER_NS)
            _put(self._missed, name, _Missed(str(error), pause, now() + pause))

    async def _found(self, name: Name) -> _Zone:
        """Walk up to the head of the name's zone and give its servers."""
        from dns.asyncresolver import zone_for_name
        from dns.exception import DNSException
        from dns.name import root
        from dns.rdatatype import NS as SERVERS

        try:
            async with asyncio.timeout(_FIND_S):
                zone = await zone_for_name(name, resolver=self._recursive)
                if zone == root:
                    raise NameRefused(f"no zone holds {name.to_text(omit_final_dot=True)}")
                hosts = await self._recursive.resolve(zone, SERVERS)
                found = await asyncio.gather(*(self._addresses_of(host.target) for host in list(hosts)[:_MOST_SERVERS]))
        except (DNSException, TimeoutError) as error:
            raise NameUnfound(f"the servers of {name} cannot be found: {type(error).__name__}") from error
        servers = tuple(dict.fromkeys(address for addresses in found for address in addresses))
        if not servers:
            raise NameUnfound(f"no server of {zone} has an address")
        return _Zone(zone, servers, now())

    async def _addresses_of(self, server: Name) -> Sequence[str]:
        """Give the IPv4 addresses of a server, those of IPv6 where it has no other; none where nobody tells."""
        from dns.exception import DNSException

        for kind in ("A", "AAAA"):
            try:
                answer = await self._recursive.resolve(server, kind, raise_on_no_answer=False)
            except DNSException:
                return ()
            if answer.rrset is not None:
                return [record.to_text() for record in answer]
        return ()


def _put(table: dict[Name, T], name: Name, one: T) -> None:
    """Keep one thing of a name, as the newest, and no more than so many."""
    table.pop(name, None)
    if len(table) >= _MOST_ZONES:
        table.pop(next(iter(table)))
    table[name] = one


async def outcome(names: Names, host: str, within_s: float) -> frozenset[str] | str:
    """Give the addresses, or why there are none."""
    try:
        async with asyncio.timeout(within_s):
            return frozenset(await names.addresses(host))
    except TimeoutError:
        return f"no answer about {host} within {within_s:g} s"
    except OSError as error:
        return str(error)
