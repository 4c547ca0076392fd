"""Planned switchovers in a sandbox that outlives the drill, and what independent witnesses say of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import yaml

from drills.calibrate.truth import Seen
from drills.observe.store import read_ledger

ROOT = Path(__file__).resolve().parent.parent
RUNBOOK = ROOT / "runbooks" / "planned-switchover.yaml"
NS = 1e9


def drills(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "drills", *words],
        env=os.environ | {"DRILLS_HOME": str(home)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


@contextmanager
def standing(home: Path) -> Generator[dict[str, Any]]:
    """Keep a sandbox, so that its databases can be asked after the drill; give what it tells of itself."""
    up = drills(home, "sandbox", "up")
    assert up.returncode == 0, up.stderr
    try:
        yield json.loads((home / "sandboxes" / "default" / "sandbox.json").read_text(encoding="utf-8"))
    finally:
        drills(home, "sandbox", "down")


def rehearse(home: Path, change: Callable[[dict[str, Any]], None]) -> tuple[int, dict[str, Any]]:
    """Rehearse a changed copy of the runbook there; give the exit code and the one JSON object on stdout."""
    runbook: dict[str, Any] = yaml.safe_load(RUNBOOK.read_text(encoding="utf-8"))
    change(runbook)
    copy = home / "copy.yaml"
    copy.write_text(yaml.safe_dump(runbook, sort_keys=False), encoding="utf-8")
    ran = drills(home, "rehearse", str(copy), "--in", "default", "--output", "json")
    assert ran.stdout.startswith("{"), ran.stderr[-3000:]
    return ran.returncode, json.loads(ran.stdout)


def objective(told: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in told["objectives"] if one["name"] == name)


def difference(home: Path, told: dict[str, Any], dsn: str) -> int:
    """Count the rows of the drill's ledger that were acknowledged and that the new primary does not have."""
    acked = {
        (marker.writer, marker.seq)
        for file in (home / told["drill"] / "observers").glob("orders*.db")
        for marker in read_ledger(file)
        if marker.acked
    }
    assert len(acked) > 50
    with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
        query = "SELECT writer, seq FROM drills_markers WHERE drill = %s"
        there = {(str(writer), int(seq)) for writer, seq in connection.execute(query, (told["drill"],))}
    return len(acked - there)


def down(seen: Sequence[Seen]) -> tuple[float, float]:
    """Bound how long the service was down in all, in seconds: from each first failure to the last one after it."""
    low = high = 0
    before: Seen | None = None
    bad: list[Seen] = []
    for one in seen:
        if not one.site:
            bad.append(one)
            continue
        if bad and before is not None:
            low += max(0, bad[-1].sent - bad[0].ended)
            high += one.ended - before.sent
        bad, before = [], one
    return low / NS, high / NS


def as_fresh_dns_sees_it(runbook: dict[str, Any]) -> None:
    """Judge the downtime as the witness sees it: with a fresh look at the name server for each request."""
    runbook["objectives"]["downtime"] = {"within": "30s", "seen_by": ["checkout"]}


def hasty(runbook: dict[str, Any]) -> None:
    """Neither stop the writes nor wait for the standby: promote while the old primary goes on taking rows."""
    ids = [one.get("id") for one in runbook["steps"]]
    left_out = ("fence", "stopped", "caught-up")
    runbook["steps"] = [one for one in runbook["steps"][: ids.index("rebuild")] if one.get("id") not in left_out]
    runbook["no_fence"] = "to see what it costs"
    runbook["objectives"] = {"lost_rows": 0, "exposure": "1s"}
    del runbook["after"]
