"""Writes markers to any store that answers one write at a time: a numbered row each slot, each in a lane of its own.

A lane is a thread with its own connection. The schedule never waits for an answer: a slot takes a free lane, and
without one it has no row and is counted. Within a lane a marker is sent after the one before it was answered, so
that in an ordered store the numbers of one lane stand in the order of the log; each lane is a writer by its own name.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from drills.errors import DrillsError
from drills.observe.job import in_flight, to_ns
from drills.observe.ledger import SEPARATOR, Answer, Row
from drills.observe.process import now
from drills.observe.schedule import OpenLoop
from drills.timeline.samples import Marker

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.observe.job import MarkerJob
    from drills.observe.ledger import Lane, WriterSide
    from drills.observe.recorder import Recorder
    from drills.timeline.samples import ObserverHeader

MOST_LANES = 64
_LINGER_S = 2.0


def lanes_of(job: MarkerJob) -> int:
    """Give how many writes a job may have on their way at once."""
    return min(in_flight(job.every_s, job.timeout_s), MOST_LANES)


class LaneThread:
    """One lane at work; ``done`` is called in its thread with the row and its answer, or with the bug that ended it."""

    def __init__(
        self, number: int, open_lane: Callable[[], Lane], done: Callable[[LaneThread, Row, Answer | Exception], None]
    ) -> None:
        self.number = number
        self._open_lane = open_lane
        self._done = done
        self._rows: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        # A daemon: a write that nobody answers must not keep the process.
        self._thread = threading.Thread(target=self._work, name=f"lane {number}", daemon=True)
        self._thread.start()

    def send(self, row: Row) -> None:
        """Hand over one marker."""
        self._rows.put(row)

    def end(self) -> None:
        """Let the thread end after what it is doing."""
        self._rows.put(None)

    def _work(self) -> None:
        lane = self._open_lane()
        while (row := self._rows.get()) is not None:
            try:
                answer: Answer | Exception = lane.write(row)
            except DrillsError as error:  # a session that cannot be had: nothing was sent
                answer = Answer(acked=False, why=str(error))
            except Exception as error:  # noqa: BLE001 - raised again by the schedule: a thread's end nobody would see
                answer = error
            self._done(self, row, answer)
        lane.close()


class LaneWriter:
    """One marker writer at work over lanes."""

    def __init__(self, job: MarkerJob, side: WriterSide, recorder: Recorder, writer: str) -> None:
        self._job = job
        self._side = side
        self._recorder = recorder
        self._writer = writer
        self._most = lanes_of(job)
        self._schedule = OpenLoop(to_ns(job.every_s))
        self._free: list[LaneThread] = []
        self._lanes = 0
        self._open: dict[tuple[str, int], Marker] = {}
        self._drained = asyncio.Event()
        self._events = asyncio.get_running_loop()
        self._dropped = 0
        self._missed = 0
        self._said = ""
        self._bug: Exception | None = None

    def _say(self, text: str) -> None:
        line = text.strip().partition("\n")[0]
        if line and line != self._said:
            sys.stderr.write(f"{line}\n")
            self._said = line

    def _name(self, lane: LaneThread) -> str:
        return f"{self._writer}{SEPARATOR}{lane.number}"

    def _take(self) -> LaneThread | None:
        """Give the lane that was used last, so that as few connections as possible are open; None when all are busy."""
        if self._free:
            return self._free.pop()
        if self._lanes >= self._most:
            return None
        self._lanes += 1
        return LaneThread(self._lanes, self._side.lane, self._answered)

    def _answered(self, lane: LaneThread, row: Row, answer: Answer | Exception) -> None:
        """Hear of an answer, in the lane's thread."""
        self._events.call_soon_threadsafe(self._keep, lane, row, answer, now())

    def _keep(self, lane: LaneThread, row: Row, answer: Answer | Exception, at: int) -> None:
        if isinstance(answer, Exception):
            self._bug = answer
            return
        self._free.append(lane)
        if self._open.pop((row.writer, row.seq), None) is not None:
            self._recorder.marker(Marker(row.writer, row.seq, row.sent, at, answer.acked, answer.primary))
        self._say(answer.why)
        if not self._open:
            self._drained.set()

    async def tick(self) -> None:
        """Write one marker a slot until cancelled."""
        async for number, _, on_time in self._schedule.slots():
            if self._bug is not None:
                raise self._bug
            if not on_time:
                self._missed += 1
                continue
            lane = self._take()
            if lane is None:
                self._dropped += 1
                continue
            row = Row(self._job.drill, self._job.store, self._name(lane), number, now())
            self._open[row.writer, row.seq] = Marker(row.writer, row.seq, row.sent, None, None)
            self._drained.clear()
            lane.send(row)

    async def settle(self) -> None:
        """Wait a moment for answers on their way; what has none by then is given up as indeterminate."""
        if self._open:
            try:
                async with asyncio.timeout(min(self._job.timeout_s, _LINGER_S)):
                    await self._drained.wait()
            except TimeoutError:
                self._say(f"{len(self._open)} markers had no answer when the writer ended")
        for marker in self._open.values():
            self._recorder.marker(replace(marker, ended=now()))
        self._open.clear()
        for lane in self._free:
            lane.end()

    def unanswered(self) -> list[Marker]:
        """Give the markers that were sent and have no answer yet."""
        return list(self._open.values())

    def header(self, header: ObserverHeader) -> ObserverHeader:
        """Bring the counts of a header up to date."""
        lateness = self._schedule.lateness
        return replace(
            header,
            dropped=self._dropped,
            missed=self._missed + self._schedule.skipped,
            late_p99_ns=lateness.p99(),
            late_max_ns=lateness.worst,
        )
