"""What a service says of its recovery point: shown as evidence, and judged only where that was asked for and proved."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measure_drill import LOST, MS, RPO, Case, S

from drills.measure.effect import Disaster
from drills.measure.evidence import Bracket
from drills.measure.judge import judge
from drills.measure.judgement import JudgedObjective, Judgement
from drills.measure.points import age
from drills.measure.question import PointSeen, Question, Target
from drills.measure.skew import drift
from drills.measure.verdict import Verdict
from drills.timeline.marks import Basis, Mark

UTC0 = 1_790_000_000 * S
"""Our UTC at the zero of our monotonic clock."""
WORD = "RDS LatestRestorableTime"
SKEW = Bracket(-10 * MS, 10 * MS)
DISASTER = Bracket(LOST - 5 * MS, LOST + 5 * MS)


def seen(before_loss: int, *, after: bool = False, skew: Bracket | None = SKEW) -> PointSeen:
    """Say what a service whose clock is as ours tells of a point that lay so long before the disaster."""
    asked = LOST + 60 * S if after else LOST - 2 * S
    at = UTC0 + LOST - before_loss
    why = "" if skew else "why"
    return PointSeen(
        "orders-backup",
        WORD,
        after=after,
        restored=False,
        asked=asked,
        asked_utc=UTC0 + asked,
        at=at,
        skew=skew,
        why=why,
    )


def asked(*points: PointSeen, basis: Basis = Basis.RESTORED_POINT, checked: tuple[str, ...] = ("rows",)) -> Question:
    target = replace(RPO, target_ns=15 * 60 * S, basis=basis)
    question = Case(targets=(target,)).question(points=points, content_checked=checked)
    return replace(question, ledgers=()) if basis is Basis.RESTORED_POINT else question


def rpo(judged: Judgement) -> JudgedObjective:
    return next(one for one in judged.objectives if one.name == "rpo")


def test_a_point_is_shown_with_its_bounds_whose_word_it_is_and_that_it_is_evidence() -> None:
    judged = judge(asked(seen(300 * S + 500 * MS), seen(240 * S, after=True)))
    before, after = judged.recovery_points
    told = "recovery point [5m, 5m01s] before the disaster, by RDS LatestRestorableTime (evidence)"
    assert (before.asked, before.told) == ("at the start", told)
    assert "basis restored_point: the restore used no older point" in judged.assumptions[-1]
    assert (before.low_s, before.high_s) == (pytest.approx(300.5, abs=0.1), pytest.approx(300.5, abs=0.1))
    assert before.low_s is not None
    assert before.high_s is not None
    assert before.low_s < 300.5 < before.high_s
    assert (after.asked, after.skew_low_s, after.skew_high_s) == ("after the recovery", -0.01, 0.01)
    assert judged.claims()["recovery_points"]


def test_it_stands_beside_the_markers_and_changes_nothing_in_their_verdict() -> None:
    question = asked(seen(10 * 3600 * S), basis=Basis.MARKERS)
    with_it, without = judge(question), judge(replace(question, points=(), content_checked=()))
    assert rpo(with_it) == rpo(without)
    assert rpo(with_it).verdict is Verdict.MET
    assert with_it.recovery_points


def test_without_markers_and_without_the_basis_it_never_judges() -> None:
    question = replace(asked(seen(10 * S), basis=Basis.MARKERS), ledgers=())
    found = rpo(judge(question))
    assert (found.verdict, found.low_s, found.high_s) == (Verdict.UNPROVEN, None, None)
    assert "a recovery point is evidence only" in found.why
    assert "basis: restored_point" in found.decided_by


@pytest.mark.parametrize(
    ("points", "checked", "verdict", "why"),
    [
        ((seen(300 * S), seen(200 * S, after=True)), ("rows",), Verdict.MET, "content checked by rows"),
        (
            (seen(300 * S), seen(200 * S, after=True)),
            (),
            Verdict.UNPROVEN,
            "the content of the restored copy was never",
        ),
        ((seen(300 * S, skew=None), seen(200 * S, after=True)), ("rows",), Verdict.UNPROVEN, "orders-backup: why"),
        ((seen(300 * S), seen(200 * S, after=True, skew=None)), ("rows",), Verdict.UNPROVEN, "orders-backup: why"),
        ((seen(2000 * S), seen(200 * S, after=True)), ("rows",), Verdict.UNPROVEN, "the target 15m lies inside"),
        ((seen(2000 * S), seen(1900 * S, after=True)), ("rows",), Verdict.MISSED, "above 15m"),
        ((seen(2000 * S),), ("rows",), Verdict.UNPROVEN, "the target 15m lies inside"),
        ((seen(200 * S, after=True),), ("rows",), Verdict.UNPROVEN, "was not asked in time"),
        ((), ("rows",), Verdict.UNPROVEN, "no recovery point is known"),
    ],
)
def test_with_the_basis_it_judges_after_a_content_check_and_with_a_bound_on_the_clock(
    points: tuple[PointSeen, ...], checked: tuple[str, ...], verdict: Verdict, why: str
) -> None:
    found = rpo(judge(asked(*points, checked=checked)))
    assert found.verdict is verdict, found.why
    assert why in found.why
    assert found.why.startswith("basis: restored_point, by ")


def test_of_a_copy_that_says_to_where_it_was_restored_only_that_counts() -> None:
    reached = replace(seen(600 * S, after=True), restored=True)
    found = rpo(judge(asked(replace(reached, after=False, at=None, why="no such table"), reached)))
    assert found.verdict is Verdict.MET
    assert found.low_s == pytest.approx(600, abs=2)
    assert found.high_s == pytest.approx(600, abs=1)
    never = rpo(judge(asked(replace(reached, at=None, why="no such table"))))
    assert (never.verdict, "no such table" in never.why) == (Verdict.UNPROVEN, True)


def test_of_several_points_the_worst_judges_and_only_those_that_are_named() -> None:
    near = [replace(seen(60 * S, after=after), name="near") for after in (False, True)]
    far = [replace(seen(3600 * S, after=after), name="far") for after in (False, True)]
    assert rpo(judge(asked(*near, *far))).verdict is Verdict.MISSED
    question = asked(*near, *far)
    for named, verdict in (("near", Verdict.MET), ("far", Verdict.MISSED), ("nobody", Verdict.UNPROVEN)):
        target = replace(question.targets[0], seen_by=(named,))
        assert rpo(judge(replace(question, targets=(target,)))).verdict is verdict


def test_a_point_later_than_the_disaster_is_told_as_such_and_loses_nothing() -> None:
    judged = judge(asked(seen(30 * S), seen(-20 * S - 1, after=True)))
    assert "after the disaster, by RDS" in judged.recovery_points[1].told
    found = rpo(judged)
    assert (found.verdict, found.low_s) == (Verdict.MET, 0)


def test_without_a_disaster_there_is_nothing_to_measure_back_from() -> None:
    judged = judge(replace(asked(seen(30 * S)), disaster=None))
    assert "no disaster stands on the timeline" in judged.recovery_points[0].told
    assert rpo(judged).verdict is Verdict.UNPROVEN


@given(
    st.integers(-7200 * S, 7200 * S),
    st.integers(0, 3000 * MS),
    st.integers(0, 3000 * MS),
    st.integers(-3600 * S, 3600 * S),
    st.integers(-3600, 3600),
    st.booleans(),
)
def test_the_true_age_is_inside_whatever_the_skew_the_grain_and_when_it_was_asked(
    old: int,
    under: int,
    over: int,
    when: int,
    skew: int,
    whole: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    lost = 20_000 * S
    told = UTC0 + lost - old + skew * S
    told = told // S * S if whole else told // MS * MS
    skewed = Bracket(skew * S - under, skew * S + over)
    point = replace(seen(0, skew=skewed), asked=lost + when, asked_utc=UTC0 + lost + when, at=told)
    found = age(point, Bracket(lost, lost))
    assert found is not None
    assert found.earliest <= old <= found.latest
    assert found.width <= under + over + S + 2 * drift(when)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 2000)), min_size=1, max_size=4),
    st.integers(0, 2000),
    st.integers(1, 2000),
    st.booleans(),
)
def test_a_loss_between_what_was_known_before_and_after_is_never_judged_wrongly(
    told: list[tuple[bool, int]],
    lost_s: int,
    target_s: int,
    checked: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    """The true loss lies between the newest point there was after the recovery and the oldest known before."""
    before = [age_s for after, age_s in told if not after][-1:]
    after = [age_s for after, age_s in told if after][-1:]
    points = [seen(age_s * S) for age_s in before] + [seen(age_s * S, after=True) for age_s in after]
    question = asked(*points, checked=("rows",) if checked else ())
    target = Target("rpo", Mark.RECOVERY_POINT, Mark.DISASTER, target_s * S, (), Basis.RESTORED_POINT)
    known = [*before, *after]
    possible = (min(known) if after else 0) <= lost_s <= max(known)
    found = rpo(judge(replace(question, targets=(target,), disaster=Disaster(DISASTER, synchronous=True))))
    if possible and found.verdict is Verdict.MET:
        assert checked
        assert before
        assert lost_s <= target_s
    if possible and found.verdict is Verdict.MISSED:
        assert lost_s > target_s
