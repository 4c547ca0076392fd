"""Run a program to its end and read from the kernel what it and its children cost."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from drills.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LIMIT_S = 900.0


@dataclass(frozen=True, slots=True)
class Program:
    """What is run, and where."""

    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run cost: processor seconds (user and system, waited-for children too), wall seconds, peak MiB.

    The kernel counts the memory of the process that forked towards the peak of its child, so whoever measures must
    itself be smaller than what it measures; ``benchmarks/compare.py`` therefore imports no heavy library.
    """

    cpu_s: float
    wall_s: float
    peak_mib: float


class BenchmarkFailed(Exception):
    """A program that was to be measured did not do its work, so its figures would mean nothing."""


def run(program: Program) -> Cost:
    """Run to the end; ``BenchmarkFailed`` with the last lines it wrote when it fails or takes more than 15 minutes."""
    clock = SystemClock()
    output = program.folder / "output.txt"
    with output.open("wb") as sink:
        begun = clock.now()
        process = subprocess.Popen(
            program.argv,
            cwd=program.folder,
            env=dict(program.environment),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
        alarm = threading.Timer(LIMIT_S, os.kill, (process.pid, signal.SIGKILL))
        alarm.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            alarm.cancel()
        wall_s = clock.now().since(begun)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = output.read_text(errors="replace")[-1500:]
        raise BenchmarkFailed(f"{' '.join(program.argv[:6])} ended with {process.returncode}:\n{said}")
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss / 1024)


def compiled(python: Path, *folders: Path) -> None:
    """Have the bytecode of an interpreter's libraries, and of ``folders``, on disk: not all installers write it."""
    ask = (str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    libraries = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    argv = (str(python), "-m", "compileall", "-q", libraries, *(str(folder) for folder in folders))
    # Some libraries ship templates that are no Python; what cannot be compiled is not imported either.
    subprocess.run(argv, capture_output=True, check=False, timeout=600)


def middle(costs: Sequence[Cost]) -> Cost:
    """Give the medians."""
    return Cost(
        median(one.cpu_s for one in costs), median(one.wall_s for one in costs), median(one.peak_mib for one in costs)
    )


def ratio(ours: Sequence[Cost], theirs: Sequence[Cost]) -> Cost:
    """Give the medians of the ratios of paired runs, ours over theirs: pairing takes out most of the noise."""
    pairs = list(zip(ours, theirs, strict=True))
    return Cost(
        median(one.cpu_s / other.cpu_s for one, other in pairs),
        median(one.wall_s / other.wall_s for one, other in pairs),
        median(one.peak_mib / other.peak_mib for one, other in pairs),
    )
