"""What many threads tell the one that drives a drill.

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
    """A queue with many writers and one reader."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._bell = threading.Lock()
        self._bell.acquire()

    def put(self, item: T) -> None:
        """Add one, and wake the reader; from any thread."""
        self._items.append(item)
        with suppress(RuntimeError):  # it rings already
            self._bell.release()

    def take(self, wait_s: float = 0.0) -> T | None:
        """Give the oldest, waiting for it at most so long; None when none came, or a bell rang for one taken before."""
        if self._items or wait_s <= 0:
            self._bell.acquire(blocking=False)  # it rings for what is here
        else:
            self._bell.acquire(timeout=wait_s)
        return self._items.popleft() if self._items else None
