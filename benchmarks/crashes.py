"""Cut every shipped runbook after every event of every way it can go, and drills drawn at random; go on with them.

``python benchmarks/crashes.py [--seed N] [--drawn N]``: each runbook in each mode; going well, each step refused, each
change silent, each undo failing, aborted in every second of forty. What was in flight at the cut is lost once and done
once. Then drills of random shape, words and answers, each whole and cut in ten places, held against every rule.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from record import Bar, finish, tell

from drills.clock import SystemClock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

CLOCK = SystemClock()
CUTS = 10
"""So many places a drill drawn at random is cut in at most, each with what was in flight lost and done."""


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


def drawn(first: int, count: int) -> list[str]:
    """Drive so many drills drawn at random, from this seed on; give what they broke."""
    from drill_rules import broken_rules

    return [f"seed {seed}: {wrong}" for seed in range(first, first + count) for wrong in broken_rules(seed, CUTS)]


def main() -> int:
    """Sweep them all, and write what came of it."""
    parser = argparse.ArgumentParser(description="Cut drills anywhere and go on with them.")
    parser.add_argument("--seed", type=int, default=0, help="the first of the drills drawn at random")
    parser.add_argument("--drawn", type=int, default=10_000, help="how many of them")
    chosen = parser.parse_args()
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
        at_once = 250
        firsts = range(chosen.seed, chosen.seed + chosen.drawn, at_once)
        broken = [wrong for found in pool.map(drawn, firsts, [at_once] * len(firsts)) for wrong in found]
        tell(f"{len(firsts) * at_once} drills drawn at random: {len(broken)} rules broken")
    for fault in (*wrong, *broken):
        tell(fault)
    bars = [
        Bar(f"bad crash points, of {cuts} in {all_ways} ways of {len(RUNBOOKS)} runbooks", len(wrong), 0),
        Bar(f"rules broken by {len(firsts) * at_once} drills drawn at random", len(broken), 0),
    ]
    details = {"seed": chosen.seed, "seconds": round(CLOCK.now().since(begun), 1), "wrong": [*wrong, *broken][:50]}
    return finish("crashes", bars, details)


if __name__ == "__main__":
    sys.exit(main())
