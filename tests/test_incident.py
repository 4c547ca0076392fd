"""An incident that nobody planned: its beginning is found in the rings of before, or declared by a person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drills.aws.sessions import Accounts
from drills.clock import NS, SystemClock, clock_id
from drills.engine.crew import Token
from drills.engine.observing import Owner, Reach, Watchers
from drills.engine.plan import AvailabilityWatch, Mode, Objective
from drills.engine.state import State
from drills.measure.effect import Disaster
from drills.measure.evidence import Bracket
from drills.measure.judge import judge
from drills.measure.judgement import Judgement
from drills.measure.question import Question, Target, Watch
from drills.measure.verdict import Verdict
from drills.observe.process import read_clocks, time_namespace
from drills.observe.ring import Ring
from drills.observe.start import Observers
from drills.report.judging import question
from drills.runtime.journal import Journal
from drills.testing import plan
from drills.timeline import events as ev
from drills.timeline.marks import Limits, Mark
from drills.timeline.samples import ObserverHeader, Persona, Sample, Samples

S, MS = NS, NS // 1000
HOUR = 3600 * S
OPENED, UNTIL, WINDOW = 4 * HOUR, 4 * HOUR + 200 * S, 5 * S
RTO = Target("rto", Mark.DISASTER, Mark.SERVICE_RESTORED, 300 * S)


def seen(downs: list[tuple[int, int]], *spans: tuple[int, int, int]) -> Samples:
    """Look in each of the spans (from, to, every): down within ``downs``, else up after 5 ms."""
    rows: list[Sample] = []
    for first, last, every in spans:
        for sent in range(first, last, every):
            down = any(begin <= sent < end for begin, end in downs)
            rows.append(Sample(sent, sent + (MS if down else 5 * MS), not down, hard=down))
    return Samples.of(sorted(rows, key=lambda row: row.ended))


def asked(
    samples: Samples, disaster: Disaster, coarse: int = 3 * S // 10 * 10, *, identified: bool = False
) -> Judgement:
    header = ObserverHeader("front", Persona.FRESH, "http://x", 100 * MS, S, "c", "n", 0, UNTIL, identified=identified)
    watch = Watch(header, samples, WINDOW, (), coarse)
    return judge(Question("c", "n", disaster, UNTIL, "a", "b", (watch,), targets=(RTO,)))


@settings(max_examples=20)
@given(st.integers(60 * S, 280 * S), st.integers(1 * S, 100 * S), st.integers(0, 999 * MS))
def test_the_truth_of_an_incident_lies_in_the_bounds_of_ring_and_drill(ago: int, after: int, phase: int) -> None:
    began, back = OPENED - ago, OPENED + after
    samples = seen([(began, back)], (OPENED - HOUR // 6 + phase, OPENED, S), (OPENED + S, UNTIL, 100 * MS))
    (rto,) = asked(samples, Disaster(None, opened=OPENED)).objectives
    assert rto.low_s is not None
    assert rto.high_s is not None
    assert rto.low_s <= (back - began) / S <= rto.high_s
    assert rto.high_s - rto.low_s < 4


@settings(max_examples=20)
@given(st.integers(60 * S, 280 * S), st.integers(1 * S, 100 * S), st.integers(0, 999 * MS))
def test_the_downtime_of_an_incident_begins_no_sooner_than_the_first_failure_shows(
    ago: int, after: int, phase: int
) -> None:
    began, back = OPENED - ago, OPENED + after
    samples = seen([(began, back)], (OPENED - HOUR // 6 + phase, OPENED, S), (OPENED + S, UNTIL, 100 * MS))
    named = [replace(row, by="a" if row.sent < began else "b") if row.up else row for row in samples]
    (front,) = asked(Samples.of(named), Disaster(None, opened=OPENED), identified=True).observers
    assert front.flaps is not None
    assert front.flaps.downtime_high_s is not None
    assert front.flaps.downtime_low_s <= (back - began) / S <= front.flaps.downtime_high_s
    assert front.flaps.downtime_high_s - front.flaps.downtime_low_s < 4


def test_an_incident_is_no_announced_drill() -> None:
    samples = seen([(OPENED - 200 * S, OPENED + 50 * S)], (OPENED - HOUR, OPENED, S), (OPENED + S, UNTIL, 100 * MS))
    judged = asked(samples, Disaster(None, opened=OPENED))
    assert judged.objectives[0].why.endswith("(no step says when it was detected)")
    assert judged.phases[0].detail == "no step says when it was detected"


def test_where_nothing_failed_nobody_asks_who_noticed() -> None:
    samples = seen([], (OPENED - HOUR, OPENED, S), (OPENED + S, UNTIL, 100 * MS))
    (rto,) = asked(samples, Disaster(None, opened=OPENED)).objectives
    assert rto.verdict is Verdict.UNPROVEN
    assert rto.why == "no outage was seen"
    assert rto.decided_by == "an outage, and an observer that watches it"


def test_an_outage_that_was_over_is_not_the_incident() -> None:
    old, now = (OPENED - 2 * HOUR, OPENED - 2 * HOUR + 60 * S), (OPENED - 600 * S, OPENED + 50 * S)
    spans = (OPENED - 3 * HOUR, OPENED, S), (OPENED + S, UNTIL, 100 * MS)
    (rto,) = asked(seen([old, now], *spans), Disaster(None, opened=OPENED)).objectives
    assert rto.verdict is Verdict.MISSED
    assert rto.low_s is not None
    assert abs(rto.low_s - 650) < 3
    (rto,) = asked(seen([old], *spans), Disaster(None, opened=OPENED)).objectives
    assert (rto.verdict, "no incident was under way" in rto.why) == (Verdict.UNPROVEN, True)


def test_a_gap_in_the_ring_is_unknown_and_widens_the_beginning() -> None:
    began, back = OPENED - 200 * S, OPENED + 50 * S
    samples = seen([(began, back)], (OPENED - HOUR, OPENED - 260 * S, S), (OPENED + S, UNTIL, 100 * MS))
    (rto,) = asked(samples, Disaster(None, opened=OPENED)).objectives
    assert rto.verdict is Verdict.UNPROVEN, "it may have begun anywhere in the gap"
    assert rto.low_s is not None
    assert rto.high_s is not None
    assert rto.low_s < 55
    assert rto.high_s > 305


@pytest.mark.parametrize(
    ("spans", "declared", "verdict", "word"),
    [
        ((), (200 * S, 180 * S), Verdict.MET, "declared by alice"),
        ((), (400 * S, 380 * S), Verdict.MISSED, "declared by alice"),
        (((OPENED - HOUR, OPENED - 260 * S, S),), (210 * S, 190 * S), Verdict.MET, "declared by alice"),
        (((OPENED - HOUR, OPENED, S),), (400 * S, 380 * S), Verdict.UNPROVEN, "declared by alice"),
    ],
    ids=["alone", "alone and late", "narrows a gap", "contradicts what was seen"],
)
def test_a_declared_beginning_is_a_bracket_and_is_labelled(
    spans: tuple[tuple[int, int, int], ...], declared: tuple[int, int], verdict: Verdict, word: str
) -> None:
    said = Bracket(OPENED - declared[0], OPENED - declared[1])
    samples = seen([(OPENED - 200 * S, OPENED + 50 * S)], *spans, (OPENED + S, UNTIL, 100 * MS))
    disaster = Disaster(None, opened=OPENED, declared=said, said="disaster declared by alice: x..y")
    (rto,) = asked(samples, disaster).objectives
    assert (rto.verdict, word in rto.why) == (verdict, True)


def test_a_service_found_up_is_not_said_to_have_been_down_since_the_declared_moment() -> None:
    said = Bracket(OPENED - 400 * S, OPENED - 380 * S)
    disaster = Disaster(None, opened=OPENED, declared=said, said="said")
    samples = seen([(OPENED + 60 * S, OPENED + 70 * S)], (OPENED + S, UNTIL, 100 * MS))
    (rto,) = asked(samples, disaster).objectives
    assert (rto.verdict, rto.low_s) == (Verdict.UNPROVEN, 0.0)


def test_an_incident_takes_the_ring_over_and_seals_its_copy(tmp_path: Path) -> None:
    clock = SystemClock()
    clocks = read_clocks()
    rings = tmp_path / "observe" / "sandbox"
    rings.mkdir(parents=True)
    url, now = "http://127.0.0.1:1/", clocks.monotonic
    header = ObserverHeader(
        "front", Persona.FRESH, url, S, S, clock_id(), time_namespace(), now, stable_for_ns=10 * S, identified=False
    )
    for name, looked_at in (("front", url), ("other", "http://elsewhere/")):
        ring = Ring(rings / f"{name}.db", replace(header, observer=name, url=looked_at), HOUR)
        for sent in range(now - 600 * S, now, S):
            down = sent >= now - 100 * S
            ring.sample(Sample(sent, sent + MS, not down, hard=down))
        ring.flush(ring.take(), [])
        ring.close()
    watches = (AvailabilityWatch("front", url), AvailabilityWatch("other", url))
    goal = Objective("rto", Mark.DISASTER, Mark.SERVICE_RESTORED, 30.0)
    made = plan(availability=watches, mode=Mode.INCIDENT, environment="sandbox", objectives=(goal,))
    folder = tmp_path / "drill"
    with Journal.create(folder):
        state = State(made)
        events: list[ev.Event] = []

        def told(*bodies: ev.Body) -> None:
            for body in bodies:
                event = ev.Event(state.count + 1, clock.now(), body)
                state.apply(event)
                events.append(event)

        told(ev.Opened("drill", "1", "me", journal_plan(made)))
        watchers = Watchers("drill", folder, clock, owner=Owner.me(), reach=Reach(str, Accounts()))
        try:
            told(*watchers.stage("watch", state, Token()))
            clock.sleep(0.5)
            told(*watchers.stage("collected", state, Token()))
        finally:
            Observers(clock).sweep(folder / "observers", ())
    taken = [one for one in state.watched if one.process == ev.RING]
    assert [one.observer for one in taken] == ["front"]
    assert "ring of other is not taken over: it looks at http://elsewhere/" in state.stages["watch"].detail
    sealed = [event.body for event in events if isinstance(event.body, ev.Sealed)]
    assert [one.rows for one in sealed if one.file.endswith("front.ring.db")] == [600]
    answer = judge(question(events, state))
    (rto,) = answer.objectives
    assert rto.low_s is not None
    assert (rto.verdict, rto.low_s > 90) == (Verdict.MISSED, True), "down for 100 s already when the drill began"
    assert any("copied from the ring" in one for one in answer.warnings)


def journal_plan(made: object) -> str:
    from drills.timeline import codec

    return codec.dump(made)


def test_the_downtime_of_an_incident_leaves_out_what_was_over_in_the_ring_before_it() -> None:
    """A ring holds hours, with outages of their own and one look a second: none of it is the incident's downtime."""
    old, now = (OPENED - HOUR, OPENED - HOUR + 400 * S), (OPENED - 60 * S, OPENED + 50 * S)
    samples = seen([old, now], (OPENED - 2 * HOUR, OPENED, S), (OPENED + S, UNTIL, 100 * MS))
    header = ObserverHeader("front", Persona.FRESH, "http://x", 100 * MS, S, "c", "n", 0, UNTIL)
    watch = Watch(header, samples, WINDOW, (), 30 * S)
    target = Target("downtime", None, None, 150 * S, limits=Limits.DOWNTIME)
    judged = judge(Question("c", "n", Disaster(None, opened=OPENED), UNTIL, "a", "b", (watch,), targets=(target,)))
    (found,) = judged.objectives
    assert found.low_s is not None
    assert found.high_s is not None
    assert found.low_s <= 110 <= found.high_s < 115
    assert found.verdict is Verdict.MET, found.why
