"""Kill a drill with SIGKILL at random moments, let another process go on, and look at what was really done.

``python benchmarks/kills.py --kills 50 [--seed N]``: real drills in standing sandboxes, each killed several times and
resumed until it ends. Three kinds take turns: one that goes well, one that fails before its point of no return (all
is taken back), one that is held past it (another process takes back what can be). What was done is read from the
sandbox's own logs, which no engine writes, and from its AWS; a witness holds the RTO and the RPO against the truth.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from killing import Case, World, effects_of, gaps, processes_of, variants
from record import Bar, finish, tell
from rehearsals import Outcome, Stage, compared, drills, meets

from drills.cli.folders import driven
from drills.clock import SystemClock
from drills.errors import Driven, JournalError
from drills.runtime.journal import read_drill

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

CLOCK = SystemClock()
LONGEST_S = 120.0
"""No part of a drill may take longer; the longest of an unbroken one takes some 20 s."""
MOST_KILLS = 7
EVEN = 0.5
MOSTLY = 0.6
"""How many of the first kills fall among the changes; the others fall anywhere."""
AGAIN = 0.8
"""How probable it is that a drill that was resumed is killed once more."""
BUSY_S = 4.0
"""The changes of a drill fall into so many seconds after its first one."""
RIVAL_WAITS_S = 2.0
GONE_WITHIN_S = 2.0
WIDEST_GAP_S = 2.5
"""An observer that lives through a kill leaves no wider gap, however busy the machine."""


@dataclass
class Run:
    """One drill from its beginning to its end: how often it was killed, and everything that was wrong."""

    number: int
    case: Case
    home: Path
    chance: random.Random
    kills: int = 0
    rivals: int = 0
    drill: str = ""
    exit_code: int | None = None
    moments: list[str] = field(default_factory=list[str])
    faults: list[str] = field(default_factory=list[str])

    def line(self) -> str:
        """Say it in one line."""
        state = "BAD" if self.faults else "ok "
        how = f"{self.kills} kills [{' '.join(self.moments)}], exit {self.exit_code}"
        return f"{self.number:3} {state} {self.case.name}: {how} {'; '.join(self.faults)}"

    @property
    def folder(self) -> Path:
        """Where the drill lies."""
        return self.home / self.drill

    def words(self) -> tuple[str, ...]:
        """Begin the drill, or go on with it if it has begun."""
        if self.drill:
            return "resume", self.drill
        return "rehearse", str(self.case.runbook), "--in", "default"

    def drive(self, most: int) -> None:
        """Drive the drill to its end, killing it on the way."""
        begun = CLOCK.now()
        while CLOCK.now().since(begun) < LONGEST_S:
            kill = self.kills < most and (self.kills == 0 or self.chance.random() < AGAIN)
            self.exit_code = self.once(self.words(), self.moment() if kill else None)
            if self.exit_code is not None:
                return
        self.faults.append(f"it did not end within {LONGEST_S:.0f} s")

    def moment(self) -> tuple[bool, float]:
        """Choose when to kill: whether to wait for the first change, and how long after that or the beginning."""
        if self.drill:
            return False, self.chance.uniform(0.05, BUSY_S)
        busy = self.chance.random() < MOSTLY
        return busy, self.chance.uniform(0.0, BUSY_S if busy else 15.0)

    def once(self, words: tuple[str, ...], kill: tuple[bool, float] | None) -> int | None:
        """Run one process of drills and give its exit code; None: it was killed before it ended."""
        command = [sys.executable, "-m", "drills", *words, "--output", "json"]
        with (self.home / "out.json").open("wb") as out, (self.home / "err.txt").open("ab") as err:
            process = subprocess.Popen(
                command, stdout=out, stderr=err, env=os.environ | {"DRILLS_HOME": str(self.home)}
            )
        if kill is not None:
            busy, after_s = kill
            begun = CLOCK.now()
            while busy and process.poll() is None and not self.changed() and CLOCK.now().since(begun) < LONGEST_S:
                CLOCK.sleep(0.01)
            self.rival()
            if not ended(process, after_s):
                process.send_signal(signal.SIGKILL)
                process.wait()
                self.kills += 1
                self.moments.append(f"{'+' if busy else ''}{after_s:.2f}")
                return self.over()
        if not ended(process, LONGEST_S):
            process.kill()
            self.faults.append(f"`drills {words[0]}` did not end within {LONGEST_S:.0f} s")
        self.find()
        return process.wait()

    def over(self) -> int | None:
        """Give the drill's exit code if its last event was on disk when the kill came; None: it can go on."""
        self.find()
        finished = read_drill(self.folder)[1].finished if self.drill else None
        return None if finished is None else finished.exit_code

    def changed(self) -> bool:
        """Whether anything was changed yet."""
        return bool(effects_of(self.home))

    def find(self) -> None:
        """Find the drill's folder once its first event is on disk; one that never opened is thrown away."""
        for folder in sorted(self.home.glob("*/journal.db")):
            try:
                read_drill(folder.parent)
            except JournalError:
                ran = drills(self.home, "resume", folder.parent.name, check=False)
                if ran.returncode == 0 or "Traceback" in ran.stderr:
                    self.faults.append(f"a drill that never opened was resumed: {ran.stderr[-200:]}")
                folder.unlink()
                continue
            self.drill = folder.parent.name

    def rival(self) -> None:
        """Let a second process try to drive the drill while the first one does: it must be refused."""
        if self.rivals or not self.drill:
            return
        begun = CLOCK.now()
        while not driven(self.folder):
            if CLOCK.now().since(begun) > RIVAL_WAITS_S:
                return
            CLOCK.sleep(0.01)
        self.rivals += 1
        ran = drills(self.home, "resume", self.drill, check=False)
        if driven(self.folder) and (
            ran.returncode != Driven.exit_code or "driven by another process" not in ran.stderr
        ):
            self.faults.append(f"a second process was not refused: exit {ran.returncode}: {ran.stderr[-200:]}")

    def take_back(self, most: int) -> None:
        """Have other processes undo what a held drill left, killing them too."""
        begun = CLOCK.now()
        undo = ("undo", self.drill, "--accept-data-loss")
        words = undo
        while CLOCK.now().since(begun) < LONGEST_S:
            kill = self.kills < most and self.chance.random() < AGAIN
            self.exit_code = self.once(words, (False, self.chance.uniform(0.1, 2.0)) if kill else None)
            _, state = read_drill(self.folder)
            if state.finished is not None:
                return
            going = state.undo_wanted and (not state.owed() or self.chance.random() < EVEN)
            words = self.words() if going else undo
        self.faults.append(f"the undo did not end within {LONGEST_S:.0f} s")


def ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    """Say whether a process ends within so many seconds."""
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def checked(run: Run, world: World, stage: Stage) -> Iterator[str]:
    """Give everything that is wrong with what the drill did, said and left behind."""
    shown: dict[str, Any] = json.loads(drills(run.home, "show", run.drill, "--output", "json", check=False).stdout)
    if (shown["status"], shown["exit_code"]) != run.case.ends or run.exit_code != run.case.ends[1]:
        yield f"it ended {shown['status']} ({run.exit_code}), not {run.case.ends}: {shown['why']} {shown['error']}"
    stands, said = world.changed(), frozenset(str(one["step"]) for one in shown["remains"])
    if stands != run.case.stands:
        yield f"in the world stands {sorted(stands)}, not {sorted(run.case.stands)}"
    if stands != said:
        yield f"in the world stands {sorted(stands)}, the drill says {sorted(said)}"
    done = Counter(effects_of(run.home))
    often, seldom = done - run.case.calls, run.case.calls - done
    if often or set(seldom) - run.case.may_miss:
        yield f"done too often: {dict(often)}, too seldom: {dict(seldom)}"
    yield from gaps(run.folder, WIDEST_GAP_S)
    begun = CLOCK.now()
    while (left := processes_of(run.home)) and CLOCK.now().since(begun) < GONE_WITHIN_S:
        CLOCK.sleep(0.05)
    if left:
        yield f"processes were left: {left}"
    if shown["status"] == "met":
        yield from false_claims(shown, stage)


def false_claims(told: dict[str, Any], stage: Stage) -> Iterator[str]:
    """Hold the numbers of a drill against the witnesses'; one that was killed may have wide bounds, not wrong ones."""
    seen = compared(Outcome(0, 0, 0.0), stage, "rehearsal", told)
    for name, bounds, truth in (("rto", seen.rto_s, seen.truth_rto_s), ("rpo", seen.rpo_s, seen.truth_rpo_s)):
        if None not in bounds and not meets(bounds, truth):
            yield f"{name} {bounds} misses the truth {truth}"
    if seen.lost != seen.truly_lost:
        yield f"{seen.lost} rows are said to be lost, {seen.truly_lost} are"


@contextmanager
def sandbox(home: Path) -> Generator[tuple[World, Stage]]:
    """Keep a fresh sandbox and the witnesses beside it."""
    facts: dict[str, Any] = json.loads(drills(home, "sandbox", "up", "--output", "json").stdout)
    try:
        stage = Stage.of(home, facts)
        yield World(facts), stage
        stage.end()
    finally:
        drills(home, "sandbox", "down", check=False)


def one(number: int, case: Case, chance: random.Random, left: int) -> Run:
    """Drive one drill in a sandbox of its own; at most ``left`` kills."""
    most = min(left, MOST_KILLS)
    with tempfile.TemporaryDirectory(prefix="drills-kills-") as folder:
        run = Run(number, case, Path(folder), chance)
        with sandbox(run.home) as (world, stage):
            run.drive(max(1, most - 2) if case.undo else most)
            if case.undo and run.exit_code == 8:  # noqa: PLR2004 - held
                run.take_back(most)
            stage.end()
            if run.drill:
                run.faults.extend(checked(run, world, stage))
            if run.faults:
                keep(run)
    return run


def keep(run: Run) -> None:
    """Keep what is needed to understand a fault."""
    kept = Path(tempfile.mkdtemp(prefix=f"drills-kills-bad-{run.number}-"))
    for path in [*run.home.glob("*.txt"), *run.home.glob("*/journal.db*"), *run.home.glob("sandboxes/default/*.jsonl")]:
        (kept / path.name).write_bytes(path.read_bytes())
    run.faults.append(f"kept in {kept}")


def main() -> int:
    """Kill as often as was asked for, and write what came of it."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--kills", type=int, default=50)
    words.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    words.add_argument("--only", default="", help="the name of one kind of drill")
    chosen = words.parse_args()
    tell(f"seed {chosen.seed}")
    chance = random.Random(chosen.seed)  # noqa: S311 - moments, no secrets
    begun = CLOCK.now()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="drills-runbooks-") as folder:
        cases = [case for case in variants(Path(folder)) if chosen.only in case.name]
        while (killed := sum(run.kills for run in runs)) < chosen.kills:
            runs.append(one(len(runs) + 1, cases[len(runs) % len(cases)], chance, chosen.kills - killed))
            tell(runs[-1].line())
    wall_s = CLOCK.now().since(begun)
    bars = [
        Bar(f"drills that went wrong, of {len(runs)} killed {killed} times", sum(bool(run.faults) for run in runs), 0),
        Bar("seconds in all", wall_s, 720),
    ]
    told = [
        {"case": run.case.name, "kills": run.moments, "rivals": run.rivals, "exit": run.exit_code, "faults": run.faults}
        for run in runs
    ]
    return finish("kills", bars, {"seed": chosen.seed, "kills": killed, "runs": told})


if __name__ == "__main__":
    sys.exit(main())
