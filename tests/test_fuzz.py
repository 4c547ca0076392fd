"""Broken files of every kind are answered by a sentence: no traceback, no hang, and nothing damaged is called met."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fuzzing import Ran, fuzz_file, ran, ran_for_real, wrong_answer
from fuzzing_drills import fuzz_drill, whole_drills
from test_cli_numbers import DRILL

from drills.cli.folders import ends
from drills.errors import JournalError

FILES = range(50)
DRILLS = range(50)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return whole_drills(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def home(whole: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a drill that was met, for a test to damage."""
    shutil.copytree(whole[0], tmp_path / DRILL)
    monkeypatch.setenv("DRILLS_HOME", str(tmp_path))
    return tmp_path / DRILL


def test_broken_files_are_answered_by_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRILLS_HOME", "")
    assert [fault for number in FILES for fault in fuzz_file(number, tmp_path)] == []
    assert fuzz_file(3, tmp_path, ran_for_real) == []


def test_damaged_drills_are_answered_by_a_sentence_and_never_called_met(
    tmp_path: Path, whole: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRILLS_HOME", "")
    assert [fault for number in DRILLS for fault in fuzz_drill(number, tmp_path, whole)] == []
    assert fuzz_drill(3, tmp_path, whole, ran_for_real) == []


def test_the_judge_of_answers_finds_a_wrong_one() -> None:
    assert wrong_answer(Ran(("check",), 1, "", "Traceback (most recent call last)"))
    assert wrong_answer(Ran(("check",), 5, "", "drills: something is wrong"))
    assert wrong_answer(Ran(("check",), 0, "", "", "no answer within 20 s"))
    assert not wrong_answer(Ran(("check",), 5, "", "x.yaml:3: something is wrong"))


@pytest.mark.parametrize(
    "change", ["update samples set up = 1", "delete from samples where id = 3", "drop table markers"]
)
def test_what_was_claimed_of_altered_evidence_is_unproven(home: Path, change: str) -> None:
    file = home / "observers" / ("service.db" if "samples" in change else "orders.db")
    assert '"met"' in ran("show", DRILL, "--output", "json").out
    with closing(sqlite3.connect(file)) as db:
        db.execute(change)
        db.commit()
    for words in (("show", DRILL, "--output", "json"), ("report", DRILL, "--format", "json")):
        answer = ran(*words)
        assert '"met"' not in answer.out
        assert '"MET"' not in answer.out
        assert '"unproven"' in answer.out
        assert f"evidence of {file.stem}" in answer.out


GROWN = """insert into samples
    select id + 1000, sent + 90000000000, ended + 90000000000, 1, 0, by, status, null, null, null, '' from samples"""
"""No observer wrote it: they were all stopped before their files were sealed."""


@pytest.mark.parametrize("change", ["update samples set up = 1", GROWN])
def test_an_undo_does_not_judge_altered_evidence_as_if_it_were_whole(home: Path, change: str) -> None:
    with closing(sqlite3.connect(home / "observers" / "service.db")) as db:
        db.execute(change)
        db.commit()
    answer = ran("undo", DRILL, "--accept-data-loss", "--output", "json")
    assert '"MET"' not in answer.out
    assert "the evidence is not what was sealed" in answer.out


def test_a_list_does_not_call_a_journal_met_whose_middle_was_changed(home: Path) -> None:
    with closing(sqlite3.connect(home / "journal.db")) as db:
        db.execute("update events set line = replace(line, 'promoted', 'promotee') where seq = 11")
        db.commit()
    with pytest.raises(JournalError, match="event 11 was changed after it was written"):
        ends(home)
    for door in ("list", "status"):
        answer = ran(door)
        assert "damaged" in answer.out.lower()
        assert "met" not in answer.out.replace("promoted", "")
    assert os.environ["DRILLS_HOME"] == str(home.parent)
