"""An answer that carried an HTTP Date header: the one moment of a server's clock that every answer tells."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dated:
    """When a request was sent and its answer received, on our monotonic clock, and the Date that it carried.

    The server wrote ``date`` (UTC, whole seconds, cut off) at some moment between the two. Nanoseconds.
    """

    host: str
    sent: int
    received: int
    date: int
