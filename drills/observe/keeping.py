"""Keeps the observers of one environment running: each has a ring on disk; one that dies is started again.

The folder of an environment holds a ring for each observer, ``lock`` (held by the one process that keeps them) and
``keeper.json`` (who that is).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drills.clock import NS, process_start
from drills.durations import show
from drills.errors import JournalError, Refused
from drills.observe.process import is_same
from drills.observe.store import reading
from drills.timeline.codec import dump, load

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from io import BufferedWriter

    from drills.clock import Clock, Stamp
    from drills.observe.job import ProbeJob
    from drills.observe.start import Observers
    from drills.timeline.events import Watching

LOOK_S = 1.0
FOLDER = "observe"
KEEPER = "keeper.json"
_LONGEST_WAIT_S = 60.0
_SETTLED_S = 60.0
"""An observer that has lived so long begins its waits anew."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """Who keeps the observers of an environment, of which runbook (empty: the environment's own), since when."""

    pid: int
    start: str
    environment: str
    runbook: str
    since: str


def ring_of(folder: Path, observer: str) -> Path:
    """Give the ring of one observer in the folder of its environment."""
    return folder / f"{observer}.db"


def rings_in(folder: Path) -> list[Path]:
    """Give the rings that lie in the folder of an environment."""
    return sorted(folder.glob("*.db"))


def written(file: Path) -> BufferedWriter:
    """Open a file of an environment's folder to write at its end; ``Refused`` when there is no place for it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return file.open("ab")
    except OSError as error:
        told = f"{file} cannot be written: {error.strerror}; work elsewhere, or set DRILLS_HOME"
        raise Refused(f"not started: {told}; nothing is observed") from error


@contextmanager
def kept(folder: Path, keeping: Keeping) -> Generator[None]:
    """Hold the environment for this process; ``Refused`` while another keeps its observers, or nothing can be kept."""
    with written(folder / "lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = keeper(folder)
            who = f"process {other.pid} since {other.since}" if other is not None else "another process"
            hint = f"`drills observe {keeping.environment} --stop` ends it"
            raise Refused(f"not started: {keeping.environment} is observed already by {who}; {hint}") from error
        (folder / KEEPER).write_text(dump(keeping), encoding="utf-8")
        try:
            yield
        finally:
            (folder / KEEPER).unlink(missing_ok=True)


def keeper(folder: Path) -> Keeping | None:
    """Give the process that keeps the observers now; None when there is none."""
    try:
        found = load(Keeping, (folder / KEEPER).read_text(encoding="utf-8"))
    except (OSError, JournalError):
        return None
    return found if is_same(found.pid, found.start) else None


def me(environment: str, runbook: str, clock: Clock) -> Keeping:
    """Describe this process as the keeper."""
    return Keeping(os.getpid(), process_start(os.getpid()), environment, runbook, clock.now().iso())


class Keeper:
    """Starts every observer, starts again what dies (after 1, 2, 4 .. 60 s), and tells when a service goes or comes."""

    def __init__(
        self, jobs: Sequence[ProbeJob], folder: Path, observers: Observers, clock: Clock, say: Callable[[str], None]
    ) -> None:
        self._observers = observers
        self._clock = clock
        self._say = say
        self.wards = [_Ward(job, ring_of(folder, job.id)) for job in jobs]
        self._folder = folder

    def look(self) -> None:
        """Look once at every observer."""
        for ward in self.wards:
            now = self._clock.now()
            if ward.watching is not None and self._observers.alive(ward.watching):
                if ward.begun is not None and now.since(ward.begun) > _SETTLED_S:
                    ward.failures = 0
            elif ward.again is None or now.since(ward.again) >= 0:
                self._start(ward, now)
            for line in ward.news():
                self._say(f"{now.iso()} {line}")

    def _start(self, ward: _Ward, now: Stamp) -> None:
        if ward.watching is not None:
            self._say(
                f"{now.iso()} {ward.job.id}: its prober has ended ({self._last_words(ward)}); it is started again"
            )
            self._observers.stop([ward.watching], wait_s=0.0)
        ward.watching, ward.begun = None, now
        wait_s = min(2.0**ward.failures, _LONGEST_WAIT_S)
        ward.failures += 1
        ward.again = later(now, wait_s)
        try:
            (ward.watching,) = self._observers.start([ward.job], self._folder)
        except (Refused, OSError) as error:
            if str(error) != ward.trouble:
                self._say(f"{now.iso()} {error}; it is tried again")
            ward.trouble = str(error)
            return
        ward.trouble = ""
        self._say(f"{now.iso()} {ward.job.id}: watching {ward.job.url} each {show(ward.job.every_s)}")

    def _last_words(self, ward: _Ward) -> str:
        try:
            lines = (self._folder / f"{ward.job.id}.log").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "it left no word"
        return lines[-1] if lines else "it left no word"

    def stop(self) -> None:
        """End every observer; each brings its last rows to disk first."""
        for name in self._observers.stop([ward.watching for ward in self.wards if ward.watching is not None]):
            self._say(f"{name} did not end and was killed; its rows of the last half second are lost")

    def line(self) -> str:
        """Say in one line how each service is."""
        return "; ".join(ward.line() for ward in self.wards)


def later(stamp: Stamp, seconds: float) -> Stamp:
    """Give the moment so many seconds after another on one clock."""
    from msgspec.structs import replace

    span = round(seconds * NS)
    return replace(stamp, utc_ns=stamp.utc_ns + span, mono_ns=stamp.mono_ns + span)


class _Ward:
    """One observer that is kept, and what is known of its service: read on from the last row seen."""

    def __init__(self, job: ProbeJob, ring: Path) -> None:
        self.job = job
        self.watching: Watching | None = None
        self.begun: Stamp | None = None
        self.again: Stamp | None = None
        self.failures = 0
        self.trouble = ""
        self._ring = ring
        self._seen = -1
        self._up: bool | None = None
        self._since = 0
        self._failed = 0

    def news(self) -> list[str]:
        """Give a line for each time the service went or came back since the last look."""
        try:
            rows = self._rows()
        except JournalError:
            return []
        said: list[str] = []
        for row, ended, up, detail in rows:
            self._seen = row
            self._failed = 0 if up else self._failed + 1
            if bool(up) == self._up:
                continue
            if up and self._up is not None:
                said.append(f"{self.job.id}: UP again, after {show((ended - self._since) / NS)}")
            elif not up:
                said.append(f"{self.job.id}: DOWN ({detail})")
            self._up, self._since = bool(up), ended
        return said

    def _rows(self) -> list[tuple[int, int, int, str]]:
        if not self._ring.exists():
            return []
        with reading(self._ring) as run:
            if self._seen < 0:
                (last,) = run.execute("SELECT coalesce(max(id), 1) FROM samples").fetchone()
                self._seen = last - 1
            return run.execute(
                "SELECT id, ended, up, detail FROM samples WHERE id > ? AND up >= 0 ORDER BY id", (self._seen,)
            ).fetchall()

    def line(self) -> str:
        """Say how the service is, as far as was seen since this process began."""
        if self.watching is None:
            return f"{self.job.id} not watched ({self.trouble or 'starting'})"
        if self._up is None:
            return f"{self.job.id} nothing told yet"
        return f"{self.job.id} up" if self._up else f"{self.job.id} DOWN, {self._failed} failed in a row"


def size(folder: Path) -> int:
    """Give the bytes that the rings of an environment take on disk."""
    return sum(file.stat().st_size for file in folder.glob("*.db*"))


UNREADABLE = (JournalError, sqlite3.Error)
"""What reading a ring may come to."""
