"""When an observer acts, how late it was, and when it must end."""

from __future__ import annotations

import asyncio
import signal
from bisect import bisect_left
from contextlib import suppress
from typing import TYPE_CHECKING

from drills.clock import NS
from drills.observe.process import is_same, now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from drills.observe.job import Job

MOST_MISSED_ROWS = 1_000
"""Rows written for the slots of one stall; a longer stall jumps to its end (one gap is as good as another)."""
_LINGER_S = 2.0


class Life:
    """Says when an observer must end: told by SIGTERM, past its deadline, or without its owner."""

    def __init__(self, job: Job) -> None:
        self._end_at = now() + round((job.deadline_s + job.grace_s) * NS)
        self._owner = (job.owner_pid, job.owner_start)
        self.why = ""

    def listen(self, end: Callable[[], object]) -> None:
        """Call ``end`` on SIGTERM; a closed terminal and a Ctrl-C meant for the drill do not concern observers."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._told, end)

    def _told(self, end: Callable[[], object]) -> None:
        self.why = "told to end"
        end()

    def over(self) -> bool:
        """Look once whether the deadline has passed or the owner has gone."""
        pid, start = self._owner
        if now() >= self._end_at:
            self.why = "past its deadline"
        elif pid and not is_same(pid, start):
            self.why = f"its owner, process {pid}, has gone"
        return bool(self.why)


class Lateness:
    """How late slots began: a histogram with buckets 10 % wide, so that it needs no memory for each slot."""

    _WIDTHS = tuple(round(100_000 * 1.1**power) for power in range(150))
    """Upper ends of the buckets in ns: from 0.1 ms to about 150 s."""

    def __init__(self) -> None:
        self.count = 0
        self.worst = 0
        self._buckets = [0] * (len(self._WIDTHS) + 1)

    def add(self, late_ns: int) -> None:
        """Count one slot that began ``late_ns`` after it was due."""
        self.count += 1
        self.worst = max(self.worst, late_ns)
        self._buckets[bisect_left(self._WIDTHS, late_ns)] += 1

    def p99(self) -> int | None:
        """Give an upper end, within 10 %, of the lateness that 99 % of the slots kept; None before the first."""
        rest = self.count // 100
        for place in range(len(self._WIDTHS), -1, -1):
            rest -= self._buckets[place]
            if rest < 0:
                return min(self.worst, self._WIDTHS[min(place, len(self._WIDTHS) - 1)])
        return None


class OpenLoop:
    """An absolute schedule: slot n is due n intervals after the first, whatever became of the slots before it."""

    def __init__(self, every_ns: int) -> None:
        self.every = every_ns
        self.skipped = 0
        self.lateness = Lateness()

    async def slots(self) -> AsyncIterator[tuple[int, int, bool]]:
        """Yield (number, due, on time) forever; a slot begun more than one interval late is not on time.

        After a stall each slot that passed is yielded late, at most ``MOST_MISSED_ROWS``; more are counted in
        ``skipped``.
        """
        number = 0
        first = now() + self.every
        while True:
            due = first + number * self.every
            wait = due - now()
            await asyncio.sleep(wait / NS if wait > 0 else 0)
            late = now() - due
            behind = late // self.every
            self.lateness.add(max(0, late))
            yield number, due, late <= self.every
            number += 1
            if behind > MOST_MISSED_ROWS:
                self.skipped += behind - MOST_MISSED_ROWS
                number += behind - MOST_MISSED_ROWS


def end_on_crash(helpers: Sequence[asyncio.Task[None]], end: Callable[[], object]) -> None:
    """Call ``end`` when a helper of the schedule breaks: an observer without one would go on half blind."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            end()

    for task in helpers:
        task.add_done_callback(ended)


async def retire(helpers: Sequence[asyncio.Task[None]]) -> None:
    """Cancel the helpers, wait for them a moment, and raise what broke one of them before."""
    broken = [task for task in helpers if task.done()]
    for task in helpers:
        task.cancel()
    await asyncio.wait(helpers, timeout=_LINGER_S)
    for task in broken:
        with suppress(asyncio.CancelledError):
            task.result()
