"""What many threads tell whoever drives a drill.

Not ``queue.SimpleQueue``: in CPython 3.11 its ``get`` waits for ever when a signal is handled as its time runs out, and
a drill that is deaf to Ctrl-C, deadlines and messages must not be. A lock's ``acquire`` keeps to its time.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Arrivals(Generic[T]):
    """A queue with many writers, and one reader at a time."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._bell = threading.Lock()
        self._bell.acquire()

    def put(self, item: T) -> None:
        """Add one, and wake the reader; from any thread."""
        self._items.append(item)
        self.ring()

    def leave(self, item: T) -> None:
        """Add one and wake nobody: who waits finds it when its time is over, or is rung for later."""
        self._items.append(item)

    def ring(self) -> None:
        """Wake the reader, now or from its next wait."""
        with suppress(RuntimeError):  # it rings already
            self._bell.release()

    def __bool__(self) -> bool:
        """Say whether anything is here."""
        return bool(self._items)

    def wait(self, limit_s: float) -> None:
        """Let time pass until something is here or the bell rings, at most so long."""
        if self._items or limit_s <= 0:
            self._bell.acquire(blocking=False)  # it rings for what is here
        else:
            self._bell.acquire(timeout=limit_s)

    def take(self, wait_s: float = 0.0) -> T | None:
        """Give the oldest, waiting for it at most so long; None when none came, or a bell rang for one taken before."""
        self.wait(wait_s)
        return self._items.popleft() if self._items else None
