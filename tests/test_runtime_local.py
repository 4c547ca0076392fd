"""A drill's process is killed, told to end, refused a disk, given a damaged journal: nothing is done twice or lost."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
from pathlib import Path

import pytest
from runtime_drill import Drill, eventually

from drills.clock import SystemClock
from drills.engine.progress import Status
from drills.runtime import inbox
from drills.runtime.journal import read_drill
from drills.timeline import events as ev
from drills.timeline.events import Told, Word

DONE = ["DO a", "DO b", "DO c"]
UNDONE = ["DO a", "DO b", "UNDO b", "UNDO a"]


def killed_at(drill: Drill, gate: str) -> None:
    """Kill the drill's process while a work stands at one of its moments, and open the gate."""
    drill.outside.close_gate(gate)
    with drill.driven() as process:
        eventually(lambda: drill.outside.is_at(gate))
        process.kill()
    drill.outside.open_gate(gate)


# -- killed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", ["a.before", "a.after", "b.before", "c.after"])
def test_a_drill_killed_before_or_after_an_act_does_each_thing_once(tmp_path: Path, gate: str) -> None:
    drill = Drill(tmp_path, "chain")
    killed_at(drill, gate)
    assert drill.go() == (3, "")
    assert drill.outside.effects == DONE
    state = drill.state
    assert [one.status for one in state.progress.values()] == [Status.DONE] * 3
    assert [one.adopted for one in state.progress.values()] == [False] * 3


@pytest.mark.parametrize("gate", ["a.after", "b.unbefore", "b.unafter", "a.unafter"])
def test_a_drill_killed_on_its_way_back_takes_all_back_once(tmp_path: Path, gate: str) -> None:
    drill = Drill(tmp_path, "fails")
    killed_at(drill, gate)
    assert drill.go() == (9, "")
    assert drill.outside.effects == UNDONE
    assert drill.state.owed() == []


def test_a_drill_killed_at_random_moments_does_each_thing_once(tmp_path: Path) -> None:
    chance = random.Random(20)
    drill = Drill(tmp_path, "long")
    for _ in range(6):
        with drill.driven():
            if drill.outside.effects:
                drill.until(lambda state: state.running or state.finished is not None)
            SystemClock().sleep(chance.uniform(0.0, 0.4) if drill.outside.effects else chance.uniform(0.3, 0.6))
    code, said = drill.go()
    assert (code, said) in ((3, ""), (0, ""))
    assert drill.outside.effects == [f"DO s{number}" for number in range(40)]


def test_a_wait_goes_on_after_a_kill(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "waits")
    with drill.driven():
        drill.until(lambda state: "seen" in state.running)
    drill.outside.make("seen")
    assert drill.go() == (3, "")
    assert drill.outside.effects == ["DO a", "DO seen", "DO b"]


def test_a_drill_killed_before_its_first_event_is_named_and_left_alone(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "chain")
    with drill.driven():
        eventually((drill.folder / "journal.db").exists)
    if not sqlite3.connect(drill.folder / "journal.db").execute("select * from sqlite_master").fetchall():
        said = drill.cli("resume", "drill")
        assert said.returncode == 1
        assert "Traceback" not in said.stderr


# -- in doubt ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "step"), [("slow", "slow"), ("promotes", "promote")])
def test_a_refusal_of_what_is_under_way_already_is_no_failure(tmp_path: Path, name: str, step: str) -> None:
    drill = Drill(tmp_path, name)
    killed_at(drill, f"{step}.after")
    assert drill.go() == (3, "")
    assert drill.outside.effects.count(f"DO {step}") == 1
    one = drill.state.progress[step]
    assert (one.status, one.adopted) == (Status.DONE, False)


def test_an_undo_waits_for_the_change_that_hangs(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "hangs")
    drill.outside.close_gate("a.before")
    with drill.driven() as process:
        drill.until(lambda state: state.progress["a"].undo_started)
        drill.outside.open_gate("a.before")
        assert process.wait(15) == 9
    assert drill.outside.effects == ["DO a", "UNDO a"]


def test_an_undo_is_asked_for_more_often_than_a_change(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "stubborn")
    assert drill.go() == (9, "")
    assert drill.outside.effects == ["DO stubborn", *["ASK stubborn"] * 6, "UNDO stubborn"]
    assert drill.state.owed() == []


# -- one at a time -----------------------------------------------------------------------------------------


def test_a_second_process_is_refused_with_a_clear_sentence(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "waits")
    with drill.driven():
        drill.until(lambda state: "seen" in state.running)
        before = len(read_drill(drill.folder)[0])
        second = drill.cli("resume", "drill")
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr == ("drills: drill drill is driven by another process; `drills watch drill` shows it\n")
        assert len(read_drill(drill.folder)[0]) == before
    drill.outside.make("seen")
    assert drill.go()[0] == 3


# -- signals -----------------------------------------------------------------------------------------------


def test_sigterm_parks_and_a_resume_goes_on(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "waits")
    with drill.driven() as process:
        drill.until(lambda state: "seen" in state.running)
        process.terminate()
        assert process.wait(5) == 0
    assert drill.state.parked
    assert drill.outside.effects == ["DO a"]
    drill.outside.make("seen")
    assert drill.go() == (3, "")
    assert drill.outside.effects == ["DO a", "DO seen", "DO b"]


def test_a_terminal_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "waits")
    with drill.driven() as process:
        drill.until(lambda state: "seen" in state.running)
        process.send_signal(signal.SIGHUP)
        drill.outside.make("seen")
        assert process.wait(10) == 3
    assert drill.outside.effects == ["DO a", "DO seen", "DO b"]


@pytest.mark.parametrize(
    ("name", "code", "effects"), [("chain", 6, ["DO a", "DO b", "UNDO b", "UNDO a"]), ("run", 0, ["DO a", "DO b"])]
)
def test_ctrl_c_without_a_terminal_aborts_a_rehearsal_and_parks_a_run(
    tmp_path: Path, name: str, code: int, effects: list[str]
) -> None:
    drill = Drill(tmp_path, name)
    drill.outside.close_gate("b.after")
    with drill.driven() as process:
        eventually(lambda: drill.outside.is_at("b.after"))
        process.send_signal(signal.SIGINT)
        drill.until(lambda state: state.stop is not None or state.parked)
        drill.outside.open_gate("b.after")
        assert process.wait(10) == code
    assert drill.outside.effects == effects


# -- words -------------------------------------------------------------------------------------------------


def say(drill: Drill, word: Word, step: str = "", note: str = "") -> None:
    inbox.say(drill.folder, Told(word, "ana", 0, step, note))


def test_words_left_while_nobody_drives_are_taken_once_each(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "asks")
    with drill.driven():
        drill.until(lambda state: "go" in state.running)
    say(drill, Word.NOTE, note="the lead is on the phone")
    say(drill, Word.NOTE, note="she says yes")
    with drill.driven():
        drill.until(lambda state: len(state.notes) == 2)
    say(drill, Word.APPROVE, "go")
    assert drill.go() == (3, "")
    state = drill.state
    assert [note for _, _, note in state.notes] == ["the lead is on the phone", "she says yes"]
    assert state.progress["go"].by == "ana"
    told = [one.body.inbox for one in read_drill(drill.folder)[0] if isinstance(one.body, ev.Told)]
    assert told == [1, 2, 3]


def test_an_abort_is_on_its_way_back_within_two_seconds(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "waits")
    with drill.driven() as process:
        drill.until(lambda state: "seen" in state.running)
        said = SystemClock().now()
        say(drill, Word.ABORT)
        assert process.wait(10) == 6
    begun = next(one.at for one in read_drill(drill.folder)[0] if isinstance(one.body, ev.UndoStarted))
    assert begun.since(said) < 2.0
    assert drill.outside.effects == ["DO a", "UNDO a"]


def test_an_abort_left_while_nobody_drives_takes_all_back(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "chain")
    killed_at(drill, "b.after")
    said = drill.cli("abort", "drill")
    assert said.returncode == 0
    assert drill.go() == (6, "")
    assert drill.outside.effects == UNDONE


def test_an_inbox_that_cannot_be_read_starts_nothing(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "chain")
    killed_at(drill, "a.after")
    (drill.folder / "inbox.db").write_bytes(b"this is no database, and never was one" * 20)
    for wal in drill.folder.glob("inbox.db-*"):
        wal.unlink()
    code, said = drill.go()
    assert code == 1
    assert "inbox.db: file is not a database" in said
    assert drill.outside.effects == ["DO a"]


# -- no disk -----------------------------------------------------------------------------------------------


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


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_journal_that_may_not_be_written_is_not_driven(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "chain")
    killed_at(drill, "a.after")
    for path in (drill.folder / "journal.db", drill.folder):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        code, said = drill.go()
    finally:
        drill.folder.chmod(0o700)
    assert code == 1
    assert "Traceback" not in said
    assert drill.outside.effects == ["DO a"]


# -- damaged -----------------------------------------------------------------------------------------------


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


def take_an_event_out(journal: Path) -> None:
    with sqlite3.connect(journal) as db:
        db.execute("delete from events where seq = 3")


def take_the_beginning_out(journal: Path) -> None:
    with sqlite3.connect(journal) as db:
        db.execute("delete from events")


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
        take_an_event_out,
        take_the_beginning_out,
        make_it_another_database,
        make_it_no_database,
    ],
)
def test_a_damaged_journal_is_an_error_and_never_driven(tmp_path: Path, broken_off: Path, damage: object) -> None:
    drill = Drill(tmp_path, "chain")
    drill.folder.mkdir()
    for name in ("journal.db", "inbox.db"):
        (drill.folder / name).write_bytes((broken_off / name).read_bytes())
    assert callable(damage)
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


def test_a_journal_without_its_tail_is_incomplete_and_never_met(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "chain")
    assert drill.go()[0] == 3
    with sqlite3.connect(drill.folder / "journal.db") as db:
        db.execute("delete from events where seq = (select max(seq) from events)")
    shown = drill.cli("show", "drill", "--output", "json")
    told = json.loads(shown.stdout)
    assert (told["status"], told["exit_code"], told["finished"]) == ("incomplete", 3, False)
