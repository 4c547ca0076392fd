"""Kill drills of the shipped actions with SIGKILL at random moments, go on with them, and look at what was really done.

``python benchmarks/killed.py --drills 200 [--seed N]``: each in processes of its own against a server that keeps its
own record of writes, killed one to three times. (``kills.py`` does the same to whole failovers in real sandboxes.)
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from record import Bar, finish, tell

from drills.clock import SystemClock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

if TYPE_CHECKING:
    from kill_drills import Killed

CLOCK = SystemClock()
TOGETHER = 10
LANES = 3


def some(first: int, count: int) -> list[Killed]:
    """Kill the drills of a few seeds."""
    from kill_drills import drill, slow
    from storm_drills import stage

    with stage(0.0, first) as world:
        slow(world, first)
        return [drill(world, seed) for seed in range(first, first + count)]


def main() -> int:
    """Kill them, and write what came of it."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--drills", type=int, default=200)
    words.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    chosen = words.parse_args()
    begun = CLOCK.now()
    tell(f"seed {chosen.seed}")
    firsts = range(chosen.seed, chosen.seed + chosen.drills, TOGETHER)
    runs: list[Killed] = []
    with ProcessPoolExecutor(LANES, mp_context=get_context("spawn")) as pool:
        for some_runs in pool.map(some, firsts, [min(TOGETHER, firsts.stop - first) for first in firsts]):
            runs += some_runs
            bad = [run for run in runs if run.wrong]
            tell(f"{len(runs)} drills, {sum(run.kills for run in runs)} kills, {len(bad)} bad")
            for run in some_runs:
                if run.wrong:
                    tell(f"seed {run.seed} {run.ending} {run.steps}: {'; '.join(run.wrong)}")
    bad = [run for run in runs if run.wrong]
    kills, killed = sum(run.kills for run in runs), sum(run.kills > 0 for run in runs)
    bars = [
        Bar(f"drills that went wrong, of {killed} killed {kills} times", len(bad), 0),
        Bar("drills that no kill met", len(runs) - killed, chosen.drills / 10),
    ]
    told = {
        "seed": chosen.seed,
        "kills": kills,
        "seconds": round(CLOCK.now().since(begun), 1),
        "endings": dict(Counter(run.ending for run in runs)),
        "bad": [{"seed": run.seed, "steps": run.steps, "wrong": run.wrong} for run in bad],
    }
    return finish("killed", bars, told)


if __name__ == "__main__":
    sys.exit(main())
