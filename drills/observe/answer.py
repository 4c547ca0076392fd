"""What one request of an availability observer is told, and what the network's own failures mean."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from drills.observe.names import NameUnanswered, NameUnfound

if TYPE_CHECKING:
    from drills.observe.names import Names

MOST_DETAIL = 200
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.ENETUNREACH})
"""Failures of this host: they say nothing about the service."""


@dataclass(slots=True)
class Stamps:
    """The inner stamps of one request, set as they happen (ns of CLOCK_MONOTONIC)."""

    resolved: int | None = None
    connected: int | None = None
    first_byte: int | None = None

    def reached(self) -> str:
        """Say what the request was waiting for."""
        if self.first_byte is not None:
            return "the rest of the answer"
        return "an answer" if self.connected is not None else "a connection"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request was told; fields as in ``Sample``."""

    up: bool | None
    by: str = ""
    status: int = 0
    detail: str = ""
    hard: bool = False


class Target(Protocol):
    """What is asked. ``ask`` may be cancelled at any moment."""

    @property
    def names(self) -> Names:
        """How it finds the address behind its name."""
        ...

    @property
    def host(self) -> str:
        """The name that is looked up for each request; empty when none is."""
        ...

    async def ask(self, stamps: Stamps) -> Answer:
        """Ask once; raises ``OSError`` for what the network said."""
        ...

    async def close(self) -> None:
        """Let go of what is pooled."""
        ...


def refused(error: OSError) -> Answer:
    """Read a failure of the network: ours (unknown), an explicit no (hard), or silence (not hard)."""
    detail = str(error)[:MOST_DETAIL] or type(error).__name__
    if error.errno in _OURS or isinstance(error, NameUnfound):
        return Answer(None, detail=f"this host: {detail}")
    silent = error.errno == errno.ETIMEDOUT or isinstance(error, NameUnanswered)
    return Answer(up=False, detail=detail, hard=not silent)
