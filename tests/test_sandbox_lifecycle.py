"""A sandbox is born, found and ended; and nothing of it survives whoever owned it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sandbox_world import ENVIRONMENT, alive, answer, client, database, eventually, running, spec

from drills.clock import SystemClock
from drills.errors import DrillsError, Refused
from drills.sandbox import lifecycle

pytestmark = pytest.mark.sandbox

OWNER = """
import sys, time
from pathlib import Path
from sandbox_world import spec
from drills.sandbox import lifecycle
sandbox = lifecycle.boot(spec(), Path(sys.argv[1]), private=True)
print(*lifecycle.status(sandbox.facts)["processes"].values(), flush=True)
time.sleep(60)
"""


def drills(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "drills", *words],
        env={**os.environ, "DRILLS_HOME": str(folder)},
        cwd=ENVIRONMENT.parent.parent,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_a_killed_owner_leaves_no_process_behind(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "world")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        text=True,
    )
    assert owner.stdout is not None
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    assert len(pids) > 15
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    eventually(lambda: not [pid for pid in pids if alive(pid)], within_s=3)


def test_two_sandboxes_live_side_by_side_and_a_killed_world_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "one") as one:
        two = lifecycle.boot(spec(), tmp_path / "two", private=True).facts
        lifecycle.impose(one, "east")
        eventually(lambda: answer(one, "east") == 0)
        assert answer(two, "east") == 200
        assert database(two, "east")["DBInstanceStatus"] == "available"
        pids = [*lifecycle.status(two)["processes"].values()]
        os.kill(two.pid, signal.SIGKILL)
        eventually(lambda: not [pid for pid in pids if pid != two.pid and alive(pid)], within_s=3)
        with pytest.raises(DrillsError, match="does not answer"):
            lifecycle.status(two)
        with pytest.raises(Refused, match="no sandbox runs"):
            lifecycle.find(tmp_path / "two")
        assert client(one, "sts").get_caller_identity()["Account"] == one.sites["east"].account


def test_a_standing_sandbox_outlives_its_command_and_a_ctrl_c(tmp_path: Path) -> None:
    up = drills(tmp_path, "sandbox", "up", "--name", "game-day", "--output", "json")
    assert up.returncode == 0, up.stderr
    facts = lifecycle.find(lifecycle.standing_folder("game-day", tmp_path))
    try:
        assert json.loads(up.stdout)["endpoint_url"] == facts.endpoint_url
        assert os.getsid(facts.pid) == facts.pid
        os.kill(facts.pid, signal.SIGINT)
        os.kill(facts.pid, signal.SIGHUP)
        again = drills(tmp_path, "sandbox", "up", "--name", "game-day")
        assert (again.returncode, "runs in" in again.stderr) == (4, True)
        exported = drills(tmp_path, "sandbox", "env", "--name", "game-day").stdout
        assert f"export AWS_ENDPOINT_URL={facts.endpoint_url}\n" in exported
        told = drills(tmp_path, "sandbox", "status", "--name", "game-day").stdout
        assert "east: up, orders-east writer, 2 instances listen" in told
        assert lifecycle.names(tmp_path) == ("game-day",)
    finally:
        pids = [*lifecycle.status(facts)["processes"].values()]
        down = drills(tmp_path, "sandbox", "down", "--name", "game-day")
    assert (down.stdout, down.returncode) == ("sandbox game-day ended\n", 0)
    eventually(lambda: not [pid for pid in pids if alive(pid)], within_s=3)
    assert drills(tmp_path, "sandbox", "down", "--name", "game-day").returncode == 4
    assert lifecycle.names(tmp_path) == ()


def test_a_sandbox_whose_folder_is_removed_ends(tmp_path: Path) -> None:
    facts = lifecycle.boot(spec(), tmp_path / "gone", private=False).facts
    (tmp_path / "gone" / "sandbox.json").unlink()
    eventually(lambda: not alive(facts.pid), within_s=5)


def test_a_folder_that_cannot_be_made_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(Refused, match="cannot be made: Not a directory; work elsewhere"):
        lifecycle.boot(spec(), tmp_path / "taken" / "worlds", private=True)


def test_a_world_that_cannot_be_built_says_why(tmp_path: Path) -> None:
    broken = replace(spec(), primary="nowhere")
    began = SystemClock().now()
    with pytest.raises(DrillsError, match="exactly one primary site"):
        lifecycle.boot(broken, tmp_path / "world", private=True)
    assert SystemClock().now().since(began) < 20


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="no name"):
        lifecycle.standing_folder(name)
