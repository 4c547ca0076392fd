"""What an availability observer asks: HTTP, a TCP connection, a name, or a SQL server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from drills.errors import Refused
from drills.observe.answer import MOST_DETAIL, Answer, Stamps, refused
from drills.observe.http import Http
from drills.observe.names import NameRefused, is_address, names_for, split_address
from drills.observe.process import now
from drills.observe.sites import Sites

if TYPE_CHECKING:
    from drills.observe.answer import Target
    from drills.observe.job import ProbeJob


class Tcp:
    """A target that is up when it accepts a connection."""

    def __init__(self, job: ProbeJob) -> None:
        parts = urlsplit(job.url)
        self._host, self._port = parts.hostname or "", parts.port or 0
        if job.connect_to:
            self._host, self._port = split_address(job.connect_to, self._port)
        self.names = names_for(job)
        self._sites = Sites(job.by_address)

    @property
    def host(self) -> str:
        """The name that is looked up."""
        return "" if is_address(self._host) else self._host

    async def ask(self, stamps: Stamps) -> Answer:
        """Connect to the first address that accepts, and close."""
        try:
            addresses = [self._host] if is_address(self._host) else await self.names.addresses(self._host)
            stamps.resolved = now()
            error: OSError = NameRefused(f"DNS has no address of {self._host}")
            for address in addresses:
                try:
                    _, writer = await asyncio.open_connection(address, self._port)
                except OSError as failure:
                    error = failure
                    continue
                stamps.connected = now()
                writer.close()
                return Answer(up=True, by=self._sites.of(address))
        except OSError as failure:
            error = failure
        return refused(error)

    async def close(self) -> None:
        """Hold nothing."""


class Dns:
    """A target that is up when its name has an address, and none but those expected; it stands in ``detail``."""

    def __init__(self, job: ProbeJob) -> None:
        self._expected = frozenset(job.addresses)
        self.host = urlsplit(job.url).hostname or ""
        self.names = names_for(job)

    async def ask(self, stamps: Stamps) -> Answer:
        """Ask once."""
        try:
            addresses = await self.names.addresses(self.host)
        except OSError as error:
            return refused(error)
        stamps.resolved = now()
        told = ",".join(sorted(addresses))[:MOST_DETAIL]
        if self._expected and not self._expected.issuperset(addresses):
            return Answer(up=False, detail=f"{told}: not as expected"[:MOST_DETAIL], hard=True)
        return Answer(up=True, detail=told)

    async def close(self) -> None:
        """Hold nothing."""


def target_for(job: ProbeJob) -> Target:
    """Choose by scheme; ``Refused`` for one there is none for."""
    match urlsplit(job.url).scheme:
        case "http" | "https":
            return Http(job)
        case "tcp":
            return Tcp(job)
        case "dns":
            return Dns(job)
        case "sql-read" | "sql-write":
            from drills.observe.sql import Sql

            return Sql(job)
        case scheme:
            raise Refused(f"observer {job.id}: there is no prober for {scheme}://")
