"""The marker writer: ``python -m drills.observe.marker JOB``, a process of its own.

A numbered row each slot, open loop, to the old primary and to nobody else; none is sent twice. Into PostgreSQL they
go over one pinned connection (here), into every other store over lanes (``lanes``). A row the connection was lost
under is *indeterminate*; one that could not be sent because there was no connection was never executed. The number of a
row is the number of its slot.
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
from drills.errors import DrillsError, Refused
from drills.observe.flush import Flusher
from drills.observe.job import in_flight, read_marker_job, to_ns
from drills.observe.lanes import LaneWriter, lanes_of
from drills.observe.ledger import resolve_secret
from drills.observe.pipeline import Pipeline
from drills.observe.postgres import insert, prepare
from drills.observe.process import be_punctual, freeze_garbage, now, read_clocks, time_namespace
from drills.observe.recorder import Recorder
from drills.observe.schedule import Life, OpenLoop, end_on_crash, retire
from drills.observe.stores import is_postgres, open_writer
from drills.timeline.samples import Marker, ObserverHeader, Persona

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    import psycopg

    from drills.observe.job import MarkerJob
    from drills.observe.ledger import WriterSide

_AGAIN_S = 0.25
"""Pause between two attempts to connect."""
_LINGER_S = 2.0
_LEAST_CONNECT_S, _MOST_CONNECT_S = 1.0, 5.0
_FEWEST_IN_FLIGHT = 64


class MarkerWriter:
    """One marker writer at work."""

    def __init__(self, job: MarkerJob, recorder: Recorder, writer: str) -> None:
        self._job = job
        self._dsn = resolve_secret(job.write)
        self._recorder = recorder
        self._writer = writer
        self._timeout = to_ns(job.timeout_s)
        self._most = max(in_flight(job.every_s, job.timeout_s), _FEWEST_IN_FLIGHT)
        self._loop = OpenLoop(to_ns(job.every_s))
        self._pipeline: Pipeline | None = None
        self._broken = asyncio.Event()
        self._dropped = 0
        self._missed = 0
        self._said = ""

    async def connect(self) -> None:
        """Connect to the DSN, make sure of the table, and take the connection as the one to write over."""
        import psycopg

        patience = min(max(self._job.timeout_s, _LEAST_CONNECT_S), _MOST_CONNECT_S)
        async with asyncio.timeout(patience):
            connection: psycopg.AsyncConnection[tuple[Any, ...]] = await psycopg.AsyncConnection.connect(
                self._dsn, autocommit=True, connect_timeout=int(_MOST_CONNECT_S)
            )
            try:
                identity = await prepare(connection, max(1, round(self._job.timeout_s * 1000)))
                pipeline = Pipeline(connection, self._recorder.marker, self._lose)
                await pipeline.begin(insert(identity))
            except BaseException:
                connection.pgconn.finish()
                raise
        self._broken.clear()
        self._pipeline = pipeline

    def _lose(self, why: str) -> None:
        if not self._broken.is_set():
            self.say(f"connection lost: {why}")
            self._broken.set()

    def say(self, text: str) -> None:
        """Write one line to the log, once for each thing that is new."""
        line = text.strip().partition("\n")[0]
        if line != self._said:
            sys.stderr.write(f"{line}\n")
            self._said = line

    async def keep_connected(self) -> None:
        """Connect again, to the same DSN, whenever the connection is lost; until cancelled."""
        import psycopg

        while True:
            await self._broken.wait()
            if self._pipeline is not None:
                pipeline, self._pipeline = self._pipeline, None
                await pipeline.close()
            try:
                await self.connect()
            except TimeoutError:
                self.say("no answer while connecting")
            except (OSError, psycopg.Error) as error:
                self.say(f"cannot connect: {error}")
            if self._pipeline is None:
                await asyncio.sleep(_AGAIN_S)

    async def give_up_in_time(self) -> None:
        """Give the connection up once its oldest marker has had no answer for the whole timeout; until cancelled."""
        while True:
            oldest = self._pipeline.oldest_sent if self._pipeline is not None else None
            limit = (now() if oldest is None else oldest) + self._timeout
            await asyncio.sleep(max(limit - now(), 0) / NS)
            pipeline = self._pipeline
            if (
                pipeline is not None
                and pipeline.oldest_sent is not None
                and now() - pipeline.oldest_sent >= self._timeout
            ):
                self._lose(f"no answer within {self._job.timeout_s:g} s")
                await asyncio.sleep(0)

    async def tick(self) -> None:
        """Write one marker a slot until cancelled; a slot that cannot be used has no row and is counted."""
        async for number, _, on_time in self._loop.slots():
            pipeline = self._pipeline
            if not on_time:
                self._missed += 1
            elif pipeline is None or self._broken.is_set():
                at = now()
                self._recorder.marker(Marker(self._writer, number, at, at, acked=False))
            elif len(pipeline) >= self._most:
                self._dropped += 1
            else:
                job, sent = self._job, now()
                values = (job.drill, job.store, self._writer, str(number), str(sent))
                pipeline.send(Marker(self._writer, number, sent, None, None), [value.encode() for value in values])

    async def settle(self) -> None:
        """Wait a moment for answers on their way, then give the connection up."""
        if self._pipeline is not None and not self._broken.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(min(self._job.timeout_s, _LINGER_S)):
                    await self._pipeline.drained.wait()
        if self._pipeline is not None:
            await self._pipeline.close()

    def unanswered(self) -> list[Marker]:
        """Give the markers that were sent and have no answer yet."""
        return list(self._pipeline.unanswered) if self._pipeline is not None else []

    def header(self, header: ObserverHeader) -> ObserverHeader:
        """Bring the counts of a header up to date."""
        lateness = self._loop.lateness
        return replace(
            header,
            dropped=self._dropped,
            missed=self._missed + self._loop.skipped,
            late_p99_ns=lateness.p99(),
            late_max_ns=lateness.worst,
        )


def first_header(job: MarkerJob, scheduler: str, shown: str, most: int) -> ObserverHeader:
    """Say who is about to write, where (``shown``, without secrets), and by which clock."""
    clocks = read_clocks()
    return ObserverHeader(
        observer=job.id,
        persona=Persona.WRITER,
        url=shown,
        every_ns=to_ns(job.every_s),
        timeout_ns=to_ns(job.timeout_s),
        clock=clock_id(),
        time_namespace=time_namespace(),
        started=clocks.monotonic,
        at_start=clocks,
        scheduler=scheduler,
        identified=True,
        in_flight=most,
        store=job.store,
        pid=os.getpid(),
    )


def _shown(dsn: str) -> str:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(dsn)
    except ProgrammingError as error:
        raise Refused("the DSN of the marker writer is not understood by libpq") from error
    return f"postgresql://{parts.get('host', '')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


async def observe_postgres(job: MarkerJob, scheduler: str) -> str:
    """Write markers over one connection until the end of the observer's life; give why it ended.

    Raises ``Refused`` when there is no writable database to begin with.
    """
    import psycopg

    most = max(in_flight(job.every_s, job.timeout_s), _FEWEST_IN_FLIGHT)
    header = first_header(job, scheduler, _shown(resolve_secret(job.write)), most)
    recorder = Recorder(Path(job.file), header)
    writer = MarkerWriter(job, recorder, _name(job, header))
    try:
        await writer.connect()
    except (OSError, psycopg.Error) as error:
        recorder.close()
        raise Refused(f"markers cannot be written to {header.url}: {error or 'no answer'}") from error
    return await _live(job, writer, recorder, (writer.keep_connected(), writer.give_up_in_time()))


async def observe_store(job: MarkerJob, side: WriterSide, scheduler: str) -> str:
    """Write markers over lanes until the end of the observer's life; give why it ended."""
    header = first_header(job, scheduler, side.shown, lanes_of(job))
    recorder = Recorder(Path(job.file), header)
    return await _live(job, LaneWriter(job, side, recorder, _name(job, header)), recorder, ())


def _name(job: MarkerJob, header: ObserverHeader) -> str:
    return f"{job.id}.{os.getpid()}.{header.started}"


async def _live(
    job: MarkerJob,
    writer: MarkerWriter | LaneWriter,
    recorder: Recorder,
    chores: tuple[Coroutine[Any, Any, None], ...],
) -> str:
    """Write until told to end, past the deadline, or without the owner; give why it ended."""
    life = Life(job)
    ticking = asyncio.create_task(writer.tick())
    flusher = Flusher(recorder, life, writer.header, writer.unanswered)
    helpers = (*map(asyncio.create_task, chores), asyncio.create_task(flusher.run(ticking.cancel)))
    life.listen(ticking.cancel)
    end_on_crash(helpers, ticking.cancel)
    freeze_garbage()
    try:
        with suppress(asyncio.CancelledError):
            await ticking
        await writer.settle()
        await retire(helpers)
    finally:
        await flusher.end()
    return life.why


def main(arguments: list[str]) -> int:
    """Run the job in the file named by the one argument; 0 ended as it should, 2 it could not begin."""
    try:
        (file,) = arguments
        job = read_marker_job(Path(file))
        # Drivers are loaded and stores are asked before the schedule begins and before real-time priority.
        spot = job.spot()
        if is_postgres(spot):
            import_module("psycopg")
            why = asyncio.run(observe_postgres(job, be_punctual()))
        else:
            side = open_writer(spot, job.timeout_s, lanes_of(job))
            side.prepare()
            why = asyncio.run(observe_store(job, side, be_punctual()))
    except (DrillsError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stderr.write(f"ended: {why}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
