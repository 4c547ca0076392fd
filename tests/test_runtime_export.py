"""A drill is undone from another machine: nothing but its exported file, credentials, and this program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aws_world import World, moto_server

from drills.cli import compose
from drills.engine.plan import Mode
from drills.errors import JournalError, Usage
from drills.runtime.export import bring_in, export
from drills.runtime.journal import read_drill
from drills.testing import plan, step
from drills.timeline import events as ev
from drills.timeline.facts import Facts
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.engine.state import State

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as address:
        yield World(address)


def silent(events: Sequence[ev.Event], state: State) -> None:
    del events, state


def stopped(world: World, folder: Path) -> str:
    """Run a drill that stops an instance and keeps it so, and give the instance."""
    ec2 = world.client("ec2")
    one = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    pinned = plan(
        step("halt", Kind.FAULT, uses="ec2.stop_instances", place="east", params=Facts(ids=[one]), timeout_s=20.0),
        mode=Mode.RUN,
        places=(world.place,),
        to_site="east",
        home="us-east-2",
    )
    show = compose.Show(silent, lambda _: None, lambda: None)
    compose.open_drill(folder, pinned, world.accounts, show, outside=None)
    assert state_of(world, one) == "stopped"
    return one


def state_of(world: World, one: str) -> str:
    return world.client("ec2").describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]["State"]["Name"]


def elsewhere(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Speak to drills on a machine that has a home of its own, and nothing in it."""
    folder.mkdir(exist_ok=True)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("DRILLS_")}
    return subprocess.run(
        [sys.executable, "-m", "drills", *words],
        env=variables | {"HOME": str(folder), "PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("target", ["drill.zip", "copied"])
def test_a_drill_is_undone_from_its_export_after_the_original_is_gone(
    world: World, tmp_path: Path, target: str
) -> None:
    folder = tmp_path / "here" / "20260101-000000-orders-abcd"
    one = stopped(world, folder)
    assert export(folder, tmp_path / target) == len(read_drill(folder)[0])
    shutil.rmtree(folder)
    taken = tmp_path / target if target.endswith(".zip") else tmp_path / target / folder.name
    undone = elsewhere(tmp_path / "there", "undo", str(taken), "--output", "json")
    assert undone.returncode in (0, 6), undone.stderr
    assert state_of(world, one) == "running"
    again = elsewhere(tmp_path / "there", "undo", str(taken))
    assert "nothing is owed" in again.stderr
    assert json.loads(undone.stdout)["remains"] == []


def test_what_somebody_else_changed_since_is_left_alone_and_told_with_what_was_before(
    world: World, tmp_path: Path
) -> None:
    folder = tmp_path / "drill"
    one = stopped(world, folder)
    world.client("ec2").terminate_instances(InstanceIds=[one])
    undone = elsewhere(tmp_path / "there", "undo", str(folder))
    assert undone.returncode in (0, 6), undone.stderr
    told = read_drill(folder)[1].progress["halt"].undo_detail
    assert told.startswith(
        f"now: {one} was terminated since; before: region us-east-1, states {{'{one}': 'running'}}; ours: "
    )
    assert told.endswith(f"to restore it anyway: aws ec2 start-instances --region us-east-1 --instance-ids {one}")
    assert state_of(world, one) == "terminated"


def test_an_export_that_was_changed_or_is_none_is_refused(world: World, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("DRILLS_HOME", str(tmp_path / "home"))
    folder = tmp_path / "here" / "drill"
    stopped(world, folder)
    export(folder, tmp_path / "good.zip")
    with zipfile.ZipFile(tmp_path / "good.zip") as pack:
        facts, journal = json.loads(pack.read("drill.json")), pack.read("journal.db")

    def write(name: str, **members: bytes) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w") as made:
            for member, data in members.items():
                made.writestr(member.replace("_", "."), data)
        return tmp_path / name

    def told(**changes: str) -> bytes:
        return json.dumps({**facts, **changes}).encode()

    bad = [
        write("head.zip", drill_json=told(head="0" * 64), journal_db=journal),
        write("path.zip", drill_json=told(drill="../../evil"), journal_db=journal),
        write("more.zip", drill_json=told(), journal_db=journal, other=b""),
        write("cut.zip", drill_json=told(), journal_db=journal[:4096]),
        write("none.zip", drill_json=b"[]", journal_db=journal),
    ]
    (tmp_path / "text.zip").write_text("no zip", encoding="utf-8")
    for pack_file in (*bad, tmp_path / "text.zip"):
        with pytest.raises(JournalError):
            bring_in(pack_file)
    assert not (tmp_path / "home").exists()
    with pytest.raises(Usage, match="there is no file"):
        bring_in(tmp_path / "missing.zip")
    assert bring_in(tmp_path / "good.zip") == tmp_path / "home" / "drill"
