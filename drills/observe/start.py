"""Starts observers as processes of their own, finds them again after a crash, and ends them.

An observer has its own session, no open file of its parent, and outlives it; it ends at the plan's deadline plus
ten minutes by itself. The address of a database goes to it by its environment and never stands in a file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

import drills
from drills.clock import SystemClock
from drills.errors import JournalError, Refused
from drills.observe.job import MarkerJob, ProbeJob
from drills.observe.ledger import Header, Spot, resolve_secret
from drills.observe.process import is_same
from drills.observe.store import read_header, reading
from drills.timeline.codec import dump
from drills.timeline.events import Watching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.clock import Clock
    from drills.observe.job import Job

READY_S = 30.0
"""How long an observer may take to bring its first row to disk."""
STOP_S = 10.0
"""How long it may take to end when told; it lingers at most twice two seconds over open requests."""
_LOOK_S = 0.02
_DSN = "DRILLS_MARKER_DSN"
_HEADER = "DRILLS_MARKER_HEADER_"
_TAIL = 500


@dataclass(frozen=True, slots=True)
class _Child:
    watching: Watching
    process: subprocess.Popen[bytes]
    log: Path
    rings: bool = False

    def writes(self) -> bool:
        """Say whether its rows reach the disk; a ring is full of older ones, but its header names the writer."""
        try:
            file = Path(self.watching.file)
            return read_header(file).pid == self.watching.pid if self.rings else _has_rows(file)
        except JournalError:  # not there yet, or being made
            return False


class Observers:
    """The observer processes of one drill; those started by this object are its children and are reaped by it."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, jobs: Sequence[Job], folder: Path, ready_s: float = READY_S) -> list[Watching]:
        """Start one process a job and wait until each has its first row on disk.

        The files are made in ``folder``, named by the observer's id, whatever ``job.file`` says; an observer that
        ran before gets a second file. Raises ``Refused`` with what the observer's log says when one cannot begin;
        then none is left running.
        """
        for job in jobs:
            job.check()
        folder.mkdir(parents=True, exist_ok=True)
        started: list[_Child] = []
        try:
            for job in jobs:
                started.append(self._spawn(job, folder.absolute()))  # noqa: PERF401 - what was begun must be known
            self._await_ready(started, ready_s)
        except BaseException:
            for child in started:
                self.stop([child.watching], wait_s=0.0)
            raise
        return [child.watching for child in started]

    def _spawn(self, job: Job, folder: Path) -> _Child:
        rings = isinstance(job, ProbeJob) and bool(job.keep_s)
        name = job.id if rings else _free_name(folder, job.id)
        environment = os.environ | {"PYTHONPATH": _import_path()}
        job = replace(job, file=str(folder / f"{name}.db"))
        module = "prober"
        if isinstance(job, MarkerJob):
            job, held = _withheld(job)
            environment |= held
            module = "marker"
        elif job.dsn:
            environment[_DSN] = resolve_secret(job.dsn)
            job = replace(job, dsn=f"env:{_DSN}")
        order, log = folder / f"{name}.job.json", folder / f"{name}.log"
        order.write_text(dump(job), encoding="utf-8")
        with log.open("ab") as out:
            process = subprocess.Popen(  # noqa: S603 - our own module, and a file we have just written
                [sys.executable, "-P", "-m", f"drills.observe.{module}", str(order)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
                start_new_session=True,
            )
        self._children[process.pid] = process
        return _Child(Watching(job.id, job.file, process.pid, _start_of(process.pid)), process, log, rings)

    def _await_ready(self, started: Sequence[_Child], ready_s: float) -> None:
        begun = self._clock.now()
        waiting = list(started)
        while True:
            for child in waiting:
                if child.process.poll() is not None:
                    raise Refused(f"observer {child.watching.observer} did not start: {_tail(child.log)}")
            waiting = [child for child in waiting if not child.writes()]
            if not waiting:
                return
            if self._clock.now().since(begun) > ready_s:
                names = ", ".join(child.watching.observer for child in waiting)
                raise Refused(f"no row of {names} within {ready_s:g} s: {_tail(waiting[0].log)}")
            self._clock.sleep(_LOOK_S)

    def alive(self, watching: Watching) -> bool:
        """Say whether an observer is still the process that was started."""
        child = self._children.get(watching.pid)
        if child is not None and child.poll() is not None:
            return False
        return is_same(watching.pid, watching.process)

    def adopt(self, watching: Watching) -> bool:
        """Take an observer of a drill that crashed: True when it is alive and its file is the one it writes."""
        try:
            return self.alive(watching) and read_header(Path(watching.file)).pid == watching.pid
        except JournalError:
            return False

    def stop(self, observers: Sequence[Watching], wait_s: float = STOP_S) -> list[str]:
        """Tell observers to end, wait at most ``wait_s`` for all of them, then kill; give the ids of the killed."""
        for watching in observers:
            self._signal(watching, signal.SIGTERM)
        begun = self._clock.now()
        while any(self.alive(one) for one in observers) and self._clock.now().since(begun) < wait_s:
            self._clock.sleep(_LOOK_S)
        killed = [watching.observer for watching in observers if self.alive(watching)]
        for watching in observers:
            self._signal(watching, signal.SIGKILL)
            child = self._children.pop(watching.pid, None)
            if child is not None:
                child.wait()
        return killed

    def sweep(self, folder: Path, known: Sequence[Watching]) -> int:
        """Kill the observers whose orders lie in ``folder`` and which are not among ``known``; give how many.

        A drill killed between starting an observer and writing it down has left one that nobody else would end.
        """
        spared = {watching.pid for watching in known}
        strays = [pid for pid in _with_orders_in(folder.absolute()) if pid not in spared]
        starts = {pid: _start_of(pid) for pid in strays}
        for pid in strays:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        begun = self._clock.now()
        while any(is_same(pid, start) for pid, start in starts.items()) and self._clock.now().since(begun) < STOP_S:
            self._clock.sleep(_LOOK_S)
        return len(strays)

    def _signal(self, watching: Watching, number: signal.Signals) -> None:
        if not self.alive(watching):
            return
        try:
            os.kill(watching.pid, number)
        except ProcessLookupError:
            return


def _withheld(job: MarkerJob) -> tuple[MarkerJob, dict[str, str]]:
    """Take what may be secret out of a job; give what its process finds in its environment instead."""
    spot: Spot = job.spot()
    held = {_DSN: spot.address}
    headers: list[Header] = []
    for number, header in enumerate(spot.options.headers):
        held[f"{_HEADER}{number}"] = header.value
        headers.append(structs.replace(header, value=f"env:{_HEADER}{number}"))
    return replace(job, write=f"env:{_DSN}", options=structs.replace(job.options, headers=tuple(headers))), held


def _start_of(pid: int) -> str:
    from drills.clock import process_start

    try:
        return process_start(pid)
    except ProcessLookupError:  # it has ended already; its log says why
        return ""


def _with_orders_in(folder: Path) -> list[int]:
    """Find processes by their command line, which the system sets before an observer's first instruction."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        orders = [Path(os.fsdecode(word)) for word in words if word.endswith(b".job.json")]
        if any(order.parent == folder for order in orders) and any(b"drills.observe." in word for word in words):
            found.append(int(entry.name))
    return found


def _free_name(folder: Path, observer: str) -> str:
    number, name = 1, observer
    while (folder / f"{name}.db").exists() or (folder / f"{name}.job.json").exists():
        number += 1
        name = f"{observer}.{number}"
    return name


def _import_path() -> str:
    """Let the child find the same drills, wherever it was started from."""
    here = str(Path(drills.__file__).resolve().parent.parent)
    given = os.environ.get("PYTHONPATH", "")
    return f"{here}{os.pathsep}{given}" if given else here


def _has_rows(file: Path) -> bool:
    with reading(file) as connection:
        (rows,) = connection.execute(
            "SELECT EXISTS (SELECT 1 FROM samples) OR EXISTS (SELECT 1 FROM markers)"
        ).fetchone()
        return bool(rows)


def _tail(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    return text[-_TAIL:] or "it said nothing"
