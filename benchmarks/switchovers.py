"""Switch over as planned again and again, and hold each result against independent witnesses.

``python benchmarks/switchovers.py --runs 10``: each run boots a standing sandbox and rehearses the shipped planned
switchover in it. A watcher on raw sockets says how long the service was really down, two set differences which
acknowledged rows the new primary does not have: of the drill's own markers, and of a writer that no drill knows. Every
second run is followed by a hasty one, which neither fences nor waits, and must be MISSED. Exit 1 if anything of that
is not so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from record import RESULTS, Bar, finish, tell

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from switchover_world import as_fresh_dns_sees_it, difference, down, hasty, objective, rehearse, standing

from drills.calibrate.truth import Watcher, Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

OBSERVERS_TIMEOUT_S = 0.8
"""As in the runbook: slower than that is down, to the observers and to the witness."""


@dataclass(frozen=True)
class Outcome:
    """One switchover against the truth. Seconds and rows; ``theirs``: rows lost of a writer that no drill knows."""

    run: int
    hasty: bool
    wall_s: float
    truth_down_s: tuple[float, float]
    down_s: tuple[float, float] | None
    lost: tuple[int, int]
    truly_lost: int
    theirs: int
    exposure_s: tuple[float, float | None]
    faults: tuple[str, ...] = ()

    def line(self) -> str:
        """Say it in one line."""
        what = "hasty" if self.hasty else "clean"
        return f"{self.run:3} {what} {'BAD' if self.faults else 'ok '} {asdict(self)}"


def switched(run: int, *, hastily: bool) -> Outcome:
    """Switch over once in a sandbox of its own, with the witnesses beside it."""
    with tempfile.TemporaryDirectory(prefix="drills-switchover-") as folder, standing(Path(folder)) as world:
        east, west = world["sites"]["east"], world["sites"]["west"]
        watcher = Watcher(world["url"], world["resolver"], patience_s=OBSERVERS_TIMEOUT_S)
        writer = Writer(east["dsn"])
        watcher.start()
        writer.start()
        begun = time.monotonic()
        try:
            code, told = rehearse(Path(folder), hasty if hastily else as_fresh_dns_sees_it)
        finally:
            wall_s = time.monotonic() - begun
            writer.stop()
            watcher.stop()
        rows, exposure = objective(told, "lost_rows"), told["exposure"]
        acked = {row.number for row in writer.rows if row.acked is not None}
        seen = None if hastily else objective(told, "downtime")
        outcome = Outcome(
            run,
            hastily,
            wall_s,
            down(watcher.seen),
            None if seen is None else (seen["low_s"], seen["high_s"]),
            (rows["low"], rows["high"]),
            difference(Path(folder), told, west["truth_dsn"]),
            len(acked - writer.survived(west["truth_dsn"])),
            (exposure["low_s"], exposure["high_s"]),
        )
        return replace(outcome, faults=tuple(faults(outcome, told, code)))


def faults(seen: Outcome, told: dict[str, Any], code: int) -> Iterator[str]:
    """Say everything that is wrong with a switchover."""
    wanted = (1, "missed") if seen.hasty else (0, "met")
    if (code, told["status"]) != wanted:
        yield f"exit {code}, {told['status']}: {told['why']} {[one['why'] for one in told['objectives']]}"
    if not seen.lost[0] <= seen.truly_lost <= seen.lost[1]:
        yield "the lost rows are miscounted"
    if seen.hasty:
        return
    if seen.lost != (0, 0) or seen.theirs:
        yield "rows are lost"
    if seen.down_s is None or seen.down_s[0] > seen.truth_down_s[1] or seen.truth_down_s[0] > seen.down_s[1]:
        yield "the downtime's bounds miss the truth"


def main() -> int:
    """Run the series and write what came of it."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--runs", type=int, default=10)
    runs = words.parse_args().runs
    RESULTS.mkdir(exist_ok=True)
    outcomes: list[Outcome] = []
    for run in range(1, runs + 1):
        for hastily in (False, True) if run % 2 == 0 else (False,):
            outcomes.append(switched(run, hastily=hastily))
            tell(outcomes[-1].line())
    clean, quick = ([one for one in outcomes if one.hasty is kind] for kind in (False, True))
    bars = [
        Bar(f"planned switchovers that went wrong, of {len(clean)}", sum(bool(one.faults) for one in clean), 0),
        Bar(f"hasty switchovers not seen through, of {len(quick)}", sum(bool(one.faults) for one in quick), 0),
        Bar("longest drill with the rebuilt standby, seconds", max(one.wall_s for one in clean), 40),
    ]
    return finish("switchovers", bars, {"runs": [asdict(one) for one in outcomes]})


if __name__ == "__main__":
    sys.exit(main())
