"""What a plan says before anything is changed."""

from __future__ import annotations

import json
from dataclasses import replace

from msgspec.structs import replace as altered
from report_drills import failover

from drills.engine.plan import Finally, Mode
from drills.report.plan_view import document, show_plan
from drills.timeline.events import Gated

GATES = (
    Gated("account", ok=True, detail="the caller is 111122223333"),
    Gated("scope", ok=False, detail="orders-b is not tagged drills=allowed"),
)


def test_the_plan_numbers_its_steps_and_says_where_how_and_after_what() -> None:
    said = show_plan(failover(), GATES)
    flat = " ".join(said.split())
    for words in (
        "plan of orders: Fail orders over",
        "rehearse in sandbox (sandbox), east -> west",
        "would be refused, see the gates below",
        "2 lose: fault site.isolate at from (us-east-1, 111122223333)",
        "Fail over now?",
        "after go; at most 5m; on failure: hold; can be undone",
        "permissions: autoscaling:UpdateAutoScalingGroup",
        "POINT OF NO RETURN: a promoted replica stays",
        "expected 3m",
        "marks disaster",
        "undone until promote begins, in reverse order of their ends: scale, lose",
        "once promote has begun: nothing is undone by itself",
        "at the end all stays as it is",
        "scope NO orders-b is not tagged drills=allowed",
        "account yes the caller is 111122223333",
    ):
        assert words in flat, words
    assert max(map(len, said.splitlines())) <= 80


def test_the_time_along_the_longest_path_is_set_against_the_objective() -> None:
    said = " ".join(show_plan(failover()).split())
    assert "more than the 5m of rto" in said
    assert "lose -> go -> scale -> promote -> writer" in said
    assert "counted with their timeouts, for they say no `expect`: lose, go, scale, writer" in said
    quick = failover()
    quick = replace(quick, steps=tuple(altered(one, expect_s=10.0) for one in quick.steps))
    said = " ".join(show_plan(quick).split())
    assert "the longest path takes 50s of the 5m of rto: 4m10s to spare" in said


def test_an_incident_is_refused_by_no_gate_and_undoes_nothing() -> None:
    said = " ".join(show_plan(failover(mode=Mode.INCIDENT), GATES).split())
    assert "would be refused" not in said
    assert "in an incident nothing is undone by itself" in said


def test_the_way_back_is_named() -> None:
    said = " ".join(show_plan(failover(finally_=Finally.FAILBACK, failback="orders-failback")).split())
    assert "the way back is a drill of its own: orders-failback" in said


def test_the_plan_as_json_carries_the_same() -> None:
    told = json.loads(show_plan(failover(), GATES, output="json"))
    assert told == json.loads(json.dumps(document(failover(), GATES)))
    assert told["refused"] is True
    assert told["point_of_no_return"] == "promote"
    assert told["undone_on_abort"] == ["scale", "lose"]
    assert told["budget"]["steps"] == ["lose", "go", "scale", "promote", "writer"]
    assert told["budget"]["fits"] is False
    assert [one["number"] for one in told["steps"]] == list(range(1, 8))
    assert told["steps"][1]["region"] == "us-east-1"
    assert told["permissions"] == {"to": ["autoscaling:UpdateAutoScalingGroup"]}
