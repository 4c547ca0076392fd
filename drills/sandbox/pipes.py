"""Two TCP connections joined end to end, as the edge and the WAN link of a site use them."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_RESET = struct.pack("ii", 1, 0)
_FLUSH = struct.pack("ii", 0, 0)
_HELD_BYTES = 8 << 20
BACKLOG = 128


class Half(asyncio.Protocol):
    """One of the two connections of a pipe; what it reads, its peer writes, ``delay_s()`` later and in order.

    At most 8 MiB wait in a half; then it stops reading until half of that is through. ``members`` holds it while it
    is connected.
    """

    def __init__(self, members: set[Half], delay_s: Callable[[], float], *, reset_on_death: bool) -> None:
        self.peer: Half | None = None
        self.transport: asyncio.Transport | None = None
        self._members = members
        self._delay_s = delay_s
        self._reset_on_death = reset_on_death
        self._held: deque[tuple[float, bytes]] = deque()  # (due, data); empty data: the end of the stream
        self._held_bytes = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._full = False  # too much waits in this half
        self._blocked = False  # the peer cannot write as fast as this half reads
        self._ended = False  # the other side said its end
        self.handed_end = False  # and the peer was told

    @property
    def connected(self) -> bool:
        """Whether bytes can still be written here."""
        return self.transport is not None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to hold the connection."""
        self.transport = cast("asyncio.Transport", transport)
        self._members.add(self)
        if self._reset_on_death:
            # If this process is killed, what the kernel still holds must not be delivered.
            self._linger(_RESET)

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        self._later(data)

    def eof_received(self) -> bool:
        """Pass the end of the stream on; the other direction stays open."""
        if not self._ended:
            self._ended = True
            self._later(b"")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Reset the peer, unless both directions came to their end before."""
        self._members.discard(self)
        both_ended = self.handed_end and self.peer is not None and self.peer.handed_end
        if self.peer is not None and (exc is not None or not both_ended):
            self.peer.abort()

    def pause_writing(self) -> None:
        """Have the peer read no more until this connection took what is written."""
        if self.peer is not None:
            self.peer.hold_back(on=True)

    def resume_writing(self) -> None:
        """Let the peer read again."""
        if self.peer is not None:
            self.peer.hold_back(on=False)

    def hold_back(self, *, on: bool) -> None:
        """Stop or go on reading, as the peer can write."""
        self._blocked = on
        self._gate()

    def join(self, peer: Half) -> None:
        """Make the pipe, and hand over what came before it."""
        self.peer, peer.peer = peer, self
        if not self.connected or not peer.connected:
            self.abort()
            peer.abort()
        self.flush()
        peer.flush()

    def abort(self) -> None:
        """Reset the connection now; what is waiting is lost."""
        self._held.clear()
        if self.transport is not None and self.connected:
            self._linger(_RESET)
            self.transport.abort()

    def close(self) -> None:
        """Write what is waiting, then close."""
        if self.transport is not None and self.connected:
            self._linger(_FLUSH)
            self.transport.close()

    def _linger(self, how: bytes) -> None:
        held = None if self.transport is None else self.transport.get_extra_info("socket")
        if held is not None and held.fileno() >= 0:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, how)

    def _gate(self) -> None:
        if self.transport is None or self._ended or not self.connected:
            return
        if self._full or self._blocked:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _later(self, data: bytes) -> None:
        self._due = max(self._due, asyncio.get_running_loop().time() + self._delay_s())
        self._held.append((self._due, data))
        self._held_bytes += len(data)
        if self._held_bytes > _HELD_BYTES:
            self._full = True
            self._gate()
        if self._timer is None:
            self.flush()

    def flush(self) -> None:
        """Hand what is due to the peer, and come back for the rest."""
        self._timer = None
        if self.peer is None:
            return
        loop = asyncio.get_running_loop()
        while self._held and self._held[0][0] <= loop.time():
            _, data = self._held.popleft()
            self._held_bytes -= len(data)
            self._hand_over(self.peer, data)
        if self._held:
            self._timer = loop.call_at(self._held[0][0], self.flush)
        if self._full and self._held_bytes < _HELD_BYTES // 2:
            self._full = False
            self._gate()

    def _hand_over(self, peer: Half, data: bytes) -> None:
        if peer.transport is None or not peer.connected:
            return
        if data:
            peer.transport.write(data)
            return
        self.handed_end = True
        if peer.handed_end:
            peer.close()
            self.close()
        else:
            peer.transport.write_eof()


def listen(host: str, port: int) -> socket.socket:
    """Bind an address the sandbox holds; asyncio listens on it, with ``BACKLOG``."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
    except OSError:
        found.close()
        raise
    return found
