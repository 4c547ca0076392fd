"""The shipped planned switchover, whole, against witnesses that share no code with the observers of a drill."""

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
import pytest
import yaml

from drills.calibrate.truth import Seen, Watcher, Writer
from drills.observe.store import read_ledger

pytestmark = [pytest.mark.sandbox, pytest.mark.prove, pytest.mark.timeout(240)]

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


def test_a_planned_switchover_loses_nothing_and_its_downtime_is_that_of_an_independent_watcher(tmp_path: Path) -> None:
    def as_fresh_dns_sees_it(runbook: dict[str, Any]) -> None:
        runbook["objectives"]["downtime"] = {"within": "30s", "seen_by": ["checkout"]}

    with standing(tmp_path) as world:
        east, west = world["sites"]["east"], world["sites"]["west"]
        watcher, writer = Watcher(world["url"] + "/", world["resolver"], patience_s=0.8), Writer(east["dsn"])
        watcher.start()
        writer.start()
        try:
            code, told = rehearse(tmp_path, as_fresh_dns_sees_it)
        finally:
            writer.stop()
            watcher.stop()
        assert (code, told["status"]) == (0, "met"), [one["why"] for one in told["objectives"]]
        rows = objective(told, "lost_rows")
        assert rows == {**rows, "verdict": "MET", "low": 0, "high": 0, "target": 0, "unit": "rows"}
        assert difference(tmp_path, told, west["truth_dsn"]) == 0
        acked = {row.number for row in writer.rows if row.acked is not None}
        assert len(acked) > 100
        assert acked - writer.survived(west["truth_dsn"]) == set()
        low, high = down(watcher.seen)
        seen = objective(told, "downtime")
        assert 0 < low <= high < 30
        assert seen["low_s"] <= high
        assert low <= seen["high_s"]
        with psycopg.connect(west["truth_dsn"], autocommit=True) as connection:
            follows = "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'"
            assert connection.execute(follows).fetchall() == [("east",)]
        exposure = told["exposure"]
        assert exposure["restored"]
        assert 0 < exposure["low_s"] <= exposure["best_s"] <= exposure["high_s"] < 60
        verified = drills(tmp_path, "verify", told["drill"])
        assert verified.returncode == 0, verified.stdout
        with psycopg.connect(east["truth_dsn"], autocommit=True) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        assert Path(str(row[0])).with_name("east-snapshot-orders-east-last").joinpath("PG_VERSION").is_file()


def test_a_switchover_that_neither_fences_nor_waits_is_missed_by_the_rows_it_loses(tmp_path: Path) -> None:
    def hasty(runbook: dict[str, Any]) -> None:
        ids = [one.get("id") for one in runbook["steps"]]
        runbook["steps"] = [
            one
            for one in runbook["steps"][: ids.index("rebuild")]
            if one.get("id") not in ("fence", "stopped", "caught-up")
        ]
        runbook["no_fence"] = "to see what it costs"
        runbook["objectives"] = {"lost_rows": 0, "exposure": "1s"}
        del runbook["after"]

    with standing(tmp_path) as world:
        code, told = rehearse(tmp_path, hasty)
        assert (code, told["status"]) == (1, "missed")
        rows = objective(told, "lost_rows")
        assert rows["verdict"] == "MISSED"
        assert rows["low"] > 20
        assert rows["low"] <= difference(tmp_path, told, world["sites"]["west"]["truth_dsn"]) <= rows["high"]
        exposure = objective(told, "exposure")
        assert (exposure["verdict"], told["exposure"]["restored"]) == ("UNPROVEN", False)
        assert told["exposure"]["why"].startswith("redundancy was not restored")
