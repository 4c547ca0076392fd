"""Where every part of a sandbox listens: one block ``127.A.B.*`` and one port, held for its whole life.

DNS carries no port, so the application has the same port at every site; each role has an address of its own.
A block is held by sockets that are bound and never listen. Their ``SO_REUSEADDR`` lets the real servers bind the same
address, while a second sandbox, which tries without it, is refused: two of them never meet.
"""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.errors import DrillsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_SITES = 5
_FIRST_PORT, _LAST_PORT = 12_000, 31_000  # above the privileged, below the kernel's range for outgoing connections
_TRIES = 50
_DATABASE, _ROLE, _ADMIN = "orders", "orders", "drills"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """A TCP (or UDP) address on this machine."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SiteAddresses:
    """Where one site answers.

    ``app`` and ``database`` are its edge, which users reach; ``postgres`` is the server behind it, for the truth
    recorder and the world only; ``links`` maps another site to the address at which that site reaches this one's
    PostgreSQL over the WAN; application processes listen on ``instances``, each on a port of its own.
    """

    app: Endpoint
    database: Endpoint
    postgres: Endpoint
    instances: str
    links: Mapping[str, Endpoint]

    @property
    def url(self) -> str:
        """The application through the edge, as a URL without a path."""
        return f"http://{self.app}"

    @property
    def dsn(self) -> str:
        """How clients reach the database: through the edge, as the owner of the ``orders`` database."""
        return f"postgresql://{_ROLE}@{self.database}/{_DATABASE}?connect_timeout=2"

    @property
    def direct_dsn(self) -> str:
        """How the world and the truth recorder reach PostgreSQL itself, fenced or black-holed or not, as superuser."""
        return f"postgresql://{_ADMIN}@{self.postgres}/{_DATABASE}?connect_timeout=2"


@dataclass(frozen=True, slots=True)
class DataPlaneAddresses:
    """Every address of a data plane; ``control`` is a spare one of the block for the control plane."""

    port: int
    resolver: Endpoint
    control: Endpoint
    sites: Mapping[str, SiteAddresses]


def _lay_out(block: str, port: int, sites: Sequence[str]) -> DataPlaneAddresses:
    def at(last: int) -> Endpoint:
        return Endpoint(f"{block}.{last}", port)

    found: dict[str, SiteAddresses] = {}
    for number, name in enumerate(sites):
        first = 10 + 20 * number
        links = {other: at(first + 10 + index) for index, other in enumerate(sites) if other != name}
        found[name] = SiteAddresses(at(first), at(first + 1), at(first + 2), f"{block}.{first + 3}", links)
    return DataPlaneAddresses(port, at(253), at(1), found)


def _hold(endpoint: Endpoint) -> socket.socket:
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.bind((endpoint.host, endpoint.port))  # alone: fails where anybody is bound
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError:
        held.close()
        raise
    return held


class Block:
    """The addresses of one sandbox, held until ``close``."""

    def __init__(self, addresses: DataPlaneAddresses, held: Sequence[socket.socket]) -> None:
        self.addresses = addresses
        self._held = list(held)

    def close(self) -> None:
        """Let the addresses go."""
        while self._held:
            self._held.pop().close()


def claim(sites: Sequence[str]) -> Block:
    """Find a block and a port that are free on all addresses, and hold them.

    Raises ``DrillsError`` when there are more than five sites or no free block is found in fifty tries.
    """
    if not 1 <= len(sites) <= MAX_SITES or len(set(sites)) != len(sites):
        raise DrillsError(
            f"a sandbox has 1 to {MAX_SITES} sites with different names, not {', '.join(sites) or 'none'}"
        )
    for _ in range(_TRIES):
        block = f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}"
        port = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT)
        addresses = _lay_out(block, port, sites)
        held: list[socket.socket] = []
        endpoints = [addresses.resolver, addresses.control]
        for site in addresses.sites.values():
            endpoints += [site.app, site.database, site.postgres, *site.links.values()]
        try:
            for endpoint in endpoints:
                held.append(_hold(endpoint))  # noqa: PERF401 - what was held before a refusal must be let go
        except OSError:
            Block(addresses, held).close()
            continue
        return Block(addresses, held)
    raise DrillsError(f"no free block of addresses 127.A.B.* found in {_TRIES} tries; are loopback addresses allowed?")
