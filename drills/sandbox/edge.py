"""The edge of a site: a process of its own through which users reach the application and the database.

Without a live application it refuses connections (nobody listens), as it does at the database while that is fenced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from drills.sandbox.line import attend

if TYPE_CHECKING:
    import asyncio
    import socket

    from drills.sandbox.pipes import Half

_CONNECT_S = 1.0


class Target(msgspec.Struct, frozen=True):
    """One address the edge forwards to."""

    host: str
    port: int


class Config(msgspec.Struct, frozen=True):
    """Where the edge of one site listens, and its database."""

    app: Target
    database: Target
    postgres: Target
    fenced: bool


class Backends(msgspec.Struct, frozen=True, tag=True):
    """From now on the application is these processes."""

    targets: tuple[Target, ...]


class Fence(msgspec.Struct, frozen=True, tag=True):
    """Refuse the database to everybody and reset who is there, or let them in again."""

    on: bool


class Ping(msgspec.Struct, frozen=True, tag=True):
    """Answer."""


Command = Backends | Fence | Ping
_commands: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


class _Door:
    """One listening address: open while it has targets and is not shut."""

    def __init__(self, at: Target, targets: tuple[Target, ...]) -> None:
        self._at = at
        self._targets = targets
        self._turn = 0
        self._shut = False
        self._server: asyncio.Server | None = None
        self._connections: set[Half] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def set_targets(self, targets: tuple[Target, ...]) -> None:
        self._targets = targets
        await self.settle()

    async def shut(self, *, on: bool) -> None:
        self._shut = on
        await self.settle()
        if on:
            for half in tuple(self._connections):
                half.abort()

    async def settle(self) -> None:
        """Listen or stop listening, as targets and fence say."""
        import asyncio

        from drills.sandbox.pipes import BACKLOG, listen

        wanted = bool(self._targets) and not self._shut
        if wanted and self._server is None:
            held = listen(self._at.host, self._at.port)
            self._server = await asyncio.get_running_loop().create_server(self._arrive, sock=held, backlog=BACKLOG)
        elif not wanted and self._server is not None:
            self._server.close()
            self._server = None

    def _arrive(self) -> Half:
        import asyncio

        client = self._half()
        task = asyncio.get_running_loop().create_task(self._join(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return client

    async def _join(self, client: Half) -> None:
        """Connect to the next target that answers; reset the client when none does."""
        import asyncio

        loop = asyncio.get_running_loop()
        for _ in range(len(self._targets)):
            if not self._targets or self._shut:
                break
            self._turn = (self._turn + 1) % len(self._targets)
            target = self._targets[self._turn]
            try:
                async with asyncio.timeout(_CONNECT_S):
                    _, upstream = await loop.create_connection(self._half, target.host, target.port)
            except (OSError, TimeoutError):
                continue
            client.join(upstream)
            if self._shut:
                client.abort()
            return
        client.abort()

    def _half(self) -> Half:
        from drills.sandbox.pipes import Half

        return Half(self._connections, _no_delay, reset_on_death=False)


def _no_delay() -> float:
    return 0.0


def main(config: Config, control: socket.socket) -> None:
    """Run the edge until its line ends."""
    import asyncio

    asyncio.run(_run(config, control))


async def _run(config: Config, control: socket.socket) -> None:
    app, database = _Door(config.app, ()), _Door(config.database, (config.postgres,))
    await database.shut(on=config.fenced)

    async def handle(command: Command) -> None:
        match command:
            case Backends(targets):
                await app.set_targets(targets)
            case Fence(on):
                await database.shut(on=on)
            case Ping():
                pass

    await attend(control, config.app.port, _commands, handle)
