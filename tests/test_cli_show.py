"""The reading doors, on journals that real drives have left: whole, cut, damaged, and still growing."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from report_drills import (
    CLAIMS,
    ESCAPES,
    await_asked,
    await_end,
    claiming,
    drills,
    driven,
    environment,
    failover,
    keep,
    shifted,
    simulate,
    states,
)

from drills.cli.main import main
from drills.report.telling import tell
from drills.runtime.inbox import say
from drills.testing import Script
from drills.timeline.events import Claimed, Event, Parked, Ready, Told, Word

NEWEST = "20260103-000000-orders-cccc"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    whole = claiming(simulate(failover()), CLAIMS, "unproven", 3)
    keep(tmp_path, "20260101-000000-orders-aaaa", simulate(failover(), Script(refuses=frozenset({"ready"}))))
    keep(tmp_path, "20260102-000000-orders-bbbb", shifted(simulate(failover(), cut=9), 86_400))
    keep(tmp_path, NEWEST, shifted(whole, 2 * 86_400))
    return tmp_path


def test_show_as_json_is_one_object_with_every_promised_key(home: Path) -> None:
    ran = drills(home, "show", "--output", "json")
    assert (ran.returncode, ran.stderr) == (0, "")
    told = json.loads(ran.stdout)
    assert (told["drill"], told["runbook"], told["status"], told["exit_code"]) == (NEWEST, "orders", "unproven", 3)
    assert told["objectives"][0] == {
        "name": "rto",
        "verdict": "MET",
        "low_s": 7.812,
        "best_s": 8.05,
        "high_s": 8.31,
        "target_s": 300.0,
        "why": "announced drill, detection not exercised",
        "decided_by": "",
        "clocks": [],
    }
    assert told["rows"] == {
        "acked": 12030, "lost": 3, "phantom": 0, "indeterminate": 1, "holes": 0, "diverged": 0, "reconciled": 2,
    }  # fmt: skip
    steps = {one["id"]: one for one in told["steps"]}
    assert steps["lose"]["status"] == "done"
    assert steps["lose"]["started"] == "2023-11-16T22:13:22.000Z"
    assert steps["lose"]["ended"] == "2023-11-16T22:13:23.000Z"


def test_the_exit_code_of_show_is_the_drills_only_when_asked_for(home: Path) -> None:
    assert drills(home, "show").returncode == 0
    assert drills(home, "show", "--exit-code").returncode == 3
    assert drills(home, "show", "20260101", "--exit-code").returncode == 4


def test_a_drill_is_named_by_nothing_its_name_a_beginning_or_a_folder(home: Path) -> None:
    for words in ([], [NEWEST], ["20260103"], [str(home / NEWEST)]):
        assert json.loads(drills(home, "show", *words, "--output", "json").stdout)["drill"] == NEWEST


def test_a_drill_without_its_end_is_incomplete_and_never_met(home: Path) -> None:
    told = json.loads(drills(home, "show", "20260102", "--output", "json").stdout)
    assert (told["status"], told["exit_code"], told["finished"]) == ("incomplete", 3, False)
    assert {one["verdict"] for one in told["objectives"]} == {"UNPROVEN"}
    text = drills(home, "show", "20260102").stdout
    assert "INCOMPLETE" in text
    assert "drills resume 20260102-000000-orders-bbbb" in text


def test_the_list_is_newest_first_and_fits_80_columns(home: Path) -> None:
    ran = drills(home, "list")
    assert [line.split()[:2] for line in ran.stdout.splitlines()[1:]] == [
        [NEWEST, "unproven"],
        ["20260102-000000-orders-bbbb", "incomplete"],
        ["20260101-000000-orders-aaaa", "refused"],
    ]
    assert max(map(len, ran.stdout.splitlines())) <= 80
    told = json.loads(drills(home, "list", "--output", "json").stdout)["drills"]
    assert [one["exit_code"] for one in told] == [3, 3, 4]


def test_status_without_a_running_drill_tells_the_newest(home: Path) -> None:
    assert drills(home, "status").stdout.splitlines() == [f"{NEWEST}  unproven, exit 3, took 11s, orders"]


@pytest.mark.parametrize("form", ["text", "md", "json"])
def test_a_report_to_a_file_is_the_report_on_stdout(home: Path, form: str) -> None:
    ran = drills(home, "report", "--format", form, "--to", "out")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert (home / "out").read_text() == drills(home, "report", "--format", form).stdout


@pytest.mark.parametrize(
    "words", [("report", "--to"), ("export", "-o"), ("measure", "http://127.0.0.1:9/", "--for", "1s", "--keep")]
)
def test_what_cannot_be_written_is_a_wrong_command_line_and_says_so(home: Path, words: tuple[str, ...]) -> None:
    (home / "taken").touch()
    ran = drills(home, *words, "taken/out")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("drills: taken/out cannot be written: ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("report", "--bogus"), "No such option"),
        (("check", "none"), "there is no runbook 'none'"),
        (("catalog", "none"), "there is no 'none' in the catalogue"),
        (("fis", "actions", "none"), "there is no FIS action 'none'"),
        (("find", "none"), "no runbook fits"),
    ],
)
def test_whatever_is_said_against_a_command_line_begins_with_the_name_of_the_tool(
    words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(words)
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"drills: {says}")


def damage(folder: Path, change: str, *values: object) -> None:
    with sqlite3.connect(folder / "journal.db") as db:
        db.execute(change, values)


@pytest.mark.parametrize("at", [1, 5])
def test_a_changed_event_is_named_with_its_file(home: Path, at: int) -> None:
    damage(home / NEWEST, "update events set line = replace(line, '22', '23') || ' ' where seq = ?", at)
    for command in ("show", "report", "watch"):
        ran = drills(home, command, NEWEST)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert f"{NEWEST}/journal.db: event {at} was changed after it was written" in ran.stderr


def test_a_missing_event_is_named_with_its_file(home: Path) -> None:
    damage(home / NEWEST, "delete from events where seq = 4")
    ran = drills(home, "show")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"{NEWEST}/journal.db: event 4 is missing" in ran.stderr


@pytest.mark.parametrize("how", ["foreign", "empty", "cut", "flipped"])
def test_a_file_that_is_no_journal_is_a_clear_error_and_the_list_goes_on(home: Path, how: str) -> None:
    file = home / NEWEST / "journal.db"
    with sqlite3.connect(file) as db:
        db.execute("pragma journal_mode=delete")
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(
        {
            "foreign": b"this is a text file and nothing else\n" * 100,
            "empty": b"",
            "cut": whole[: middle - 100],
            "flipped": whole[:middle]
            + bytes(255 - one for one in whole[middle : middle + 3000])
            + whole[middle + 3000 :],
        }[how]
    )
    ran = drills(home, "show", NEWEST)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"{NEWEST}/journal.db" in ran.stderr
    assert "Traceback" not in ran.stderr
    listed = drills(home, "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "20260101-000000-orders-aaaa  refused" in listed.stdout
    assert drills(home, "status").returncode == 0


def test_events_that_do_not_fit_their_plan_are_a_clear_error(home: Path) -> None:
    other = simulate(failover())
    stranger = [one for one in simulate(failover()) if one.seq <= 3]
    keep(home, "mixed", [*stranger[:1], *shifted(other, 5)[1:3]])
    damage(home / "mixed", "update events set line = replace(line, 'ready', 'rosey')")
    ran = drills(home, "show", "mixed")
    assert ran.returncode == 1
    assert "mixed/journal.db" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_running_drill_is_seen_by_status_list_and_watch(tmp_path: Path) -> None:
    folder = tmp_path / "running"
    with driven(folder) as process:
        line = drills(tmp_path, "status").stdout
        assert line.startswith("running  running: steps, ")
        assert "first " in line
        assert "`drills approve first`?" in line
        assert json.loads(drills(tmp_path, "status", "--output", "json").stdout)["drills"][0]["asks"] == ["first"]
        assert "running  running" in drills(tmp_path, "list").stdout
        watch = subprocess.Popen(
            [sys.executable, "-m", "drills", "watch"], env=environment(tmp_path), stdout=subprocess.PIPE, text=True
        )
        try:
            assert watch.stdout is not None
            first = watch.stdout.readline()  # it has seen the drill running; on a busy machine it starts slowly
            say(folder, Told(Word.APPROVE, "ana", 0, "first"))
            say(folder, Told(Word.NOTE, "ana", 0, note="all quiet"))
            await_asked(folder, "second")
            say(folder, Told(Word.APPROVE, "bob", 0, "second"))
            assert await_end(process) == 0
            seen = watch.stdout.read()  # to its end; the limit of the test bounds it
        finally:
            watch.kill()
            watch.wait(timeout=10)
    assert watch.returncode == 0
    assert "step first: ASKS: Shall it go on?" in first + seen
    assert "bob: approve second" in seen
    assert "over: met (exit 0)" in seen
    assert "MET: every objective was met (exit 0)" in seen
    assert not ESCAPES.search(seen)


def test_watching_ends_when_the_driving_process_dies(tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    with driven(folder) as process:
        watch = subprocess.Popen(
            [sys.executable, "-m", "drills", "watch", "--output", "json"],
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            process.kill()
            seen, _ = watch.communicate(timeout=30)
        finally:
            watch.kill()
            watch.wait(timeout=10)
    assert json.loads(seen)["status"] == "incomplete"


def test_watching_ends_when_nobody_reads_any_more(tmp_path: Path) -> None:
    with driven(tmp_path / "running"):
        watch = subprocess.Popen(
            [sys.executable, "-m", "drills", "watch"],
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert watch.stdout is not None
            assert "drill running" in watch.stdout.readline()
            watch.stdout.close()
            assert drills(tmp_path, "note", "is anybody there?").returncode == 0
            assert watch.wait(timeout=30) == 0
            assert watch.stderr is not None
            assert watch.stderr.read() == ""
        finally:
            watch.kill()
            watch.wait(timeout=10)


@pytest.mark.parametrize("ending", ["parked", "killed", "held"])
def test_a_drill_whose_own_sandbox_ended_with_it_is_not_offered_to_go_on(tmp_path: Path, ending: str) -> None:
    pinned = failover(world="/nowhere/world", world_private=True)
    script = Script(refuses=frozenset({"writer"})) if ending == "held" else None
    events = simulate(pinned, script, cut=None if ending == "held" else 12)
    if ending == "parked":
        events.append(Event(events[-1].seq + 1, events[-1].at, Parked("SIGTERM")))
    keep(tmp_path, "alone", events)
    shown = " ".join(drills(tmp_path, "show").stdout.split())
    assert "its sandbox ended with the process that drove it, so it cannot go on" in shown
    assert "what was observed is kept; rehearse it again" in shown
    assert "goes on" not in shown
    assert "drills undo" not in shown
    assert drills(tmp_path, "show", "--exit-code").returncode == (8 if ending == "held" else 3)
    refused = drills(tmp_path, "abort")
    assert refused.returncode == 4
    assert "there is nothing to abort; `drills resume alone` judges what was observed" in refused.stderr
    assert "its sandbox is gone; rehearse it again: `drills resume alone` judges" in drills(tmp_path, "status").stdout
    assert json.loads(drills(tmp_path, "show", "--output", "json").stdout)["sandbox_ended"] is True


def test_what_stood_in_a_sandbox_that_was_ended_since_is_not_offered_to_be_taken_back(tmp_path: Path) -> None:
    keep(tmp_path, "stays", simulate(failover()))
    keep(tmp_path, "ended", simulate(failover(world="/nowhere/world")))
    assert "to take it back" in drills(tmp_path, "show", "stays").stdout
    told = " ".join(drills(tmp_path, "show", "ended").stdout.split())
    assert "STILL IN PLACE the sandbox that this drill ran in has ended; nothing is owed" in told
    assert "drills undo" not in told
    assert json.loads(drills(tmp_path, "show", "ended", "--output", "json").stdout)["remains"] == []


def test_a_lock_that_stood_in_a_sandbox_that_is_gone_is_held_by_nobody(tmp_path: Path) -> None:
    def killed(name: str, *, private: bool) -> str:
        events = simulate(failover(world="/nowhere/world", world_private=private), cut=12)
        claimed = Event(events[-1].seq + 1, events[-1].at, Claimed("/drills/lock/x", 1, "111122223333", "us-east-2"))
        keep(tmp_path / name, name, [*events, claimed])
        return drills(tmp_path / name, "status").stdout

    assert "still holds /drills/lock/x" in killed("stays", private=False)
    assert "holds" not in killed("ended", private=True)
    assert json.loads(drills(tmp_path / "ended", "status", "--output", "json").stdout)["drills"][0]["holds"] is None


def test_the_report_does_not_send_its_reader_to_itself(home: Path) -> None:
    assert f"tells all  drills report {NEWEST}" in drills(home, "show").stdout
    told = drills(home, "report").stdout
    assert "stored in" in told
    assert "tells all" not in told
    assert "tells all" not in drills(home, "report", "--format", "md").stdout


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("watch", "NOT all observers are up: why"),
        ("baseline", "baseline NOT taken: why"),
        ("settled", "service NOT settled: why"),
        ("collected", "NOT all evidence collected: why"),
        ("another", "NOT another: why"),
    ],
)
def test_a_stage_that_was_not_reached_is_told_in_a_sentence(stage: str, said: str) -> None:
    events = simulate(failover(), cut=12)
    assert tell(Ready(stage, ok=False, detail="why"), events[-1].at, states(events)) == said


def test_a_drill_that_is_parked_says_whether_its_sandbox_goes_on(tmp_path: Path) -> None:
    def last(*, private: bool) -> str:
        events = simulate(failover(world=str(tmp_path), world_private=private), cut=12)
        parked = Event(events[-1].seq + 1, events[-1].at, Parked("SIGTERM"))
        return str(tell(parked.body, parked.at, states([*events, parked])))

    assert last(private=False) == "parked by SIGTERM: `drills resume` goes on"
    assert last(private=True).startswith("parked by SIGTERM: its own sandbox ends now")
