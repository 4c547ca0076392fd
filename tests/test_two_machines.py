"""A drill on one machine, answered from others that share nothing with it but the account."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

import pytest
from aws_world import World, moto_server
from runtime_drill import eventually

from drills.cli import folders
from drills.engine.state import State
from drills.errors import JournalError
from drills.runtime.journal import read_drill
from drills.timeline import events as ev

pytestmark = [pytest.mark.prove, pytest.mark.timeout(240)]
TESTS = Path(__file__).parent

ENVIRONMENT = """
environment: staging
kind: staging
home: us-east-2
sites:
  east: {{account: "123456789012", region: us-east-1, values: {{asg: {old}}}}}
  west: {{account: "123456789012", region: us-west-2, values: {{asg: {new}}}}}
active: {{probe: autoscaling.in_service, with: {{asg: "${{site.asg}}", count: 2}}}}
people: {{lead: [anna, ben]}}
scope: {{tags: {{drills: allowed}}, max_targets: 3}}
"""
RUNBOOK = """
runbook: grow
title: Grow the surviving site
strategy: pilot-light
service: orders
no_fence: nothing is failed over
steps:
  - {id: grow, action: autoscaling.set_capacity, at: to, with: {asg: "${to.asg}", min: 1, desired: 1, max: 4}}
  - id: go
    operator: confirm
    timeout: 2m
    with: {roles: [lead], approvers: 2, not_starter: true}
    by_hand: Ask the leads.
  - {id: more, action: autoscaling.set_capacity, at: to, with: {asg: "${to.asg}", min: 1, desired: 1, max: 5}}
"""


@dataclass(frozen=True)
class Machine:
    """A home, a folder and a key of its own."""

    folder: Path
    endpoint: str
    key: str

    def words(self, *words: str) -> list[str]:
        return [sys.executable, str(TESTS / "machine.py"), self.endpoint, self.key, *words]

    def variables(self, who: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DRILLS_"))}
        return kept | {"HOME": str(self.folder), "LOGNAME": who, "PYTHONPATH": str(TESTS.parent)}

    def drills(self, who: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words),
            env=self.variables(who),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@dataclass(frozen=True)
class Account:
    world: World
    environment: str
    asg: str

    def machine(self, folder: Path, key: str) -> Machine:
        (folder / "environments").mkdir(parents=True)
        (folder / "environments" / "staging.yaml").write_text(self.environment, encoding="utf-8")
        return Machine(folder, self.world.place.endpoint_url or "", key)


@pytest.fixture
def account() -> Generator[Account]:
    with moto_server() as endpoint:
        east, west = World(endpoint), World(endpoint, "us-west-2")
        old, new = east.asg(1, 2, 2), west.asg(1, 1, 2)
        allowed = {"ResourceId": new, "ResourceType": "auto-scaling-group", "Key": "drills", "Value": "allowed"}
        west.client("autoscaling").create_or_update_tags(Tags=[{**allowed, "PropagateAtLaunch": False}])
        yield Account(west, ENVIRONMENT.format(old=old, new=new), new)


def state_of(machine: Machine) -> State:
    return read_drill(folders.every(machine.folder / ".drills")[0])[1]


def came(machine: Machine) -> list[str]:
    try:
        events, _ = read_drill(folders.every(machine.folder / ".drills")[0])
    except (JournalError, IndexError):
        return []
    return [f"{one.body.by.partition('@')[0]} {one.body.word}" for one in events if isinstance(one.body, ev.Told)]


def asks(machine: Machine) -> bool:
    try:
        return state_of(machine).progress["go"].asked
    except (JournalError, IndexError):
        return False


@contextmanager
def growing(machine: Machine) -> Generator[subprocess.Popen[str]]:
    """Have carl start the drill on a machine, and wait until it asks."""
    (machine.folder / "runbooks").mkdir()
    (machine.folder / "runbooks" / "grow.yaml").write_text(RUNBOOK, encoding="utf-8")
    with subprocess.Popen(
        machine.words("run", "grow", "--env", "staging", "--to", "west", "--confirm", "staging"),
        env=machine.variables("carl"),
        cwd=machine.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            eventually(lambda: asks(machine), 60)
            yield process
        finally:
            process.send_signal(SIGTERM)


def test_two_people_on_two_machines_answer_with_nothing_but_credentials(account: Account, tmp_path: Path) -> None:
    first, second, third = (account.machine(tmp_path / name, f"AKIA{name.upper()}") for name in ("one", "two", "three"))
    with growing(first) as process:
        name = folders.every(first.folder / ".drills")[0].name

        def answer(machine: Machine, who: str, step: str = "go") -> None:
            said = machine.drills(who, "approve", "--env", "staging", name, step)
            assert said.returncode == 0, said.stderr

        for number, (machine, who) in enumerate([(second, "carl"), (second, "dora"), (second, "anna")], 1):
            answer(machine, who)
            eventually(lambda number=number: len(came(first)) == number, 30)
        answer(third, "anna", "no-such-step")
        answer(third, "anna")
        eventually(lambda: len(came(first)) == 5, 30)
        assert state_of(first).progress["go"].ended is None, "one person on two machines is one person"
        answer(third, "ben")
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 3, said
    assert came(first)[:3] == ["carl approve", "dora approve", "anna approve"]
    assert sorted(came(first)[3:5]) == ["anna approve", "anna note"]
    assert came(first)[5] == "ben approve"
    assert "does not count: carl@" in said
    assert "does not count: dora@" in said
    state = state_of(first)
    assert state.progress["go"].detail.startswith("approved by anna@")
    assert account.world.sizes(account.asg) == (1, 1, 5)
    assert not list(second.folder.glob(".drills/*/journal.db"))
    home = World(account.world.place.endpoint_url or "", "us-east-2").client("ssm")
    left = home.get_parameters_by_path(Path="/drills", Recursive=True)["Parameters"]
    assert [one["Name"] for one in left if "/answers/" in one["Name"]] == []


def test_a_drill_is_undone_on_a_machine_that_has_its_file_and_credentials(account: Account, tmp_path: Path) -> None:
    first, second = (account.machine(tmp_path / name, f"AKIA{name.upper()}") for name in ("one", "two"))
    with growing(first) as process:
        process.kill()
    assert account.world.sizes(account.asg) == (1, 1, 4)
    pack = second.folder / "drill.zip"
    assert first.drills("carl", "export", "--to", str(pack)).returncode == 0
    undone = second.drills("anna", "undo", str(pack))
    assert undone.returncode == 6, undone.stdout + undone.stderr
    assert account.world.sizes(account.asg) == (1, 1, 2)
    assert "nothing is owed" in second.drills("anna", "undo", str(pack)).stderr
