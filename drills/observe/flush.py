"""Brings what an observer saw to disk twice a second, and sees on the way whether the observer must end."""

from __future__ import annotations

import asyncio
import gc
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from drills.observe.process import now, read_clocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.observe.recorder import Recorder
    from drills.observe.schedule import Life
    from drills.timeline.samples import Marker, ObserverHeader

EVERY_S = 0.5
_FIRST_S = 0.05
"""Until the first rows are on disk, whoever started the observer is waiting."""


def _none() -> list[Marker]:
    return []


class Flusher:
    """Flushes in a thread, so that a slow disk never holds up the schedule."""

    def __init__(
        self,
        recorder: Recorder,
        life: Life,
        update: Callable[[ObserverHeader], ObserverHeader],
        open_markers: Callable[[], list[Marker]] = _none,
    ) -> None:
        self._recorder = recorder
        self._life = life
        self._update = update
        self._open_markers = open_markers
        self._trouble = ""

    async def run(self, end: Callable[[], object]) -> None:
        """Flush until cancelled; call ``end`` once the observer's life is over."""
        while True:
            await asyncio.sleep(EVERY_S if self._recorder.flushed else _FIRST_S)
            # A flush that has begun is never cut short by the end: the last one waits for it.
            await asyncio.shield(self._flush())
            gc.collect()
            if self._life.over():
                end()

    async def _flush(self) -> None:
        self._recorder.header = self._update(self._recorder.header)
        trouble = await asyncio.to_thread(self._recorder.flush, self._recorder.take(), self._open_markers())
        if trouble and trouble != self._trouble:
            sys.stderr.write(f"the disk refused rows, they are kept for the next time: {trouble}\n")
        self._trouble = trouble

    async def end(self) -> None:
        """Flush for the last time, with the end in the header."""
        self._recorder.header = replace(self._recorder.header, ended=now(), at_end=read_clocks())
        await self._flush()
        self._recorder.close()
