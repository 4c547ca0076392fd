"""Rehearse again and again, and hold each result against the truth.

``python benchmarks/rehearsals.py NAME --runs 20 [--as incident] [--outage blackhole]``: each run boots a standing
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
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from record import RESULTS, Bar, finish, tell

from drills.calibrate.truth import PATIENCE_S, Exits, Watcher, Writer, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNBOOK = "runbooks/warm-standby.yaml"
OBSERVERS_TIMEOUT_S = 0.8
"""As in the runbook: slower than that is down, to the observers and to the witness."""
AUDIT_SLACK_NS = 60_000_000
"""The gateway stamps a call when it has answered it; the call began at most this much earlier."""
Bounds = tuple[float | None, float | None]
Bracket = tuple[float, float]


@dataclass(frozen=True)
class Outcome:
    """One rehearsal against the truth; seconds. ``faults`` says everything that was wrong with it."""

    run: int
    exit_code: int
    wall_s: float
    truth_rto_s: Bracket = (0.0, 0.0)
    rto_s: Bounds = (None, None)
    objective_rto_s: Bounds = (None, None)
    truth_rpo_s: Bracket = (0.0, 0.0)
    rpo_s: Bounds = (None, None)
    lost: int = 0
    truly_lost: int = 0
    exits_seen: int = 0
    faults: tuple[str, ...] = ()

    def line(self) -> str:
        """Say it in one line."""
        rto = f"rto {_span(self.rto_s)} truth {_span(self.truth_rto_s)}"
        rpo = f"rpo {_span(self.rpo_s)} truth {_span(self.truth_rpo_s)}"
        rows = f"lost {self.lost}, truly {self.truly_lost}"
        return f"{self.run:3} {'BAD' if self.faults else 'ok '} {rto}  {rpo}  {rows}  {'; '.join(self.faults)}"


def _span(bounds: Bounds) -> str:
    return "-".join("?" if end is None else f"{end:.3f}" for end in bounds)


@dataclass(frozen=True)
class Stage:
    """One standing sandbox, its facts and the witnesses beside it."""

    home: Path
    facts: dict[str, Any]
    exits: Exits
    watcher: Watcher
    writer: Writer

    @classmethod
    def of(cls, home: Path, facts: dict[str, Any], outage: str = "kill") -> Stage:
        """Place the witnesses, who begin at once."""
        patience_s = OBSERVERS_TIMEOUT_S if outage == "kill" else PATIENCE_S
        pids = [pid for role, pid in facts["pids"].items() if "east" in role]
        stage = cls(
            home,
            facts,
            Exits(pids),
            Watcher(facts["url"], facts["resolver"], patience_s),
            Writer(facts["sites"]["east"]["dsn"]),
        )
        for witness in (stage.exits, stage.watcher, stage.writer):
            witness.start()
        return stage

    def end(self) -> None:
        """Let the witnesses end."""
        for witness in (self.exits, self.watcher, self.writer):
            witness.stop()

    @property
    def survivor(self) -> str:
        """Where the survivor's database can be asked whatever happened to the network."""
        return self.facts["sites"]["west"]["truth_dsn"]

    def called(self) -> tuple[int, int] | None:
        """Bracket the fault's call from the gateway's audit log, on this machine's monotonic clock."""
        offset = time.time_ns() - time.monotonic_ns()
        audit = Path(self.facts["folder"]) / "audit.jsonl"
        for line in audit.read_text(encoding="utf-8").splitlines():
            call = json.loads(line)
            if call["operation"] == "ReplaceNetworkAclAssociation":
                at = round(datetime.fromisoformat(call["time"]).timestamp() * 1e9) - offset
                return at - AUDIT_SLACK_NS, at + 1_000_000
        return None

    def acknowledged(self, drill: str) -> set[int]:
        """Read which markers the writer had acknowledged, straight from its file."""
        found: set[int] = set()
        for file in (self.home / drill / "observers").glob("orders*.db"):
            with sqlite3.connect(file) as db:
                found |= {int(row[0]) for row in db.execute("SELECT seq FROM markers WHERE acked = 1")}
        return found


def drills(home: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one command of drills, as a user does."""
    command = [sys.executable, "-m", "drills", *words]
    environment = os.environ | {"DRILLS_HOME": str(home)}
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=300, env=environment)


def rehearsed(run: int, as_: str, outage: str) -> Outcome:
    """Rehearse once in a sandbox of its own, with the witnesses beside it."""
    with tempfile.TemporaryDirectory(prefix="drills-rehearsal-") as folder:
        home = Path(folder)
        up = drills(home, "sandbox", "up", "--outage", outage, "--output", "json", check=False)
        if up.returncode != 0:
            return Outcome(run, up.returncode, 0.0, faults=(f"the sandbox did not come up: {up.stderr[-800:]}",))
        facts = json.loads(up.stdout)
        try:
            stage = Stage.of(home, facts, outage)
            begun = time.monotonic()
            ran = drills(home, "rehearse", RUNBOOK, "--in", "default", "--as", as_, "--output", "json", check=False)
            wall_s = time.monotonic() - begun
            stage.end()
            outcome = Outcome(run, ran.returncode, wall_s, exits_seen=len(stage.exits.ended))
            if not ran.stdout.startswith("{"):
                return replace(outcome, faults=(ran.stderr[-800:],))
            return compared(outcome, stage, as_, json.loads(ran.stdout))
        finally:
            drills(home, "sandbox", "down", check=False)


def compared(outcome: Outcome, stage: Stage, as_: str, told: dict[str, Any]) -> Outcome:
    """Hold what the drill told against what the witnesses saw."""
    gone, back = stage.watcher.lost("east", 0), stage.watcher.restored("west")
    struck = gone if as_ == "incident" else stage.called()
    if gone is None or back is None or struck is None:
        return replace(outcome, faults=("the witnesses saw no outage, or no recovery",))
    observers: dict[str, Any] = {one["name"]: one for one in told["observers"]}
    objectives: dict[str, Any] = {one["name"]: one for one in told["objectives"]}
    rows: dict[str, int] = told["rows"] or {}
    loss = stage.writer.loss(stage.writer.survived(stage.survivor), struck)
    kept = numbers(stage.survivor, "SELECT seq FROM drills_markers")
    seen = replace(
        outcome,
        truth_rto_s=((back[0] - struck[1]) / 1e9, (back[1] - struck[0]) / 1e9),
        rto_s=(observers["checkout"]["low_s"], observers["checkout"]["high_s"]),
        objective_rto_s=(objectives["rto"]["low_s"], objectives["rto"]["high_s"]),
        truth_rpo_s=(loss[0] / 1e9, loss[1] / 1e9),
        rpo_s=(objectives["rpo"]["low_s"], objectives["rpo"]["high_s"]),
        lost=rows.get("lost", -1),
        truly_lost=len(stage.acknowledged(told["drill"]) - kept),
    )
    return replace(seen, faults=tuple(faults(seen, told)))


def faults(seen: Outcome, told: dict[str, Any]) -> Iterator[str]:
    """Say everything that is wrong with a rehearsal."""
    if not meets(seen.rto_s, seen.truth_rto_s):
        yield "the RTO's bounds miss the truth"
    upper = seen.objective_rto_s[1]
    if upper is None or upper < seen.truth_rto_s[0]:
        yield "the upper end of the RTO over all observers lies below the truth"
    if not meets(seen.rpo_s, seen.truth_rpo_s):
        yield "the RPO's bounds miss the truth"
    if seen.lost != seen.truly_lost:
        yield "the lost rows are miscounted"
    if seen.exit_code != 0:
        yield f"exit {seen.exit_code}: {told.get('status')}: {told.get('why')}"


def meets(bounds: Bounds, truth: Bracket) -> bool:
    """Say whether the truth, as exactly as the witnesses know it, can lie inside the bounds."""
    low, high = bounds
    return low is not None and high is not None and low <= truth[1] and truth[0] <= high


def main() -> int:
    """Run the series and write what came of it."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("name", nargs="?", default="rehearsals")
    words.add_argument("--runs", type=int, default=20)
    words.add_argument("--as", dest="as_", choices=["rehearsal", "incident"], default="rehearsal")
    words.add_argument("--outage", choices=["kill", "blackhole"], default="kill")
    chosen = words.parse_args()
    RESULTS.mkdir(exist_ok=True)
    outcomes: list[Outcome] = []
    for run in range(1, chosen.runs + 1):
        outcomes.append(rehearsed(run, chosen.as_, chosen.outage))
        tell(outcomes[-1].line())
    bars = [
        Bar(f"rehearsals that went wrong, of {chosen.runs}", sum(bool(one.faults) for one in outcomes), 0),
        Bar("longest drill, seconds", max(one.wall_s for one in outcomes), 30),
    ]
    return finish(chosen.name, bars, {"runs": [asdict(one) for one in outcomes]})


if __name__ == "__main__":
    sys.exit(main())
