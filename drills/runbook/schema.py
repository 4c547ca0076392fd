"""JSON Schemas for editors, made from the models; the short forms that people write stand in them too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from drills import catalog
from drills.runbook.check_points import TELLS
from drills.runbook.environment import Environment
from drills.runbook.fields import Written
from drills.runbook.model import Do, Runbook
from drills.runbook.objectives import LOST_ROWS
from drills.runbook.schema_works import with_fields
from drills.work import Kind

if TYPE_CHECKING:
    from drills.timeline.facts import Json

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_DURATION: Final[dict[str, Json]] = {
    "type": "string",
    "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$",
    "description": "A number and a unit, as in 100ms, 90s, 5m, 1h30m.",
}


def runbook_schema() -> dict[str, Json]:
    """Give the schema of runbooks, with the names of the catalogue."""
    schema = _schema_of(Runbook, "drills runbook")
    definitions = cast("dict[str, dict[str, Json]]", schema["$defs"])
    words: list[Json] = [do.value for do in Do if do is not Do.RUN]
    definitions["Failing"] = {"anyOf": [{"enum": words}, _only("run", "Id of the step that runs instead.")]}
    definitions["End"] = {
        "anyOf": [{"enum": ["keep", "undo"]}, _only("failback", "Name of a runbook beside this one.")]
    }
    _objectives(definitions)
    step = cast("dict[str, dict[str, Json]]", definitions["Step"]["properties"])
    for kind in Kind:
        step[kind.value] = {"enum": list(catalog.names(kind)), "description": f"The {kind.value} this step is."}
    definitions["Step"]["allOf"] = with_fields(definitions)
    _recovery_points(definitions)
    return schema


def _objectives(definitions: dict[str, dict[str, Json]]) -> None:
    """Let objectives have their short forms: a duration (their names know their marks), or a number of rows."""
    whole = definitions["Target"]
    whole["anyOf"] = [{"required": ["within"]}, {"required": ["at_most"]}]
    rows: dict[str, Json] = {"type": "integer", "minimum": 0, "description": f"Rows, of {LOST_ROWS} alone; mostly 0."}
    definitions["Target"] = {"anyOf": [dict(_DURATION), rows, whole]}


def _recovery_points(definitions: dict[str, dict[str, Json]]) -> None:
    """Let only those probes stand under ``recovery_points`` that say when one is."""
    tell = [name for name in catalog.names(Kind.PROBE) if TELLS & catalog.load(Kind.PROBE, name).evidence]
    properties = cast("dict[str, dict[str, Json]]", definitions["RecoveryPoint"]["properties"])
    properties["probe"] = {"enum": cast("list[Json]", tell), "description": "The probe that says when it is."}
    definitions["RecoveryPoint"]["allOf"] = with_fields({}, (Kind.PROBE,), tell)


def environment_schema() -> dict[str, Json]:
    """Give the schema of environments."""
    schema = _schema_of(Environment, "drills environment")
    definitions = cast("dict[str, dict[str, Json]]", schema["$defs"])
    for name, told in (("Active", "The probe that each site is asked."), ("Freshness", "Says what would be lost.")):
        asked = cast("dict[str, dict[str, Json]]", definitions[name]["properties"])
        asked["probe"] = {"enum": list(catalog.names(Kind.PROBE)), "description": told}
        definitions[name]["allOf"] = with_fields(definitions, (Kind.PROBE,))
    return schema


def _only(field: str, description: str) -> dict[str, Json]:
    return {
        "type": "object",
        "properties": {field: {"type": "string", "description": description}},
        "required": [field],
        "additionalProperties": False,
    }


def _schema_of(model: type[Written], title: str) -> dict[str, Json]:
    _build(Written)
    return {"$schema": _DRAFT, **cast("dict[str, Json]", model.model_json_schema(by_alias=True)), "title": title}


def _build(model: type[Written]) -> None:
    """Have every model built: a default that is a model itself can be written down only then."""
    for one in model.__subclasses__():
        one.model_rebuild()
        _build(one)
