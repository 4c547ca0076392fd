"""Credentials that end in mid-drill: the step waits and says so, and goes on with new ones; nothing fails of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import credentials_drill
import pytest
from sandbox_world import client, eventually, running

from drills.cli import glance
from drills.engine.progress import Status
from drills.engine.state import State
from drills.errors import JournalError
from drills.report import telling
from drills.runtime.inbox import say
from drills.runtime.journal import read_drill
from drills.sandbox import lifecycle
from drills.sandbox.booted import Booted
from drills.sandbox.faults import FaultKind, FaultRule
from drills.timeline import events as ev

pytestmark = pytest.mark.sandbox
SCRIPT = Path(credentials_drill.__file__)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[Booted]:
    with running(tmp_path_factory.mktemp("sandbox")) as booted:
        yield booted


@contextmanager
def driving(world: Booted, folder: Path) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), world.folder],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(folder: Path, true: Callable[[State], object]) -> State:
    """Wait until the drill on disk is as it should be."""

    def seen() -> bool:
        try:
            return bool(true(read_drill(folder)[1]))
        except (JournalError, OSError):
            return False

    eventually(seen, within_s=30)
    return read_drill(folder)[1]


def expire(world: Booted, key: str, operation: str = "") -> None:
    """Let an access key have expired."""
    rule = FaultRule(
        f"{key}{operation}", FaultKind.ERROR, key=key, operation=operation, code="ExpiredToken", status=403
    )
    lifecycle.set_fault(world, rule)


def sizes(world: Booted) -> int:
    group = client(world, "autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[world.sites["east"].asg])
    return group["AutoScalingGroups"][0]["MaxSize"]


def bodies(folder: Path, kind: type[Any]) -> list[Any]:
    return [event.body for event in read_drill(folder)[0] if isinstance(event.body, kind)]


def keys_of_roles(world: Booted) -> list[str]:
    """The keys of all role sessions that a drill has used so far, by what it asked for in the sandbox's audit."""
    text = (Path(world.folder) / "audit.jsonl").read_text(encoding="utf-8")
    return sorted(
        {line["key"] for line in map(json.loads, text.splitlines()) if line.get("key", "").startswith("ASIA")}
    )


def test_a_change_whose_credentials_ended_waits_and_is_made_with_new_ones(world: Booted, tmp_path: Path) -> None:
    folder = tmp_path / "drill"
    own = world.sites["east"].account
    with driving(world, folder) as process:
        until(folder, lambda state: state.progress["go"].asked)
        for key in keys_of_roles(world):
            expire(world, key, "UpdateAutoScalingGroup")
        expire(world, own, "AssumeRole")  # nobody has logged in again yet
        say(folder, ev.Told(ev.Word.APPROVE, "anna", 0, "go"))
        until(folder, lambda state: state.progress["second"].renew)
        facts = glance.standing_of(folder)
        assert facts["waits_for_credentials"][0]["step"] == "second"
        assert "second is waiting for credentials of here" in glance.line(facts)
        lifecycle.clear_faults(world, f"{own}AssumeRole")
        assert process.wait(timeout=60) == 3, process.communicate()[0]
    state = read_drill(folder)[1]
    assert {name: one.status for name, one in state.progress.items()} == dict.fromkeys(state.progress, Status.DONE)
    assert not state.progress["second"].renew
    ended = bodies(folder, ev.CredentialsEnded)
    assert [(one.step, one.place) for one in ended] == [("second", "here")]
    assert [one.step for one in bodies(folder, ev.CredentialsBack)] == ["second"]
    assert sizes(world) == 10
    told = "\n".join(telling.line(event, state) or "" for event in read_drill(folder)[0])
    assert "WAITING FOR CREDENTIALS of here" in told
    lifecycle.clear_faults(world)


def test_a_drill_killed_while_it_waits_for_credentials_goes_on_with_new_ones(world: Booted, tmp_path: Path) -> None:
    folder = tmp_path / "drill"
    own = world.sites["east"].account
    with driving(world, folder) as process:
        until(folder, lambda state: state.progress["go"].asked)
        for key in keys_of_roles(world):
            expire(world, key)
        expire(world, own, "AssumeRole")
        say(folder, ev.Told(ev.Word.APPROVE, "anna", 0, "go"))
        until(folder, lambda state: state.progress["second"].renew)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with driving(world, folder) as process:  # credentials are still missing, and it says so again
        until(folder, lambda _: len(bodies(folder, ev.CredentialsEnded)) > 1)
        lifecycle.clear_faults(world, f"{own}AssumeRole")
        assert process.wait(timeout=60) == 3, process.communicate()[0]
    state = read_drill(folder)[1]
    assert {one.status for one in state.progress.values()} == {Status.DONE}
    assert sizes(world) == 10
    lifecycle.clear_faults(world)


def test_keys_that_never_worked_are_refused_and_not_waited_for(world: Booted, tmp_path: Path) -> None:
    folder = tmp_path / "drill"
    rule = FaultRule("never", FaultKind.ERROR, operation="AssumeRole", code="InvalidClientTokenId", status=403)
    lifecycle.set_fault(world, rule)
    with driving(world, folder) as process:
        assert process.wait(timeout=60) == 9, process.communicate()[0]
    state = read_drill(folder)[1]
    assert state.progress["first"].status is Status.FAILED
    assert "not known there" in state.progress["first"].detail
    assert not bodies(folder, ev.CredentialsEnded)
    lifecycle.clear_faults(world)
