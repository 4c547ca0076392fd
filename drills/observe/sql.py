"""SQL targets, asked by psycopg: can a row be read, can a row be written.

A write inserts a row into ``drills_probe`` and rolls it back. Where that table is not there the server is asked for
a transaction id instead, which it gives only where writes are taken: making a table for each request would fill its
catalogue. Persona ``keepalive`` keeps connections, every other one connects anew for each request.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from contextlib import suppress
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from drills.errors import Refused
from drills.observe.answer import MOST_DETAIL, Answer, Stamps, refused
from drills.observe.capacity import enough
from drills.observe.job import resolve_secret
from drills.observe.names import is_address, names_for
from drills.observe.process import now
from drills.timeline.samples import Persona

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from drills.observe.job import ProbeJob

TABLE = "drills_probe"
_OURS = ("authentication failed", "no pg_hba.conf entry")
"""What a server says to a wrong user: no evidence about the service."""
_LEAST_CONNECT_S = 2
"""libpq takes no less."""
_IDLE = 8
"""Connections kept at most."""


class Sql:
    """A PostgreSQL server that reads or writes."""

    def __init__(self, job: ProbeJob) -> None:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        self._job = job
        self._writes = urlsplit(job.url).scheme == "sql-write"
        self.names = names_for(job)
        self._idle: list[AsyncConnection[Any]] = []
        self._asking: set[asyncio.Task[Answer]] = set()
        try:
            self._given = conninfo_to_dict(resolve_secret(job.dsn))
        except psycopg.ProgrammingError as error:
            told = "its address is none of PostgreSQL, such as postgresql://user@host:5432/name"
            raise Refused(f"observer {job.id}: {told}") from error

    @property
    def host(self) -> str:
        """The name that is looked up; none for a socket, a list of hosts, or where an address is given."""
        host = str(self._given.get("host") or "")
        plain = not host.startswith("/") and "," not in host and not self._given.get("hostaddr")
        return host if plain and not is_address(host) else ""

    async def ask(self, stamps: Stamps) -> Answer:
        """Connect, read or write once, and judge the answer."""
        import psycopg

        try:
            connection = await self._connect(stamps)
        except OSError as error:
            return refused(error)
        except psycopg.Error as error:
            return _failed(error)
        stamps.connected = now()
        task = asyncio.create_task(self._asked(connection, stamps))
        self._asking.add(task)
        task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            _cut(connection)  # psycopg would wait for the server's word on a cancellation; the task ends by itself
            raise
        except psycopg.Error as error:
            return _failed(error)

    def _done(self, task: asyncio.Task[Answer]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            task.exception()  # taken, so that a request given up long ago is not reported as forgotten

    async def _connect(self, stamps: Stamps) -> AsyncConnection[Any]:
        """Give an idle connection, or connect to the first address that a persona's names give."""
        import psycopg
        from psycopg.conninfo import make_conninfo

        while self._idle:
            connection = self._idle.pop()
            if not _spoke(connection):
                return connection
            await connection.close()
        address = {"hostaddr": (await self.names.addresses(self.host))[0]} if self.host else {}
        stamps.resolved = now()
        patience = max(_LEAST_CONNECT_S, ceil(self._job.timeout_s) + 1)  # whole seconds: the request's own end is first
        whole = {**self._given, **address, "application_name": "drills-prober", "connect_timeout": str(patience)}
        return await psycopg.AsyncConnection.connect(make_conninfo("", **whole), autocommit=True)

    async def _asked(self, connection: AsyncConnection[Any], stamps: Stamps) -> Answer:
        keep = False
        try:
            answer = await (_write(connection) if self._writes else self._read(connection))
            stamps.first_byte = now()
            keep = self._job.persona is Persona.POOL and len(self._idle) < _IDLE
            if keep:
                self._idle.append(connection)
            return answer
        finally:
            if not keep:
                await connection.close()

    async def _read(self, connection: AsyncConnection[Any]) -> Answer:
        cursor = await connection.execute(self._job.query.encode())
        row: tuple[Any, ...] | None = await cursor.fetchone() if cursor.description else None
        if self._job.at_least is not None:
            return enough(row[0] if row else None, self._job.at_least, Answer(up=True))
        wanted = self._job.value
        if wanted is None:
            return Answer(up=True)
        found = "no row" if not row else str(row[0])
        if row and found == wanted:
            return Answer(up=True, detail=found[:MOST_DETAIL])
        return Answer(up=False, detail=f"{found}, not {wanted}"[:MOST_DETAIL], hard=True)

    async def close(self) -> None:
        """Let go of the connections."""
        for connection in self._idle:
            with suppress(OSError):
                await connection.close()
        if self._asking:
            await asyncio.wait(self._asking, timeout=1.0)


async def _write(connection: AsyncConnection[Any]) -> Answer:
    """Insert a row and roll it back; without the table, ask for a transaction id."""
    cursor = await connection.execute(f"SELECT to_regclass('{TABLE}') IS NOT NULL".encode())
    async with connection.transaction(force_rollback=True):
        if await cursor.fetchone() == (True,):
            await connection.execute(f"INSERT INTO {TABLE} (at) VALUES (clock_timestamp())".encode())  # noqa: S608 - a constant
            return Answer(up=True, detail="inserted and rolled back")
        read_only = await (await connection.execute("SHOW transaction_read_only")).fetchone()
        if read_only == ("on",):
            return Answer(up=False, detail="the session is read-only", hard=True)
        await connection.execute("SELECT pg_current_xact_id()")
        return Answer(up=True, detail=f"a transaction id was given; there is no table {TABLE} to write to")


def _failed(error: Exception) -> Answer:
    """Read a failure: the server's own no is hard, silence is not, and a wrong password is no evidence."""
    from psycopg.errors import ConnectionTimeout

    detail = next(iter(str(error).strip().splitlines()), type(error).__name__)[:MOST_DETAIL]
    if any(words in str(error) for words in _OURS):
        return Answer(None, detail=detail)
    silent = isinstance(error, ConnectionTimeout) or "timeout expired" in str(error)
    return Answer(up=False, detail=detail, hard=not silent)


def _spoke(connection: AsyncConnection[Any]) -> bool:
    """Say whether an idle connection has been spoken to: then the server has ended it."""
    return bool(select.select([connection.fileno()], [], [], 0)[0])


def _cut(connection: AsyncConnection[Any]) -> None:
    """End the conversation below psycopg: whoever still waits on the socket hears that it is over."""
    with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
