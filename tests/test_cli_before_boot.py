"""What is wrong with a command line is said before a sandbox is booted for it, wherever it is typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from drills.cli.background import detach_here
from drills.cli.check import find
from drills.cli.drill import rehearse, run
from drills.cli.observe import observe
from drills.errors import DrillsError, Refused, Usage
from drills.runbook.find import environment_path, runbook_path

CHECKOUT = Path(__file__).resolve().parent.parent
WATCHED = """
environment: place
kind: staging
home: us-east-2
sites:
  east: {account: "111122223333", region: us-east-1}
  west: {account: "111122223333", region: us-west-2}
observe: {availability: [{id: web, http: "http://127.0.0.1:9/"}]}
scope: {tags: {drills: allowed}, max_targets: 10}
"""
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


def test_what_goes_on_in_the_background_and_has_no_place_for_its_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(Refused, match="cannot be written: File exists; work elsewhere"):
        detach_here(tmp_path / "taken" / "a-drill")
    (tmp_path / "place.yaml").write_text(WATCHED, encoding="utf-8")
    monkeypatch.setenv("DRILLS_HOME", str(tmp_path / "taken"))
    for words in (["--detach"], []):
        ran = CliRunner().invoke(observe, [str(tmp_path / "place.yaml"), *words])
        assert isinstance(ran.exception, Refused)
        assert "cannot be written: Not a directory; work elsewhere" in str(ran.exception)


def test_find_tells_the_runbooks_that_rehearse_would_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(find, ["--output", "json"])
    assert told.exit_code == 0
    assert "there is no runbooks/ here; asked are the runbooks that came with drills" in told.stderr
    found = json.loads(told.stdout)
    assert {Path(one["file"]) for one in found} == {runbook_path(one["runbook"]) for one in found}
    assert "orders-warm-standby" in {one["runbook"] for one in found}
    assert "runbooks/ holds 2 runbooks" in CliRunner().invoke(find, ["nothing of the kind"]).stderr
    (tmp_path / "runbooks").mkdir()
    empty = CliRunner().invoke(find, [])
    assert (empty.stdout, empty.stderr) == ("", "drills: no runbook fits; runbooks/ holds 0 runbooks\n")


def test_where_there_is_no_folder_what_came_with_drills_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert runbook_path("warm-standby").samefile(CHECKOUT / "runbooks" / "warm-standby.yaml")
    assert environment_path("sandbox").samefile(CHECKOUT / "environments" / "sandbox.yaml")
    with pytest.raises(Usage, match="did you mean 'warm-standby'"):
        runbook_path("warm-standbi")


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--confirm", "stagin"], "--confirm says 'stagin'"), ([], "does not say 'drills: allowed'")],
)
def test_a_run_that_no_credentials_could_save_is_refused_before_any_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    text = (CHECKOUT / "environments" / "staging.example.yaml").read_text()
    shutil.copytree(CHECKOUT / "environments", tmp_path / "environments")
    kind = text if words else text.replace("kind: staging", "kind: production")
    (tmp_path / "environments" / "staging.yaml").write_text(kind)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRILLS_HOME", str(tmp_path / "home"))
    ran = CliRunner().invoke(run, ["warm-standby", "--env", "staging", *words])
    assert isinstance(ran.exception, Refused)
    assert told in str(ran.exception)
