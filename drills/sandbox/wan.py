"""The WAN link between two sites: a process of its own that carries replication with a one-way delay.

Bytes of one connection keep their order. What is under way when the link dies is lost: its sockets reset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from drills.sandbox.edge import Target
from drills.sandbox.line import attend

if TYPE_CHECKING:
    import asyncio
    import socket

    from drills.sandbox.pipes import Half

_CONNECT_S = 2.0


class Way(msgspec.Struct, frozen=True):
    """One direction: who listens here reaches ``to``."""

    at: Target
    to: Target


class Config(msgspec.Struct, frozen=True):
    """The ways of one link and their one-way delay."""

    ways: tuple[Way, ...]
    delay_s: float


class Delay(msgspec.Struct, frozen=True):
    """From now on bytes take that long."""

    seconds: float


_commands: msgspec.json.Decoder[Delay] = msgspec.json.Decoder(Delay)


class _Link:
    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self._servers: list[asyncio.Server] = []
        self._connections: set[Half] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, way: Way) -> None:
        import asyncio

        from drills.sandbox.pipes import BACKLOG, listen

        def arrive() -> Half:
            half = self._half()
            task = asyncio.get_running_loop().create_task(self._join(half, way.to))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return half

        held = listen(way.at.host, way.at.port)
        self._servers.append(await asyncio.get_running_loop().create_server(arrive, sock=held, backlog=BACKLOG))

    def _half(self) -> Half:
        from drills.sandbox.pipes import Half

        return Half(self._connections, lambda: self.delay_s, reset_on_death=True)

    async def _join(self, near: Half, to: Target) -> None:
        """Let the connection request travel too, then join."""
        import asyncio

        await asyncio.sleep(self.delay_s)
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, far = await asyncio.get_running_loop().create_connection(self._half, to.host, to.port)
        except (OSError, TimeoutError):
            near.abort()
            return
        near.join(far)


def main(config: Config, control: socket.socket) -> None:
    """Run the link until its line ends."""
    import asyncio

    asyncio.run(_run(config, control))


async def _run(config: Config, control: socket.socket) -> None:
    link = _Link(config.delay_s)
    for way in config.ways:
        await link.open(way)

    async def handle(command: Delay) -> None:
        link.delay_s = command.seconds

    await attend(control, config.ways[0].at.port, _commands, handle)
