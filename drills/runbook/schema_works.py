"""What stands under ``with:``, for editors: the fields of each work, chosen by the step's name for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from drills import catalog
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.timeline.facts import Json

NAMED: Final = r"\$\{"
"""In place of a number, true or false, or a list, a name that is bound later may stand: ``${to.count}``."""


def with_fields(
    definitions: dict[str, dict[str, Json]], kinds: tuple[Kind, ...] = tuple(Kind), only: Sequence[str] = ()
) -> list[Json]:
    """Put the fields of each work into ``definitions``; gives one condition for each, to stand in a step's schema.

    ``only`` narrows it to works of these names.
    """
    conditions: list[Json] = []
    for kind in kinds:
        for name in only or catalog.names(kind):
            schema = cast("dict[str, Json]", catalog.load(kind, name).model_json_schema(by_alias=True))
            for inner, part in cast("dict[str, Json]", schema.pop("$defs", {})).items():
                definitions[inner] = cast("dict[str, Json]", _open(part))
            definitions[name] = cast("dict[str, Json]", _open(schema))
            then: dict[str, Json] = {"properties": {"with": {"$ref": f"#/$defs/{name}"}}}
            if "required" in schema:
                then["required"] = ["with"]
            chosen: dict[str, Json] = {"properties": {kind.value: {"const": name}}, "required": [kind.value]}
            conditions.append({"if": chosen, "then": then})
    return conditions


def _open(schema: Json) -> Json:
    """Let a name stand where no text is asked for, and leave out what says nothing."""
    if not isinstance(schema, dict) or "properties" not in schema:
        return schema
    properties = cast("dict[str, dict[str, Json]]", schema["properties"])
    kept = {key: value for key, value in schema.items() if key not in ("title", "properties")}
    text = str(kept.get("description", ""))
    if text:
        kept["description"] = text.partition(".. code-block::")[0].strip()
    return {**kept, "properties": {name: _named_too(one) for name, one in properties.items()}}


def _named_too(schema: dict[str, Json]) -> Json:
    """Give the schema of one field, with a name in place of its value."""
    rest = {key: value for key, value in schema.items() if key not in ("title", "anyOf")}
    several = [one for one in cast("list[dict[str, Json]]", schema.get("anyOf", [])) if one != {"type": "null"}]
    for one in several:
        rest |= one
    if [one.get("type") for one in several] == ["string", "object"]:  # a name, or the thing itself written out
        return {**rest, "type": ["string", "object"]}
    if rest.get("default", "") in (None, "", []):
        rest.pop("default", None)
    kind = rest.get("type", "string")
    return rest if kind == "string" else {**rest, "type": [kind, "string"], "pattern": NAMED}
