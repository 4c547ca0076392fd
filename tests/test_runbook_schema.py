"""The schemas that editors read say what the models say, down to the fields of each work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from drills import catalog
from drills.runbook.schema import environment_schema, runbook_schema
from drills.work import Kind
from drills.yamldoc import load, parse

ROOT = Path(__file__).parent.parent
BOOK: Any = fastjsonschema.compile(runbook_schema())
PLACE: Any = fastjsonschema.compile(environment_schema())
WORKS = [(kind, name) for kind in Kind for name in catalog.names(kind)]


def _told(validate: Any, data: object) -> str:
    """Give what is wrong first, empty when nothing is."""
    try:
        validate(data)
    except fastjsonschema.JsonSchemaValueException as error:
        return str(error)
    return ""


def _book(step: dict[str, Any]) -> dict[str, Any]:
    return {"runbook": "a", "title": "t", "steps": [{"id": "a", **step}]}


def _example(kind: Kind, name: str) -> dict[str, Any]:
    doc = (catalog.load(kind, name).__doc__ or "").partition(".. code-block:: yaml\n")[2]
    data = parse("\n".join(line.removeprefix("    " * 2) for line in doc.splitlines()), name).data
    assert isinstance(data, dict)
    return data


@pytest.mark.parametrize("path", sorted((ROOT / "runbooks").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_runbook_fits_the_schema(path: Path) -> None:
    assert _told(BOOK, load(path).data) == ""


@pytest.mark.parametrize("path", sorted((ROOT / "environments").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_environment_fits_the_schema(path: Path) -> None:
    assert _told(PLACE, load(path).data) == ""


@pytest.mark.parametrize(("kind", "name"), WORKS, ids=[name for _, name in WORKS])
def test_the_fields_of_a_work_are_known_by_its_name_and_an_unknown_one_is_marked(kind: Kind, name: str) -> None:
    example = _example(kind, name)
    assert _told(BOOK, _book(example)) == ""
    fields = example.get("with", {})
    wrong = _told(BOOK, _book({**example, "with": {**fields, "nonsense": 1}}))
    assert "must not contain {'nonsense'} properties" in wrong
    required = [field for field, one in catalog.load(kind, name).model_fields.items() if one.is_required()]
    if required:
        assert "must contain ['with'] properties" in _told(BOOK, _book({kind.value: name}))


def test_names_stand_where_numbers_do_and_nothing_else_does() -> None:
    def scale(desired: object) -> str:
        fields = {"asg": "${to.asg}", "min": 1, "desired": desired, "max": 4}
        return _told(BOOK, _book({"action": "autoscaling.set_capacity", "at": "to", "with": fields}))

    assert scale("${capacity}") == scale(2) == ""
    assert scale("many")
    assert scale(-1)
    assert _told(BOOK, _book({"action": "autoscaling.set_capacty"}))


def test_the_schemas_stay_small_enough_for_an_editor() -> None:
    for schema in (runbook_schema(), environment_schema()):
        assert len(json.dumps(schema, indent=2)) < 150_000
