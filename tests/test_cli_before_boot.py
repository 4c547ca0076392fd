"""What is wrong with a command line is said before a sandbox is booted for it, wherever it is typed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from drills.cli.drill import rehearse
from drills.errors import DrillsError, Usage
from drills.runbook.find import environment_path, runbook_path

CHECKOUT = Path(__file__).resolve().parent.parent
WRONG = {
    "no parameter 'bogus'": ["--set", "bogus=1"],
    "'many' is not of type integer": ["--set", "capacity=many"],
    "write NAME=VALUE": ["--set", "capacity"],
    "there is no site 'mars'; sandbox has east, west": ["--to", "mars"],
    "east is where it begins": ["--to", "east"],
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_word_is_told_without_booting_and_without_a_drill(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("runbooks", "environments"):
        shutil.copytree(CHECKOUT / folder, tmp_path / "book" / folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.delenv("DRILLS_HOME", raising=False)
    book = tmp_path / "book" / "runbooks" / "warm-standby.yaml"  # its environments/ stands beside its folder
    ran = CliRunner().invoke(rehearse, [str(book), *WRONG[words]])
    assert isinstance(ran.exception, DrillsError)
    assert words in str(ran.exception)
    assert "bringing up" not in ran.output
    assert not list(elsewhere.iterdir())


def test_where_there_is_no_folder_what_came_with_drills_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert runbook_path("warm-standby").samefile(CHECKOUT / "runbooks" / "warm-standby.yaml")
    assert environment_path("sandbox").samefile(CHECKOUT / "environments" / "sandbox.yaml")
    with pytest.raises(Usage, match="did you mean 'warm-standby'"):
        runbook_path("warm-standbi")
