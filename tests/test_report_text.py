"""What a report says of a drill, and that every form of it says the same."""

from __future__ import annotations

import io
import json
import os
import pty
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_drills import CLAIMS, ESCAPES, claiming, failover, simulate, states

from drills.engine.plan import Finally, Mode, Objective, Plan
from drills.measure.evidence import Bracket
from drills.report import content, figures, markdown, paint, switch, text
from drills.report import json as json_report
from drills.report.blocks import Command, Line, Part, Table, Words
from drills.report.printable import harmless
from drills.report.result import DrillResult, Source, summarize
from drills.report.telling import line
from drills.testing import Script, plan, step
from drills.timeline import events as ev
from drills.timeline.facts import Facts, Json
from drills.timeline.marks import Limits


def result(
    pinned: Plan, script: Script | None = None, claims: Facts | None = None, *, cut: int | None = None
) -> DrillResult:
    events = simulate(pinned, script, cut)
    return summarize(events, states(events), claims, Source("drills/orders-1", "ab" * 32, driven=False))


def test_the_text_names_every_bound_row_phase_flap_and_tail() -> None:
    events = claiming(simulate(failover()), CLAIMS, "unproven", 3)
    said = text.render(summarize(events, states(events), source=Source("drills/orders-1")))
    for words in (
        "UNPROVEN: not every objective could be judged (exit 3)",
        "verdict     low   best      high  target",
        "rto  MET       7.81s  8.05s     8.31s      5m",
        "rpo  UNPROVEN     0s   20ms  no bound     30s",
        "rto: announced drill, detection not exercised",
        "it would take a step that cuts",
        "decide    900ms  1.02s  1.14s  operator: go",
        "together  7.81s  8.05s  8.31s  from the disaster until checkout",
        "checkout      1       7.20s         8.05s  7.50s to 8.20s",
        "each from the outage's beginning on, as it saw it; checkout: fresh DNS",
        "DNS tail -100ms to 900ms",
        "the slowest client that keeps names for their TTL was back after 7.80s to",
        "acked  lost  phantom  indeterminate  holes  diverged  reconciled",
        "12,030     3        0              1      0         0",
        "written at 20/s",
        "checkout    2,412  7.80s .. 8.10s         120ms  fresh DNS",
        "real       PostgreSQL primary and standby; HTTP application; DNS server",
        "simulated  AWS control plane (moto)",
        "! only 812 good samples",
        "promote                done  22:13:2",
        "stored in  drills/orders-1",
    ):
        assert words in said, words
    assert max(map(len, said.splitlines())) <= 80
    short = text.render(summarize(events, states(events)), full=False)
    assert "1 assumption, listed in the report" in short
    assert len(short.splitlines()) < len(said.splitlines())


def test_a_store_that_was_never_read_lost_a_dash_and_what_bounds_another_is_no_line_of_its_own() -> None:
    unread: dict[str, Json] = {"acked": 66, "indeterminate": 0, "lost": None, "phantom": None, "holes": None}
    orders: dict[str, Json] = {"store": "orders", "low_s": 0.0, "why": "no complete reading of the survivor"}
    carts: dict[str, Json] = {"store": "carts", "low_s": 0.1, "high_s": 0.2, "why": "the interval between markers"}
    stores: list[Json] = [{**orders, "rows": unread}, {**carts, "rows": {**unread, "lost": 3}}]
    said = text.render(result(failover(), claims=Facts(**{**CLAIMS, "rows": unread, "stores": stores})))
    assert "     66     -        -              0      -         -\n" in said
    assert "  orders     -  " in said
    assert "no complete reading" in said
    assert "the interval between markers" not in said


LOST_ROWS: dict[str, Json] = {
    "name": "lost_rows",
    "verdict": "MISSED",
    "low": 1204,
    "best": 1205,
    "high": 1206,
    "target": 1,
    "unit": "rows",
    "why": "at least 1,204 rows, above 1 row",
    "decided_by": "",
}


def test_an_objective_in_rows_is_told_in_rows_and_in_json_by_fields_without_seconds() -> None:
    listed: list[Json] = [LOST_ROWS]
    told = result(failover(), claims=Facts(**{**CLAIMS, "objectives": listed}))
    said = text.render(told)
    assert "  lost_rows  MISSED    1,204 rows  1,205 rows  1,206 rows   1 row\n" in said
    assert "lost_rows: at least 1,204 rows, above 1 row" in said
    assert "| lost\\_rows | MISSED | 1,204 rows |" in markdown.render(told)
    (found, *others) = json.loads(json_report.render(told))["objectives"]
    assert found == LOST_ROWS
    assert {"low_s", "best_s", "high_s", "target_s"} <= others[0].keys()


def test_rows_that_nobody_counted_are_unproven_with_their_target() -> None:
    aim = Objective("lost_rows", None, None, 0.0, limits=Limits.LOST_ROWS, most_rows=7)
    told = result(replace(failover(), objectives=(aim,)), claims=Facts(error="ValueError: no samples"))
    (found,) = json.loads(json_report.render(told))["objectives"]
    assert (found["verdict"], found["low"], found["high"], found["target"]) == ("UNPROVEN", None, None, 7)
    assert "7 rows\n" in text.render(told)


def test_an_exposure_is_told_with_bounds_and_one_without_end_by_its_least() -> None:
    bounds: dict[str, Json] = {"low_s": 1.3, "best_s": 3.8, "high_s": 6.4, "restored": True, "why": ""}
    told = result(failover(), claims=Facts(**{**CLAIMS, "exposure": bounds}))
    assert "without redundancy for 1.30s to 6.40s, best 3.80s" in text.render(told)
    assert json.loads(json_report.render(told))["exposure"] == bounds
    why = "redundancy was not restored: exposed until the drill's end, at least 12s"
    still: dict[str, Json] = {"low_s": 12.0, "best_s": None, "high_s": None, "restored": False, "why": why}
    assert why in text.render(result(failover(), claims=Facts(**{**CLAIMS, "exposure": still}))).replace("\n  ", " ")


WRONG: tuple[Json, ...] = (None, [], {}, "words", 3, [1, "x", None], [{}])


def test_every_part_of_the_claims_may_be_missing_or_of_another_kind() -> None:
    events = simulate(failover())
    for name in CLAIMS:
        for value in WRONG:
            claims = Facts(**{**CLAIMS, name: value})
            told = summarize(events, states(events), claims)
            assert paint.plain([Part("", (Line("x"),))])
            assert text.render(told)
            assert json.loads(json_report.render(told))["drill"] == "test"
            assert markdown.render(told)


def test_a_verdict_in_foreign_words_and_a_number_without_end_prove_nothing() -> None:
    claims = Facts(
        objectives=[{"name": "rto", "verdict": "SURELY", "low_s": 1.0, "high_s": float("inf"), "best_s": True}]
    )
    told = result(failover(), claims=claims)
    assert [(one.name, one.verdict, one.high_s, one.best_s) for one in told.objectives] == [
        ("rto", "UNPROVEN", None, None),
        ("rpo", "UNPROVEN", None, None),
    ]
    assert "Infinity" not in json_report.render(told)


def test_an_objective_that_nobody_claimed_is_unproven_with_its_target() -> None:
    told = result(failover(), claims=Facts(error="ValueError: no samples"))
    assert [(one.verdict, one.target_s, one.why) for one in told.objectives] == [
        ("UNPROVEN", 300.0, "ValueError: no samples"),
        ("UNPROVEN", 30.0, "ValueError: no samples"),
    ]
    assert "the judging itself failed" in text.render(told)


def test_the_claims_of_an_unfinished_drill_do_not_count() -> None:
    told = result(failover(), claims=CLAIMS, cut=12)
    assert (told.status, told.finished) == ("incomplete", False)
    assert {one.verdict for one in told.objectives} == {"UNPROVEN"}


@pytest.mark.parametrize(
    ("script", "status", "code", "remains"),
    [
        (Script(), "met", 0, {"lose": False, "scale": False, "promote": False}),
        (Script(refuses=frozenset({"ready"})), "refused", 4, {}),
        (Script(refuses=frozenset({"scale"})), "failed", 9, {}),
        (Script(refuses=frozenset({"writer"})), "held", 8, {"lose": False, "scale": False, "promote": False}),
        (
            Script(refuses=frozenset({"promote"}), undo_fails=frozenset({"scale"})),
            "undo incomplete",
            7,
            {"scale": True},
        ),
    ],
)
def test_each_ending_says_its_exit_code_and_what_is_left(
    script: Script, status: str, code: int, remains: dict[str, bool]
) -> None:
    told = result(failover(), script)
    assert (told.status, told.exit_code) == (status, code)
    assert {one.step: one.trouble for one in told.remains} == remains
    said = text.render(told)
    assert f"{status.upper()}: " in said
    assert f"(exit {code})" in said


def test_what_is_left_comes_with_the_commands_that_take_it_back() -> None:
    said = text.render(result(failover(), Script(refuses=frozenset({"writer"}))))
    assert "drills undo orders-1 scale\n" in said
    assert "drills undo orders-1 lose --accept-data-loss\n" in said
    assert "aws rds promote-read-replica" not in said
    assert "one way: a promoted replica stays" in said
    said = text.render(result(failover(), Script(refuses=frozenset({"promote"}), undo_fails=frozenset({"scale"}))))
    assert "! scale (test.action at to): undo failed: no\n    aws by hand\n" in said


def test_a_one_way_step_is_to_be_done_by_hand_only_while_nobody_knows_whether_it_took_place() -> None:
    done = {one.step: one for one in result(failover()).remains}["promote"]
    assert (done.one_way, done.trouble, done.by_hand) == (True, False, ())
    doubtful = result(failover(), Script(silent=frozenset({"promote"}))).remains
    promote = {one.step: one for one in doubtful}["promote"]
    assert (promote.one_way, promote.trouble) == (True, True)
    assert promote.by_hand == ("aws rds promote-read-replica",)


def test_nothing_is_owed_of_a_sandbox_that_ended_with_its_drill() -> None:
    told = result(failover(world_private=True))
    said = text.render(told)
    assert "ended with it: nothing is owed" in " ".join(said.split())
    assert "drills undo" not in said
    assert [one.by_hand for one in told.remains] == [(), (), ()]


def test_what_people_said_reads_as_in_the_live_log() -> None:
    events = simulate(failover())
    more = [ev.Told(ev.Word.NOTE, "ana", 1, note="the page was late"), ev.Told(ev.Word.PAUSE, "ana", 2)]
    told = [ev.Event(len(events) + place, events[-1].at, one) for place, one in enumerate(more, 1)]
    words = summarize([*events, *told], states(events)).words
    assert [(one.by, one.text) for one in words] == [
        ("sandbox", "approve go: nobody is asked in a rehearsal"),
        ("ana", "note: the page was late"),
        ("ana", "pause"),
    ]


def test_a_service_that_was_not_seen_back_was_down_for_at_least_what_was_seen() -> None:
    flaps: dict[str, Json] = {"count": 0, "first_success_s": None, "stable_since_s": None}
    flaps |= {"downtime_low_s": 2.07, "downtime_high_s": None}
    observers: list[Json] = [{"name": "checkout", "persona": "fresh", "flaps": flaps}]
    slowest: dict[str, Json] = {"low_s": 2.3, "high_s": None}
    told = result(failover(), claims=Facts(**{**CLAIMS, "observers": observers, "worst_client": slowest}))
    said = text.render(told)
    assert "checkout      0    not seen         never  2.07s or more\n" in said
    assert "was not back within 2.30s" in said
    nothing: dict[str, Json] = {"low_s": 0.0, "high_s": None}
    said = text.render(result(failover(), claims=Facts(**{**CLAIMS, "worst_client": nothing})))
    assert "the slowest client" not in said


def test_undone_steps_are_listed_in_the_order_in_which_they_were_undone() -> None:
    told = result(plan(step("a"), step("b", needs=()), finally_=Finally.UNDO))
    assert [one.step for one in told.undone] == ["b", "a"] or [one.step for one in told.undone] == ["a", "b"]
    assert told.remains == ()


def test_a_drill_of_a_thousand_steps_is_told_in_a_screenful() -> None:
    steps = [step(f"s{at:04}", needs=() if at == 0 else (f"s{at - 1:04}",)) for at in range(1000)]
    said = text.render(result(plan(*steps)))
    assert len(said.splitlines()) < 50
    assert "of 1,000 steps in all: 1,000 done" in said


def test_markdown_escapes_what_people_wrote_and_keeps_code() -> None:
    told = replace(result(failover()), title="a|b <script> *c* `x|y`", why="")
    said = markdown.render(told)
    assert "# orders-1 a\\|b \\<script\\> \\*c\\* `x\\|y`" in said
    assert "| rto | UNPROVEN |" in said
    assert "```sh\ndrills undo orders-1 scale" in said


def test_the_json_form_carries_the_same_numbers_as_the_text() -> None:
    events = claiming(simulate(failover()), CLAIMS)
    told = summarize(events, states(events))
    document = json.loads(json_report.render(told))
    assert document["flaps"] == CLAIMS["flaps"]
    assert document["dns_tail"] == CLAIMS["dns_tail"]
    assert document["real"] == CLAIMS["real"]
    assert [one["seconds"] for one in document["phases"]] == [1.02, 3.2]
    assert document["source"]["head"] == ""


cells = st.text(alphabet="abc dé-", max_size=30)


@given(
    rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5),
    columns=st.integers(60, 120),
    right=st.sets(st.integers(0, 2)),
)
def test_plain_tables_lose_no_word_and_never_fail(
    rows: list[tuple[str, str, str]], columns: int, right: set[int]
) -> None:
    said = paint.plain([Part("t", (Table(("x", "y", "z"), tuple(rows), frozenset(right)),))], columns)
    words = said.split()
    assert sorted(words) == sorted(
        ["T", "x", "y", "z", *(word for row in rows for cell in row for word in cell.split())]
    )
    if 2 not in right:
        widths = [max(1, *(len(row[at]) for row in rows)) for at in range(2)]
        assert all(len(line) <= max(columns, sum(widths) + 6 + 31) for line in said.splitlines())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"),
        (0.0, "0s"),
        (0.0004, "0ms"),
        (0.85, "850ms"),
        (8.123, "8.12s"),
        (59.9, "59.90s"),
        (300.42, "5m00.4s"),
        (3723.0, "1h02m03.0s"),
        (-0.1, "-100ms"),
    ],
)
def test_measured_durations_keep_their_digits(seconds: float | None, said: str) -> None:
    assert figures.measured(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"),
        (0.1, "100ms"),
        (30.0, "30s"),
        (1.5, "1.5s"),
        (300.0, "5m"),
        (90.0, "1m30s"),
        (3600.0, "1h"),
        (0.0, "0ms"),
    ],
)
def test_chosen_durations_read_as_they_were_written(seconds: float | None, said: str) -> None:
    assert figures.chosen(seconds) == said


PARTS = [
    Part("Objectives", (Table(("", "verdict"), (("rto", Words("MET")),)), Line("why", mark="!"))),
    Part("", (Command(("drills undo " + "x" * 100,)),)),
]


@pytest.mark.parametrize(
    ("environment", "fancy"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    environment: dict[str, str], *, fancy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "80")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        paint.show(terminal, PARTS)
        said = ""
        while "x" * 100 not in said:
            said += os.read(ours, 100_000).decode().replace("\r\n", "\n")
    os.close(ours)
    assert bool(ESCAPES.search(said)) is fancy
    assert "drills undo " + "x" * 100 in ESCAPES.sub("", said)


def test_a_pipe_gets_plain_lines() -> None:
    stream = io.StringIO()
    paint.show(stream, PARTS)
    assert stream.getvalue() == paint.plain(PARTS, paint.width())


def test_a_stream_without_unicode_gets_question_marks_and_no_error() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    paint.put(stream, "Zürich ✓\n")
    assert raw.getvalue() == b"Z?rich ?\n"


def test_an_incident_keeps_what_it_did_without_asking_for_an_undo() -> None:
    told = result(failover(mode=Mode.INCIDENT))
    assert {one.why for one in told.remains if not one.one_way} == {"kept: in an incident nothing is undone by itself"}


def test_guards_and_gates_that_said_no_are_told() -> None:
    events = simulate(failover())
    extra = [
        ev.Event(2, events[0].at, ev.Gated("scope", ok=None, detail="tags could not be read")),
        ev.Event(3, events[0].at, ev.Guarded("other-customers", ok=False, detail="alarm fired")),
    ]
    told = summarize([events[0], *extra], states([events[0]]))
    assert [(one.by, one.text) for one in told.refusals] == [
        ("gate scope", "no answer: tags could not be read"),
        ("guard other-customers", "no: alarm fired"),
    ]


def test_writes_are_to_stop_at_the_first_fence_and_authority_moves_with_the_promote() -> None:
    state = states(simulate(failover()))
    assert state.opened is not None
    clock, lose, promote = state.opened.clock, state.progress["lose"].started, state.progress["promote"]
    assert lose is not None
    assert promote.started is not None
    assert promote.ended is not None
    assert switch.stopping(state, clock) == lose.mono_ns
    assert switch.moved(state, clock) == Bracket(promote.started.mono_ns, promote.ended.mono_ns)
    assert (switch.stopping(state, "another"), switch.moved(state, "another")) == (None, None)
    refused = states(simulate(failover(), Script(refuses=frozenset({"promote"}))))
    assert switch.moved(refused, clock) is None


STEERS = "\x1b]0;owned\x07\x1b[2J\x9b31m\rover\u202e"


def test_what_others_wrote_does_not_steer_the_terminal_in_any_form() -> None:
    warnings: list[Json] = [f"the server said {STEERS}"]
    claims = Facts(**{**CLAIMS, "warnings": warnings, "write_rate": STEERS})
    events = claiming(simulate(failover(title=STEERS)), claims, "unproven", 3)
    seen = summarize(events, states(events), source=Source("drills/orders-1"))
    parts = content.parts(seen)
    live = [line(event, states(events[: event.seq])) or "" for event in events]
    for form in (text.render(seen), markdown.render(seen), "\n".join(live), ESCAPES.sub("", paint.ansi(parts))):
        assert not set("\x1b\x07\x9b\r\u202e") & set(form)
        assert "x1b]0;owned".replace("]", "") in form.replace("\\", "").replace("]", "")


@given(st.text())
def test_text_made_harmless_keeps_every_character_that_shows_and_none_that_steers(given: str) -> None:
    made = harmless(given)
    assert all(ord(one) >= 0x20 or one in "\t\n" for one in made)
    assert not any(0x7F <= ord(one) < 0xA0 for one in made)
    assert harmless(made) == made
    if given.isprintable():
        assert made == given
