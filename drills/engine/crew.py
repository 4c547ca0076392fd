"""The threads that carry out acts, and how one of them is told that nobody waits for it any more."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.clock import Clock


class Token:
    """Says to a worker that nobody waits for it any more. Costs nothing until somebody waits on it."""

    __slots__ = ("_dropped", "_event")

    def __init__(self) -> None:
        self._dropped = False
        self._event: threading.Event | None = None

    def set(self) -> None:
        """Let go of whoever waits."""
        self._dropped = True
        if self._event is not None:
            self._event.set()

    def is_set(self) -> bool:
        """Say whether nobody waits for the worker any more."""
        return self._dropped

    def wait(self, seconds: float) -> bool:
        """Let that many seconds pass, or fewer when the token is set meanwhile."""
        if self._event is None:
            self._event = threading.Event()
        return self._dropped or self._event.wait(seconds)


class Crew:
    """Daemon threads that live as long as there is work: a stuck call can never keep the process from ending.

    ``after`` is called by each of them when it has ended a job, before it takes the next. It must not raise.
    """

    def __init__(self, clock: Clock, after: Callable[[], None], most: int = 64) -> None:
        self._clock = clock
        self._after = after
        self._most = most
        self._free = 0
        """Threads that have no job, less the jobs that are there: who takes one is counted when it is handed over."""
        self._alive = 0
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def do(self, job: Callable[[], None], *, though_all_hang: bool = False) -> None:
        """Hand a job over; ``grow`` sees to it that somebody takes it, ``though_all_hang`` one beyond the most."""
        with self._lock:
            self._free -= 1
            if though_all_hang and self._free < 0 and self._alive >= self._most:
                self._most += 1
        self._jobs.put(job)

    def grow(self, spare: int = 0) -> None:
        """Start threads for jobs that no free one will take; one that has just ended its job is let take the next.

        ``spare``: so many more than there are jobs, as one of the free ones has still other things to do.
        """
        if self._free < spare:
            self._clock.sleep(0)
        with self._lock:
            more = max(0, min(spare - self._free, self._most - self._alive))
            self._free += more
            self._alive += more
        for _ in range(more):
            threading.Thread(target=self._serve, daemon=True, name="drills-worker").start()

    def _serve(self) -> None:
        while True:
            self._jobs.get()()
            with self._lock:
                self._free += 1
            self._after()
