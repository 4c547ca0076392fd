"""What the sandbox decides without any process: which records answer, which state an alarm is in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.sandbox.alarms import AlarmRule, Verdict, evaluate
from drills.sandbox.cloud import RecordView
from drills.sandbox.faults import FaultKind, FaultRule
from drills.sandbox.lines import Lines
from drills.sandbox.routing import Choice, choose
from drills.sandbox.state import Settling

NAME = "orders.drills.test"


def weighted(site: str, weight: int, check: str = "") -> RecordView:
    return RecordView(NAME, "A", 1, (f"ip-{site}",), set_id=site, weight=weight, health_check=check)


def failover(site: str, role: str) -> RecordView:
    return RecordView(NAME, "A", 1, (f"ip-{site}",), set_id=site, failover=role, health_check=site)


def answered(records: list[RecordView], *sick: str) -> list[str]:
    choices = choose(records, lambda check: check not in sick)[NAME, "A"]
    return [choice.set_id for choice in choices]


def test_the_primary_answers_until_it_is_unhealthy_and_again_when_nobody_is_healthy() -> None:
    records = [failover("west", "SECONDARY"), failover("east", "PRIMARY")]
    assert answered(records) == ["east"]
    assert answered(records, "east") == ["west"]
    assert answered(records, "west") == ["east"]
    assert answered(records, "east", "west") == ["east"]


def test_weights_above_zero_come_first_then_healthy_zeros_then_all() -> None:
    records = [weighted("east", 100, "east"), weighted("west", 0, "west")]
    assert answered(records) == ["east"]
    assert answered(records, "east") == ["west"]
    assert answered(records, "east", "west") == ["east"]
    assert answered([weighted("east", 0), weighted("west", 0)]) == ["east", "west"]


def test_a_simple_record_answers_whatever_its_health() -> None:
    record = RecordView(NAME, "A", 5, ("ip",), health_check="sick")
    assert choose([record], lambda _: False) == {(NAME, "A"): (Choice(("ip",), 5),)}


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=6))
def test_somebody_always_answers_and_never_the_sick_while_a_healthy_one_may(sites: list[tuple[int, bool]]) -> None:
    records = [weighted(str(number), weight, str(number)) for number, (weight, _) in enumerate(sites)]
    sick = {str(number) for number, (_, healthy) in enumerate(sites) if not healthy}
    found = answered(records, *sick)
    assert found
    if len(sick) < len(sites):
        assert not sick.intersection(found)


RULE = AlarmRule("Maximum", "GreaterThanOrEqualToThreshold", threshold=1, period_s=1, periods=3, enough=2)


@pytest.mark.parametrize(
    ("points", "state"),
    [
        ([(9.5, 0.0), (8.5, 0.0), (7.5, 0.0)], "OK"),
        ([(9.5, 1.0), (8.5, 0.0), (7.5, 1.0)], "ALARM"),
        ([(9.5, 1.0), (8.5, 0.0), (7.5, 0.0)], "OK"),
        ([(9.4, 0.0), (9.5, 1.0), (8.5, 1.0), (1.0, 0.0)], "ALARM"),
        ([(1.0, 5.0)], "INSUFFICIENT_DATA"),
    ],
)
def test_an_alarm_needs_enough_breaching_periods(points: list[tuple[float, float]], state: str) -> None:
    verdict = evaluate(RULE, points, now_s=10.0)
    assert isinstance(verdict, Verdict)
    assert verdict.state == state


@pytest.mark.parametrize(("missing", "state"), [("breaching", "ALARM"), ("notBreaching", "OK"), ("ignore", None)])
def test_missing_data_is_treated_as_the_alarm_says(missing: str, state: str | None) -> None:
    rule = AlarmRule("Maximum", "GreaterThanThreshold", 1, period_s=1, periods=2, enough=2, missing=missing)
    verdict = evaluate(rule, [], now_s=10.0)
    assert (verdict.state if verdict else None) == state


def test_a_switch_takes_effect_after_its_time_and_not_if_it_is_taken_back() -> None:
    switch = Settling()
    assert not switch.see(0, 0.1, asked=True)
    assert not switch.see(99_999_999, 0.1, asked=True)
    assert switch.see(100_000_000, 0.1, asked=True)
    assert switch.see(150_000_000, 0.1, asked=False)
    assert switch.see(200_000_000, 0.1, asked=True)
    assert switch.see(900_000_000, 0.1, asked=True)


def test_a_log_that_is_full_is_kept_once_and_begun_anew(tmp_path: Path) -> None:
    log = Lines(tmp_path / "audit.jsonl", most_bytes=20)
    for number in range(5):
        log.add({"call": number})
    assert (tmp_path / "audit.jsonl").read_text() == '{"call":4}\n'
    assert (tmp_path / "audit.jsonl.1").read_text() == '{"call":3}\n'


@pytest.mark.parametrize(("field", "value"), [("probability", 0.0), ("probability", 1.5), ("latency_s", 1e9)])
def test_a_fault_rule_without_a_limit_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        FaultRule("x", FaultKind.LATENCY, **{field: value})  # pyright: ignore[reportArgumentType] - the field is a variable
