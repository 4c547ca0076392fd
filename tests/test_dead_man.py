"""The dead man: what a drill changed goes back by itself when its process dies, and only then."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from runtime_drill import eventually
from sandbox_world import client

from drills.engine.progress import Status
from drills.engine.state import State
from drills.errors import JournalError
from drills.runtime.journal import read_drill
from drills.sandbox import lifecycle
from drills.sandbox.booted import Booted
from drills.timeline import events as ev

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(os.environ.get("DRILLS_PROVE") != "1", reason="a sandbox of its own: set DRILLS_PROVE=1"),
]
ROOT = Path(__file__).parent.parent
WEST = "orders-app-west"

BOOK = """
runbook: {name}
title: A change, and a wait
dead_man: {after}
steps:
  - id: scale
    action: autoscaling.set_capacity
    at: to
    with: {{asg: "${{to.asg}}", min: 1, desired: 2, max: 4}}
  - id: fence
    action: rds.fence_writer
    at: from
    with: {{db: "${{from.db}}"}}
{more}
"""
WAITS = """
  - id: never
    probe: autoscaling.in_service
    at: to
    timeout: 5m
    with: {asg: "${to.asg}", count: 4}
"""
PROMOTES = """
  - id: promote
    action: rds.promote_read_replica
    at: to
    with: {db: "${to.db}"}
"""


def drills(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "drills", *words],
        env=os.environ | {"DRILLS_HOME": str(home)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def book(home: Path, name: str, after: str, more: str = "") -> str:
    path = home / f"{name}.yaml"
    path.write_text(BOOK.format(name=name, after=after, more=more), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    folder = tmp_path_factory.mktemp("dead-man")
    assert drills(folder, "sandbox", "up").returncode == 0
    try:
        yield folder
    finally:
        drills(folder, "sandbox", "down")


@contextmanager
def rehearsing(home: Path, runbook: str) -> Generator[subprocess.Popen[bytes]]:
    with (home / "said").open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "drills", "rehearse", runbook, "--in", "default"],
            env=os.environ | {"DRILLS_HOME": str(home)},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def the_drill(home: Path, name: str) -> Path:
    return next(home.glob(f"*-{name}-*/journal.db")).parent


def state_of(home: Path, name: str) -> State | None:
    try:
        return read_drill(the_drill(home, name))[1]
    except (JournalError, StopIteration):
        return None


def waiting(home: Path, name: str) -> bool:
    state = state_of(home, name)
    return state is not None and state.progress["fence"].status is Status.DONE


def bodies(home: Path, name: str) -> list[ev.Body]:
    return [event.body for event in read_drill(the_drill(home, name))[0]]


def world(home: Path) -> Booted:
    return lifecycle.find(home / "sandboxes" / "default")


def sizes(home: Path) -> tuple[int, int, int]:
    scaling = client(world(home), "autoscaling", "west")
    group = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[WEST])["AutoScalingGroups"][0]
    return (group["MinSize"], group["DesiredCapacity"], group["MaxSize"])


def groups(home: Path) -> list[str]:
    found = client(world(home), "rds", "east").describe_db_instances(DBInstanceIdentifier="orders-east")
    return [one["VpcSecurityGroupId"] for one in found["DBInstances"][0]["VpcSecurityGroups"]]


def schedules(home: Path) -> list[str]:
    found: list[dict[str, Any]] = []
    for site in ("east", "west"):
        found += client(world(home), "scheduler", site).list_schedules()["Schedules"]
    return sorted(one["Name"] for one in found)


def test_what_a_killed_drill_changed_goes_back_by_itself_and_what_lives_is_let_be(home: Path) -> None:
    before = sizes(home), groups(home)
    with rehearsing(home, book(home, "killed", "4s", WAITS)) as process:
        eventually(lambda: waiting(home, "killed"), 30.0)
        assert len(schedules(home)) == 2
        changed = sizes(home), groups(home)
        assert changed[0] == (1, 2, 4)
        assert changed[1] != before[1]
        armed = next(one for one in bodies(home, "killed") if isinstance(one, ev.Armed))
        # It lives on for longer than the dead man waits, by the clock that the schedule is told by.
        eventually(lambda: _now_ns() > armed.at_ns + 1_000_000_000)
        assert (sizes(home), groups(home)) == changed
        process.send_signal(signal.SIGKILL)
        process.wait()
    eventually(lambda: (sizes(home), groups(home)) == before)
    eventually(lambda: schedules(home) == [])
    effects = (home / "sandboxes/default/effects.jsonl").read_text(encoding="utf-8").splitlines()
    fired = [json.loads(line)["detail"] for line in effects if json.loads(line)["what"] == "schedule fired"]
    assert len(fired) == 2
    undone = drills(home, "undo", the_drill(home, "killed").name)
    assert undone.returncode == 6, undone.stderr
    assert state_of(home, "killed").owed() == []  # pyright: ignore[reportOptionalMemberAccess] - it is there


def test_the_normal_end_leaves_no_schedule_and_keeps_what_was_made(home: Path) -> None:
    ended = drills(home, "rehearse", book(home, "ended", "30m"), "--in", "default")
    assert ended.returncode == 3, ended.stderr  # no objective: nothing is proven
    assert schedules(home) == []
    assert sizes(home) == (1, 2, 4)
    told = bodies(home, "ended")
    assert [type(one).__name__ for one in told if isinstance(one, ev.Armed | ev.Disarmed)] == [
        "Armed",
        "Armed",
        "Disarmed",
        "Disarmed",
    ]
    assert isinstance(told[-1], ev.Finished)
    assert drills(home, "undo", the_drill(home, "ended").name).returncode == 6


def test_past_the_point_of_no_return_nothing_is_healed(home: Path) -> None:
    before = groups(home)
    with rehearsing(home, book(home, "promoted", "2s", PROMOTES + WAITS)) as process:
        eventually(lambda: (state := state_of(home, "promoted")) is not None and "never" in state.running)
        assert schedules(home) == []
        told = bodies(home, "promoted")
        entered = next(place for place, one in enumerate(told) if isinstance(one, ev.Ended) and one.step == "promote")
        assert {one.step for one in told[:entered] if isinstance(one, ev.Disarmed)} == {"scale", "fence"}
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert schedules(home) == []
    assert groups(home) != before


def _now_ns() -> int:
    from drills.clock import SystemClock

    return SystemClock().now().utc_ns
