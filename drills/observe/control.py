"""The prober's look at itself: a trivial target in the same loop, which is late only if the prober is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from drills.clock import NS
from drills.observe.process import now
from drills.observe.schedule import OpenLoop
from drills.timeline.samples import Control

if TYPE_CHECKING:
    from drills.observe.recorder import Recorder

_FASTEST_NS, _SLOWEST_NS = NS // 50, NS // 10


class ControlProbe:
    """Connects, says a byte and hears it back, ten times in each timeout.

    Late is more than a fifth of the request timeout: then a request that found no answer may have lost its time
    waiting for us. A stall longer than that plus one interval cannot pass unseen.
    """

    def __init__(self, recorder: Recorder, timeout_ns: int) -> None:
        self._recorder = recorder
        self._loop = OpenLoop(min(max(timeout_ns // 10, _FASTEST_NS), _SLOWEST_NS))
        self.late_ns = max(timeout_ns // 5, _FASTEST_NS)

    async def run(self) -> None:
        """Look until cancelled, one look at a time."""
        server = await asyncio.start_server(_echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            async for _, due, on_time in self._loop.slots():
                if on_time or now() - due > self.late_ns:
                    await self._look(port, due)

    async def _look(self, port: int, due: int) -> None:
        """Ask once; what takes longer than four times the limit is failing."""
        try:
            async with asyncio.timeout_at((due + 4 * self.late_ns) / NS):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"?")
                heard = await reader.read(1)
                writer.close()
        except (OSError, TimeoutError):
            heard = b""
        ended = now()
        late = ended - due
        self._recorder.control(Control(due, ended, late, heard == b"?" and late <= self.late_ns))


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        writer.write(await reader.read(1))
        await writer.drain()
    except OSError:
        return
    finally:
        writer.close()
