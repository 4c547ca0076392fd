"""A small calibration on this machine: the real estimators pass it, and broken ones are found out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from drills.calibrate.downtimes import DOWNTIME, PLANNED
from drills.calibrate.figures import Cell
from drills.calibrate.lane import Plan
from drills.calibrate.outages import Kind, Terms
from drills.calibrate.run import Evidence, Report, Settings, Stopped, Until, calibrate, observed, report
from drills.calibrate.stores import ASYNC
from drills.calibrate.telling import told
from drills.cli.calibrate import conclude
from drills.measure.effect import Disaster
from drills.measure.judge import judge
from drills.measure.verdict import Verdict
from drills.report.paint import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.measure.judgement import JudgedObjective, Judgement
    from drills.measure.question import Question

KINDS = tuple(kind for kind in Kind if kind not in {Kind.FAILOVER, Kind.TTL})
SMALL = Settings(
    (
        Plan("10ms", Terms(0.01, 0.25), KINDS, len(KINDS), seed=1),
        Plan("50ms", Terms(0.05, 0.25), (Kind.REFUSED, Kind.KILLED, Kind.BROKEN, Kind.MAINTENANCE), 8, seed=2),
        Plan("hole", Terms(0.02, 0.25), (Kind.HANG,), 10, seed=3, closed=True),
    ),
    failovers=2,
    stores=(ASYNC,),
)

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return observed(SMALL)


@pytest.fixture(scope="module")
def honest(evidence: Evidence) -> Report:
    return report(evidence)


def test_the_truth_lies_inside_the_bounds_of_every_outage_and_every_control_is_detected(honest: Report) -> None:
    assert honest.failures == ()
    outages = len(KINDS) + 8 + 10 + 2 * 2
    assert honest.covered == len(honest.cases) == 3 * outages + 1, "the recovery time, and the downtime in two ways"
    assert [one.name for one in honest.controls if one.detected] == [
        "effect taken from the API's answer",
        "disaster that never cut replication",
        "bounds by completion time",
        "closed-loop prober",
        "TTL client taken for the service",
        "RPO by the server's clock",
        "checker fed a failing run",
        "recovery time taken for the downtime",
    ]
    (failing,) = [one for one in honest.controls if one.name == "checker fed a failing run"]
    assert failing.detail.startswith("0 of ")
    assert "a target below the truth, a service not back, a dead observer" in failing.detail
    felt = {f"{how}, {kind.value}" for kind in Kind for how in (DOWNTIME, PLANNED)}
    assert {one.kind for one in honest.cases} == {kind.value for kind in Kind} | felt | {ASYNC.name}


def test_what_was_lost_is_counted_to_the_row(honest: Report) -> None:
    (loss,) = honest.losses
    assert loss.lost == loss.truly_lost > 0
    assert loss.case.truth_low_s > 0


def test_the_figures_are_those_of_the_cases(honest: Report) -> None:
    def of(every_s: float) -> Cell:
        (found,) = (one for one in honest.cells if one.every_s == every_s)
        return found

    fine = of(0.01)
    assert (fine.cases, fine.covered) == (len(KINDS), len(KINDS))
    assert fine.lateness is not None
    assert 0 <= fine.lateness.p50_s <= fine.lateness.p99_s <= fine.lateness.most_s
    assert fine.theory_s == pytest.approx(0.01 / 6**0.5)
    coarse = of(0.05)
    assert coarse.certified_s is not None
    assert coarse.spread_cases > 0
    assert honest.resolution_s == min(one.certified_s for one in honest.cells if one.certified_s is not None)


def test_it_says_so_in_words_and_as_one_object(honest: Report, capsys: pytest.CaptureFixture[str]) -> None:
    text = plain(told(honest), 150)
    assert "This machine measures true." in text
    assert f"in {len(honest.cases)} of {len(honest.cases)} cases" in text
    assert "Downtime in all, with and without a disaster: " in text
    assert conclude(honest, "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["cases"], document["covered"]) == (len(honest.cases), len(honest.cases))
    assert document["width_median_s"] > 0
    assert abs(document["bias_s"]) < 0.05
    assert all({"name", "expected_s", "seen_s", "detected"} <= one.keys() for one in document["controls"])


def shifted(seconds: float) -> Callable[[Question], Judgement]:
    """Break the estimators: every bracket is moved by so much."""

    def broken(question: Question) -> Judgement:
        answer = judge(question)
        moved = (
            replace(
                one,
                low_s=None if one.low_s is None else max(0.0, one.low_s + seconds),
                high_s=None if one.high_s is None else max(0.0, one.high_s + seconds),
            )
            for one in answer.observers
        )
        return replace(answer, observers=tuple(moved))

    return broken


def believing_the_api(question: Question) -> Judgement:
    """Break the estimators: every fault is in effect when its call has returned."""
    disaster = question.disaster
    if disaster is not None and disaster.clock is not None:
        question = replace(question, disaster=Disaster(disaster.clock, synchronous=True))
    return judge(question)


def forgetting_the_site(question: Question) -> Judgement:
    """Break the estimators: whoever answers, the service is restored."""
    return judge(replace(question, from_site="", to_site=""))


def never_asking_for_the_cut(question: Question) -> Judgement:
    """Break the estimators: replication is taken to have been cut."""
    return judge(replace(question, cut_before_promote=True))


def always_content(question: Question) -> Judgement:
    """Break the estimators: everything is MET."""
    answer = judge(question)
    return replace(answer, objectives=tuple(replace(one, verdict=Verdict.MET) for one in answer.objectives))


def losing_a_row(question: Question) -> Judgement:
    """Break the estimators: one lost row is not counted."""
    answer = judge(question)
    rows = answer.rows
    return answer if rows is None else replace(answer, rows=replace(rows, lost=(rows.lost or 0) - 1))


def adding(seconds: float) -> Callable[[Question], Judgement]:
    """Break the estimators: every objective's bounds are moved by so much, and judged there."""

    def broken(question: Question) -> Judgement:
        answer = judge(question)
        moved: list[JudgedObjective] = []
        for one in answer.objectives:
            low, high = one.low_s, one.high_s
            low = None if low is None else max(0.0, low + seconds)
            high = None if high is None else max(0.0, high + seconds)
            moved.append(replace(one, low_s=low, high_s=high))
        return replace(answer, objectives=tuple(moved))

    return broken


def counting_the_recovery_time(question: Question) -> Judgement:
    """Break the estimators: what is down once counts as down until it is restored for good."""
    answer = judge(question)
    if not answer.observers:
        return answer
    seen = answer.observers[0]
    objectives = (replace(one, low_s=seen.low_s, high_s=seen.high_s) for one in answer.objectives)
    return replace(answer, objectives=tuple(objectives))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (shifted(-0.3), "misses the truth"),
        (shifted(0.3), "misses the truth"),
        (believing_the_api, "misses the truth"),
        (forgetting_the_site, "maintenance page"),
        (never_asking_for_the_cut, "never cut replication"),
        (always_content, "checker fed a failing run"),
        (losing_a_row, "lost rows were counted"),
        (adding(-0.3), "downtime, refused"),
        (adding(0.3), "downtime without a disaster, refused"),
        (counting_the_recovery_time, "recovery time taken for the downtime"),
    ],
    ids=[
        "too early",
        "too late",
        "the answer",
        "any site",
        "no cut",
        "content",
        "a row less",
        "less downtime",
        "more downtime",
        "recovery for downtime",
    ],
)
def test_a_broken_estimator_makes_calibrate_exit_1(
    evidence: Evidence, broken: Callable[[Question], Judgement], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(evidence, broken)
    assert any(said in one for one in found.failures)
    assert conclude(found, "text") == 1
    assert "does not measure true" in capsys.readouterr().out


def test_a_measurement_that_bounds_nothing_is_no_pass(evidence: Evidence) -> None:
    def blind(question: Question) -> Judgement:
        answer = judge(question)
        return replace(answer, observers=tuple(replace(one, high_s=None) for one in answer.observers))

    assert any("could be bounded at all" in one for one in report(evidence, blind).failures)


def test_what_cannot_run_stops_everything_else_at_once() -> None:
    endless = replace(SMALL.lanes[0], count=100_000)
    bad = replace(SMALL.lanes[1], terms=Terms(0.0, 0.25))
    with pytest.raises(Exception, match="must be at least"):
        calibrate(replace(SMALL, lanes=(endless, bad)))


def test_whoever_waits_is_woken_by_a_stop() -> None:
    until = Until()
    until.sleep(0.0)
    until.stop()
    with pytest.raises(Stopped):
        until.sleep(60)
