"""The main job, whole: three rehearsals in private sandboxes, one for each verdict, told as a program reads them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parent.parent
RUNBOOK = ROOT / "runbooks" / "warm-standby.yaml"


def rehearse(home: Path, change: Callable[[dict[str, Any]], None], *words: str) -> tuple[int, dict[str, Any]]:
    """Rehearse a changed copy of the shipped runbook; give the exit code and the one JSON object on stdout."""
    runbook: dict[str, Any] = yaml.safe_load(RUNBOOK.read_text(encoding="utf-8"))
    change(runbook)
    home.mkdir(exist_ok=True)
    copy = home / "copy.yaml"
    copy.write_text(yaml.safe_dump(runbook, sort_keys=False), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "drills", "rehearse", str(copy), "--output", "json", *words],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=170,
        env=os.environ | {"DRILLS_HOME": str(home)},
    )
    assert ran.stdout.startswith("{"), ran.stderr[-3000:]
    return ran.returncode, json.loads(ran.stdout)


def objective(told: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in told["objectives"] if one["name"] == name)


def test_a_failover_within_its_targets_is_met_with_bounds_and_rows(tmp_path: Path) -> None:
    def with_capacity(runbook: dict[str, Any]) -> None:
        """Ask for capacity too: the service is restored once two instances can write, not with the first answer."""
        watches = runbook["measure"]["availability"]
        expect = {"at_least": {"json": "healthy", "value": "${capacity}"}}
        watches.append({**watches[0], "id": "capacity", "http": "${url}/capacity", "expect": expect})
        runbook["objectives"] |= {
            "whole": {"from": "disaster", "to": "service_restored", "within": "5m", "joint": ["checkout", "capacity"]}
        }

    code, told = rehearse(tmp_path, with_capacity)
    assert (code, told["status"], told["exit_code"]) == (0, "met", 0)
    seen = {one["name"]: one for one in told["observers"]}
    assert objective(told, "whole")["low_s"] == seen["checkout & capacity"]["low_s"] >= seen["checkout"]["low_s"]
    assert sum(one["seconds"] for one in told["phases"]) == pytest.approx(objective(told, "rto")["best_s"])
    for name, target in (("rto", 300.0), ("rpo", 30.0)):
        one = objective(told, name)
        assert (one["verdict"], one["target_s"]) == ("MET", target)
        assert 0 <= one["low_s"] <= one["best_s"] <= one["high_s"] <= target
    rows = told["rows"]
    assert rows["acked"] > 20
    assert min(rows["lost"], rows["phantom"], rows["indeterminate"]) >= 0
    steps = {one["id"]: one["status"] for one in told["steps"]}
    assert steps["lose"] == steps["promote"] == steps["shift"] == steps["no-split-brain"] == "done"
    calls = [json.loads(line) for line in (tmp_path / told["drill"] / "calls.jsonl").read_text().splitlines()]
    writes = [one["operation"] for one in calls if one["writes"]]
    assert writes.count("PromoteReadReplica") == 1
    assert "ReplaceNetworkAclAssociation" in writes
    assert told["real"]
    assert told["simulated"]


def test_a_failover_slower_than_its_target_is_missed_in_a_black_hole_too(tmp_path: Path) -> None:
    def hurry(runbook: dict[str, Any]) -> None:
        runbook["objectives"] = {"rto": "1s", "rpo": "30s"}

    code, told = rehearse(tmp_path, hurry, "--outage", "blackhole")
    one = objective(told, "rto")
    assert (code, told["status"], one["verdict"]) == (1, "missed", "MISSED")
    assert one["low_s"] > 1.0
    assert objective(told, "rpo")["verdict"] == "MET"


def test_a_disaster_that_never_cut_replication_proves_nothing_about_the_recovery_point(tmp_path: Path) -> None:
    def only_the_application_is_lost(runbook: dict[str, Any]) -> None:
        steps = runbook["steps"]
        steps[0] = {
            "id": "lose",
            "action": "autoscaling.set_capacity",
            "at": "from",
            "mark": "disaster",
            "with": {"asg": "${from.asg}", "min": 0, "desired": 0, "max": 4},
        }
        block = next(one for one in steps if "parallel" in one)
        block["parallel"] = [one for one in block["parallel"] if one["id"] != "cut"]

    code, told = rehearse(tmp_path, only_the_application_is_lost)
    assert (code, told["status"]) == (3, "unproven")
    rpo = objective(told, "rpo")
    assert rpo["verdict"] == "UNPROVEN"
    assert "never cut" in rpo["why"]
