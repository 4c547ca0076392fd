"""Wrong ways to measure, as they are met in the wild: kept here to show that they are seen to be wrong."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drills.calibrate.service import NS, now
from drills.clock import SystemClock
from drills.timeline.samples import BAD, GOOD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drills.calibrate.world import Service
    from drills.timeline.samples import Samples


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of the closed loop."""

    sent: int
    ended: int
    good: bool


@dataclass(slots=True)
class ClosedLoop:
    """Asks, waits for the answer or the timeout, and only then asks again."""

    service: Service
    every_s: float
    timeout_s: float
    asked: list[Asked] = field(default_factory=list[Asked])
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the last request."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(10)

    def _run(self) -> None:
        clock = SystemClock()
        while not self._ended.is_set():
            sent = now()
            good = self._ask()
            self.asked.append(Asked(sent, now(), good))
            clock.sleep(max(0.0, self.every_s - (now() - sent) / NS))

    def _ask(self) -> bool:
        service = self.service
        try:
            with socket.create_connection((service.host, service.port), timeout=self.timeout_s) as wire:
                wire.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return wire.recv(512).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


def send_to_send(asked: Iterable[Asked]) -> int | None:
    """Give the time from the send of the first failed to the send of the first good request after it."""
    began: int | None = None
    for one in asked:
        if began is None and not one.good:
            began = one.sent
        elif began is not None and one.good:
            return one.sent - began
    return None


def by_completion(samples: Samples) -> int | None:
    """Give the time from the end of the first failed to the end of the first good request sent after it."""
    rows = sorted(zip(samples.sent, samples.ended, samples.up, strict=True))
    failed = [(sent, ended) for sent, ended, up in rows if up == BAD]
    if not failed:
        return None
    sent, ended = failed[0]
    goods = [end for begin, end, up in rows if up == GOOD and begin > failed[-1][0]]
    return goods[0] - ended if goods and sent < goods[0] else None
