"""The same outages, measured by drills and by Chaos Toolkit at the same time, beside the truth.

Chaos Toolkit as its users write it: a steady-state hypothesis of one HTTP probe a URL (status 200, timeout 1 s), looked
at all the while (``--hypothesis-strategy continuously``, its default frequency of 1 s); the outage lasts from the first
look that missed to the first that was met again, by the journal's stamps. Ours: one prober a URL, every 100 ms, timeout
1 s, judged without being told when the outage began, as an incident is, and once more as in a drill, where it is known.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any

import peer
from record import Bar, finish, table, tell

from drills.calibrate.cases import FAR_NS, Truth, asked, bounds, told
from drills.calibrate.lane import look, probe
from drills.calibrate.outages import Kind, Outage, Terms
from drills.calibrate.service import NS, now
from drills.calibrate.world import Moment, Service
from drills.clock import SystemClock
from drills.measure.effect import Disaster
from drills.measure.judge import judge
from drills.observe.start import Observers

if TYPE_CHECKING:
    from pathlib import Path

    from drills.calibrate.lane import Seen

TERMS = Terms(0.1, 1.0)
BEFORE_S, AFTER_S = 6.0, 8.0
FREQUENCY_S = 1.0
AT_ONCE = 2
MODES = {Kind.BROKEN: "503", Kind.HANG: "hang"}
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One outage: the truth, what Chaos Toolkit's journal says, and our bounds; seconds."""

    outage: str
    urls: int
    truth_s: Bounds
    theirs_s: float | None
    ours_s: Bounds
    ours_in_a_drill_s: Bounds

    @property
    def truth(self) -> float:
        """The middle of the truth's bracket, which is some ten microseconds wide."""
        return sum(self.truth_s) / 2

    @property
    def their_error(self) -> float:
        """How far their figure is off; without a figure, the whole outage."""
        return abs((self.theirs_s or 0.0) - self.truth)

    def our_error(self, bounds_s: Bounds) -> float:
        """How far our midpoint is off."""
        return abs(sum(bounds_s) / 2 - self.truth)

    @property
    def missed(self) -> bool:
        """Whether a bracket of ours does not hold the truth."""
        spans = (self.ours_s, self.ours_in_a_drill_s)
        return any(low > self.truth_s[1] or high < self.truth_s[0] for low, high in spans)


def experiment(urls: list[str], lasts_s: float) -> dict[str, Any]:
    """Write the experiment as its documentation does: probes with a tolerance, and a method that takes its time."""
    probes = [
        {
            "type": "probe",
            "name": f"page {number} answers",
            "tolerance": 200,
            "provider": {"type": "http", "url": url, "timeout": TERMS.timeout_s},
        }
        for number, url in enumerate(urls)
    ]
    sleep = {"type": "process", "path": "sleep", "arguments": str(lasts_s)}
    return {
        "title": "The service comes back",
        "description": "Watch it while it is out.",
        "steady-state-hypothesis": {"title": "All pages answer", "probes": probes},
        "method": [{"type": "action", "name": "the outage happens meanwhile", "provider": sleep}],
        "rollbacks": [],
    }


def their_figure(journal: dict[str, Any]) -> float | None:
    """Read the outage from a journal: start of the first look that missed to start of the first that was met again."""
    began: datetime | None = None
    for state in journal["steady_states"]["during"]:
        at = datetime.fromisoformat(state["probes"][0]["start"])
        if began is None and not state["steady_state_met"]:
            began = at
        elif began is not None and state["steady_state_met"]:
            return (at - began).total_seconds()
    return None


def measured(kind: Kind, seconds: float, urls: int, chaos: Path, folder: Path) -> Row:
    """Make one outage and let both look on."""
    folder.mkdir(parents=True)
    clock, observers = SystemClock(), Observers()
    with Service() as service:
        pages = [f"{service.url}?page={number}" for number in range(urls)]
        jobs = [probe(f"page-{number}", url, TERMS) for number, url in enumerate(pages)]
        watching = observers.start(jobs, folder / "ours")
        plan = folder / "experiment.json"
        plan.write_text(json.dumps(experiment(pages, BEFORE_S + seconds + AFTER_S)))
        flags = ("--hypothesis-strategy", "continuously", "--hypothesis-frequency", str(FREQUENCY_S))
        argv = (str(chaos / "chaos"), "--no-version-check", "run", *flags, "--journal-path", "journal.json", str(plan))
        with (folder / "output.txt").open("wb") as sink:
            theirs = subprocess.Popen(argv, cwd=folder, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL)
        try:
            begun = now()
            clock.sleep(BEFORE_S)
            struck = service.order("mode", mode=MODES[kind])
            clock.sleep(seconds)
            restored = service.order("mode", mode="up")
            clock.sleep(AFTER_S)
            outage = Outage(kind, struck, struck, restored, Moment(begun, now()))
            theirs.wait(60)
        finally:
            theirs.kill()
            theirs.wait()
            observers.stop(watching)
    seen = [look(folder / "ours" / f"page-{number}.db", TERMS) for number in range(urls)]
    journal = json.loads((folder / "journal.json").read_text())
    truth = Truth(struck, restored)
    return Row(
        f"{kind.value} for {seconds:g} s",
        urls,
        (truth.low / NS, truth.high / NS),
        their_figure(journal),
        worst(seen, outage, Disaster(None)),
        worst(seen, outage, told(outage)),
    )


def worst(seen: list[Seen], outage: Outage, disaster: Disaster) -> Bounds:
    """Combine all pages: the largest lower and the largest upper end."""
    found = [bounds(judge(asked(one, outage, FAR_NS, disaster))) for one in seen]
    lows = [low for low, _ in found if low is not None]
    highs = [float("inf") if high is None else high for _, high in found]
    return max(lows, default=0.0), max(highs)


def said(row: Row) -> tuple[str, ...]:
    """Lay one outage out as a row of the table."""
    theirs = "none" if row.theirs_s is None else f"{row.theirs_s:.3f}"
    spans = (f"{low:.3f} - {high:.3f}" for low, high in (row.ours_s, row.ours_in_a_drill_s))
    return (row.outage, str(row.urls), f"{row.truth:.3f}", theirs, f"{row.their_error:.3f}", *spans)


def main() -> int:
    """Measure every outage, print the table, write ``results/sidebyside.json``."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--python", default=sys.executable, help="the interpreter that runs Chaos Toolkit")
    words.add_argument("--rounds", type=int, default=3, help="outages of each kind")
    chosen = words.parse_args()
    chaos = peer.install(chosen.python)
    versions = peer.versions(chaos)
    folder = peer.WORK / f"sidebyside-{os.getpid()}"
    wanted = [(kind, seconds, urls) for kind in MODES for seconds in (5.0, 20.0) for urls in (1, 10)] * chosen.rounds
    # A fraction of a second more each time, so that the ends fall at any phase of both tools' intervals.
    offsets = [number * 0.618 % 1.0 for number in range(len(wanted))]
    tell(f"{len(wanted)} outages, {AT_ONCE} at once")
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            made = [
                pool.submit(measured, kind, seconds + offset, urls, chaos, folder / str(number))
                for number, ((kind, seconds, urls), offset) in enumerate(zip(wanted, offsets, strict=True))
            ]
            rows = [one.result() for one in made]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"Chaos Toolkit {versions['chaostoolkit']} and drills on the same outages; seconds\n")
    head = ("outage", "URLs", "truth", "theirs", "its error", "ours, as an incident", "ours, in a drill")
    print(table([head, *(said(row) for row in rows)]))
    return finish("sidebyside", judged(rows), {"peer": versions, "rows": [asdict(row) for row in rows]})


def judged(rows: list[Row]) -> list[Bar]:
    """Hold both against the truth."""
    ratios = [row.our_error(row.ours_s) / row.their_error for row in rows if row.their_error]
    drill = [row.our_error(row.ours_in_a_drill_s) / row.their_error for row in rows if row.their_error]
    return [
        Bar(f"our brackets that miss the truth, of {2 * len(rows)}", sum(row.missed for row in rows), 0),
        Bar("our error as an incident / its error, median", median(ratios), 0.5),
        Bar("our error in a drill / its error, median", median(drill), 0.75),
    ]


if __name__ == "__main__":
    sys.exit(main())
