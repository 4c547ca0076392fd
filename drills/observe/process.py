"""What an observer asks of its host: the clocks, a punctual scheduler, and whether a process is still the same."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path

from drills.clock import process_start
from drills.timeline.samples import ClockReading

_TIME_ERROR = 5


def now() -> int:
    """Read CLOCK_MONOTONIC in nanoseconds."""
    return time.monotonic_ns()


def read_clocks() -> ClockReading:
    """Read the three clocks of this host together; where there is no BOOTTIME, MONOTONIC stands for it."""
    boot = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return ClockReading(time.time_ns(), time.monotonic_ns(), time.clock_gettime_ns(boot))


def utc_error_ns() -> int | None:
    """Give the kernel's bound on how far this host's UTC is off (NTP's maximum error); None: nobody keeps it.

    Source: ntp_gettime(3); it returns TIME_ERROR while the clock is not synchronized.
    """
    import ctypes

    answer = (ctypes.c_long * 16)()  # struct ntptimeval: a timeval, then maxerror in microseconds
    try:
        state = ctypes.CDLL(None).ntp_gettime(answer)
    except (OSError, AttributeError):
        return None
    return None if state < 0 or state == _TIME_ERROR else answer[2] * 1_000


def time_namespace() -> str:
    """Name the time namespace of this process; empty where the system has none."""
    try:
        return str(Path("/proc/self/ns/time").readlink())
    except OSError:
        return ""


def be_punctual() -> str:
    """Ask for SCHED_FIFO and give what was granted; call it after the imports and before any thread.

    Threads inherit it, so that a flush or a name lookup holding the interpreter's lock cannot be put aside by
    a busy neighbour while the schedule waits for it.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except (OSError, AttributeError):
        return "SCHED_OTHER (denied)"
    return "SCHED_FIFO"


def freeze_garbage() -> None:
    """Take the collector out of the schedule's way: what is here now stays, and nothing is collected by chance.

    The flush collects what cycles a second leaves behind (exceptions of failed requests), so memory stays bounded.
    """
    gc.collect()
    gc.freeze()
    gc.disable()


def is_same(pid: int, start: str) -> bool:
    """Say whether ``pid`` is still the process that began at ``start``."""
    try:
        return bool(start) and process_start(pid) == start
    except ProcessLookupError:  # it ended between two looks
        return False
