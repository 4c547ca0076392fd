"""``drills calibrate --thorough`` as bars, also with processes beside it that take every core.

``python benchmarks/calibrate.py NAME [--hogs N]``. Every bracket must hold the truth in at least 300 outages, and every
negative control must be detected. Without hogs the spread of the midpoints is held against theory as well (h/sqrt(6)
for intervals of 50 ms and above, over at least 72 outages each), and so is the prober's lateness.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from record import Bar, finish, tell

if TYPE_CHECKING:
    from collections.abc import Generator

LEAST_CASES, LEAST_SPREAD = 300, 72
LIMIT_S = 1800
_COARSE_S = 0.05


@contextmanager
def hogs(count: int) -> Generator[None]:
    """Keep ``count`` processes busy beside what is measured."""
    busy = [subprocess.Popen((sys.executable, "-c", "while True: pass")) for _ in range(count)]
    try:
        yield
    finally:
        for one in busy:
            one.kill()
            one.wait()


def calibrated() -> dict[str, Any]:
    """Calibrate as a user does."""
    command = (sys.executable, "-m", "drills", "calibrate", "--thorough", "--output", "json")
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if not ran.stdout.startswith("{"):
        raise SystemExit(f"drills calibrate ended with {ran.returncode}: {ran.stderr[-2000:]}")
    return json.loads(ran.stdout)


def judged(told: dict[str, Any], *, loaded: bool) -> list[Bar]:
    """Hold what it told against the bars."""
    outages, controls = told["outages"], told["controls"]  # each is judged by its recovery time and its downtime
    stores = told["stores"]
    downtimes = sum(one["kind"].startswith("downtime") for one in outages)
    bars = [
        Bar(f"{LEAST_CASES} / outages", LEAST_CASES / (len(outages) - downtimes), 1),
        Bar(f"{2 * LEAST_CASES} / downtimes", 2 * LEAST_CASES / downtimes, 1),
        Bar(f"brackets that miss the truth, of {len(outages)}", len(outages) - told["covered"], 0),
        Bar("verdicts and incidents that are wrong", sum(one["wrong"] for one in outages if one["covered"]), 0),
        Bar(f"controls not detected, of {len(controls)}", sum(not one["detected"] for one in controls), 0),
        Bar("lost rows miscounted, stores", sum(one["lost"] != one["truly_lost"] for one in stores), 0),
        Bar(
            "outages without an upper bound / all",
            (len(outages) - told["bounded"]) / (len(outages) - downtimes),
            0.5 if loaded else 0.05,
        ),
        Bar("anything else that failed", len(told["failures"]), 0),
    ]
    if loaded:
        return bars
    finest = min(told["intervals"], key=lambda one: one["every_s"])
    bars.append(Bar("10 ms prober: median lateness, ms", finest["lateness"]["p50_s"] * 1000, 3))
    for one in told["intervals"]:
        if one["every_s"] >= _COARSE_S:
            name = f"{one['every_s'] * 1000:g} ms"
            runs = one["spread_cases"]
            bars.append(
                Bar(f"{name}: {LEAST_SPREAD} / outages that spread is taken of", LEAST_SPREAD / max(runs, 1), 1)
            )
            bars.append(Bar(f"{name}: |spread / theory - 1|", abs(one["spread_s"] / one["theory_s"] - 1), 0.25))
    return bars


def main() -> int:
    """Calibrate, judge, and write the result."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("name", nargs="?", default="calibrate")
    words.add_argument("--hogs", type=int, default=0)
    chosen = words.parse_args()
    tell(f"calibrating beside {chosen.hogs} busy processes, about six minutes")
    with hogs(chosen.hogs):
        told = calibrated()
    for one in told["failures"]:
        tell(one)
    return finish(chosen.name, judged(told, loaded=chosen.hogs > 0), {"hogs": chosen.hogs, "calibration": told})


if __name__ == "__main__":
    sys.exit(main())
