"""Real drills in real sandboxes, whose process is killed or whose terminal goes away."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from runtime_drill import eventually

from drills.cli import folders
from drills.clock import SystemClock, process_start
from drills.engine.state import State
from drills.errors import JournalError
from drills.runtime.journal import read_drill
from drills.timeline import events as ev

pytestmark = pytest.mark.sandbox
ROOT = Path(__file__).parent.parent
HARMLESS = ("RevokeSecurityGroupEgress", "CreateTags", "PutParameter", "DeleteParameters")
"""Parts of an isolation, and the lock of the target in the home region: written as often as it is renewed."""


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "drills", *words]


def environment(home: Path) -> dict[str, str]:
    return os.environ | {"DRILLS_HOME": str(home)}


def drills(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), env=environment(home), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def runbook(folder: Path) -> str:
    """The shipped warm standby, with shorter times of watching."""
    text = (ROOT / "runbooks" / "warm-standby.yaml").read_text(encoding="utf-8")
    path = folder / "quick.yaml"
    path.write_text(text.replace("baseline: 5s", "baseline: 1s").replace("stable_for: 5s", "stable_for: 2s"))
    return str(path)


@contextmanager
def rehearsing(home: Path, *words: str) -> Generator[subprocess.Popen[bytes]]:
    """Rehearse in a process that may be killed; what is left of it is."""
    process = subprocess.Popen(
        command("rehearse", runbook(home), *words),
        env=environment(home),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def the_drill(home: Path) -> Path:
    return next(home.glob("*/journal.db")).parent


def until(home: Path, true: Callable[[State], object], within_s: float = 60.0) -> State:
    """Wait until the drill's state on disk is as it should be, and give it."""

    def seen() -> object:
        try:
            return true(read_drill(the_drill(home))[1])
        except (JournalError, StopIteration):
            return False

    eventually(seen, within_s)
    return read_drill(the_drill(home))[1]


def family_of(pid: int) -> dict[int, str]:
    """Every process that descends from one, and how each is told from another of its number."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {one: start(one) for one in found}


def start(pid: int) -> str:
    try:
        return process_start(pid)
    except ProcessLookupError:
        return ""


def test_a_private_sandbox_ends_with_a_drill_that_was_killed_and_nothing_is_owed(tmp_path: Path) -> None:
    with rehearsing(tmp_path) as process:
        state = until(tmp_path, lambda state: state.progress["lose"].ended is not None)
        world = json.loads(next(tmp_path.glob("worlds/*/sandbox.json")).read_text())
        family = {pid: start(pid) for pid in [process.pid, *world["pids"].values()]}
        family |= family_of(process.pid) | {one.pid: one.process for one in state.watched}
        assert len([pid for pid in family if start(pid)]) > 10
        process.send_signal(signal.SIGKILL)
        process.wait()
        eventually(lambda: not any(began and start(pid) == began for pid, began in family.items()), within_s=3.0)
    resumed = drills(tmp_path, "resume", "--output", "json")
    assert resumed.returncode == 3
    told = json.loads(resumed.stdout)
    assert (told["status"], told["exit_code"], told["remains"]) == ("unproven", 3, [])
    assert "nothing is owed" in told["remains_note"]
    assert all(one["verdict"] != "MET" for one in told["objectives"])
    assert "nothing is owed" in drills(tmp_path, "undo").stderr


def test_a_drill_in_a_standing_sandbox_is_killed_twice_and_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    assert drills(tmp_path, "sandbox", "up").returncode == 0
    try:
        with rehearsing(tmp_path, "--in", "default") as process:
            state = until(tmp_path, lambda state: state.progress["lose"].started is not None)
            process.send_signal(signal.SIGKILL)
        observers = {one.pid: one.process for one in state.watched}
        resume = subprocess.Popen(
            command("resume"), env=environment(tmp_path), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(tmp_path, lambda state: state.progress["promote"].started is not None)
        resume.send_signal(signal.SIGSTOP)
        rival = drills(tmp_path, "resume")
        assert (rival.returncode, rival.stdout) == (4, "")
        assert "is driven by another process" in rival.stderr
        resume.kill()
        resume.wait()
        assert all(start(pid) == began for pid, began in observers.items())
        ended = drills(tmp_path, "resume", "--output", "json")
        assert (ended.returncode, json.loads(ended.stdout)["status"]) == (0, "met")
        assert {one.pid for one in read_drill(the_drill(tmp_path))[1].watched} == set(observers)
        audit = [json.loads(line) for line in (tmp_path / "sandboxes/default/audit.jsonl").read_text().splitlines()]
        assert effects(audit) == Counter(
            CreateNetworkAcl=1,
            ReplaceNetworkAclAssociation=2,
            UpdateAutoScalingGroup=1,
            CreateSecurityGroup=1,
            ModifyDBInstance=1,
            PromoteReadReplica=1,
            ChangeResourceRecordSets=1,
        )
        eventually(lambda: not any(start(pid) == began for pid, began in observers.items()), within_s=2.0)
    finally:
        drills(tmp_path, "sandbox", "down")


def effects(audit: list[dict[str, Any]]) -> Counter[str]:
    done = (one for one in audit if one["mutating"] and one["status"] < 300)
    return Counter(one["operation"] for one in done if one["operation"] not in HARMLESS)


def test_a_detached_drill_outlives_its_terminal_and_is_watched_and_aborted_from_another(tmp_path: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        words = command("rehearse", runbook(tmp_path), "--ask", "--detach")
        os.chdir(ROOT)
        os.execve(words[0], words, environment(tmp_path))  # noqa: S606 - this very interpreter
    said = read_all(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    assert "it goes on in the background" in said
    name = the_drill(tmp_path).name
    assert name in said
    try:
        until(tmp_path, lambda state: "go" in state.running)
        with subprocess.Popen(
            command("watch", name), env=environment(tmp_path), stdout=subprocess.PIPE, text=True
        ) as watch:
            before = SystemClock().now()
            assert drills(tmp_path, "abort", name, "--note", "enough").returncode == 0
            seen, _ = watch.communicate(timeout=60)
        assert "turning back: aborted by" in seen
        state = until(tmp_path, lambda state: state.finished is not None)
        assert state.finished is not None
        assert (state.finished.status, state.finished.exit_code) == ("aborted", 6)
        assert state.owed() == []
        first = next(one.at for one in read_drill(tmp_path / name)[0] if isinstance(one.body, ev.UndoStarted))
        assert first.since(before) < 2.0
    finally:
        drills(tmp_path, "abort", name)
        eventually(lambda: not folders.driven(tmp_path / name), within_s=30)


def read_all(terminal: int) -> str:
    said = b""
    while True:
        try:
            more = os.read(terminal, 4096)
        except OSError:  # the other side of the terminal has gone
            return said.decode()
        if not more:
            return said.decode()
        said += more
