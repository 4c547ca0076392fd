"""The talking doors: what is taken, what is left for later, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_drills import await_asked, await_end, drills, driven, failover, keep, simulate, states

from drills.runtime.inbox import Inbox
from drills.testing import Script
from drills.timeline.events import Asked, Ended, Word


def said(folder: Path) -> list[tuple[str, str, str]]:
    inbox = Inbox(folder)
    try:
        return [(one.word.value, one.step, one.note) for one in inbox.fetch(0)]
    finally:
        inbox.close()


def test_a_running_drill_takes_every_word(tmp_path: Path) -> None:
    folder = tmp_path / "running"
    with driven(folder) as process:
        assert drills(tmp_path, "pause").stdout == "pause: taken by running\n"
        assert "is paused already" in drills(tmp_path, "pause").stderr
        assert drills(tmp_path, "continue").stdout == "continue: taken by running\n"
        assert "is not paused" in drills(tmp_path, "continue").stderr
        assert drills(tmp_path, "note", "all quiet").stdout == "note: taken by running\n"
        refused = drills(tmp_path, "approve", "second")
        assert refused.returncode == 4
        assert "step second has not asked yet; asking now: first" in refused.stderr
        assert drills(tmp_path, "approve", "first", "--note", "go").stdout == "approve first: taken by running\n"
        await_asked(folder, "second")
        again = drills(tmp_path, "approve", "running", "first")
        assert "step first does not ask any more: it is done" in again.stderr
        aborted = drills(tmp_path, "abort", "--note", "enough")
        assert aborted.returncode == 0
        assert aborted.stdout.splitlines() == [
            "abort: taken by running",
            "1 change will be undone, in this order",
            "  1. undo nothing (flow.nothing at to)",
        ]
        assert await_end(process) == 0
    over = drills(tmp_path, "abort")
    assert over.returncode == 4
    assert "drill running is over (aborted): there is nothing to abort" in over.stderr


def test_a_rejection_aborts_the_drill(tmp_path: Path) -> None:
    with driven(tmp_path / "running") as process:
        assert drills(tmp_path, "reject", "first").stdout == "reject first: taken by running\n"
        assert await_end(process) == 0
    assert "aborted" in drills(tmp_path, "status").stdout


@pytest.fixture
def asking(tmp_path: Path) -> Path:
    """A drill whose process was killed while it asked."""
    whole = simulate(failover(ask=True))
    cut = next(one.seq for one in whole if isinstance(one.body, Asked))
    return keep(tmp_path, "asking", whole[:cut])


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["approve", "go"], ("approve", "go", "")),
        (["reject", "asking", "go", "--note", "no"], ("reject", "go", "no")),
        (["abort"], ("abort", "", "")),
        (["note", "asking", "the pager is quiet"], ("note", "", "the pager is quiet")),
        (["skip", "writer", "--note", "known"], ("skip", "writer", "known")),
    ],
)
def test_a_word_to_a_drill_that_nobody_drives_is_left_for_resume(
    asking: Path, words: list[str], left: tuple[str, str, str]
) -> None:
    ran = drills(asking.parent, *words)
    assert ran.returncode == 0
    assert "nobody drives it now, `drills resume asking` will take it" in ran.stdout
    assert said(asking) == [left]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["approve", "goo"], "drill asking has no step 'goo'; did you mean 'go'?"),
        (["approve", "zzz"], "there are: ready, lose, go, scale"),
        (["approve", "scale"], "step scale is an action (test.action): it asks nobody; asking now: go"),
        (["retry", "lose"], "step lose cannot be tried again: it is done"),
        (["skip", "lose"], "step lose cannot be skipped: it is done"),
        (["resolve", "writer", "done", "--note", "I looked"], "step writer cannot be resolved: it is waiting"),
        (["pause"], "nobody drives drill asking now"),
        (["continue"], "nobody drives drill asking now"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_left(asking: Path, words: list[str], says: str) -> None:
    ran = drills(asking.parent, *words)
    assert (ran.returncode, ran.stdout) == (4, "")
    assert says in ran.stderr
    assert not (asking / "inbox.db").exists()


def test_a_step_in_doubt_is_resolved_with_a_note(tmp_path: Path) -> None:
    whole = simulate(failover())
    started = next(one.seq for one in whole if isinstance(one.body, Ended) and one.body.step == "scale")
    folder = keep(tmp_path, "doubt", whole[: started - 1])
    assert "scale" in states(whole[: started - 1]).running
    refused = drills(tmp_path, "skip", "scale")
    assert "is changing something now and cannot be skipped" in refused.stderr
    assert drills(tmp_path, "resolve", "scale", "done").returncode == 2
    assert drills(tmp_path, "resolve", "scale", "done", "--note", "four instances run").returncode == 0
    assert said(folder) == [(Word.RESOLVE_DONE.value, "scale", "four instances run")]


def test_a_held_drill_says_what_a_person_can_choose(tmp_path: Path) -> None:
    keep(tmp_path, "held", simulate(failover(), Script(refuses=frozenset({"writer"}))))
    aborted = drills(tmp_path, "abort")
    assert aborted.returncode == 4
    assert "has turned back already" in aborted.stderr
    assert "it is held: `drills resume held`, or `drills undo held STEP --accept-data-loss`" in aborted.stderr
    resolved = drills(tmp_path, "retry", "writer")
    assert "`drills resume held` tries it again, `drills skip held writer` goes on without" in resolved.stderr


def test_a_drill_that_is_over_takes_no_word(tmp_path: Path) -> None:
    keep(tmp_path, "over", simulate(failover()))
    for words in (
        ["approve", "go"],
        ["abort"],
        ["pause"],
        ["continue"],
        ["skip", "go"],
        ["retry", "go"],
        ["note", "x"],
    ):
        ran = drills(tmp_path, *words)
        assert ran.returncode == 4
        assert "drill over is over (met)" in ran.stderr


def test_an_undo_of_what_owes_nothing_says_so_and_gives_one_object_as_json(tmp_path: Path) -> None:
    keep(tmp_path, "refused", simulate(failover(), Script(refuses=frozenset({"ready"}))))
    ran = drills(tmp_path, "undo", "--output", "json")
    assert (ran.returncode, ran.stderr) == (0, "nothing is owed: there is nothing to take back\n")
    told = json.loads(ran.stdout)
    assert (told["drill"], told["status"], told["remains"]) == ("refused", "refused", [])


def test_two_running_drills_must_be_told_apart(tmp_path: Path) -> None:
    with driven(tmp_path / "one"), driven(tmp_path / "two"):
        ran = drills(tmp_path, "abort")
        assert ran.returncode == 2
        assert "2 drills run; say which: " in ran.stderr
        assert len(drills(tmp_path, "status").stdout.splitlines()) == 2


def test_a_note_longer_than_the_limit_is_refused(asking: Path) -> None:
    ran = drills(asking.parent, "note", "x" * 2001)
    assert ran.returncode == 2
    assert "at most 2000 are taken" in ran.stderr
