"""Cut every shipped runbook after every event of every way it can go, and go on with it.

``python benchmarks/crashes.py``: each runbook in each mode; going well, each step refused, each change silent, each
undo failing, aborted in every second of forty. What was in flight at the cut is lost once and done once.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from record import Bar, finish, tell

from drills.clock import SystemClock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

CLOCK = SystemClock()


def swept_whole(runbook: str, mode: str, part: int, parts: int) -> tuple[int, int, list[str]]:
    """Sweep every ``parts``-th way of a runbook; gives the ways, the crash points and what went wrong."""
    from sweep import compiled, swept, ways

    from drills.engine.plan import Mode

    plan = compiled(Path(runbook), Mode(mode))
    mine = list(ways(plan, thorough=True))[part::parts]
    cuts = [0]

    def count(one: int) -> None:
        cuts[0] += one

    wrong = [f"{Path(runbook).stem} ({mode}): {fault}" for way in mine for fault in swept(plan, way, count)]
    return len(mine), cuts[0], wrong


def main() -> int:
    """Sweep them all, and write what came of it."""
    from sweep import RUNBOOKS

    from drills.engine.plan import Mode

    begun = CLOCK.now()
    parts = 4
    jobs = [(str(path), mode.value, part, parts) for path in RUNBOOKS for mode in Mode for part in range(parts)]
    all_ways, cuts = 0, 0
    wrong: list[str] = []
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for job, (count, points, faults) in zip(jobs, pool.map(swept_whole, *zip(*jobs, strict=True)), strict=True):
            all_ways += count
            cuts += points
            wrong += faults
            tell(f"{Path(job[0]).stem} {job[1]} {job[2] + 1}/{parts}: {points} crash points, {len(faults)} bad")
    for fault in wrong:
        tell(fault)
    bars = [Bar(f"bad crash points, of {cuts} in {all_ways} ways of {len(RUNBOOKS)} runbooks", len(wrong), 0)]
    return finish("crashes", bars, {"seconds": round(CLOCK.now().since(begun), 1), "wrong": wrong[:50]})


if __name__ == "__main__":
    sys.exit(main())
