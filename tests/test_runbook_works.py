"""The works of a runbook's steps, read once and given out to many."""

from __future__ import annotations

from drills import catalog
from drills.runbook.works import build
from drills.work import Kind


def test_a_work_that_remembers_something_is_one_of_its_own_in_each_step() -> None:
    wait, read = catalog.load(Kind.PROBE, "flow.wait"), catalog.load(Kind.PROBE, "aws.read")
    first, second = (build(wait, {"for": "1s"}) for _ in range(2))
    assert first == second
    assert first is not second
    fields = {"service": "ec2", "operation": "DescribeInstances", "expect": "Reservations[0] != null"}
    assert build(read, {**fields}) is build(read, {**fields})


def test_fields_that_json_cannot_hold_are_still_read() -> None:
    wait = catalog.load(Kind.PROBE, "aws.read")
    made = build(
        wait,
        {
            "service": "dynamodb",
            "operation": "DescribeTable",
            "parameters": {"TableName": "orders"},
            "path": "Table.ItemCount",
            "equals": 2**70,
        },
    )
    assert made == build(wait, made.model_dump(exclude_defaults=True, by_alias=True))
    assert 2**70 in made.model_dump().values()


def test_what_is_no_number_is_not_read_as_nothing() -> None:
    wait = catalog.load(Kind.PROBE, "aws.read")
    for given in (float("inf"), 0):
        made = build(
            wait,
            {
                "service": "dynamodb",
                "operation": "DescribeTable",
                "parameters": {"TableName": "orders"},
                "path": "Table.ItemCount",
                "equals": given,
            },
        )
        assert made.model_dump()["equals"] == given
