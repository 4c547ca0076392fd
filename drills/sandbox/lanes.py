"""Slow work beside the reconcile loop: one thing at a time in each lane, and never two of a kind at once."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.clock import Clock

_log = logging.getLogger(__name__)
_AGAIN_AFTER_NS = 500_000_000


@dataclass(slots=True)
class Lanes:
    """Runs jobs in threads of their own; a lane whose job failed rests half a second before the next."""

    clock: Clock
    done: Callable[[], None]
    """Called after each job, to wake the loop."""
    _busy: set[str] = field(default_factory=set[str])
    _rest_until_ns: dict[str, int] = field(default_factory=dict[str, int])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, lane: str, job: Callable[[], None]) -> bool:
        """Start a job unless its lane is busy or resting; say whether it was started."""
        with self._lock:
            if lane in self._busy or self.clock.now().mono_ns < self._rest_until_ns.get(lane, 0):
                return False
            self._busy.add(lane)
        threading.Thread(target=self._work, args=(lane, job), name=f"lane-{lane}", daemon=True).start()
        return True

    def busy(self, lane: str) -> bool:
        """Say whether a job is on its way there."""
        with self._lock:
            return lane in self._busy

    def _work(self, lane: str, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception:  # noqa: BLE001 - a failed job is logged and tried again
            _log.exception("%s failed; it is tried again while it is wanted", lane)
            with self._lock:
                self._rest_until_ns[lane] = self.clock.now().mono_ns + _AGAIN_AFTER_NS
        finally:
            with self._lock:
                self._busy.discard(lane)
            self.done()
