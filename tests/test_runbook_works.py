"""The works of a runbook's steps, read once and given out to many."""

from __future__ import annotations

from pydantic import JsonValue

from drills import catalog
from drills.runbook.works import build
from drills.services.spec import Spec
from drills.work import Kind


def test_a_work_that_remembers_something_is_one_of_its_own_in_each_step() -> None:
    wait, read = catalog.load(Kind.PROBE, "flow.wait"), catalog.load(Kind.PROBE, "aws.read")
    first, second = (build(wait, {"for": "1s"}) for _ in range(2))
    assert first == second
    assert first is not second
    fields = {"service": "ec2", "operation": "DescribeInstances", "expect": "Reservations[0] != null"}
    assert build(read, {**fields}) is build(read, {**fields})


def asked(equals: JsonValue) -> Spec:
    """Build a read that compares a count with this."""
    table: dict[str, JsonValue] = {"TableName": "orders"}
    fields = {"service": "dynamodb", "operation": "DescribeTable", "parameters": table, "path": "Table.ItemCount"}
    return build(catalog.load(Kind.PROBE, "aws.read"), {**fields, "equals": equals})


def test_fields_that_json_cannot_hold_are_still_read() -> None:
    made = asked(2**70)
    assert made == build(type(made), made.model_dump(exclude_defaults=True, by_alias=True))
    assert 2**70 in made.model_dump().values()


def test_what_is_no_number_is_not_read_as_nothing() -> None:
    for given in (float("inf"), 0):
        assert asked(given).model_dump()["equals"] == given
