"""The judge on whole simulated drills, and the negative controls that no rule may let pass."""

from __future__ import annotations

from array import array
from dataclasses import replace
from math import sqrt
from random import Random
from statistics import pstdev

import pytest
from measure_drill import LOST, MS, RPO, RTO, Case, S, Story, header, ledger, watch

from drills.measure import effect, evidence, rto
from drills.measure.effect import Disaster
from drills.measure.evidence import Bracket
from drills.measure.judge import judge
from drills.measure.judgement import JudgedObjective, Judgement
from drills.measure.question import Moment, Question, Target
from drills.measure.verdict import Span, Verdict, explain
from drills.timeline.codec import dump, load
from drills.timeline.facts import Facts
from drills.timeline.marks import Limits, Mark
from drills.timeline.samples import BAD, GOOD, UNKNOWN, ClockReading, Control, Persona, Sample, Samples


def test_the_words_for_a_verdict_say_the_bound_itself_and_not_a_rounder_number() -> None:
    near, beyond = Span(0, 29_970 * MS, ()), Span(300_300 * MS, None, ())
    assert explain(near, 30 * S, Verdict.MET)[0] == "at most 29.97s, within 30s"
    assert explain(beyond, 300 * S, Verdict.MISSED)[0] == "at least 5m00.3s, above 5m"


def named(judged: Judgement, name: str) -> JudgedObjective:
    return next(one for one in judged.objectives if one.name == name)


def test_a_region_loss_within_its_targets_is_met_and_bounded() -> None:
    judged = judge(Case().question())
    rto_, rpo = named(judged, "rto"), named(judged, "rpo")
    assert (rto_.verdict, rpo.verdict) == (Verdict.MET, Verdict.MET)
    assert rto_.low_s is not None
    assert rto_.high_s is not None
    assert rto_.low_s <= 5.0 <= rto_.high_s
    assert rto_.high_s - rto_.low_s < 0.15
    assert rpo.low_s is not None
    assert rpo.high_s is not None
    assert rpo.low_s <= 0.120 <= rpo.high_s
    assert "announced drill, detection not exercised" in rto_.why
    assert judged.write_rate == "orders: 20.0 acked writes/s exercised, declared peak 400/s"


def test_the_lost_rows_equal_the_set_difference() -> None:
    asked = Case().question()
    book = asked.ledgers[0].book
    acked = {marker.seq for marker in book.markers if marker.acked}
    present = {row.seq for row in book.recovered}
    rows = judge(asked).rows
    assert rows is not None
    assert rows.lost == len(acked - present) > 0
    assert (rows.acked, rows.phantom, rows.holes) == (len(acked), 0, 0)


def test_what_a_store_lost_that_was_never_read_is_not_counted_as_nothing() -> None:
    asked = Case().question()
    unread = replace(asked.ledgers[0], book=replace(asked.ledgers[0].book, rounds=[], recovered=[]))
    judged = judge(replace(asked, ledgers=(unread,)))
    rows = judged.rows
    assert rows is not None
    assert rows.acked > 0
    assert (rows.lost, rows.phantom, rows.holes, rows.diverged, rows.reconciled) == (None,) * 5
    assert judged.stores[0].rows == rows
    assert named(judged, "rpo").verdict is Verdict.UNPROVEN


@pytest.mark.parametrize("black_hole", [False, True])
def test_the_truth_lies_within_the_bounds_of_every_simulated_drill(black_hole: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    for seed in range(60):
        random = Random(seed)
        recovers = random.randint(500, 8000) * MS
        story = Story(recovers=recovers, black_hole=black_hole, every=random.choice((20, 50, 100)) * MS, seed=seed)
        injected = Case(story).question()
        unknown = replace(injected, disaster=Disaster(None))
        for asked in (injected, unknown):
            found = named(judge(asked), "rto")
            assert found.low_s is not None
            assert found.high_s is not None
            assert found.low_s <= recovers / S <= found.high_s, (seed, asked.disaster)


def test_a_target_below_the_truth_is_missed_and_one_inside_the_bracket_unproven() -> None:
    asked = Case(Story(every=20 * MS), (replace(RTO, target_ns=4 * S), replace(RTO, name="near", target_ns=5 * S)))
    judged = judge(asked.question())
    assert named(judged, "rto").verdict is Verdict.MISSED
    near = named(judged, "near")
    assert near.verdict is Verdict.UNPROVEN
    assert "inside the bracket" in near.why
    assert "an interval below 20ms" in near.decided_by


def test_a_run_that_never_recovers_is_never_met() -> None:
    judged = judge(Case(Story(recovers=500 * S)).question())
    found = named(judged, "rto")
    assert (found.verdict, found.high_s, found.best_s) == (Verdict.UNPROVEN, None, None)
    assert "no request was served by west" in found.why
    short = Case(Story(recovers=500 * S), (replace(RTO, target_ns=5 * S),))
    assert named(judge(short.question()), "rto").verdict is Verdict.MISSED


def test_a_window_that_was_not_over_is_unproven() -> None:
    found = named(judge(Case(Story(watched=12 * S)).question()), "rto")
    assert found.verdict is Verdict.UNPROVEN
    assert "no whole window of 10s" in found.why


def test_the_answer_of_an_api_is_not_the_disaster() -> None:
    """The fault takes effect 3 s after its call returned, and was claimed to be synchronous."""
    late = Case(Story(takes_effect=3 * S, recovers=8 * S))
    found = named(judge(late.question()), "rto")
    assert found.verdict is Verdict.UNPROVEN
    assert "still answered a request" in found.why
    confirmed = Disaster(Bracket(LOST - MS, LOST + MS), confirmed=LOST + 3200 * MS)
    found = named(judge(late.question(disaster=confirmed)), "rto")
    assert found.verdict is Verdict.MET
    assert found.low_s is not None
    assert found.high_s is not None
    assert found.low_s <= 8.0 <= found.high_s


def test_a_disaster_that_never_cut_replication_proves_no_rpo() -> None:
    found = named(judge(Case().question(cut_before_promote=False)), "rpo")
    assert found.verdict is Verdict.UNPROVEN
    assert "replication was never cut" in found.why


def test_the_old_site_flapping_back_and_a_maintenance_page_are_not_restored() -> None:
    story = Story()
    plain = watch(story)
    for by in ("east", ""):
        rows = [
            replace(row, up=True, by=by) if not row.up and row.sent > LOST + 2 * S else row for row in plain.samples
        ]
        asked = Case(story).question(watches=(replace(plain, samples=Samples.of(rows)),))
        found = named(judge(replace(asked, disaster=Disaster(Bracket(LOST, LOST), confirmed=LOST + S))), "rto")
        assert found.low_s is not None
        assert found.low_s > 4.8


def test_a_relapse_is_listed_and_never_met() -> None:
    judged = judge(Case(Story(again=((18 * S, 19 * S),))).question())
    found = named(judged, "rto")
    assert found.verdict is Verdict.UNPROVEN
    assert "relapse" in found.why
    assert any("failed again at 18." in one for one in judged.warnings)


def test_flaps_are_counted_and_the_restoration_is_that_of_the_stable_window() -> None:
    judged = judge(Case(Story(again=((6 * S, 7 * S), (7500 * MS, 8 * S)), watched=30 * S)).question())
    found = named(judged, "rto")
    assert found.low_s is not None
    assert found.high_s is not None
    assert found.low_s <= 8.0 <= found.high_s
    assert judged.flaps is not None
    assert (judged.flaps.count, judged.flaps.observer) == (2, "service")
    assert judged.flaps.downtime_high_s is not None
    assert judged.flaps.downtime_low_s <= 6.5 <= judged.flaps.downtime_high_s
    assert judged.flaps.first_success_s == pytest.approx(5.0, abs=0.15)
    assert judged.flaps.stable_since_s == pytest.approx(8.0, abs=0.15)


@pytest.mark.parametrize("back", [99 * S, 5 * S], ids=["never back", "back, and down again to the end"])
def test_the_downtime_has_no_upper_end_where_the_service_was_not_seen_back(back: int) -> None:
    judged = judge(Case(Story(recovers=back, again=((8 * S, 99 * S),))).question())
    assert named(judged, "rto").verdict is Verdict.UNPROVEN
    assert judged.flaps is not None
    assert judged.flaps.downtime_high_s is None
    assert judged.flaps.downtime_low_s > 10


def test_the_phases_add_up_to_what_is_said_of_them_and_name_who_saw_it() -> None:
    judged = judge(Case().question())
    assert judged.recovery is not None
    found, rto = judged.recovery, named(judged, "rto")
    assert found.seen_by == ("service",)
    assert (found.low_s, found.best_s, found.high_s) == (rto.low_s, rto.best_s, rto.high_s)
    assert sum(one.seconds for one in judged.phases) == pytest.approx(found.best_s)
    assert found.detail == "from the disaster until service had the service back"
    aim = Target("downtime", None, None, 30 * S, limits=Limits.DOWNTIME)
    moved = judge(Case(targets=(aim,)).question(disaster=Disaster(None, opened=LOST - 10 * S)))
    assert moved.recovery is not None
    assert sum(one.seconds for one in moved.phases) == pytest.approx(moved.recovery.best_s)
    assert "the outage's beginning" in moved.recovery.detail
    assert moved.recovery.detail.endswith("; the downtime is counted by itself")


def test_a_failure_in_the_baseline_leaves_the_drill_unproven() -> None:
    asked = Case().question()
    up = asked.watches[0].samples.up[:]
    up[100] = BAD
    sick = replace(asked.watches[0], samples=replace(asked.watches[0].samples, up=up))
    found = named(judge(replace(asked, watches=(sick,))), "rto")
    assert found.verdict is Verdict.UNPROVEN
    assert "before the disaster" in found.why


def test_observers_of_another_clock_or_time_namespace_judge_nothing() -> None:
    asked = Case().question()
    for change in ({"clock": "host/other-boot"}, {"time_namespace": "time:[2]"}):
        strange = replace(asked.watches[0], header=replace(asked.watches[0].header, **change))
        found = named(judge(replace(asked, watches=(strange,))), "rto")
        assert (found.verdict, found.low_s, found.high_s) == (Verdict.UNPROVEN, None, None)
        assert "another clock" in found.why


def test_a_machine_that_slept_is_unproven() -> None:
    asked = Case().question()
    begin, end = ClockReading(0, 0, 0), ClockReading(90 * S, 50 * S, 90 * S)
    slept = replace(asked.watches[0], header=replace(asked.watches[0].header, at_start=begin, at_end=end))
    found = named(judge(replace(asked, watches=(slept,))), "rto")
    assert found.verdict is Verdict.UNPROVEN
    assert "slept" in found.why


@pytest.mark.parametrize("changes", [{"watches": (), "ledgers": ()}, {"disaster": None}])
def test_nothing_measured_is_unproven(changes: dict[str, object]) -> None:
    judged = judge(Case().question(**changes))
    assert {one.verdict for one in judged.objectives} == {Verdict.UNPROVEN}
    assert {one.high_s for one in judged.objectives} == {None}


def test_two_incidents_need_a_mark_and_the_marked_one_is_judged() -> None:
    story = Story(again=((30 * S, 32 * S),), watched=60 * S)
    asked = Case(story).question(disaster=Disaster(None), ledgers=())
    assert "2 incidents were seen" in named(judge(asked), "rto").why
    marked = replace(asked, disaster=Disaster(None, mark=Bracket(LOST + 31 * S, LOST + 31 * S)))
    found = named(judge(marked), "rto")
    assert found.low_s is not None
    assert found.high_s is not None
    assert found.low_s <= 2.0 <= found.high_s


def test_a_ttl_client_is_judged_beside_the_service_and_its_tail_is_named() -> None:
    story = Story(ttl=3 * S, seed=4)
    client = watch(story, "clients", Persona.TTL)
    judged = judge(Case(story).question(watches=(watch(story), client)))
    service, theirs = judged.observers
    assert judged.dns_tail is not None
    assert service.low_s is not None
    assert service.high_s is not None
    assert theirs.low_s is not None
    assert theirs.high_s is not None
    clock_s = 0.01  # how long the fault's call took: the same for both, so it does not widen what lies between them
    assert judged.dns_tail.low_s == pytest.approx(theirs.low_s - service.high_s + clock_s)
    assert judged.dns_tail.high_s == pytest.approx(theirs.high_s - service.low_s - clock_s)
    tail = next(part for part in judged.phases if part.name == "DNS tail")
    assert (tail.low_s, tail.high_s) == (max(0.0, judged.dns_tail.low_s or 0.0), judged.dns_tail.high_s)
    found = named(judged, "rto")
    assert (found.low_s, found.high_s) == (max(service.low_s, theirs.low_s), max(service.high_s, theirs.high_s))
    assert judged.worst_client is not None
    assert judged.worst_client.high_s is not None
    assert judged.worst_client.high_s == pytest.approx(service.high_s + 3.0)
    assert judged.worst_client.low_s == max(service.low_s, theirs.low_s), "at least as slow as the one that was watched"
    assert theirs.high_s <= judged.worst_client.high_s + 0.1


def test_the_phases_add_up_to_the_recovery_time() -> None:
    judged = judge(Case().question())
    best = named(judged, "rto").best_s
    assert sum(part.seconds for part in judged.phases) == pytest.approx(best)
    lengths = {part.name: round(part.seconds, 2) for part in judged.phases}
    assert lengths["decide"] == 1.0
    assert lengths["automation: promote"] == 1.5
    assert lengths["data"] == 0.5
    assert lengths["automation: shift"] == 0.8
    assert "automation: scale" not in lengths


def test_other_pairs_of_marks_are_intervals_too() -> None:
    pair = Target("data", Mark.DECIDED, Mark.DATA_RESTORED, 3 * S)
    unset = Target("exposure", Mark.SERVICE_RESTORED, Mark.REDUNDANCY_RESTORED, 3 * S)
    after = Target("validated", Mark.DECIDED, Mark.SERVICE_RESTORED, 10 * S)
    judged = judge(Case(targets=(pair, unset, after)).question())
    found = named(judged, "data")
    assert (found.verdict, found.low_s, found.high_s) == (Verdict.MET, 1.99, 2.11)
    assert "redundancy_restored was never set" in named(judged, "exposure").why
    assert named(judged, "validated").verdict is Verdict.MET
    assert named(judged, "validated").best_s == pytest.approx(4.0, abs=0.1)


def test_several_stores_are_judged_by_the_worst_and_their_consistency_is_told() -> None:
    story = Story()
    near, far = ledger(story, 40 * MS, store="cache"), ledger(story, 400 * MS)
    judged = judge(Case(story).question(ledgers=(near, far)))
    stores = {one.store: one for one in judged.stores}
    rpo = named(judged, "rpo")
    assert (rpo.low_s, rpo.high_s) == (stores["orders"].low_s, stores["orders"].high_s)
    assert judged.consistency is not None
    assert 0.9 < judged.consistency.low <= judged.consistency.high < 1


def test_a_late_control_probe_turns_what_it_overlaps_into_unknown() -> None:
    rows = Samples.of(Sample(at, at + 5, up=True) for at in (0, 10, 20, 30))
    assert list(evidence.censor(rows, [Control(12, 22, 9, ok=False), Control(30, 31, 0, ok=True)]).up) == [
        GOOD,
        UNKNOWN,
        UNKNOWN,
        GOOD,
    ]


def test_a_timeout_counts_for_l_max_only_with_a_long_enough_baseline() -> None:
    short = judge(Case(Story(black_hole=True)).question())
    assert any("A2 not used: 15" in one for one in short.assumptions)
    long = judge(Case(Story(black_hole=True, baseline=320 * S)).question())
    assert any(one.startswith("service: A2: a healthy service answers within 7.0 ms") for one in long.assumptions)
    wide, narrow = named(short, "rto"), named(long, "rto")
    assert narrow.high_s is not None
    assert wide.high_s is not None
    assert narrow.high_s < 5.2 < wide.high_s < 6.3


def test_the_same_question_has_the_same_answer_and_it_is_kept_on_the_timeline() -> None:
    first, second = judge(Case().question()), judge(Case().question())
    assert first == second
    text = dump(first.claims())
    assert load(Facts, text) == second.claims()
    assert dump(second.claims()) == text


def test_a_question_that_cannot_be_meant_is_refused() -> None:
    asked = Case().question()
    with pytest.raises(ValueError, match="two observers have one name"):
        judge(replace(asked, watches=asked.watches * 2))
    with pytest.raises(ValueError, match="longer than nothing"):
        judge(replace(asked, watches=(replace(asked.watches[0], window_ns=0),)))


def test_lints_name_what_weakens_a_measurement() -> None:
    story = Story(window=3 * S, every=500 * MS)
    weak = replace(
        watch(story), header=header("service", Persona.FRESH, story, in_flight=2, identified=False, ended=None)
    )
    said = "\n".join(judge(Case(story, (replace(RTO, target_ns=5 * S),)).question(watches=(weak,))).warnings)
    for part in (
        "stable_for 3s is less than",
        "2 requests in flight, 4 are needed",
        "is coarse",
        "do not name",
        "did not end",
    ):
        assert part in said


def test_a_completion_based_estimate_falls_short_of_the_bounds_in_a_black_hole() -> None:
    asked = Case(Story(black_hole=True)).question()
    rows = list(asked.watches[0].samples)
    first_failure = min(row.ended for row in rows if row.up is False)
    first_success = min(row.ended for row in rows if row.up and row.sent > LOST)
    naive = (first_success - first_failure) / S
    low = named(judge(asked), "rto").low_s
    assert low is not None
    assert naive < low
    assert naive == pytest.approx(4.0, abs=0.2)


def test_the_midpoint_spreads_as_theory_says() -> None:
    """Refused connections, unknown fault time, R uniform over 20-30 h: sd h / sqrt(6) within 10 %."""
    random, every, window = Random(7), 1000, 8_000
    errors: list[float] = []
    for _ in range(4_000):
        begun = 40_000 + random.randint(0, every)
        recovered = begun + random.randint(20 * every, 30 * every)
        sent = array("q", range(10_000, recovered + 3 * window, every))
        up = array("b", [not begun <= at < recovered for at in sent])
        ended = array("q", [at + 1 for at in sent])
        zeros = array("q", bytes(8 * len(sent)))
        samples = Samples(sent, ended, up, array("b", [1] * len(sent)), zeros)
        seen = evidence.seen_up(samples, 1 << 40, None)
        way = rto.track(seen, window // 5)
        (felt,) = effect.incidents(way, window)
        run = rto.upper(way, felt.latest, window)
        assert run is not None
        low, high = rto.lower(seen, felt.earliest, window) - felt.latest, run.ended - felt.earliest
        assert low <= recovered - begun <= high
        errors.append((low + high) / 2 - (recovered - begun))
    assert pstdev(errors) == pytest.approx(every / sqrt(6), rel=0.1)


def test_the_targets_of_a_drill_may_name_who_judges() -> None:
    only = replace(RTO, seen_by=("service",))
    nobody = replace(RTO, name="nobody", seen_by=("ghost",))
    judged = judge(Case(targets=(only, nobody, RPO)).question())
    assert named(judged, "rto").verdict is Verdict.MET
    assert "no observer ghost stands in the drill" in named(judged, "nobody").why


def joint_drill(**changes: object) -> Question:
    """Reads come back after 5 s, writes after 8 s; both are one in the objective."""
    reads, writes = Story(), Story(recovers=8 * S, seed=7)
    watches = (watch(reads, "reads"), watch(writes, "writes"))
    return replace(Case(reads).question(), watches=watches, targets=(JOINT,), **changes)


JOINT = replace(RTO, joint=("reads", "writes"))


def test_a_joint_objective_is_met_only_once_all_of_its_observers_are_served() -> None:
    judged = judge(joint_drill())
    found = named(judged, "rto")
    assert found.verdict is Verdict.MET
    assert found.low_s is not None
    assert found.high_s is not None
    assert found.low_s <= 8.0 <= found.high_s
    seen = {one.name: one for one in judged.observers}
    assert seen["reads & writes"].persona == "joint"
    assert (seen["reads & writes"].low_s, seen["reads & writes"].high_s) == (found.low_s, found.high_s)
    assert sum(one.seconds for one in judged.phases) == pytest.approx(found.best_s)


def test_observers_that_are_each_back_but_never_together_prove_no_recovery() -> None:
    """Reads are back from 5 s and gone from 17 s on, writes come back at 16 s: each had a window of its own."""
    reads = Story(again=((17 * S, 18 * S),), watched=27 * S)
    writes = Story(recovers=16 * S, watched=27 * S, seed=3)
    watches = (watch(reads, "reads"), watch(writes, "writes"))
    asked = replace(Case(reads).question(), watches=watches, until=LOST + 27 * S)
    separate = named(judge(replace(asked, targets=(replace(RTO, seen_by=("reads", "writes")),))), "rto")
    assert separate.high_s is not None
    together = named(judge(replace(asked, targets=(JOINT,))), "rto")
    assert (together.verdict, together.high_s) == (Verdict.UNPROVEN, None)
    assert "reads and writes were never all up together for a whole window of 10s" in together.why
    assert together.low_s is not None
    assert together.low_s > separate.high_s
    longer = (watch(replace(reads, watched=40 * S), "reads"), watch(replace(writes, watched=40 * S), "writes"))
    found = named(judge(replace(asked, watches=longer, until=LOST + 40 * S, targets=(JOINT,))), "rto")
    assert found.low_s is not None
    assert found.high_s is not None
    assert found.low_s <= 18.0 <= found.high_s


def test_an_incident_nobody_injected_is_judged_jointly_too() -> None:
    found = named(judge(joint_drill(disaster=Disaster(None))), "rto")
    assert found.low_s is not None
    assert found.high_s is not None
    assert found.low_s <= 8.0 <= found.high_s


def test_what_speaks_against_one_observer_speaks_against_all_as_one() -> None:
    asked = joint_drill()
    sick = asked.watches[1].samples
    up = sick.up[:]
    up[100] = BAD
    watches = (asked.watches[0], replace(asked.watches[1], samples=replace(sick, up=up)))
    found = named(judge(replace(asked, watches=watches)), "rto")
    assert found.verdict is Verdict.UNPROVEN
    assert "writes: 1 requests failed in the 10s before the disaster" in found.why
    ghost = named(judge(replace(asked, targets=(replace(JOINT, joint=("reads", "ghost")),))), "rto")
    assert "no observer ghost" in ghost.why


def test_every_clock_is_told_and_one_is_judged() -> None:
    detected = Moment(Mark.DETECTED, Bracket(LOST + 400 * MS, LOST + 500 * MS))
    declared = Moment(Mark.DECLARED, Bracket(LOST + 800 * MS, LOST + 800 * MS))
    asked = Case(targets=(RTO, replace(RTO, name="since-alarm", begins=Mark.DETECTED))).question()
    judged = judge(replace(asked, moments=(*asked.moments, detected, declared)))
    clocks = {one.name: one for one in named(judged, "rto").clocks}
    assert list(clocks) == ["disaster", "effect", "detected", "declared", "decided"]
    assert [name for name, one in clocks.items() if one.judged] == ["disaster"]
    for name, truth in (("disaster", 5.0), ("effect", 5.0), ("detected", 4.55), ("declared", 4.2), ("decided", 4.0)):
        one = clocks[name]
        assert one.high_s is not None
        assert one.low_s <= truth <= one.high_s
    other = named(judged, "since-alarm")
    assert [one.name for one in other.clocks if one.judged] == ["detected"]
    assert (other.low_s, other.high_s) == (clocks["detected"].low_s, clocks["detected"].high_s)
    assert "detection not exercised" not in named(judged, "rto").why


def test_work_is_recovered_after_the_service_and_both_make_the_downtime() -> None:
    wrt = Target("wrt", Mark.SERVICE_RESTORED, Mark.WORK_RECOVERED, 10 * S)
    mtd = Target("mtd", Mark.DISASTER, Mark.WORK_RECOVERED, 60 * S)
    asked = Case(targets=(RTO, wrt, mtd)).question()
    assert "work_recovered was never set" in named(judge(asked), "mtd").why
    for at, truth in ((9 * S, 9.0), (2 * S, 5.0)):
        done = Moment(Mark.WORK_RECOVERED, Bracket(LOST + at, LOST + at))
        judged = judge(replace(asked, moments=(*asked.moments, done)))
        found = {name: named(judged, name) for name in ("rto", "wrt", "mtd")}
        assert {one.verdict for one in found.values()} == {Verdict.MET}
        bounds = {name: (one.low_s or 0.0, one.high_s or 0.0) for name, one in found.items()}
        assert bounds["mtd"][0] <= truth <= bounds["mtd"][1]
        assert bounds["wrt"][0] <= truth - 5.0 <= bounds["wrt"][1]
        assert bounds["rto"][0] + bounds["wrt"][0] <= bounds["mtd"][1]
    down = Case(Story(recovers=500 * S), (RTO, wrt, mtd)).question()
    done = Moment(Mark.WORK_RECOVERED, Bracket(LOST + 9 * S, LOST + 9 * S))
    found = named(judge(replace(down, moments=(*down.moments, done))), "mtd")
    assert found.verdict is Verdict.UNPROVEN
    assert "no request was served by west" in found.why


def test_a_rate_that_was_never_measured_is_not_told_as_zero() -> None:
    """A drill that was aborted early has hardly written: it says so, or says nothing, and never 0.0 writes/s."""
    whole = ledger(Story())
    for count, told in ((1, ""), (0, "orders: no write was acknowledged")):
        acked = [one for one in whole.book.markers if one.acked][:count]
        rest = [one for one in whole.book.markers if not one.acked]
        short = replace(whole, book=replace(whole.book, markers=[*acked, *rest]))
        assert judge(Case().question(ledgers=(short,))).write_rate == told


def test_what_the_scheduler_denied_is_said_once_for_all_observers() -> None:
    asked = Case().question()
    denied = tuple(replace(one, header=replace(one.header, scheduler="SCHED_OTHER (denied)")) for one in asked.watches)
    ledgers = tuple(replace(one, header=replace(one.header, scheduler="SCHED_OTHER (denied)")) for one in asked.ledgers)
    said = [one for one in judge(replace(asked, watches=denied, ledgers=ledgers)).warnings if "SCHED_OTHER" in one]
    assert len(said) == 1
    assert all(one.header.observer in said[0] for one in (*denied, *ledgers))
