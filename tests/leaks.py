"""Who belongs to a drill, and what of it is still there once it should be gone: asked of the kernel, not of drills."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from drills.clock import SystemClock

CLOCK = SystemClock()
EVERY_S = 0.04
DATA = ("data-", "drills-")
"""How folders begin that hold databases; the processes of one stand in it."""
CACHE = "drills-cache-"
"""What is made once for all sandboxes of a machine."""


class Witness:
    """Follows a process and all that descends from it, and names what is left of them.

    ``home`` is the drills' own DRILLS_HOME: a process with it in its environment or command line belongs to them too.
    ``scratch`` is their TMPDIR, if they have one of their own.
    """

    def __init__(self, home: Path, scratch: Path | None = None) -> None:
        self.home = home
        self.scratch = scratch
        self.data: set[Path] = set()
        self._before = _segments()
        self.family: dict[int, str] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def follow(self, pid: int) -> None:
        """Begin with one process."""
        self.family[pid] = started(pid)
        if not self._thread.is_alive():
            self._thread.start()

    def close(self) -> None:
        """End following."""
        self._over.set()

    def _follow(self) -> None:
        while not self._over.wait(EVERY_S):
            self.look()

    def look(self) -> None:
        """Take in every process that descends from those known."""
        parents = _parents()
        known = {pid for pid, began in tuple(self.family.items()) if began and started(pid) == began}
        while more := {pid for pid, parent in parents.items() if parent in known} - known:
            known |= more
            self.family.update((pid, began) for pid in more if (began := started(pid)))
        self.data |= {place for pid in known if (place := _stands_in(pid)) is not None and place.name.startswith(DATA)}

    def alive(self) -> list[str]:
        """Name the processes that are still there."""
        mine = str(self.home).encode()
        found = {pid for pid, began in tuple(self.family.items()) if began and started(pid) == began}
        found |= {pid for pid in _parents() if pid != os.getpid() and mine in _words(pid) and started(pid)}
        return sorted(f"process {pid}: {_words(pid, 'cmdline')[:90].replace(bytes(1), b' ').decode()}" for pid in found)

    def left(self) -> list[str]:
        """Name processes, shared memory, sockets and scratch folders that are still there."""
        segments = [
            f"shared memory {segment} of {pid}"
            for segment, pid in _segments().items()
            if pid in tuple(self.family) and segment not in self._before  # a pid may be that of one long dead
        ]
        sockets = [f"socket {path}" for path in self.home.rglob("*") if _is_socket(path)]
        places = [str(place) for place in (self.home, self.scratch, *self.data) if place is not None]
        named = [f"socket {line}" for line in _unix_sockets() if any(place in line for place in places)]
        made = (
            {one for one in self.scratch.iterdir() if not one.name.startswith(CACHE)} if self.scratch else set[Path]()
        )
        files = [f"scratch {path}" for path in made | {one for one in self.data if one.exists()}]
        homes = [f"a sandbox that says it runs: {path}" for path in self.home.glob("worlds/*/sandbox.json")]
        return [*self.alive(), *segments, *sockets, *named, *files, *homes]


@contextmanager
def open_scratch() -> Generator[Path]:
    """Make a TMPDIR that every user may pass, for PostgreSQL runs as another one; pytest's own is closed to others."""
    with tempfile.TemporaryDirectory(prefix="tmp-", dir="/tmp") as scratch:
        Path(scratch).chmod(0o755)
        yield Path(scratch)


@contextmanager
def witness(home: Path, scratch: Path | None = None) -> Generator[Witness]:
    """Watch over the drills of one DRILLS_HOME while the block runs."""
    watching = Witness(home, scratch)
    try:
        yield watching
    finally:
        watching.close()


def started(pid: int) -> str:
    """When a process began, as the kernel counts; nothing for one that is gone, or a zombie."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if words[0] in "ZX" else words[19]


def _stands_in(pid: int) -> Path | None:
    """Give the nearest folder of a process's own that is named as data folders are."""
    try:
        here = Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None
    found = next((one for one in (here, *here.parents) if one.name.startswith(DATA)), None)
    return None if found is None or found.name.startswith(CACHE) else found


def _parents() -> dict[int, int]:
    found: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found[int(entry.name)] = int(text.rpartition(")")[2].split()[1])
    return found


def _words(pid: int, *names: str) -> bytes:
    found = b""
    for name in names or ("cmdline", "environ"):
        try:
            found += Path(f"/proc/{pid}/{name}").read_bytes()
        except OSError:
            continue
    return found


def _segments() -> dict[int, int]:
    """Each System V segment, and the process that made it."""
    lines = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    return {int(line.split()[1]): int(line.split()[4]) for line in lines}


def _unix_sockets() -> list[str]:
    return [line.split()[-1] for line in Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()[1:]]


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return False
