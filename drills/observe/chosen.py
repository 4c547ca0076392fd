"""Who is asked for names where nobody says so: the authoritative servers, or the system's resolver in their place."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from drills.errors import Refused
from drills.observe.authority import PREPARE_S, outcome
from drills.observe.names import BY_SYSTEM, OTHERWISE, System

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.observe.authority import Authority
    from drills.observe.names import Names

_COMPARE_S = 1.0
"""How long the system's resolver is waited for, only to compare what it says."""


class Chosen:
    """What a fresh client without a ``resolver`` asks: the authoritative servers, or the system where they can't serve.

    Decided once, before the first request, so that one run is measured in one way: the system is asked where it knows
    a name that the authoritative servers do not give (a private zone, a file of hosts, a network that lets no DNS
    out). ``note`` says so.
    """

    def __init__(self, authority: Authority) -> None:
        self.note = ""
        self.authority = authority
        self._system = System()
        self._asks: Names = authority

    @property
    def ttl_s(self) -> float | None:
        """The largest TTL seen so far."""
        return self._asks.ttl_s

    async def prepare(self, host: str) -> None:
        """Find the servers of ``host`` and decide who is asked about it from now on; takes a few seconds at most.

        Raises ``Refused`` when nothing can be called so.
        """
        if _is_here(host):
            return
        _refuse_unnamable(host)
        system = asyncio.create_task(outcome(self._system, host, PREPARE_S))
        theirs = await outcome(self.authority, host, PREPARE_S)
        await asyncio.wait({system}, timeout=PREPARE_S if isinstance(theirs, str) else _COMPARE_S)
        known = system.result() if system.done() else "no answer yet"
        if isinstance(theirs, str):
            if not isinstance(known, str):
                self._asks = self._system
                self.note = f"{BY_SYSTEM}, which may cache: {theirs}"
            return
        self.note = f"names are asked of the servers of {', '.join(self.authority.zones)}"
        if not isinstance(known, str) and not theirs & known:
            told = f"{', '.join(sorted(known))}, not {', '.join(sorted(theirs))}"
            self.note = f"{OTHERWISE} {told}; if its answers are meant, name it by resolver: HOST"

    async def addresses(self, host: str) -> Sequence[str]:
        """Ask as was decided."""
        return ("127.0.0.1",) if _is_here(host) else await self._asks.addresses(host)


def _is_here(host: str) -> bool:
    """Say whether a name means this host and is never asked of a server (RFC 6761)."""
    return host == "localhost" or host.endswith(".localhost")


def _refuse_unnamable(host: str) -> None:
    from dns.exception import DNSException
    from dns.name import from_text

    try:
        from_text(host)
    except DNSException as error:
        raise Refused(f"{host!r} can be the name of no host: {error}") from error
