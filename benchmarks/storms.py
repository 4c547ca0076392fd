"""Run many drills in a storm of API faults, and hold each against what really took place.

``python benchmarks/storms.py --drills 1000 [--rate 0.3] [--seed N]``: drills of the shipped actions, drawn by seed,
in as many processes as there are cores. A seed that went wrong runs alone with ``--seed N --drills 1``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from record import Bar, finish, tell

from drills.clock import SystemClock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

CLOCK = SystemClock()
A_WORLD = 50
"""So many drills share a world: moto grows slower with what it holds."""


@dataclass
class Came:
    """What came of some drills."""

    ends: Counter[str] = field(default_factory=Counter[str])
    weather: Counter[str] = field(default_factory=Counter[str])
    writes: int = 0
    bad: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def add(self, other: Came) -> None:
        """Take in what came of others."""
        self.ends += other.ends
        self.weather += other.weather
        self.writes += other.writes
        self.bad += other.bad


def some(job: tuple[float, int, int]) -> Came:
    """Run the drills of a few seeds in a world of their own."""
    from storm_drills import drill, stage

    rate, first, count = job
    came = Came()
    with stage(rate, first) as world:
        for seed in range(first, first + count):
            told = drill(world, seed)
            came.ends[told.ending] += 1
            if told.wrong:
                came.bad.append({"seed": seed, "ending": told.ending, "steps": told.steps, "wrong": told.wrong})
        came.weather.update({str(kind): number for kind, number in world.storm.told.items()})
        came.writes = len(world.recording.writes)
    return came


def main() -> int:
    """Run them, and write what came of it."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--drills", type=int, default=1000)
    words.add_argument("--rate", type=float, default=0.3)
    words.add_argument("--seed", type=int, default=1)
    chosen = words.parse_args()
    begun = CLOCK.now()
    last = chosen.seed + chosen.drills
    jobs = [(chosen.rate, first, min(A_WORLD, last - first)) for first in range(chosen.seed, last, A_WORLD)]
    came, done = Came(), 0
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), maxtasksperchild=4) as pool:
        for one, job in zip(pool.imap(some, jobs), jobs, strict=True):
            came.add(one)
            done += job[2]
            tell(f"{done} drills, {came.weather.total()} faults, {len(came.bad)} bad")
            for bad in one.bad:
                tell(str(bad))
    wrong = [fault for one in came.bad for fault in one["wrong"]]
    unlisted = sum("nothing happened, they say" in fault or "never begun" in fault for fault in wrong)
    bars = [
        Bar(f"drills with a wrong verdict, of {chosen.drills} at {chosen.rate:.0%} faults", len(came.bad), 0),
        Bar(f"unlisted effects, of {came.writes} writes", unlisted, 0),
    ]
    return finish(
        "storms",
        bars,
        {
            "seed": chosen.seed,
            "seconds": round(CLOCK.now().since(begun), 1),
            "endings": dict(came.ends),
            "faults": dict(came.weather),
            "bad": came.bad,
        },
    )


if __name__ == "__main__":
    sys.exit(main())
