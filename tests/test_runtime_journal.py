"""No room for the journal, or a journal that is not what was written: nothing new starts, and nothing is MET."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from runtime_drill import Drill, killed_at

DDL = "create table events(seq integer primary key, line text not null, link text not null) strict"


def test_a_full_disk_stops_a_drill_before_the_next_act(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "long")
    code, said = drill.go(limit=120_000)
    assert code == 1
    assert said.startswith(f"drills: {drill.folder / 'journal.db'}: ")
    assert said.endswith("nothing more is started\n")
    done = drill.outside.effects
    assert 0 < len(done) < 40
    begun = [name for name, one in drill.state.progress.items() if one.started is not None]
    assert {line.removeprefix("DO ") for line in done} <= set(begun)
    assert drill.go()[0] == 3
    assert drill.outside.effects == [f"DO s{number}" for number in range(40)]


def test_a_disk_that_takes_nothing_begins_nothing(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "chain")
    code, said = drill.go(limit=0)
    assert code == 1
    assert "nothing was started" in said
    assert "Traceback" not in said
    assert drill.outside.effects == []


NO_OVERRIDE = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
"""Root without leave to read and write what the modes of a file forbid."""


def test_a_journal_that_may_not_be_written_is_not_driven(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "chain")
    killed_at(drill, "a.after")
    if os.geteuid() == 0:
        if shutil.which(NO_OVERRIDE[0]) is None:
            pytest.skip("nothing is read-only for root, and there is no setpriv to make it so")
        drill.through = NO_OVERRIDE
    for path in (*drill.folder.glob("*"), drill.folder):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        code, said = drill.go()
    finally:
        drill.folder.chmod(0o700)
        for path in drill.folder.glob("*"):
            path.chmod(0o600)
    assert code == 1
    assert "nothing was started" in said
    assert "Traceback" not in said
    assert drill.outside.effects == ["DO a"]
    drill.through = ()
    assert drill.go() == (3, "")
    assert drill.outside.effects == ["DO a", "DO b", "DO c"]


def mounted(*words: str) -> str:
    """Mount a file system in memory; gives why it could not be, or nothing."""
    try:
        done = subprocess.run(["mount", *words], capture_output=True, text=True, timeout=20, check=False)  # noqa: S607 - the system's own
    except OSError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


def test_a_full_file_system_stops_a_drill_and_room_lets_it_go_on(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "long")
    killed_at(drill, "s3.after")
    kept = tmp_path / "kept"
    drill.folder.rename(kept)
    drill.folder.mkdir()
    held = sum(path.stat().st_size for path in kept.iterdir())
    why = mounted("-t", "tmpfs", "-o", f"size={held + 160_000}", "tmpfs", str(drill.folder))
    if why:
        pytest.skip(f"no file system of its own can be mounted here: {why}")
    try:
        for path in kept.iterdir():
            shutil.copy(path, drill.folder)
        code, said = drill.go()
        assert code == 1
        assert "full" in said
        assert "Traceback" not in said
        done = drill.outside.effects
        assert 4 <= len(done) < 40
        assert mounted("-o", "remount,size=64m", str(drill.folder)) == ""
        assert drill.go()[0] == 3
        assert drill.outside.effects == [f"DO s{number}" for number in range(40)]
    finally:
        subprocess.run(["umount", str(drill.folder)], timeout=20, check=True)  # noqa: S607 - the system's own


def flip_a_bit(journal: Path) -> None:
    with sqlite3.connect(journal) as db:
        (line,) = db.execute("select line from events where seq = 3").fetchone()
        db.execute("update events set line = ? where seq = 3", (line.replace('"a"', '"b"', 1),))


def flip_a_raw_bit(journal: Path) -> None:
    data = bytearray(journal.read_bytes())
    at = data.find(b'"kind":"Started"')
    data[at + 9] ^= 1
    journal.write_bytes(bytes(data))


def cut_the_file(journal: Path) -> None:
    data = journal.read_bytes()
    journal.write_bytes(data[: len(data) // 2])


def changed_by(statements: Sequence[str], journal: Path) -> None:
    with sqlite3.connect(journal) as db:
        for statement in statements:
            db.execute(statement)


BY_SQL = {
    "an event taken out": ["delete from events where seq = 3"],
    "all events taken out": ["delete from events"],
    "an event before the first": ["update events set seq = -1 where seq = (select max(seq) from events)"],
    "a broken letter in the schema": [
        "pragma writable_schema = on",
        "update sqlite_master set name = cast(x'e92222' as text), sql = 'what'",
    ],
}


def make_it_another_database(journal: Path) -> None:
    journal.unlink()
    with sqlite3.connect(journal) as db:
        db.execute("create table customers(name text)")


def make_it_no_database(journal: Path) -> None:
    journal.write_text("met\n" * 400)


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drill that was killed with one change made and one in doubt; its journal in one file."""
    drill = Drill(tmp_path_factory.mktemp("broken"), "chain")
    killed_at(drill, "b.after")
    with sqlite3.connect(drill.folder / "journal.db") as db:
        db.execute("pragma wal_checkpoint(truncate)")
        db.execute("pragma journal_mode = delete")
    return drill.folder


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_bit,
        flip_a_raw_bit,
        cut_the_file,
        make_it_another_database,
        make_it_no_database,
        *(pytest.param(partial(changed_by, statements), id=name) for name, statements in BY_SQL.items()),
    ],
)
def test_a_damaged_journal_is_an_error_and_never_driven(
    tmp_path: Path, broken_off: Path, damage: Callable[[Path], None]
) -> None:
    drill = Drill(tmp_path, "chain")
    drill.folder.mkdir()
    for name in ("journal.db", "inbox.db"):
        (drill.folder / name).write_bytes((broken_off / name).read_bytes())
    damage(drill.folder / "journal.db")
    code, said = drill.go()
    assert code == 1
    for ran in (drill.cli("show", "drill", "--output", "json"), drill.cli("resume", "drill")):
        assert ran.returncode != 0
        assert '"met"' not in ran.stdout
        assert "Traceback" not in ran.stderr
        said += ran.stderr
    assert said.count("journal.db") >= 3
    assert drill.outside.effects == []


@pytest.mark.parametrize("statement", ["pragma user_version = 0", DDL])
def test_a_drill_killed_before_its_first_event_is_named_and_not_driven(tmp_path: Path, statement: str) -> None:
    drill = Drill(tmp_path, "chain")
    drill.folder.mkdir()
    with sqlite3.connect(drill.folder / "journal.db") as db:
        db.execute(statement)
    for ran in (drill.cli("resume", "drill"), drill.cli("resume"), drill.cli("list"), drill.cli("status")):
        assert "Traceback" not in ran.stderr
    resumed = drill.cli("resume", "drill")
    assert resumed.returncode == 1
    assert "journal.db: " in resumed.stderr
    assert "nothing was begun" in resumed.stderr
    assert drill.go()[0] == 1


def test_a_journal_without_its_tail_is_incomplete_and_never_met(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "chain")
    assert drill.go()[0] == 3
    with sqlite3.connect(drill.folder / "journal.db") as db:
        db.execute("delete from events where seq = (select max(seq) from events)")
    shown = drill.cli("show", "drill", "--output", "json")
    told = json.loads(shown.stdout)
    assert (told["status"], told["exit_code"], told["finished"]) == ("incomplete", 3, False)
