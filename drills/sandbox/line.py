"""A private line between the world and one of its processes: one JSON packet a request, one an answer.

It is a ``SOCK_SEQPACKET`` socket pair: no address, so nobody else can speak on it, and its end is seen at once when
either side dies. Answers carry the number of their request, so that an answer that comes too late is not mistaken for
another's.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import msgspec

from drills.errors import DrillsError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")

PACKET_BYTES = 1 << 18
_NOTHING = msgspec.Raw(b"null")


class Question(msgspec.Struct, frozen=True):
    """One request on a line; ``body`` is what the two sides agreed on."""

    number: int
    body: msgspec.Raw


class Answer(msgspec.Struct, frozen=True):
    """What came back: ``error`` is a sentence when the request failed."""

    number: int
    error: str = ""
    body: msgspec.Raw = _NOTHING


class Ready(msgspec.Struct, frozen=True):
    """The first packet of a process, as the answer to question 0: it listens at ``port`` (0: it has no port)."""

    port: int = 0


class LineLost(DrillsError):
    """The process at the other end is gone, or it did not answer in time."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Make the two ends: ours and the child's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def encode(value: object) -> msgspec.Raw:
    """Write a body."""
    return msgspec.Raw(msgspec.json.encode(value))


class Line:
    """The world's end. Thread-safe: one question at a time."""

    def __init__(self, end: socket.socket, name: str) -> None:
        self._end = end
        self._name = name
        self._lock = threading.Lock()
        self._number = 0

    def ask(self, body: object, kind: type[T], within_s: float = 3.0, files: Sequence[int] = ()) -> T:
        """Ask and wait for the answer; ``files`` are descriptors handed over with it.

        Raises ``LineLost`` when nobody answers in time, ``DrillsError`` with the other side's sentence when it says no.
        """
        until = time.monotonic() + within_s
        if not self._lock.acquire(timeout=within_s):
            raise LineLost(f"{self._name} is busy with another request for more than {within_s:g} s")
        try:
            self._number += 1
            packet = msgspec.json.encode(Question(self._number, encode(body)))
            try:
                self._end.settimeout(within_s)
                socket.send_fds(self._end, [packet], list(files))
            except OSError as error:
                raise LineLost(f"{self._name} is gone: {error}") from error
            answer = self._receive(until)
            while answer.number != self._number:
                answer = self._receive(until)
        finally:
            self._lock.release()
        if answer.error:
            raise DrillsError(answer.error)
        return msgspec.json.decode(answer.body, type=kind)

    def ready(self, within_s: float) -> Ready:
        """Wait for the first packet of the process; raises ``LineLost`` when it ends or takes longer."""
        answer = self._receive(time.monotonic() + within_s)
        if answer.error:
            raise LineLost(f"{self._name} did not start: {answer.error}")
        return msgspec.json.decode(answer.body, type=Ready)

    def wait_end(self) -> None:
        """Wait until the process is gone; for a thread of its own, on a line that is not asked."""
        self._end.settimeout(None)
        try:
            while self._end.recv(PACKET_BYTES):
                pass
        except OSError:
            return

    def close(self) -> None:
        """End the line; the process at the other end takes it as its own end, and a waiting thread returns."""
        with suppress(OSError):  # the other side went first
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()

    def _receive(self, until: float) -> Answer:
        try:
            self._end.settimeout(max(0.001, until - time.monotonic()))
            packet = self._end.recv(PACKET_BYTES)
        except TimeoutError as error:
            raise LineLost(f"{self._name} did not answer in time") from error
        except OSError as error:
            raise LineLost(f"{self._name} is gone: {error}") from error
        if not packet:
            raise LineLost(f"{self._name} is gone")
        return msgspec.json.decode(packet, type=Answer)


async def attend(
    end: socket.socket, port: int, decoder: msgspec.json.Decoder[T], handle: Callable[[T], Awaitable[object]]
) -> None:
    """Say that this process is ready at ``port``, then answer what ``decoder`` reads until the line ends.

    What ``handle`` returns is the answer; a ``DrillsError`` or ``OSError`` of its becomes the answer's error.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    end.settimeout(0)
    await loop.sock_sendall(end, msgspec.json.encode(Answer(0, "", encode(Ready(port)))))
    while packet := await _packet(loop, end):
        question = msgspec.json.decode(packet, type=Question)
        try:
            answer = Answer(question.number, "", encode(await handle(decoder.decode(question.body))))
        except (DrillsError, OSError, msgspec.MsgspecError) as error:
            answer = Answer(question.number, f"{error}" or type(error).__name__)
        await loop.sock_sendall(end, msgspec.json.encode(answer))


async def _packet(loop: asyncio.AbstractEventLoop, end: socket.socket) -> bytes:
    try:
        return await loop.sock_recv(end, PACKET_BYTES)
    except ConnectionError:
        return b""
