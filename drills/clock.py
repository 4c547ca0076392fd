"""The one place that looks at the time, and the seam through which tests give another."""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Protocol

import msgspec

NS = 1_000_000_000


class Stamp(msgspec.Struct, frozen=True):
    """A moment on one clock: UTC and monotonic nanoseconds, and the clock they were read from.

    ``mono_ns`` is comparable only between stamps with an equal ``clock`` (host and boot id); across clocks
    only ``utc_ns`` is, and then only with a measured skew.
    """

    utc_ns: int
    mono_ns: int
    clock: str

    def iso(self) -> str:
        """Write the moment as UTC ISO 8601 with milliseconds."""
        return datetime.fromtimestamp(self.utc_ns / NS, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def since(self, earlier: Stamp) -> float:
        """Seconds from ``earlier`` to this: monotonic within one clock, UTC across clocks."""
        if self.clock == earlier.clock:
            return (self.mono_ns - earlier.mono_ns) / NS
        return (self.utc_ns - earlier.utc_ns) / NS


class Clock(Protocol):
    """What engine and observers ask for the time."""

    def now(self) -> Stamp:
        """Read UTC and monotonic time together."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass."""
        ...


@cache
def clock_id() -> str:
    """Name this machine's clock: host name and boot id (empty where the system has none)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return f"{platform.node()}/{boot}"


class SystemClock:
    """The real clock of this machine."""

    def now(self) -> Stamp:
        """Read UTC and monotonic time together."""
        return Stamp(time.time_ns(), time.monotonic_ns(), clock_id())

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass."""
        time.sleep(seconds)


def process_start(pid: int) -> str:
    """Name the process behind ``pid`` so that a reused pid is not mistaken for it; empty if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else f"{os.getpgid(pid) and fields[19]}"
