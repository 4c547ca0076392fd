"""A drill's process is killed, told to end, spoken to while it is not there: nothing is done twice or lost."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace
from runtime_drill import Drill, eventually, killed_at
from terminal import CTRL_C, terminal

from drills import catalog
from drills.aws.retry import Retry
from drills.aws.sessions import Accounts
from drills.cli import compose
from drills.cli.target import target_lock
from drills.clock import Stamp, SystemClock
from drills.engine.crew import Crew
from drills.engine.deadman import DeadMan
from drills.engine.means import Means, NoObservers, NoWarden
from drills.engine.plan import Finally, Plan
from drills.engine.progress import Status
from drills.engine.state import State
from drills.errors import JournalError, Refused
from drills.report.standstill import standstills
from drills.runtime import inbox
from drills.runtime.arrivals import Arrivals
from drills.runtime.journal import Journal, read_drill
from drills.runtime.local import LocalRun
from drills.services.flow import Wait
from drills.testing import plan, step
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.events import Told, Word
from drills.timeline.facts import Facts
from drills.work import Kind, Observation, Place

SOON = Facts(**{"for": "0s"})
DONE = ["DO a", "DO b", "DO c"]
UNDONE = ["DO a", "DO b", "UNDO b", "UNDO a"]


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
            drill.until(lambda state: state.running or state.finished is not None)
            SystemClock().sleep(chance.uniform(0.0, 0.4))
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


def test_an_undo_is_looked_for_as_long_as_its_action_says_that_it_takes(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "stays")
    assert drill.go() == (7, "")
    assert drill.outside.effects == ["DO a", "DO stays", "UNDO a"]
    (owed,) = drill.state.owed()
    assert (owed.step.id, "not seen as before within 300ms: " in owed.undo_error) == ("stays", True)


# -- one at a time -----------------------------------------------------------------------------------------


def test_a_second_process_is_refused_with_a_clear_sentence(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "waits")
    with drill.driven():
        drill.until(lambda state: "seen" in state.running)
        before = deeds(drill)
        second = drill.cli("resume", "drill")
        assert (second.returncode, second.stdout) == (4, "")
        assert second.stderr == ("drills: drill drill is driven by another process; `drills watch drill` shows it\n")
        assert deeds(drill) == before
    drill.outside.make("seen")
    assert drill.go()[0] == 3


def deeds(drill: Drill) -> list[ev.Event]:
    """Give what stands in the journal but for what the waiting step has seen meanwhile."""
    return [event for event in read_drill(drill.folder)[0] if not isinstance(event.body, ev.Looked)]


def test_two_drills_never_hold_one_target_at_once(tmp_path: Path) -> None:
    staging = plan(step("a"), environment="staging", service="orders")
    sandbox = plan(step("a"), environment="staging", service="orders", world=str(tmp_path))
    for one in (staging, sandbox):
        with target_lock(tmp_path, one):
            with pytest.raises(Refused, match="another drill holds"), target_lock(tmp_path, one):
                pass
            with target_lock(tmp_path, plan(step("a"), environment="staging", service="payments")):
                pass
        with target_lock(tmp_path, one):
            pass


# -- signals -----------------------------------------------------------------------------------------------


def test_sigterm_parks_and_a_resume_goes_on(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "waits")
    with drill.driven() as process:
        drill.until(lambda state: "seen" in state.running)
        process.terminate()
        assert process.wait(5) == 3
    assert drill.state.parked
    assert drill.outside.effects == ["DO a"]
    drill.outside.make("seen")
    assert drill.go() == (3, "")
    assert drill.outside.effects == ["DO a", "DO seen", "DO b"]


def test_sigterm_lets_a_change_in_flight_settle_and_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "run")
    drill.outside.close_gate("b.after")
    with drill.driven() as process:
        eventually(lambda: drill.outside.is_at("b.after"))
        process.terminate()
        drill.until(lambda state: state.parked)
        assert process.poll() is None
        drill.outside.open_gate("b.after")
        assert process.wait(10) == 3
    state = drill.state
    assert (state.progress["b"].status, state.progress["b"].in_doubt, state.running) == (Status.DONE, False, {})
    assert state.progress["c"].started is None
    drill.go()
    assert drill.outside.effects == ["DO a", "DO b", "DO c"]


def test_a_change_that_hangs_is_left_in_doubt_by_the_second_sigterm(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "run")
    drill.outside.close_gate("b.after")
    with drill.driven() as process:
        eventually(lambda: drill.outside.is_at("b.after"))
        process.terminate()
        drill.until(lambda state: state.parked)
        process.terminate()
        assert process.wait(10) == 3
    assert drill.state.progress["b"].status is Status.RUNNING
    drill.outside.open_gate("b.after")
    drill.go()
    assert drill.outside.effects == ["DO a", "DO b", "DO c"]


def test_the_deadline_of_the_whole_drill_takes_all_back(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "late")
    assert drill.go()[0] == 6
    state = drill.state
    assert state.why == "the drill's deadline of 1 s has passed"
    assert drill.outside.effects == ["DO a", "UNDO a"]


def test_a_terminal_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "waits")
    with drill.driven() as process:
        drill.until(lambda state: "seen" in state.running)
        process.send_signal(signal.SIGHUP)
        drill.outside.make("seen")
        assert process.wait(10) == 3
    assert drill.outside.effects == ["DO a", "DO seen", "DO b"]


@pytest.mark.parametrize(
    ("name", "code", "effects"), [("chain", 6, ["DO a", "DO b", "UNDO b", "UNDO a"]), ("run", 3, ["DO a", "DO b"])]
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


def test_an_undo_ends_a_killed_drill_that_owes_nothing(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "checked")
    with drill.driven():
        drill.until(lambda state: "ready" in state.running)
    told = drill.cli("undo", "drill", "--output", "json")
    assert told.returncode == 6, told.stderr
    assert drill.state.finished is not None
    assert drill.state.finished.status == "aborted"
    assert drill.outside.effects == []
    again = drill.cli("undo", "drill")
    assert (again.returncode, again.stderr) == (0, "nothing is owed: there is nothing to take back\n")


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


@pytest.mark.parametrize(
    "how", ["abort", *(pytest.param(how, marks=pytest.mark.prove) for how in ("SIGTERM", "deadline"))]
)
def test_a_question_after_ctrl_c_keeps_nobody_else_waiting(tmp_path: Path, how: str) -> None:
    drill = Drill(tmp_path, "late" if how == "deadline" else "waits")
    with terminal(drill.command(), drill.environment, tmp_path) as shown:
        drill.until(lambda state: "seen" in state.running)
        shown.press(CTRL_C)
        shown.shows("> ")
        if how == "SIGTERM":
            os.kill(shown.pid, signal.SIGTERM)
        elif how == "abort":
            say(drill, Word.ABORT)
        shown.shows("no answer is waited for", within_s=10)
        assert shown.wait() == (3 if how == "SIGTERM" else 6)
    assert drill.outside.effects == (["DO a"] if how == "SIGTERM" else ["DO a", "UNDO a"])


def test_ctrl_c_on_a_viewer_ends_the_viewing_only(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "waits")
    with drill.driven() as process:
        drill.until(lambda state: "seen" in state.running)
        watch = [sys.executable, "-m", "drills", "watch", "drill"]
        with terminal(watch, drill.environment, tmp_path) as shown:
            shown.shows("seen")
            shown.press(CTRL_C)
            assert shown.wait() == 130
            assert "the drill goes on; `drills watch drill` shows it again" in " ".join(shown.text.split())
        assert process.poll() is None
        drill.outside.make("seen")
        assert process.wait(10) == 3
    assert drill.outside.effects == ["DO a", "DO seen", "DO b"]


def test_a_note_of_any_bytes_is_taken(tmp_path: Path) -> None:
    inbox.say(tmp_path, Told(Word.NOTE, "an\udce9", 0, note="caf\udce9"))
    with closing(inbox.Inbox(tmp_path)) as box:
        assert [(one.by, one.note) for one in box.fetch(0)] == [("an?", "caf?")]


def test_a_message_that_came_with_a_ctrl_c_is_taken_once(tmp_path: Path) -> None:
    folder, heeded = tmp_path / "drill", list[Callable[[], str]]()
    asks = plan(step("ask", Kind.OPERATOR, uses="confirm", timeout_s=1.5))

    def both() -> None:
        inbox.say(folder, Told(Word.NOTE, "ana", 0, note="first"))
        os.kill(os.getpid(), signal.SIGINT)

    def interrupted(_: State) -> None:
        inbox.say(folder, Told(Word.NOTE, "ana", 0, note="second"))
        heeded[0]()

    pressing = threading.Timer(0.5, both)
    begun: list[None] = []

    def listen(*_: object) -> None:
        if not begun:
            begun.append(pressing.start())

    show = compose.Show(listen, interrupted, lambda: None, heeded.append)
    state = compose.open_drill(folder, asks, compose.recorded_accounts(folder, asks), show, outside=None)
    assert [note for _, _, note in state.notes] == ["first", "second"]


def test_a_question_after_ctrl_c_that_held_the_drill_stands_on_its_timeline(tmp_path: Path) -> None:
    folder = tmp_path / "drill"
    pressing = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    begun: list[None] = []

    def listen(*_: object) -> None:
        if not begun:
            begun.append(pressing.start())

    def interrupted(_: State) -> None:
        threading.Event().wait(1.1)

    asks = plan(step("ask", Kind.OPERATOR, uses="confirm", timeout_s=2.5))
    show = compose.Show(listen, interrupted, lambda: None)
    state = compose.open_drill(folder, asks, compose.recorded_accounts(folder, asks), show, outside=None)
    ((_, by, note),) = state.notes
    assert by == inbox.person()
    assert note.startswith("Ctrl-C: nothing new started for 1.")
    events, _ = read_drill(folder)
    held = next(standstills(asks, events, events[0].at.clock))
    assert (held.phase, held.why) == ("human wait", "a question after Ctrl-C")
    assert held.past_ns - held.first_ns >= 10**9
    assert held.past_ns <= max(one.at.mono_ns for one in events)


def test_a_signal_that_outlasts_a_wait_does_not_make_it_endless() -> None:
    news: Arrivals[int] = Arrivals()

    def slow(*_: object) -> None:
        threading.Event().wait(0.2)

    before = signal.signal(signal.SIGALRM, slow)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert news.take(0.1) is None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    news.put(1)
    assert (news.take(1.0), news.take()) == (1, None)


def test_what_many_threads_tell_is_heard_once_each_and_in_the_order_of_each() -> None:
    news: Arrivals[tuple[int, int]] = Arrivals()

    def tell(who: int) -> None:
        for number in range(500):
            news.put((who, number))

    threads = [threading.Thread(target=tell, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    heard: list[tuple[int, int]] = []
    looks = 0
    while len(heard) < 2_000 and looks < 100_000:
        looks += 1
        found = news.take(0.01)
        heard += () if found is None else (found,)
    assert news.take() is None
    assert all([n for one, n in heard if one == who] == list(range(500)) for who in range(4))


# -- who drives --------------------------------------------------------------------------------------------


def nothing_after_nothing(count: int, *, chains: int = 1, each: str = "0s") -> Plan:
    """Give chains of steps that each take no time, or ``each``; the first of one follows upon nothing."""
    steps = [step(f"s{number}", Kind.PROBE, uses="flow.wait", params=Facts(**{"for": each})) for number in range(count)]
    chained = [replace(one, needs=(steps[at].id,)) for at, one in enumerate(steps[chains:])]
    return plan(*steps[:chains], *chained, places=(Place("here", "123456789012", "us-east-1"),))


def test_a_chain_of_steps_is_driven_by_the_worker_that_carries_it_out(tmp_path: Path) -> None:
    """The main thread takes a turn now and then, when it looks for messages; no second worker is ever needed."""
    drivers: list[int] = []

    def listen(events: Sequence[ev.Event], _: State) -> None:
        drivers.extend(threading.get_ident() for event in events if isinstance(event.body, ev.Ended))

    chain = nothing_after_nothing(40)
    folder = tmp_path / "drill"
    show = compose.Show(listen, lambda _: None, lambda: None)
    state = compose.open_drill(folder, chain, compose.recorded_accounts(folder, chain), show, outside=None)
    assert [one.status for one in state.progress.values()] == [Status.DONE] * 40
    assert len(drivers) == 40
    assert len(set(drivers) - {threading.get_ident()}) == 1


def test_a_step_does_not_wait_for_a_listener_that_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Stamp] = []

    def look(*_: object) -> Observation:
        looked.append(SystemClock().now())
        SystemClock().sleep(0.045)
        return Observation(ok=True, detail="it is so")

    def listen(_: Sequence[ev.Event], __: State) -> None:
        SystemClock().sleep(0.03)

    monkeypatch.setattr(Wait, "observe", look)
    chain = nothing_after_nothing(16)
    folder = tmp_path / "drill"
    show = compose.Show(listen, lambda _: None, lambda: None)
    compose.open_drill(folder, chain, compose.recorded_accounts(folder, chain), show, outside=None)
    begun = [event.at for event in read_drill(folder)[0] if isinstance(event.body, ev.Started)]
    waits_s = [seen.since(at) for at, seen in zip(begun, looked, strict=True)]
    assert sorted(waits_s)[8] < 0.015


def test_a_fault_in_a_worker_that_drives_ends_the_drill_and_is_raised_where_it_was_run(tmp_path: Path) -> None:
    me = threading.get_ident()

    def listen(events: Sequence[ev.Event], _: State) -> None:
        if threading.get_ident() != me and any(isinstance(event.body, ev.Ended) for event in events):
            raise LookupError("of a worker")

    chain = nothing_after_nothing(40)
    folder = tmp_path / "drill"
    show = compose.Show(listen, lambda _: None, lambda: None)
    with pytest.raises(LookupError, match="of a worker"):
        compose.open_drill(folder, chain, compose.recorded_accounts(folder, chain), show, outside=None)
    _, state = read_drill(folder)
    assert state.finished is None
    assert any(one.started is None for one in state.progress.values())


def _never(_: State) -> ev.Finished:
    raise AssertionError("the drill was over")


def test_no_worker_drives_on_once_the_inbox_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The main thread gives the target back, which takes its time: nothing is begun meanwhile."""
    folder, written = tmp_path / "drill", [0]
    read: list[int] = []

    class Slow(NoWarden):
        def close(self) -> None:
            read.append(written[0])
            SystemClock().sleep(0.3)

    def listen(events: Sequence[ev.Event], _: State) -> None:
        written[0] = events[-1].seq

    def fetch(_: inbox.Inbox, after: int) -> list[Told]:
        if written[0] > 20:
            raise JournalError(f"it cannot be read after {after}")
        return []

    monkeypatch.setattr(inbox.Inbox, "fetch", fetch)
    chain = nothing_after_nothing(1000, chains=4, each="5ms")
    state = State(chain)
    means = Means(Accounts(), Retry(SystemClock()), SystemClock(), catalog.load, NoObservers(), _never, Slow())
    with Journal.create(folder) as journal:
        opened = ev.Event(1, SystemClock().now(), ev.Opened("drill", "0", "ana", codec.dump(chain)))
        state.apply(opened)
        journal.append([opened])
        with pytest.raises(JournalError, match="it cannot be read"):
            LocalRun(journal, state, means, listen=listen, interrupted=lambda _: None).run()
    events, _ = read_drill(folder)
    assert len(events) == read[0] < 1000


def test_an_undo_does_not_wait_until_the_schedule_of_the_one_before_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: object) -> None:
        SystemClock().sleep(0.09)

    monkeypatch.setattr(DeadMan, "disarm", slow)
    names = [f"s{number}" for number in range(15)]
    steps = [step(name, uses="flow.nothing") for name in names]
    taken_back = plan(*steps, places=(Place("here", "123456789012", "us-east-1"),), finally_=Finally.UNDO)
    folder = tmp_path / "drill"
    accounts = compose.recorded_accounts(folder, taken_back)
    show = compose.Show(lambda _, __: None, lambda _: None, lambda: None)
    compose.open_drill(folder, taken_back, accounts, show, outside=None)
    events, state = read_drill(folder)
    assert all(one.undone for one in state.progress.values())
    undone = [event for event in events if isinstance(event.body, ev.Undid | ev.UndoStarted)]
    waits_s = [next_.at.since(one.at) for one, next_ in pairwise(undone) if isinstance(one.body, ev.Undid)]
    assert (len(waits_s), sum(waits_s) < 0.2) == (14, True)


# -- who carries it out ------------------------------------------------------------------------------------


def test_every_job_is_taken_though_the_others_hang() -> None:
    """A worker that has just taken a job is not counted for the next one too, whenever the threads change."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        assert all(_all_at_once(Crew(SystemClock(), lambda: None)) for _ in range(100))
    finally:
        sys.setswitchinterval(before)


def _all_at_once(crew: Crew) -> bool:
    """Say whether eight jobs, and then twenty-four, were under way at the same time."""
    for count in (8, 24):
        meeting = threading.Barrier(count + 1)
        for _ in range(count):
            crew.do(partial(_meets, meeting))
        crew.grow()
        _meets(meeting)
        if meeting.broken:
            return False
        SystemClock().sleep(0.002)
    return True


def _meets(meeting: threading.Barrier) -> None:
    with suppress(threading.BrokenBarrierError):
        meeting.wait(2.0)


def test_a_drill_is_taken_back_and_ends_though_every_worker_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def hangs(*_: object) -> Observation:
        answered.wait(10)
        return Observation(ok=True, detail="at last")

    monkeypatch.setattr(Wait, "observe", hangs)
    begun = step("begun", uses="flow.nothing")
    looks = [step(f"s{n}", Kind.PROBE, "begun", uses="flow.wait", params=SOON, timeout_s=0.3) for n in range(70)]
    hanging = plan(begun, *looks, places=(Place("here", "123456789012", "us-east-1"),))
    folder = tmp_path / "drill"
    show = compose.Show(lambda _, __: None, lambda _: None, lambda: None)
    before = SystemClock().now()
    try:
        state = compose.open_drill(folder, hanging, compose.recorded_accounts(folder, hanging), show, outside=None)
    finally:
        answered.set()
    assert (state.finished is not None, state.progress["begun"].undone) == (True, True)
    assert SystemClock().now().since(before) < 5.0


def test_a_worker_takes_its_first_job_before_it_looks_for_anything_else() -> None:
    told: list[str] = []
    crew = Crew(SystemClock(), lambda: told.append("after"))
    crew.do(lambda: told.append("job"))
    crew.grow()
    eventually(lambda: len(told) == 2)
    assert told == ["job", "after"]
