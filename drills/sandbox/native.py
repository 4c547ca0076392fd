"""The few calls of Linux that Python does not offer: death signals, adopting orphans, freeing shared memory."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_IPC_RMID = 0
_SHARED_MEMORY_LINE = 6  # of postmaster.pid, counted from 0: "key id"

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Have the kernel SIGKILL this process when its parent ends.

    The kernel forgets it when the user changes, so it is called after that. ``parent`` closes the gap in which the
    parent died before the call.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def name_process(name: str) -> None:
    """Give this process the name that ``ps`` and ``top`` show (15 bytes)."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def children_of(pid: int) -> list[int]:
    """List the direct children of a process; none when it is gone."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return _children_by_search(pid)


def _children_by_search(pid: int) -> list[int]:
    """Do as ``children_of`` on a kernel without ``/proc/PID/task/TID/children``."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parent = int((folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent == pid:
            found.append(int(folder.name))
    return found


def shared_memory_of(data_dir: Path) -> int | None:
    """Read the System V segment a postmaster holds from its ``postmaster.pid``."""
    try:
        return int(
            (data_dir / "postmaster.pid").read_text(encoding="ascii").splitlines()[_SHARED_MEMORY_LINE].split()[1]
        )
    except (OSError, ValueError, IndexError):
        return None


def free_shared_memory(segment: int) -> None:
    """Remove a System V segment: a killed postmaster leaves one behind, and the kernel has 4096."""
    _libc.shmctl(segment, _IPC_RMID, None)
