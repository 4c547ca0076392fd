"""Run a graph of 200 sleeps of 100 ms, 20 wide, and compare its wall time with its critical path.

The graph has 10 rows; each step needs two of the row above, so the critical path is 10 sleeps: one second. The
figure is the median of five runs, from the first step's start to the last one's end as the timeline tells them.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from statistics import median

import inputs
import peer
from processes import Program, compiled, run
from record import ROOT, Bar, finish, tell

WIDTH, DEPTH, SLEEP_S = 20, 10, 0.1
ROUNDS = 5
MOST = 1.05


def main() -> int:
    """Measure, and write ``results/dag.json``."""
    folder = peer.WORK / f"dag-{os.getpid()}"
    took: list[float] = []
    compiled(Path(sys.executable), ROOT / "drills")
    try:
        runbook = inputs.graph(folder, WIDTH, DEPTH, f"{round(SLEEP_S * 1000)}ms")
        words = (str(Path(__file__).parent / "ours.py"), str(runbook), str(folder / "environment.yaml"))
        for number in range(ROUNDS):
            argv = (sys.executable, *words, "http://127.0.0.1:9", str(folder / f"drill-{number}"))
            cost = run(Program(argv, folder, dict(os.environ)))
            told = json.loads((folder / "output.txt").read_text().splitlines()[-1])
            took.append(float(told["steps_took_s"]))
            tell(f"run {number + 1}: steps {took[-1]:.3f} s, process {cost.wall_s:.3f} s, CPU {cost.cpu_s:.3f} s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    path_s = DEPTH * SLEEP_S
    bar = Bar(f"wall time of {WIDTH * DEPTH} sleeps / critical path of {path_s:g} s", median(took) / path_s, MOST)
    return finish("dag", [bar], {"critical_path_s": path_s, "took_s": took})


if __name__ == "__main__":
    sys.exit(main())
