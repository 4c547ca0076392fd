"""The schemas that editors read say what the models say, down to the fields of each work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from drills import catalog
from drills.runbook.schema import environment_schema, runbook_schema
from drills.work import Kind
from drills.yamldoc import load, parse

ROOT = Path(__file__).parent.parent
BOOK = Draft202012Validator(runbook_schema())
PLACE = Draft202012Validator(environment_schema())
WORKS = [(kind, name) for kind in Kind for name in catalog.names(kind)]


def _told(validator: Draft202012Validator, data: object) -> list[str]:
    return sorted(error.message for error in validator.iter_errors(data))


def _book(step: dict[str, Any]) -> dict[str, Any]:
    return {"runbook": "a", "title": "t", "steps": [{"id": "a", **step}]}


def _example(kind: Kind, name: str) -> dict[str, Any]:
    doc = (catalog.load(kind, name).__doc__ or "").partition(".. code-block:: yaml\n")[2]
    data = parse("\n".join(line.removeprefix("    " * 2) for line in doc.splitlines()), name).data
    assert isinstance(data, dict)
    return data


@pytest.mark.parametrize("path", sorted((ROOT / "runbooks").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_runbook_fits_the_schema(path: Path) -> None:
    assert _told(BOOK, load(path).data) == []


@pytest.mark.parametrize("path", sorted((ROOT / "environments").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_environment_fits_the_schema(path: Path) -> None:
    assert _told(PLACE, load(path).data) == []


@pytest.mark.parametrize(("kind", "name"), WORKS, ids=[name for _, name in WORKS])
def test_the_fields_of_a_work_are_known_by_its_name_and_an_unknown_one_is_marked(kind: Kind, name: str) -> None:
    example = _example(kind, name)
    assert _told(BOOK, _book(example)) == []
    fields = example.get("with", {})
    wrong = _told(BOOK, _book({**example, "with": {**fields, "nonsense": 1}}))
    assert len(wrong) == 1
    assert "'nonsense' was unexpected" in wrong[0]
    required = [field for field, one in catalog.load(kind, name).model_fields.items() if one.is_required()]
    if required:
        assert "'with' is a required property" in _told(BOOK, _book({kind.value: name}))


def test_names_stand_where_numbers_do_and_nothing_else_does() -> None:
    def scale(desired: object) -> list[str]:
        fields = {"asg": "${to.asg}", "min": 1, "desired": desired, "max": 4}
        return _told(BOOK, _book({"action": "autoscaling.set_capacity", "at": "to", "with": fields}))

    assert scale("${capacity}") == scale(2) == []
    assert scale("many")
    assert scale(-1)
    assert _told(BOOK, _book({"action": "autoscaling.set_capacty"}))


def test_the_schemas_stay_small_enough_for_an_editor() -> None:
    for schema in (runbook_schema(), environment_schema()):
        Draft202012Validator.check_schema(schema)
        assert len(json.dumps(schema, indent=2)) < 80_000
