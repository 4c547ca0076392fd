"""Progress while a drill runs: told, cheap, and unable to do harm; and what Ctrl-C asks."""

from __future__ import annotations

import io
import os
import pty
import signal
import termios
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import pytest
from msgspec import structs
from report_drills import ESCAPES, failover, keep, simulate, states

from drills.cli import glance
from drills.engine.plan import Mode, OnFailure, Plan
from drills.engine.state import State, fold
from drills.report import paint, standing
from drills.report.ask import interrupt_prompt, question
from drills.report.live import Listener
from drills.testing import FakeClock, Script, plan, step
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.events import Word
from drills.timeline.facts import Facts
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Generator


def told(pinned: Plan, script: Script | None = None) -> list[str]:
    """What the plain listener writes about a whole drill, event by event."""
    stream = io.StringIO()
    listener = Listener(stream)
    events = simulate(pinned, script)
    state = State(pinned)
    for event in events:
        state.apply(event)
        listener([event], state)
    listener.close()
    return stream.getvalue().splitlines()


def test_each_event_worth_telling_is_one_plain_line() -> None:
    lines = told(failover())
    assert lines[0] == "22:13:20 +0.0s drill test: Fail orders over (rehearse, east -> west)"
    assert [line.split(" ", 2)[2] for line in lines[1:5]] == [
        "step ready: started (test.probe at to)",
        "step ready: done (1.00s): looked",
        "step lose: started (site.isolate at from)",
        "step lose: done (1.00s)",
    ]
    assert any(line.endswith("step promote: started (rds.promote_read_replica at to, expected 3m)") for line in lines)
    assert lines[-1].endswith("over: met (exit 0)")
    assert not any(ESCAPES.search(line) for line in lines)


def test_a_drill_that_turns_back_says_why_and_what_will_be_undone() -> None:
    lines = told(failover(), Script(refuses=frozenset({"promote"})))
    (turning,) = [line for line in lines if "turning back" in line]
    assert "turning back: promote: refused; 2 changes will be undone, in this order" in turning
    assert [line.split(": ")[0].split()[-1] for line in lines if ": undone" in line] == ["scale", "lose"]
    lines = told(failover(), Script(refuses=frozenset({"writer"})))
    assert any("the point of no return (promote) is passed: nothing will be undone" in line for line in lines)


def test_a_hold_says_who_must_decide() -> None:
    pinned = plan(step("a"), step("b", needs=("a",), on_failure=OnFailure.ASK), hold_for_s=5.0)
    lines = told(pinned, Script(refuses=frozenset({"b"})))
    assert any("waiting for a person: b (`drills retry`, `skip`, `resolve` or `abort`)" in line for line in lines)
    assert any("nobody decided within 5s" in line for line in lines)


def thousand() -> tuple[State, list[ev.Event]]:
    steps = [step(f"s{at}", needs=() if at == 0 else (f"s{at - 1}",)) for at in range(1000)]
    events = simulate(plan(*steps))
    return states(events), events


def seconds_of(listener: Listener, state: State, events: list[ev.Event]) -> float:
    began = time.process_time()
    for event in events:
        listener([event], state)
    return (time.process_time() - began) / len(events)


def test_telling_costs_well_under_50_microseconds_an_event() -> None:
    state, events = thousand()
    with Path(os.devnull).open("w") as nowhere:
        assert min(seconds_of(Listener(nowhere), state, events) for _ in range(3)) < 50e-6
        assert min(seconds_of(Listener(nowhere, quiet=True), state, events) for _ in range(3)) < 5e-6


@contextmanager
def terminal() -> Generator[tuple[int, TextIO]]:
    """A terminal of 80 columns: the hand that types and reads, and the stream a program has."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    try:
        with io.TextIOWrapper(os.fdopen(theirs, "r+b", buffering=0), write_through=True) as stream:  # pyright: ignore[reportArgumentType] - a terminal is read and written unbuffered
            yield ours, stream
    finally:
        os.close(ours)


def read_all(number: int, within_s: float = 5.0) -> str:
    """What has been written to the terminal until now."""
    os.set_blocking(number, False)
    found, until = b"", time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            found += os.read(number, 100_000)
        except BlockingIOError:
            break
        except OSError:
            break
    os.set_blocking(number, True)
    return found.decode()


def screen(monkeypatch: pytest.MonkeyPatch, events: list[ev.Event], state: State, clock: FakeClock, until: str) -> str:
    """What stands on a screen of 80 columns and 24 lines by the time that ``until`` is drawn (10 s at most)."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    drawn, over = "", time.monotonic() + 10
    with terminal() as (hand, stream):
        listener = Listener(stream, clock=clock)
        listener(events, state)
        while until not in drawn and time.monotonic() < over:
            time.sleep(0.05)  # noqa: TID251 - the screen draws by the real clock
            drawn += ESCAPES.sub("", read_all(hand))
        listener.close()
    return drawn


def settling(events: list[ev.Event], *since_s: float | None) -> list[ev.Event]:
    """A drill whose steps are done and that waits for the service: told since when it is restored, or not any more."""
    over = next(at for at, one in enumerate(events) if isinstance(one.body, ev.Ended) and one.body.step == "writer")
    kept = events[: over + 1]
    for seconds in since_s:
        at = kept[-1].at
        since = None if seconds is None else events[0].at.mono_ns + round(seconds * 1e9)
        kept.append(ev.Event(kept[-1].seq + 1, at, ev.Settling(since)))
    return kept


def test_the_clock_of_the_recovery_stands_while_the_service_settles_and_goes_on_when_it_flaps() -> None:
    events = simulate(failover())
    now = events[-1].at
    later = structs.replace(now, mono_ns=now.mono_ns + 60 * 10**9, utc_ns=now.utc_ns + 60 * 10**9)
    begun = standing.disaster(states(settling(events)))
    assert begun is not None
    stands = standing.so_far(states(settling(events, 20.0)), later)
    assert stands is not None
    assert stands.passed_s == 20.0 - begun.since(events[0].at)
    assert stands.settling is not None
    assert stands.settling.since(events[0].at) == 20.0
    assert (stands.settling.utc_ns - events[0].at.utc_ns) / 1e9 == 20.0
    resumed = settling(events, 20.0)
    resumed.append(ev.Event(resumed[-1].seq + 1, later, ev.Resumed("ana", 2)))
    goes_on = standing.so_far(states(resumed), later)
    assert goes_on == standing.SoFar(later.since(begun), None), "what was seen before nobody drove it is looked at anew"
    for flapped in ((), (20.0, None)):
        assert standing.so_far(states(settling(events, *flapped)), later) == standing.SoFar(later.since(begun), None)
    anew = standing.so_far(states(settling(events, 20.0, None, 25.0)), later)
    assert anew is not None
    assert anew.passed_s - stands.passed_s == 5.0


def test_a_drill_that_nobody_drives_says_for_how_long_and_pretends_no_clock(tmp_path: Path) -> None:
    events = settling(simulate(failover()))
    home = tmp_path / "drills"
    parked = [*events, ev.Event(events[-1].seq + 1, events[-1].at, ev.Parked("anna"))]
    fact = glance.standing_of(keep(home, "put-aside", parked))
    assert (fact["status"], fact["settling_since"]) == ("parked", None)
    assert fact["unattended_s"] > 24 * 3600
    assert fact["rto_so_far_s"] < 3600, "the clock went on while nobody looked"
    told = glance.line(fact)
    assert "nobody drives it: `drills resume put-aside`" in told
    assert "RTO had come to" in told
    restored = settling(events + simulate(failover())[len(events) :], 20.0)
    fact = glance.standing_of(
        keep(home, "settling", [*restored, ev.Event(restored[-1].seq + 1, restored[-1].at, ev.Parked("anna"))])
    )
    assert ", settling since 22:13:40Z" in glance.line(fact)


def test_the_screen_shows_steps_times_and_the_countdown(monkeypatch: pytest.MonkeyPatch) -> None:
    events = simulate(failover())
    begun = next(one.seq for one in events if isinstance(one.body, ev.Started) and one.body.step == "promote")
    state = states(events[:begun])
    clock = FakeClock()
    clock.sleep(20.0)
    drawn = screen(monkeypatch, events[:begun], state, clock, until="left")
    assert "Fail orders over" in drawn
    assert "rto so far 18s of 5m" in drawn
    assert "4m42s left" in drawn
    line = next(one for one in drawn.splitlines() if "promote" in one)
    assert line.startswith(" ▸ promote")
    assert " of 3m" in line
    assert all(len(one.rstrip()) <= 80 for one in drawn.splitlines())


def test_a_question_stands_whole_on_the_screen_and_not_in_one_line_that_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    params = Facts(question="Shall users go to the other site now?")
    pinned = plan(step("go", Kind.OPERATOR, params=params, show=("data_at_risk", "if_no")))
    shown = Facts(data_at_risk="predicted by lag: 12 s behind " + "and more " * 8, if_no="the drill is aborted at once")
    bodies = (ev.Opened("a-drill", "test", "me", codec.dump(pinned)), ev.Asked("go", shown))
    events = [ev.Event(number, FakeClock().now(), body) for number, body in enumerate(bodies, 1)]
    drawn = screen(monkeypatch, events, fold(pinned, events), FakeClock(), until="drills reject go")
    lines = [one.strip() for one in drawn.splitlines()]
    assert "go ASKS: Shall users go to the other site now?" in lines
    assert "if_no: the drill is aborted at once" in lines
    assert "and more and more" in drawn
    assert "…" not in drawn[drawn.index("go ASKS") : drawn.index("drills reject go")]


def test_a_question_of_a_long_runbook_stands_on_a_screen_of_24_lines_with_how_to_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    params = Facts(question="From the promotion on there is no way back but a failback. " * 2)
    pinned = plan(step("go", Kind.OPERATOR, params=params, show=("risk",)), *(step(f"s{at}") for at in range(15)))
    bodies = (
        ev.Opened("a-drill", "test", "me", codec.dump(pinned)),
        ev.Asked("go", Facts(risk="the standby streams, 127ms behind " * 60)),
    )
    events = [ev.Event(number, FakeClock().now(), body) for number, body in enumerate(bodies, 1)]
    drawn = screen(monkeypatch, events, fold(pinned, events), FakeClock(), until="drills reject go")
    assert "go ASKS: From the promotion on" in drawn
    assert "in another terminal: `drills approve go` or `drills reject go`" in drawn
    frame = drawn[drawn.rindex("running") : drawn.rindex("with --note")]
    assert len(frame.splitlines()) <= 24
    assert "▸ go" in frame


class Broken(io.StringIO):
    """A stream whose terminal has gone."""

    def write(self, text: str, /) -> int:
        _ = text
        raise OSError(5, "Input/output error")


class Failing(io.StringIO):
    """A stream with a fault of its own."""

    def isatty(self) -> bool:
        raise RuntimeError("not a stream at all")


@pytest.mark.parametrize("stream", [Broken(), Failing()])
def test_a_broken_output_ends_the_output_and_nothing_else(stream: io.StringIO) -> None:
    events = simulate(failover())
    state = states(events)
    listener = Listener(stream)
    for event in events:
        listener([event], state)
    listener.close()


def test_a_hang_up_silences_a_terminal_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    events = simulate(failover())
    state = states(events)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ours, theirs = pty.openpty()
        stream = os.fdopen(theirs, "w")
        listener = Listener(stream)
        listener(events[:5], state)
        os.close(ours)
        for event in events[5:]:
            listener([event], state)
        listener.close()
        paint.put(stream, "still quiet\n")
        stream.close()
    finally:
        signal.signal(signal.SIGHUP, before)


# -- Ctrl-C ------------------------------------------------------------------------------------------------


def running(pinned: Plan, after: str) -> State:
    """The state right after a step has ended."""
    events = simulate(pinned)
    end = next(one.seq for one in events if isinstance(one.body, ev.Ended) and one.body.step == after)
    return states(events[:end])


@pytest.mark.parametrize(
    ("mode", "word"),
    [(Mode.REHEARSE, Word.ABORT), (Mode.RUN, Word.PARK), (Mode.INCIDENT, Word.PARK)],
)
def test_without_a_terminal_a_rehearsal_is_aborted_and_all_else_parked(mode: Mode, word: Word) -> None:
    state = running(failover(), "lose")
    state.plan = replace(state.plan, mode=mode)
    said = interrupt_prompt(state, answers=io.StringIO(), stream=io.StringIO())
    assert said is not None
    assert (said.word, said.inbox) == (word, 0)


def test_the_question_shows_what_an_abort_would_undo_now() -> None:
    asked = question(running(failover(), "scale"))
    assert "a  abort: 2 changes will be undone, in this order" in asked
    assert asked.index("1. undo scale") < asked.index("2. undo lose (site.isolate at from)")


def test_the_question_of_a_paused_drill_does_not_say_that_it_goes_on_by_itself() -> None:
    state = running(failover(), "scale")
    assert "after 30 s it goes on" in question(state)
    state.paused = True
    asked = question(state)
    assert "The drill stays paused, also when no answer comes within 30 s." in asked
    assert "  g  leave it paused" in asked
    assert "goes on" not in asked


def test_the_question_breaks_its_lines_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    asked = question(running(failover(), "promote"))
    assert max(map(len, asked.splitlines())) <= 44
    assert "  a  abort: the point of no return (promote)\n     is passed: nothing will be undone" in asked
    assert asked.endswith("\n> ")


def test_past_the_point_of_no_return_the_question_says_that_nothing_is_undone() -> None:
    asked = question(running(failover(), "promote"))
    assert "the point of no return (promote) is passed: nothing will be undone" in asked
    assert "undo scale" not in asked
    assert "stays: scale" in asked


def test_an_incident_undoes_nothing_by_itself() -> None:
    state = running(failover(), "scale")
    state.plan = replace(state.plan, mode=Mode.INCIDENT)
    assert standing.retreat(state).undone == ()


def answer(typed: bytes, *, paused: bool = False, limit_s: float = 10.0) -> tuple[ev.Told | None, str]:
    """Ask at a real terminal while somebody types."""
    state = running(failover(), "scale")
    state.paused = paused
    with terminal() as (hand, stream):
        typist = threading.Timer(0.2, lambda: os.write(hand, typed))
        typist.start()
        said = interrupt_prompt(state, answers=stream, stream=stream, limit_s=limit_s)
        typist.join()
        return said, read_all(hand)


@pytest.mark.parametrize(
    ("typed", "paused", "word"),
    [
        (b"g\n", False, None),
        (b"p\n", False, Word.PAUSE),
        (b"Abort\n", False, Word.ABORT),
        (b"c\n", True, Word.CONTINUE),
        (b"x\ny\na\n", False, Word.ABORT),
        (b"x\ny\nz\n", False, None),
        (b"\x04", False, None),
    ],
)
def test_an_answer_at_the_terminal_becomes_a_word(typed: bytes, *, paused: bool, word: Word | None) -> None:
    said, _ = answer(typed, paused=paused)
    assert (said.word if said is not None else None) == word


def test_no_answer_within_the_limit_means_go_on() -> None:
    said, shown = answer(b"", limit_s=0.5)
    assert said is None
    assert "no answer: it goes on" in shown


def test_a_second_ctrl_c_at_the_question_is_an_abort_and_the_drills_handler_comes_back() -> None:
    state = running(failover(), "scale")
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        with terminal() as (_, stream):
            again = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
            again.start()
            said = interrupt_prompt(state, answers=stream, stream=stream, limit_s=10.0)
            again.join()
        assert said is not None
        assert said.word is Word.ABORT
        assert heard == []
        os.kill(os.getpid(), signal.SIGINT)
        assert heard == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_every_event_of_a_real_drill_survives_the_codec_and_is_told() -> None:
    for event in simulate(failover(ask=True), Script(says=((3.5, ev.Told(Word.APPROVE, "ana", 1, "go")),))):
        assert codec.load_event(codec.dump_event(event.seq, event.at, event.body)) == event


def test_after_a_ctrl_c_the_screen_with_its_question_is_back_without_a_new_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    pinned = plan(step("go", Kind.OPERATOR))
    bodies = (ev.Opened("a-drill", "test", "me", codec.dump(pinned)), ev.Asked("go", Facts()))
    events = [ev.Event(number, FakeClock().now(), body) for number, body in enumerate(bodies, 1)]

    def goes_on(_: State, **__: object) -> None:
        return None

    monkeypatch.setattr("drills.report.ask.interrupt_prompt", goes_on)
    with terminal() as (hand, stream):
        listener = Listener(stream, clock=FakeClock())
        listener(events, fold(pinned, events))
        listener.interrupted(fold(pinned, events))
        read_all(hand, 0.1)
        until, drawn = time.monotonic() + 10, ""
        while "drills reject go" not in drawn and time.monotonic() < until:
            time.sleep(0.05)  # noqa: TID251 - the screen draws by the real clock
            drawn += ESCAPES.sub("", read_all(hand))
        listener.close()
    assert "drills reject go" in drawn


def test_the_question_after_a_ctrl_c_fits_a_terminal() -> None:
    assert all(len(line) <= 80 for line in question(running(failover(), "scale")).splitlines())
