"""Rehearse again and again, and hold each result against the truth.

``python benchmarks/rehearsals.py --runs 20 [--as incident] [--outage blackhole]``: each run boots a standing
sandbox, rehearses the warm standby in it, and lets an independent recorder (``drills.calibrate.truth``: process
exits by pidfd, raw sockets, rows of its own) say what the RTO and the RPO really were. Exit 1 if a drill failed, a
bracket misses the truth, a lost row is miscounted, or a process is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from drills.calibrate.truth import Exits, Watcher, Writer, numbers

RUNBOOK = "runbooks/warm-standby.yaml"
AUDIT_SLACK_NS = 60_000_000
"""The gateway stamps a call when it has answered it; the call began at most this much earlier."""


@dataclass(frozen=True)
class Outcome:
    """One rehearsal against the truth; seconds. ``faults`` says everything that was wrong with it."""

    run: int
    exit_code: int
    wall_s: float
    truth_rto_s: tuple[float, float]
    rto_s: tuple[float | None, float | None]
    objective_rto_s: tuple[float | None, float | None]
    truth_rpo_s: tuple[float, float]
    rpo_s: tuple[float | None, float | None]
    lost: int
    truly_lost: int
    exits_seen: int
    faults: tuple[str, ...]


def drills(home: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one command of drills, as a user does."""
    command = [sys.executable, "-m", "drills", *words]
    return subprocess.run(
        command, check=check, capture_output=True, text=True, timeout=300, env=os.environ | {"DRILLS_HOME": str(home)}
    )


def one(run: int, as_: str, outage: str) -> Outcome:
    """Rehearse once in a sandbox of its own, with the witnesses beside it."""
    with tempfile.TemporaryDirectory(prefix="drills-rehearsal-") as folder:
        home = Path(folder)
        facts = json.loads(drills(home, "sandbox", "up", "--outage", outage, "--output", "json").stdout)
        try:
            return witnessed(run, home, facts, as_)
        finally:
            drills(home, "sandbox", "down", check=False)


def witnessed(run: int, home: Path, facts: dict[str, Any], as_: str) -> Outcome:
    """Run the drill between the witnesses' beginning and end, and compare."""
    east = facts["sites"]["east"]
    pids = [pid for role, pid in facts["pids"].items() if "east" in role]
    exits, watcher, writer = Exits(pids), Watcher(facts["url"], facts["resolver"]), Writer(east["dsn"])
    for witness in (exits, watcher, writer):
        witness.start()
    begun = time.monotonic()
    ran = drills(home, "rehearse", RUNBOOK, "--in", "default", "--as", as_, "--output", "json", check=False)
    wall_s = time.monotonic() - begun
    for witness in (exits, watcher, writer):
        witness.stop()
    if not ran.stdout.startswith("{"):
        return Outcome(run, ran.returncode, wall_s, (0, 0), (None, None), (None, None), (0, 0), (None, None), 0, 0, 0, (ran.stderr[-800:],))
    return compared(run, home, facts, as_, json.loads(ran.stdout), (ran.returncode, wall_s), (exits, watcher, writer))


def compared(  # noqa: PLR0913 - everything that was seen
    run: int,
    home: Path,
    facts: dict[str, Any],
    as_: str,
    told: dict[str, Any],
    ended: tuple[int, float],
    witnesses: tuple[Exits, Watcher, Writer],
) -> Outcome:
    """Hold what the drill told against what the witnesses saw."""
    exits, watcher, writer = witnesses
    faults: list[str] = []
    lost_at = watcher.lost("east", 0)
    back_at = watcher.restored("west")
    struck = lost_at if as_ == "incident" else called(Path(facts["folder"]))
    if lost_at is None or back_at is None or struck is None:
        faults.append("the witnesses saw no outage, or no recovery")
        lost_at = back_at = struck = (0, 0)
    truth_rto = ((back_at[0] - struck[1]) / 1e9, (back_at[1] - struck[0]) / 1e9)
    service = next((one for one in told["observers"] if one["name"] == "checkout"), {})
    objectives = {one["name"]: one for one in told["objectives"]}
    rto = (service.get("low_s"), service.get("high_s"))
    whole = (objectives["rto"]["low_s"], objectives["rto"]["high_s"])
    rpo = (objectives["rpo"]["low_s"], objectives["rpo"]["high_s"])
    if not meets(rto, truth_rto):
        faults.append(f"rto bounds {rto} miss the truth {truth_rto}")
    if whole[1] is None or whole[1] < truth_rto[0]:
        faults.append(f"the objective's upper end {whole[1]} lies below the truth {truth_rto}")
    survivor = facts["sites"]["west"]["truth_dsn"]
    loss = writer.loss(writer.survived(survivor), struck)
    truth_rpo = (loss[0] / 1e9, loss[1] / 1e9)
    if not meets(rpo, truth_rpo):
        faults.append(f"rpo bounds {rpo} miss the truth {truth_rpo}")
    acked = acknowledged(home, told["drill"])
    truly_lost = len(acked - numbers(survivor, "SELECT seq FROM drills_markers"))
    lost = (told.get("rows") or {}).get("lost", -1)
    if lost != truly_lost:
        faults.append(f"{lost} rows are said to be lost, {truly_lost} are")
    if ended[0] != 0:
        faults.append(f"exit {ended[0]}: {told.get('status')}")
    return Outcome(run, *ended, truth_rto, rto, whole, truth_rpo, rpo, lost, truly_lost, len(exits.ended), tuple(faults))


def meets(bounds: tuple[float | None, float | None], truth: tuple[float, float]) -> bool:
    """Say whether the truth, as exactly as the witnesses know it, can lie inside the bounds."""
    low, high = bounds
    return low is not None and high is not None and low <= truth[1] and truth[0] <= high


def called(world: Path) -> tuple[int, int] | None:
    """Bracket the fault's call from the gateway's audit log, on this machine's monotonic clock."""
    offset = time.time_ns() - time.monotonic_ns()  # noqa: TID251 - the log speaks UTC
    for line in (world / "audit.jsonl").read_text(encoding="utf-8").splitlines():
        call = json.loads(line)
        if call["operation"] == "ReplaceNetworkAclAssociation":
            at = round(datetime.fromisoformat(call["time"]).timestamp() * 1e9) - offset
            return at - AUDIT_SLACK_NS, at + 1_000_000
    return None


def acknowledged(home: Path, drill: str) -> set[int]:
    """Read which markers the writer had acknowledged, straight from its file."""
    found: set[int] = set()
    for file in (home / drill / "observers").glob("orders*.db"):
        with sqlite3.connect(file) as db:
            found |= {int(row[0]) for row in db.execute("SELECT seq FROM markers WHERE acked = 1")}
    return found


def main() -> int:
    """Run the series and write what came of it."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--runs", type=int, default=20)
    words.add_argument("--as", dest="as_", choices=["rehearsal", "incident"], default="rehearsal")
    words.add_argument("--outage", choices=["kill", "blackhole"], default="kill")
    words.add_argument("--result", type=Path, default=None)
    chosen = words.parse_args()
    outcomes: list[Outcome] = []
    for run in range(1, chosen.runs + 1):
        outcome = one(run, chosen.as_, chosen.outage)
        outcomes.append(outcome)
        state = "ok " if not outcome.faults else "BAD"
        print(f"{run:3} {state} rto truth {outcome.truth_rto_s} bounds {outcome.rto_s} rpo truth {outcome.truth_rpo_s} bounds {outcome.rpo_s} lost {outcome.lost}/{outcome.truly_lost} exits {outcome.exits_seen} {'; '.join(outcome.faults)}", flush=True)
    bad = sum(bool(outcome.faults) for outcome in outcomes)
    if chosen.result is not None:
        chosen.result.write_text(json.dumps({"bad": bad, "runs": [asdict(one) for one in outcomes]}, indent=1) + "\n")
    print(f"{len(outcomes) - bad} of {len(outcomes)} good")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
