"""The availability prober: ``python -m drills.observe.prober JOB``, a process of its own.

Open loop: each slot sends its request when it is due and waits for no other. ``sent`` is stamped before DNS,
``ended`` after the body; at ``sent`` + timeout a request is given up.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from drills.clock import NS, clock_id
from drills.errors import DrillsError
from drills.observe.answer import MOST_DETAIL, Answer, Stamps
from drills.observe.control import ControlProbe
from drills.observe.flush import Flusher
from drills.observe.job import in_flight, read_probe_job, to_ns
from drills.observe.process import be_punctual, freeze_garbage, now, read_clocks, time_namespace
from drills.observe.recorder import Recorder
from drills.observe.ring import Ring
from drills.observe.schedule import Life, OpenLoop, end_on_crash, retire
from drills.observe.target import target_for
from drills.timeline.samples import ObserverHeader, Sample

if TYPE_CHECKING:
    from drills.observe.answer import Target
    from drills.observe.job import ProbeJob

_LINGER_S = 2.0
"""How long requests in flight may still be answered once the prober has been told to end."""


class Prober:
    """One availability observer at work."""

    def __init__(self, job: ProbeJob, target: Target, recorder: Recorder) -> None:
        self._job = job
        self._target = target
        self._recorder = recorder
        self._timeout = to_ns(job.timeout_s)
        self._most = in_flight(job.every_s, job.timeout_s)
        self._open: set[asyncio.Task[None]] = set()
        self._loop = OpenLoop(to_ns(job.every_s))
        self._dropped = 0
        self._missed = 0
        self.control = ControlProbe(recorder, self._timeout)

    async def tick(self) -> None:
        """Send one request a slot until cancelled; a slot that cannot be used is an unknown row."""
        async for _, due, on_time in self._loop.slots():
            if not on_time:
                self._missed += 1
                self._unknown(due, "missed: the prober woke too late")
            elif len(self._open) >= self._most:
                self._dropped += 1
                self._unknown(due, f"dropped: {self._most} requests were in flight")
            else:
                task = asyncio.create_task(self._request())
                self._open.add(task)
                task.add_done_callback(self._open.discard)

    def _unknown(self, due: int, why: str) -> None:
        self._recorder.sample(Sample(due, max(due, now()), None, detail=why))

    async def _request(self) -> None:
        """Ask once and keep the row, whatever happens."""
        stamps = Stamps()
        sent = now()
        try:
            async with asyncio.timeout_at((sent + self._timeout) / NS):
                answer = await self._target.ask(stamps)
            ended = now()
            if answer.up and ended - sent > self._timeout:
                answer = replace(answer, up=None, detail="answered, but read too late to say whether in time")
        except TimeoutError:
            ended = now()
            answer = self._gave_up(ended - sent - self._timeout, stamps)
        except Exception as error:  # noqa: BLE001 - our own failure is no evidence, and the row says so
            ended, answer = now(), Answer(None, detail=f"the prober failed: {error!r}"[:MOST_DETAIL])
        except asyncio.CancelledError:
            ended, answer = now(), Answer(None, detail="the prober ended first")
        self._recorder.sample(
            Sample(
                sent,
                ended,
                answer.up,
                answer.by,
                answer.status,
                stamps.resolved,
                stamps.connected,
                stamps.first_byte,
                answer.detail,
                answer.hard,
            )
        )

    def _gave_up(self, late: int, stamps: Stamps) -> Answer:
        if late > self.control.late_ns:
            return Answer(None, detail=f"the prober was {late // 1_000_000} ms late to give up")
        return Answer(up=False, detail=f"timeout while waiting for {stamps.reached()}")

    async def settle(self) -> None:
        """Let what is in flight be answered for a moment, then give it up as unknown."""
        if self._open:
            await asyncio.wait(self._open, timeout=min(self._job.timeout_s, _LINGER_S))
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open, timeout=_LINGER_S)
        await self._target.close()

    def header(self, header: ObserverHeader) -> ObserverHeader:
        """Bring the counts of a header up to date."""
        names, lateness = self._target.names, self._loop.lateness
        ttl = names.ttl_s
        told = (names.note,) if names.note and names.note not in header.notes else ()
        return replace(
            header,
            notes=(*header.notes, *told),
            ttl_ns=None if ttl is None else to_ns(ttl),
            dropped=self._dropped,
            missed=self._missed + self._loop.skipped,
            late_p99_ns=lateness.p99(),
            late_max_ns=lateness.worst,
        )


def first_header(job: ProbeJob, scheduler: str) -> ObserverHeader:
    """Say who is about to look, and by which clock."""
    clocks = read_clocks()
    return ObserverHeader(
        observer=job.id,
        persona=job.persona,
        url=job.url,
        every_ns=to_ns(job.every_s),
        timeout_ns=to_ns(job.timeout_s),
        clock=clock_id(),
        time_namespace=time_namespace(),
        started=clocks.monotonic,
        at_start=clocks,
        scheduler=scheduler,
        identified=bool(job.header or job.by_json or job.by_address),
        in_flight=in_flight(job.every_s, job.timeout_s),
        stable_for_ns=to_ns(job.stable_for_s),
        pid=os.getpid(),
        notes=_notes(job),
    )


def _notes(job: ProbeJob) -> tuple[str, ...]:
    notes: list[str] = []
    if job.url.startswith("sql-") and job.resolve != "keepalive":
        notes.append("connects anew for each request")
    if job.connect_to:
        notes.append(f"connects to {job.connect_to}")
    return tuple(notes)


async def observe(job: ProbeJob, scheduler: str) -> str:
    """Observe until told to end, past the deadline, or without the owner; give why it ended."""
    header, file = first_header(job, scheduler), Path(job.file)
    recorder = Ring(file, header, round(job.keep_s * NS)) if job.keep_s else Recorder(file, header)
    target = target_for(job)
    if target.host:
        await target.names.prepare(target.host)
    prober = Prober(job, target, recorder)
    life = Life(job)
    ticking = asyncio.create_task(prober.tick())
    looking = asyncio.create_task(prober.control.run())
    flusher = Flusher(recorder, life, prober.header)
    flushing = asyncio.create_task(flusher.run(ticking.cancel))
    life.listen(ticking.cancel)
    end_on_crash((looking, flushing), ticking.cancel)
    freeze_garbage()
    try:
        with suppress(asyncio.CancelledError):
            await ticking
        await prober.settle()
        await retire((looking, flushing))
    finally:
        await flusher.end()
    return life.why


def main(arguments: list[str]) -> int:
    """Run the job in the file named by the one argument; 0 ended as it should, 2 a job that makes no sense."""
    try:
        (file,) = arguments
        job = read_probe_job(Path(file))
        for library in (
            "aiohttp",
            "dns.asyncresolver",
            *(("psycopg",) if job.dsn else ()),
        ):  # before the schedule begins and before real-time priority
            import_module(library)

        why = asyncio.run(observe(job, be_punctual()))
    except (DrillsError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stderr.write(f"ended: {why}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
