"""Drills of the shipped actions in processes of their own, killed by SIGKILL at random moments and gone on with.

``python kill_drills.py FOLDER`` drives the plan in ``FOLDER/plan.json`` (or goes on with it), as the command line does.
What took place is read from the server's own record; a twin of each work, done once and undone once without any kill,
tells how often a call may be made.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from drills.clock import SystemClock
from drills.errors import DrillsError, JournalError
from drills.runtime.journal import read_drill

if TYPE_CHECKING:
    from recording_moto import Write
    from storm_drills import Part, Stage

    from drills.engine.plan import Plan
    from drills.engine.state import State
    from drills.timeline import events as ev

CLOCK = SystemClock()
TESTS = Path(__file__).parent
LONGEST_S = 90.0
MOST_KILLS = 3
_OF_ONE = re.compile(r"(?<=/experiment)(?:s|Templates)/[^/ ]+$")
SLOWEST_S = 0.03
"""A call and its answer each take up to so long, so that kills fall in between."""


def in_silence(events: Sequence[ev.Event], state: State) -> None:
    """Show nothing."""
    del events, state


def main(folder: Path) -> int:
    """Drive the drill in ``folder``, or go on with it."""
    from drills.cli import compose
    from drills.engine.plan import Plan
    from drills.timeline import codec

    show = compose.Show(in_silence, lambda _: None, lambda: None)
    home = folder / "drill"
    plan = codec.load(Plan, (folder / "plan.json").read_text(encoding="utf-8"))
    accounts = compose.recorded_accounts(home, plan)
    try:
        if (home / "journal.db").exists():
            state = compose.take_over(home, accounts, show, world_alive=lambda _: True, outside=lambda _: None)
        else:
            state = compose.open_drill(home, plan, accounts, show, outside=None)
    except DrillsError as error:
        sys.stderr.write(f"drills: {error}\n")
        return error.exit_code
    return compose.exit_code(state)


@dataclass
class Killed:
    """One drill: how often it was killed, how it ended, and everything that was wrong with it."""

    seed: int
    kills: int = 0
    ending: str = ""
    steps: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])


def drill(stage: Stage, seed: int) -> Killed:
    """Drive one drill, kill it one to three times, go on until it ends, and hold it against the record."""
    from storm_drills import CASES, calmly, checked, drawn, memory

    chance = random.Random(seed)
    compiled, parts = drawn(stage, chance, [name for name in CASES if name != "flow.nothing"])
    told = Killed(seed, steps=[f"{one.id} {one.uses}" for one in compiled.steps])
    may = {part.step: _may(stage, part) for part in parts}
    with tempfile.TemporaryDirectory(prefix="drills-kill-", dir=memory()) as name:
        folder = Path(name)
        began = len(stage.recording.writes)
        code = _driven(folder, compiled, chance, told)
        writes = stage.recording.writes[began:]
        try:
            _, state = read_drill(folder / "drill")
        except JournalError as error:
            told.wrong.append(f"its journal cannot be read: {error}")
            return told
        told.ending = state.finished.status if state.finished is not None else "held"
        told.wrong += checked(stage, state, parts, writes)
        told.wrong += _too_often(parts, writes, may)
        said = state.finished.exit_code if state.finished is not None else 8
        if code != said:
            told.wrong.append(f"the process ended with {code}, the drill says {said}")
        told.wrong += calmly(stage, folder / "drill", state, parts)
    return told


def _driven(folder: Path, compiled: Plan, chance: random.Random, told: Killed) -> int | None:
    """Drive to the end with one to three kills; gives the last process's exit code."""
    from drills.timeline import codec

    (folder / "plan.json").write_text(codec.dump(compiled), encoding="utf-8")
    wanted = chance.randint(1, MOST_KILLS)
    begun = CLOCK.now()
    while CLOCK.now().since(begun) < LONGEST_S:
        with (folder / "said").open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, __file__, str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=os.environ | {"PYTHONPATH": str(TESTS)},
            )
        if told.kills < wanted and not _ended(process, _moment(folder, process, chance)):
            process.send_signal(signal.SIGKILL)
            process.wait()
            told.kills += 1
            continue
        if not _ended(process, LONGEST_S):
            process.kill()
            told.wrong.append(f"it did not end within {LONGEST_S:.0f} s")
        if b"Traceback" in (folder / "said").read_bytes():
            told.wrong.append(f"a traceback: {(folder / 'said').read_text()[-800:]}")
        return process.wait()
    told.wrong.append(f"it did not come to its end within {LONGEST_S:.0f} s")
    return None


def _moment(folder: Path, process: subprocess.Popen[bytes], chance: random.Random) -> float:
    """Choose how long after the next event of the journal to kill; now and then before there is any."""
    if chance.random() < 0.1:
        return chance.uniform(0.0, 1.0)
    journal = folder / "drill" / "journal.db-wal"
    was = journal.stat().st_mtime_ns if journal.exists() else 0
    begun = CLOCK.now()
    while process.poll() is None and CLOCK.now().since(begun) < 10.0:
        if journal.exists() and journal.stat().st_mtime_ns != was:
            break
        CLOCK.sleep(0.005)
    return chance.uniform(0.0, 1.2)


def _ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _may(stage: Stage, part: Part) -> Counter[str]:
    """Do a twin of a work once and undo it once, and count its calls."""
    from storm_drills import CASES

    names = [name for name in CASES if name.partition(" ")[0] == part.work.name]
    counts: Counter[str] = Counter()
    for name in names:
        twin = CASES[name](stage.world).work
        read, write = stage.calm.read(stage.places[0]), stage.calm.write(stage.places[0])
        began = len(stage.recording.writes)
        before = twin.capture(read)
        receipt = twin.perform(write, before)
        twin.undo(write, before, receipt)
        counts |= Counter(_call(one) for one in stage.recording.writes[began:])
    return counts


def _call(write: Write) -> str:
    return _OF_ONE.sub("", write.operation.partition("/hostedzone/")[0])


def _too_often(parts: Sequence[Part], writes: Sequence[Write], may: dict[str, Counter[str]]) -> Iterator[str]:
    for part in parts:
        done = Counter(_call(one) for one in writes if one.by == part.key)
        often = done - may[part.step]
        if often:
            yield f"{part.step} {part.work.name}: called more often than an unbroken drill would: {json.dumps(often)}"


def slow(stage: Stage, seed: int) -> None:
    """Let every call take a while, so that kills fall into it."""
    chance = random.Random(seed)
    stage.recording.pause = lambda: CLOCK.sleep(chance.uniform(0.0, SLOWEST_S))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
