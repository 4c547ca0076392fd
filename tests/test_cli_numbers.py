"""Verify, history and compare: on drills with real evidence files, whole and tampered with, and on many drills."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from measure_drill import LOST, S, Story, ledger, watch
from report_drills import CLAIMS, OBJECTIVES, claiming, failover, keep, shifted, simulate
from report_drills import drills as process

from drills import __version__
from drills.cli.main import main
from drills.clock import Stamp
from drills.engine.plan import AvailabilityWatch, DataWatch, Mode
from drills.engine.state import fold
from drills.observe.reader import appending
from drills.observe.recorder import Recorder
from drills.observe.store import seal
from drills.report.evidence import altered_evidence
from drills.report.judging import finished, judged_claims
from drills.report.rules import rules
from drills.runtime.journal import Journal, pinned_plan
from drills.testing import Script, plan, step
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.facts import Facts, Json, Receipt
from drills.timeline.marks import Mark
from drills.timeline.samples import Samples
from drills.work import Evidence, Kind

DRILL = "20260101-000000-orders-aaaa"


def record(file: Path, story: Story, *, rows: Samples | None) -> None:
    """Write one observer's file: availability where rows are given, else a ledger and what its reader found."""
    file.parent.mkdir(parents=True, exist_ok=True)
    one = ledger(story)
    recorder = Recorder(file, watch(story).header if rows is not None else one.header)
    batch = recorder.take()
    if rows is not None:
        batch.samples.extend(rows)
    else:
        batch.markers.extend(one.book.markers)
    assert recorder.flush(batch, []) == ""
    recorder.close()
    if rows is None:
        with appending(file) as run:
            run.executemany(
                "INSERT INTO recovered VALUES (?, ?, ?, ?, ?)",
                [(row.round, row.read_at, row.writer, row.seq, row.primary) for row in one.book.recovered],
            )
            run.executemany(
                "INSERT INTO rounds VALUES (?, ?, ?, ?, ?)",
                [(row.round, row.started, row.ended, row.server, row.complete) for row in one.book.rounds],
            )


def lived(folder: Path, story: Story | None = None) -> Path:
    """Write a drill as it is after a failover that was watched: journal, evidence, and claims judged from both."""
    story = story or Story()
    lose = step("lose", Kind.FAULT, mark=Mark.DISASTER, evidence=(Evidence.REPLICATION_CUT,), uses="site.isolate")
    pinned = plan(lose, step("promote", Kind.ACTION, "lose"), runbook="orders", mode=Mode.REHEARSE)
    pinned = replace(
        pinned,
        objectives=OBJECTIVES,
        availability=(AvailabilityWatch("service", "http://orders.test/healthz", header="X-Drills-Site"),),
        data=(DataWatch("orders", "orders", "env:OLD", "env:NEW"),),
    )
    service, orders = folder / "observers" / "service.db", folder / "observers" / "orders.db"
    with Journal.create(folder) as journal:
        record(service, story, rows=watch(story).samples)
        record(orders, story, rows=None)
        told = timeline(codec.dump(pinned), service, orders)
        events = [ev.Event(number, stamp(at), body) for number, (at, body) in enumerate(told, 1)]
        journal.append(events)
        claims = judged_claims(folder, fold(pinned, events))
        real: list[Json] = ["PostgreSQL"]
        claims = Facts(**{**claims, "real": real})
        journal.append([ev.Event(len(events) + 1, stamp(21), ev.Finished("met", 0, claims))])
    return folder


def timeline(pinned: str, service: Path, orders: Path) -> list[tuple[float, ev.Body]]:
    """Tell a failover, in seconds from the loss."""
    seals = {file: seal(file) for file in (service, orders)}
    sealed = [ev.Sealed(f.stem, str(f), one.rows, one.first, one.last, one.sha256) for f, one in seals.items()]
    return [
        (-20, ev.Opened(DRILL, "0", "ana@host", pinned)),
        (-16, ev.Watching("service", str(service), 1, "1")),
        (-16, ev.Watching("orders", str(orders), 2, "1")),
        (-15, ev.Ready("watch", ok=True, detail="")),
        (-0.1, ev.Ready("baseline", ok=True, detail="")),
        (-0.01, ev.Started("lose", 1)),
        (0.01, ev.Performed("lose", Receipt())),
        (0.02, ev.Effective("lose", ok=True, detail="gone")),
        (0.02, ev.Ended("lose", ev.Outcome.DONE, "gone")),
        (0.1, ev.Started("promote", 1)),
        (3.1, ev.Ended("promote", ev.Outcome.DONE, "promoted")),
        (19, ev.Ready("settled", ok=True, detail="")),
        *((20.0, one) for one in sealed),
        (20, ev.Ready("collected", ok=True, detail="")),
    ]


def stamp(at_s: float) -> Stamp:
    return Stamp(1_767_225_600_000_000_000 + round(at_s * S), LOST + round(at_s * S), "host/boot")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lived(tmp_path_factory.mktemp("whole") / DRILL).parent


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage; the original stays whole, so that only the copy's own files can differ."""
    shutil.copytree(whole / DRILL, tmp_path / DRILL)
    return tmp_path


@dataclass(frozen=True)
class Ran:
    """How the door answered."""

    returncode: int
    stdout: str
    stderr: str


def drills(home: Path, *words: str) -> Ran:
    """Go through the one door in this process: a process for each of so many questions would take a minute."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("DRILLS_HOME", str(home))
        code = main(words)
    return Ran(code, out.getvalue(), err.getvalue())


def verified(home: Path) -> tuple[int, dict[str, Any]]:
    ran = drills(home, "verify", "--output", "json")
    assert ran.stderr == ""
    told = json.loads(ran.stdout)
    assert told["exit_code"] == ran.returncode
    return ran.returncode, told


def checks(told: dict[str, Any]) -> dict[str, bool | None]:
    return {one["name"]: one["ok"] for one in told["checks"]}


def apart(told: dict[str, Any]) -> list[str]:
    return [text for one in told["checks"] for text in one["differences"]]


def change(file: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(file) as run:
        assert run.execute(statement, values).rowcount > 0
    run.close()


def test_a_drill_as_it_was_written_is_verified(home: Path) -> None:
    code, told = verified(home)
    assert code == 0, apart(told)
    assert set(checks(told).values()) == {True}
    assert {"timeline", "plan", "evidence of service", "verdicts", "rows", "phases", "ending"} <= checks(told).keys()
    ran = process(home, "verify", DRILL)
    assert (ran.returncode, ran.stderr) == (0, "")
    text = ran.stdout
    assert "VERIFIED: every number follows from the stored evidence" in text
    assert "rto MET, rpo MET" in text


def test_a_flipped_bit_in_the_journal_is_named(home: Path) -> None:
    journal = home / DRILL / "journal.db"
    change(journal, "update events set line = replace(line, 'promoted', 'promotee') where seq = 11")
    code, told = verified(home)
    assert (code, checks(told)) == (1, {"timeline": False})
    assert "event 11 was changed after it was written" in told["checks"][0]["detail"]


def test_a_flipped_bit_in_the_journals_pages_is_a_sentence_and_no_traceback(home: Path) -> None:
    file = home / DRILL / "journal.db"
    change(file, "update events set link = link where seq = 1")
    data = bytearray(file.read_bytes())
    at = data.index(b'"promoted"') + 3
    data[at] ^= 1
    file.write_bytes(data)
    code, told = verified(home)
    assert code == 1
    assert checks(told)["timeline"] is False


def test_a_changed_sample_is_named_by_its_seal_and_by_the_numbers_it_moves(home: Path) -> None:
    file = home / DRILL / "observers" / "service.db"
    change(file, "update samples set up = 0, by = 0, hard = 1 where sent between ? and ?", LOST + 5 * S, LOST + 7 * S)
    code, told = verified(home)
    assert code == 1
    assert checks(told)["evidence of service"] is False
    assert checks(told)["evidence of orders"] is True
    assert any(one.startswith("service.sha256: sealed '") for one in apart(told))
    assert any(one.startswith("objectives.rto.high_s: claimed 5") for one in apart(told)), apart(told)


def test_one_lost_marker_row_changes_the_rows(home: Path) -> None:
    file = home / DRILL / "observers" / "orders.db"
    change(file, "delete from recovered where seq = (select max(seq) from recovered)")
    code, told = verified(home)
    assert code == 1
    assert (checks(told)["rows"], checks(told)["evidence of orders"]) == (False, False)
    assert any(one.startswith("rows.lost: claimed ") for one in apart(told))


def test_a_missing_observer_file_is_named(whole: Path, tmp_path: Path) -> None:
    lived(tmp_path / DRILL)
    (tmp_path / DRILL / "observers" / "service.db").unlink()
    code, told = verified(tmp_path)
    assert code == 1
    missing = next(one for one in told["checks"] if one["name"] == "evidence of service")
    assert missing["ok"] is False
    assert "service.db is missing; it was sealed with" in missing["detail"]
    assert "objectives.rto.verdict: claimed 'MET', recomputed 'UNPROVEN'" in apart(told)
    assert verified(whole)[0] == 0


def test_evidence_that_is_no_file_of_ours_any_more_is_a_clear_error(home: Path) -> None:
    file = home / DRILL / "observers" / "service.db"
    file.with_name("service.db-wal").unlink(missing_ok=True)
    file.write_bytes(b"nothing of the kind\n" * 500)
    ran = process(home, "verify")
    assert ran.returncode == 1
    assert "service.db" in ran.stdout.replace("\n", "")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("lie", "named"),
    [
        ({"status": "missed"}, "finished.status: claimed 'missed', recomputed 'met'"),
        ({"exit_code": 1}, "finished.exit_code: claimed 1, recomputed 0"),
    ],
)
def test_an_ending_that_does_not_follow_is_named(tmp_path: Path, lie: dict[str, Any], named: str) -> None:
    told = told_otherwise(tmp_path, lambda body: {**body, **lie})
    assert apart(told) == [named]


def test_a_number_claimed_better_than_it_was_is_named(tmp_path: Path) -> None:
    def better(body: dict[str, Any]) -> dict[str, Any]:
        body["claims"]["objectives"][0]["high_s"] = 1.5
        body["claims"]["phases"].pop()
        body["claims"]["objectives"][0]["why"] = "as an earlier version put it"
        return body

    told = told_otherwise(tmp_path, better)
    assert {"objectives": False, "phases": False, "verdicts": True}.items() <= checks(told).items()
    assert any(one.startswith("objectives.rto.high_s: claimed 1.5, recomputed 5") for one in apart(told))


def by_somebody_else(home: Path, *words: str) -> tuple[int, str]:
    """Go through the door as a user who owns nothing here; what it needs is loaded, for that user may not load it."""
    out = home.parent / f"said-{'-'.join(words)}"
    if (child := os.fork()) == 0:
        code = 99
        try:
            with out.open("w") as told:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setresgid(65534, 65534, 65534)
                    os.setresuid(65534, 65534, 65534)
                ran = drills(home, *words)
                told.write(" ".join((ran.stdout + ran.stderr).split()))
                code = ran.returncode
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), out.read_text()


def test_what_a_reader_may_not_write_is_verified_and_what_it_may_not_read_is_not_called_damaged(whole: Path) -> None:
    with tempfile.TemporaryDirectory() as outside:  # pytest's own folders are closed to others
        home = Path(outside) / "archive"
        folder = home / DRILL
        shutil.copytree(whole / DRILL, folder)
        for beside in (*folder.rglob("*-wal"), *folder.rglob("*-shm")):
            beside.unlink()
        asked = (("verify",), ("list",), ("status",), ("undo",), ("show",))
        for words in asked:
            drills(home, *words)  # loads what each needs
        Path(outside).chmod(0o755)
        for beside in (*folder.rglob("*-wal"), *folder.rglob("*-shm")):
            beside.unlink()
        shut = [home, *(one for one in home.rglob("*") if one.is_dir())]
        for one in shut:
            one.chmod(0o555)
        try:
            assert by_somebody_else(home, "verify")[0] == 0
            (folder / "journal.db").chmod(0)
            for words, code in zip(asked, (3, 0, 0, 2, 2), strict=True):
                ended, said = by_somebody_else(home, *words)
                assert (ended, "permission denied" in said) == (code, True), (words, said)
                assert "amaged" not in said
        finally:
            for one in shut:
                one.chmod(0o755)


ALTERED = "the claims may have been altered, and the chain made anew over them"
OTHERWISE = "a difference of rules is no sign that anything was altered"


@pytest.mark.parametrize(
    ("judged_by", "says", "not_said"),
    [("", OTHERWISE, ALTERED), ("0.0.9+0123456789ab", OTHERWISE, ALTERED), (rules(), ALTERED, OTHERWISE)],
)
def test_figures_of_other_rules_over_whole_evidence_are_not_told_as_altered(
    tmp_path: Path, judged_by: str, says: str, not_said: str
) -> None:
    def no_rows_lost(body: dict[str, Any]) -> dict[str, Any]:
        body["claims"]["rows"]["lost"] += 3
        return {**body, "rules": judged_by}

    told = told_otherwise(tmp_path, no_rows_lost)
    assert (told["intact"], told["other_rules"], told["rules"]) == (True, judged_by != rules(), rules())
    said = " ".join(drills(tmp_path, "verify").stdout.split())
    assert "the timeline and all evidence are as they were written" in said
    assert (says in said, not_said in said) == (True, False)
    assert f"drills {judged_by or '0, before rules were written down'})" in said
    change(tmp_path / DRILL / "observers" / "service.db", "update samples set up = 0 where sent > ?", LOST + 9 * S)
    assert verified(tmp_path)[1]["intact"] is False
    damaged = " ".join(drills(tmp_path, "verify").stdout.split())
    assert "what was stored is no longer what was sealed: evidence of service" in damaged
    assert OTHERWISE not in damaged


def test_a_drill_writes_down_by_which_rules_it_was_judged(whole: Path) -> None:
    with Journal.open(whole / DRILL) as journal:
        events = journal.read()
    found = finished(Facts(), fold(pinned_plan(events), events[:-1]))
    assert found.rules == rules()
    assert rules().startswith(f"{__version__}+")


def test_sentences_that_another_version_worded_otherwise_are_mentioned_and_no_difference(tmp_path: Path) -> None:
    def reworded(body: dict[str, Any]) -> dict[str, Any]:
        body["claims"]["objectives"][0]["why"] = "as an earlier version put it"
        body["claims"]["phases"][0]["detail"] = "in other words"
        body["claims"]["assumptions"].append("one that nobody makes any more")
        return body

    told = told_otherwise(tmp_path, reworded, code=0)
    named = {text.partition(":")[0].rstrip("0123456789") for one in told["checks"] for text in one["reworded"]}
    assert named == {"objectives.rto.why", "phases.detect.detail", "assumptions."}
    assert apart(told) == []
    assert "WORDED OTHERWISE TODAY" in drills(tmp_path, "verify").stdout


def told_otherwise(home: Path, lie: Callable[[dict[str, Any]], dict[str, Any]], code: int = 1) -> dict[str, Any]:
    """Rewrite the last event with an unbroken chain, as somebody would who knows how, and verify."""
    lived(home / "true" / DRILL)
    with Journal.open(home / "true" / DRILL) as journal:
        events = journal.read()
    last = events[-1]
    assert isinstance(last.body, ev.Finished)
    body = lie(json.loads(codec.dump(last.body)))
    told = ev.Finished(body["status"], body["exit_code"], Facts(**body["claims"]), body["rules"])
    keep(home, DRILL, [*events[:-1], ev.Event(last.seq, last.at, told)])
    shutil.copytree(home / "true" / DRILL / "observers", home / DRILL / "observers")
    ended, found = verified(home)
    assert ended == code, apart(found)
    return found


def test_a_drill_whose_end_was_cut_off_is_not_verified(tmp_path: Path) -> None:
    keep(tmp_path, DRILL, simulate(failover(), cut=9))
    code, told = verified(tmp_path)
    assert code == 3
    assert checks(told)["claims"] is None


# -- several drills ----------------------------------------------------------------------------------------


def figure(low_s: float, high_s: float | None, verdict: str = "MET") -> Facts:
    """Claims with one objective."""
    rto: dict[str, Json] = {"name": "rto", "best_s": None, "target_s": 300.0, "why": "", "decided_by": ""}
    rto |= {"low_s": low_s, "high_s": high_s, "verdict": verdict}
    objectives: list[Json] = [rto]
    return Facts(**{**CLAIMS, "objectives": objectives})


ABORT = ev.Told(ev.Word.ABORT, "ana", 1)


def keep_many(home: Path, lows: list[float], runbook: str = "orders", first_day: int = 0) -> None:
    """Write one drill a day, each with an RTO of [low, low + 0.5] s."""
    lasted = simulate(failover(runbook=runbook))
    for day, low in enumerate(lows, first_day):
        events = claiming(shifted(lasted, day * 86_400), figure(low, low + 0.5), "met", 0)
        keep(home, f"{day:03}-{runbook}", events)


def test_history_below_six_drills_shows_points_and_makes_no_claim(tmp_path: Path) -> None:
    keep_many(tmp_path, [7.0, 9.0, 8.0, 7.5, 8.5])
    keep(tmp_path, "z-unfinished", simulate(failover(), cut=9))
    told = json.loads(drills(tmp_path, "history", "--output", "json").stdout)
    (kind,) = told["kinds"]
    (rto,) = kind["objectives"]
    assert [one["low"] for one in rto["points"]] == [7.0, 9.0, 8.0, 7.5, 8.5]
    assert (rto["largest"], rto["median"], rto["interval"]) == ({"low": 9.0, "high": 9.5}, None, None)
    assert rto["needs"] == ["a median with its interval needs 6 drills", "a 90th percentile needs 29"]
    assert round(rto["misses"]["at_most"], 2) == 0.45
    assert told["left_out"] == [{"drill": "z-unfinished", "why": "it has not finished", "damaged": False}]
    assert [one["name"] for one in kind["steps"]][:2] == ["ready", "lose"]
    text = " ".join(drills(tmp_path, "history").stdout.split())
    assert "missed in 0 of 5 decided drills, so a drill may miss with a probability of up to 45 % (all at 95 %)" in text
    assert "not said: a median with its interval needs 6 drills" in text


def test_where_no_drill_fits_history_says_so_in_one_line_and_what_to_do(tmp_path: Path) -> None:
    none = drills(tmp_path, "history").stdout
    assert (
        none
        == f"no drill in {tmp_path} counts: `drills rehearse RUNBOOK` makes one that does, `drills list` shows all\n"
    )
    keep_many(tmp_path, [7.0])
    other = drills(tmp_path, "history", "--runbook", "ordrs").stdout
    assert other == f"no drill of ordrs in {tmp_path} counts, but some of orders: say one of these with --runbook\n"
    late = drills(tmp_path, "history", "--since", "2100-01-01").stdout
    assert late.startswith(f"no drill in {tmp_path} counts since 2100-01-01, the newest is of 20")


@pytest.mark.parametrize("gone", [False, True])
def test_a_takeover_says_that_observers_went_on_only_where_they_could(tmp_path: Path, *, gone: bool) -> None:
    folder = lived(tmp_path / DRILL)
    with Journal.take(folder) as journal:
        _, state = journal.told()
        more: list[ev.Body] = [ev.Resumed("ana", 2), *([ev.WorldGone("its sandbox has ended")] if gone else [])]
        journal.append([ev.Event(state.count + number, stamp(30), body) for number, body in enumerate(more, 1)])
        claims = judged_claims(folder, journal.state())
    assert ("observers went on watching" in str(claims["warnings"])) is not gone
    assert ("its sandbox had ended" in str(claims["warnings"])) is gone


@pytest.mark.parametrize(("mode", "altered"), [(Mode.REHEARSE, True), (Mode.INCIDENT, False)])
def test_only_the_evidence_of_a_drill_that_is_held_grows_after_its_seal(
    tmp_path: Path, mode: Mode, *, altered: bool
) -> None:
    folder = lived(tmp_path / DRILL)
    with Journal.open(folder) as journal:
        events, state = journal.told()
    # Nothing of an incident is undone by itself: an abort leaves it held, and its observers go on.
    opened = ev.Opened(DRILL, "0", "ana@host", codec.dump(replace(state.plan, mode=mode)))
    abort = ev.Told(ev.Word.ABORT, "ana", 1)
    bodies = [opened, *(one.body for one in events[1:12]), abort, *(one.body for one in events[12:])]
    events = [ev.Event(number, stamp(number), body) for number, body in enumerate(bodies, 1)]
    assert altered_evidence(folder, events) == ""
    change(
        folder / "observers" / "service.db",
        "insert into samples select id + 999, sent + 1, ended, up, 0, by, status, null, null, null, '' from samples",
    )
    assert ("service.db was changed after it was sealed" in altered_evidence(folder, events)) is altered


def test_a_drill_killed_before_its_first_event_is_left_out_as_what_it_is(tmp_path: Path) -> None:
    keep_many(tmp_path, [7.0, 8.0])
    (tmp_path / "z-torn").mkdir()
    (tmp_path / "z-torn" / "journal.db").touch()
    keep(tmp_path, "z-unwritten", [])
    ran = drills(tmp_path, "history", "--output", "json")
    why = "the drill ended before its first event: nothing was begun, and its folder can go"
    left = [{"drill": name, "why": why, "damaged": False} for name in ("z-torn", "z-unwritten")]
    assert sorted(json.loads(ran.stdout)["left_out"], key=lambda one: one["drill"]) == left
    compared = drills(tmp_path, "compare")
    assert (ran.returncode, compared.returncode) == (0, 0)
    assert f"not counted: z-torn: {why}" in compared.stderr
    assert "z-unwritten  empty" in drills(tmp_path, "list").stdout
    assert drills(tmp_path, "verify", "z-torn").returncode == 3
    assert (drills(tmp_path, "watch", "z-torn").returncode, drills(tmp_path, "show", "z-torn").returncode) == (1, 1)
    (tmp_path / "z-torn" / "observers").mkdir()
    assert drills(tmp_path, "history").returncode == 3, "what observed something had begun: its journal is gone"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (Script(refuses=frozenset({"promote"})), "it failed before the end of its runbook: promote: refused"),
        (Script(says=((3.0, ABORT),)), "it was aborted before the end of its runbook: aborted by ana"),
    ],
    ids=["failed", "aborted"],
)
def test_a_drill_that_turned_back_did_not_recover_and_is_in_no_figure(tmp_path: Path, script: Script, why: str) -> None:
    keep_many(tmp_path, [7.0, 9.0])
    keep(tmp_path, "z-back", claiming(simulate(failover(), script), figure(1.0, 1.5), "aborted", 6))
    told = json.loads(drills(tmp_path, "history", "--output", "json").stdout)
    (kind,) = told["kinds"]
    assert (kind["turned_back"], [one["low"] for one in kind["objectives"][0]["points"]]) == (1, [7.0, 9.0])
    (left,) = told["left_out"]
    assert (left["drill"], left["damaged"]) == ("z-back", False)
    assert left["why"].startswith(why)
    assert "1 more turned back" in drills(tmp_path, "history").stdout
    later = drills(tmp_path, "history", "--since", "2100-01-01", "--output", "json")
    assert json.loads(later.stdout)["left_out"] == [], "nor is one named that is older than was asked for"
    compared = drills(tmp_path, "compare")
    assert f"not counted: z-back: {why}" in " ".join(compared.stderr.split())
    assert compared.returncode == 0


def test_a_drill_that_recovered_counts_though_somebody_took_it_back_later(tmp_path: Path) -> None:
    keep_many(tmp_path, [7.0])
    over = claiming(simulate(failover()), figure(9.0, 9.5), "met", 0)
    undone = (ev.Told(ev.Word.UNDO, "ana", 1), ev.Finished("aborted", 6, figure(9.0, 9.5)))
    keep(tmp_path, "z-undone", [*over, *(ev.Event(len(over) + n, over[-1].at, one) for n, one in enumerate(undone, 1))])
    told = json.loads(drills(tmp_path, "history", "--output", "json").stdout)
    assert [one["low"] for one in told["kinds"][0]["objectives"][0]["points"]] == [7.0, 9.0]


@pytest.mark.parametrize("damage", ["seal", "chain"])
def test_a_drill_that_is_damaged_is_left_out_of_every_statistic_by_its_name(home: Path, damage: str) -> None:
    keep_many(home, [10.0, 11.0])
    sound = drills(home, "history", "--output", "json")
    assert (sound.returncode, json.loads(sound.stdout)["left_out"]) == (0, [])
    if damage == "seal":
        change(home / DRILL / "observers" / "service.db", "update samples set sent = sent + 1 where rowid = 1")
    else:
        change(
            home / DRILL / "journal.db", "update events set line = replace(line, 'promoted', 'promotee') where seq = 11"
        )
    left = drills(home, "history", "--output", "json")
    told = json.loads(left.stdout)
    assert left.returncode == 3
    assert [(one["drill"], one["damaged"]) for one in told["left_out"]] == [(DRILL, True)]
    assert sum(len(kind["drills"]) for kind in told["kinds"]) == 2
    assert DRILL in drills(home, "history").stdout
    compared = drills(home, "compare", "--since", "2026-01-02")
    assert f"not counted: {DRILL}: " in compared.stderr
    assert compared.returncode in (2, 3), compared.stdout
    named = drills(home, "compare", DRILL, DRILL)
    assert named.returncode == 1
    assert DRILL in named.stderr


def test_history_from_six_drills_gives_the_median_with_its_interval_over_both_ends(tmp_path: Path) -> None:
    keep_many(tmp_path, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    told = json.loads(drills(tmp_path, "history", "--runbook", "orders", "--output", "json").stdout)
    rto = told["kinds"][0]["objectives"][0]
    assert (rto["median"], rto["interval"]) == ({"low": 3.5, "high": 4.0}, {"low": 1.0, "high": 6.5})
    assert rto["confidence"] == 0.96875
    assert json.loads(drills(tmp_path, "history", "--runbook", "other", "--output", "json").stdout)["kinds"] == []


def test_two_drills_are_told_apart_only_where_their_bounds_do_not_meet(tmp_path: Path) -> None:
    keep_many(tmp_path, [7.0, 7.3, 9.0])
    same = json.loads(drills(tmp_path, "compare", "000", "001", "--output", "json").stdout)["comparisons"][0]
    assert same["objectives"][0]["answer"] == "not told apart"
    longer = json.loads(drills(tmp_path, "compare", "002", "000", "--output", "json").stdout)["comparisons"][0]
    (rto,) = longer["objectives"]
    assert (longer["before"]["name"], rto["answer"]) == ("000-orders", "longer")
    assert rto["longer_by"] == {"low": 1.5, "high": 2.5}


def test_a_difference_is_told_without_a_sign_for_the_word_beside_it_says_which_way(tmp_path: Path) -> None:
    keep_many(tmp_path, [9.0, 7.0, 7.3])

    def told(*names: str) -> str:
        said = drills(tmp_path, "compare", *names).stdout.partition("STEPS")[0]
        return " ".join(said.split())

    assert "shorter by 1.50s..2.50s" in told("000", "001")
    assert "not told apart at most 200ms shorter, at most 800ms longer" in told("001", "002")
    assert " -" not in told("000", "001").partition("MIND")[0]


@pytest.mark.parametrize(("earlier", "claimed"), [(18, False), (19, True)])
def test_one_drill_stands_out_only_from_nineteen_others(tmp_path: Path, earlier: int, *, claimed: bool) -> None:
    keep_many(tmp_path, [7.0] * earlier + [9.0])
    ran = drills(tmp_path, "compare", "--exit-code", "--output", "json")
    found = json.loads(ran.stdout)["comparisons"][0]
    (rto,) = found["objectives"]
    assert rto["p_low"] == 1 / (earlier + 1)
    assert rto["why"].startswith(f"outside the range seen (above it), {earlier} drills")
    assert (rto["answer"], ran.returncode) == (("slower", 1) if claimed else ("no claim", 0))
    assert bool(rto["needs"]) is not claimed


def test_two_groups_differ_only_if_both_ends_agree(tmp_path: Path) -> None:
    keep_many(tmp_path, [5.0, 5.1, 5.2, 7.0, 7.1, 7.2])
    day = "2023-11-17T22:13:20"  # the fourth drill
    ran = drills(tmp_path, "compare", "--since", day, "--exit-code", "--output", "json")
    found = json.loads(ran.stdout)["comparisons"][0]
    assert (found["before"]["n"], found["after"]["n"], ran.returncode) == (3, 3, 1)
    (rto,) = found["objectives"]
    assert (rto["answer"], rto["p_low"], rto["p_high"]) == ("slower", 0.05, 0.05)
    assert "ready" in {one["name"] for one in found["steps"]}
    too_few = drills(tmp_path, "compare", "--since", "2023-11-18T22:13:20", "--output", "json")
    (rto,) = json.loads(too_few.stdout)["comparisons"][0]["objectives"]
    assert rto["answer"] == "no claim"
    assert rto["needs"] == "4 and 2 drills cannot show a change at 5 %; 4 and 3 could"


def keep_phases(home: Path, bounds: dict[str, list[tuple[float, float]]]) -> None:
    """Write one drill a day with these bounds of its phases."""
    lasted = simulate(failover())
    for day in range(len(next(iter(bounds.values())))):
        phases: list[Json] = [
            {"name": name, "seconds": sum(each[day]) / 2, "detail": "", "low_s": each[day][0], "high_s": each[day][1]}
            for name, each in bounds.items()
        ]
        claims = Facts(**{**figure(7.0, 7.5), "phases": phases})
        keep(home, f"{day:03}-orders", claiming(shifted(lasted, day * 86_400), claims, "met", 0))


def test_groups_named_one_by_one_are_compared_by_phase_and_both_ends_must_agree(tmp_path: Path) -> None:
    decide = [(1.0, 1.1), (1.1, 1.2), (1.2, 1.3), (3.0, 3.1), (3.1, 3.2), (3.2, 3.3)]
    promote = [(1.0, 9.0), (1.1, 9.1), (1.2, 9.2), (3.0, 9.0), (3.1, 9.1), (3.2, 9.2)]
    keep_phases(tmp_path, {"decide": decide, "promote": promote})
    words = ("compare", "000,001,002", "003,004,005")
    found = json.loads(drills(tmp_path, *words, "--output", "json").stdout)["comparisons"][0]
    assert (found["before"]["n"], found["after"]["n"]) == (3, 3)
    assert {one["name"]: one["answer"] for one in found["phases"]} == {"decide": "slower", "promote": "no claim"}
    assert "decide" in drills(tmp_path, *words).stdout
    (two,) = json.loads(drills(tmp_path, "compare", "000", "003", "--output", "json").stdout)["comparisons"]
    assert {one["name"]: one["answer"] for one in two["phases"]} == {"decide": "longer", "promote": "not told apart"}
    told = json.loads(drills(tmp_path, "history", "--output", "json").stdout)["kinds"][0]
    series = {one["name"]: one for one in told["phases"]}
    assert series["decide"]["median"] == {"low": 2.1, "high": 2.2}
    refused = drills(tmp_path, "compare", "000,001", "001,002")
    assert (refused.returncode, "001-orders stands on both sides" in refused.stderr) == (2, True)


def keep_rows(home: Path, lows: list[int], runbook: str = "orders") -> None:
    """Write one drill a day that lost so many rows, or one more."""
    lasted = simulate(failover(runbook=runbook))
    for day, low in enumerate(lows):
        told: dict[str, Json] = {"name": "lost_rows", "verdict": "MISSED" if low else "UNPROVEN", "target": 0}
        told |= {"low": low, "best": low, "high": low + 1, "unit": "rows", "why": "", "decided_by": ""}
        objectives: list[Json] = [told]
        claims = Facts(**{**CLAIMS, "objectives": objectives})
        keep(home, f"{day:03}-{runbook}", claiming(shifted(lasted, day * 86_400), claims, "missed", 1))


def test_history_and_compare_tell_rows_in_rows(tmp_path: Path) -> None:
    keep_rows(tmp_path, [0, 3, 7], "old")
    keep_rows(tmp_path, [30, 33, 37], "new")
    told = json.loads(drills(tmp_path, "history", "--runbook", "old", "--output", "json").stdout)
    (rows,) = told["kinds"][0]["objectives"]
    assert rows["points"][1] == {"low": 3, "high": 4, "unit": "rows"}
    assert (rows["targets"], rows["unit"], rows["misses"]["missed"]) == ([0], "rows", 2)
    said = drills(tmp_path, "history", "--runbook", "old").stdout
    assert "lost_rows  3  7 rows..8 rows" in said
    both = ("--runbook", "old", "--runbook", "new")
    told = json.loads(drills(tmp_path, "compare", *both, "--output", "json").stdout)["comparisons"][0]
    assert (told["objectives"][0]["answer"], told["regressed"]) == ("more", True)
    said = drills(tmp_path, "compare", *both).stdout
    assert "0 rows..8 rows (n = 3)" in said
    assert drills(tmp_path, "compare", *both, "--exit-code").returncode == 1
    single = drills(tmp_path, "compare", "000-old", "002-new").stdout
    assert "more" in single
    assert "by 36 rows..38 rows" in single
    single = json.loads(drills(tmp_path, "compare", "000-old", "002-new", "--output", "json").stdout)["comparisons"][0]
    assert single["objectives"][0]["more_by"] == {"low": 36, "high": 38, "unit": "rows"}


def test_a_figure_that_an_earlier_version_did_not_know_is_no_difference(tmp_path: Path) -> None:
    def without(body: dict[str, Any]) -> dict[str, Any]:
        del body["claims"]["exposure"]
        del body["claims"]["recovery"]
        del body["claims"]["flaps"]["observer"]
        return body

    told = told_otherwise(tmp_path, without, code=0)
    assert all(checks(told)[name] is True for name in ("exposure", "recovery", "flaps"))


def test_two_runbooks_are_compared_by_the_same_names(tmp_path: Path) -> None:
    keep_many(tmp_path, [7.0, 7.1, 7.2])
    keep_many(tmp_path, [5.0, 5.1, 5.2], "orders-new", 10)
    words = ("--runbook", "orders", "--runbook", "orders-new")
    found = json.loads(drills(tmp_path, "compare", *words, "--output", "json").stdout)["comparisons"][0]
    assert found["objectives"][0]["answer"] == "faster"
    assert any("different kinds" in note for note in found["notes"])
    assert "faster" in drills(tmp_path, "compare", *words).stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("compare", "a", "b", "c"), "one or two drills"),
        (("compare", "000,", ","), "',' names no drill"),
        (("compare", "--since", "tomorrow"), "'tomorrow' is no day"),
        (("compare", "--since", "2030-01-01"), "both before and since"),
        (("compare", "000"), "nothing to compare it with"),
        (("compare", "--runbook", "x"), "there is no finished drill of x"),
        (("verify", "nothing"), "there is no drill 'nothing'"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_reason(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    keep_many(tmp_path, [7.0, 8.0])
    ran = drills(tmp_path, *words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert says in ran.stderr
