"""The few calls of Linux that Python does not offer: death signals, adopting orphans, freeing shared memory."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_IPC_RMID = 0
_SEGMENT, _MAKER, _ATTACHED = 1, 4, 6  # columns of /proc/sysvipc/shm

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


def free_shared_memory(makers: Container[int]) -> None:
    """Remove the System V segments that these killed processes made and nobody uses: the kernel has only 4096.

    The kernel is asked, for PostgreSQL writes its segment down a while after it made it, and ``initdb`` never does.
    """
    try:
        lines = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return
    for columns in map(str.split, lines):
        if int(columns[_MAKER]) in makers and columns[_ATTACHED] == "0":
            _libc.shmctl(int(columns[_SEGMENT]), _IPC_RMID, None)
