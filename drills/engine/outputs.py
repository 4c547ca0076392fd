"""The last stage of binding: what earlier steps gave goes into a step's fields just before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.errors import Rejected
from drills.runbook.interpolate import bind, finish, plain, references, waits_for_output
from drills.timeline.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drills.timeline.facts import Json


def bind_outputs(params: Facts, outputs: Mapping[str, Facts]) -> Facts:
    """Put ``${steps.ID.output.FIELD}`` into ``params``; fields without one are given as they are.

    ``outputs`` holds the output of each step that has ended, by its id. ``Rejected`` (nothing was changed) when an
    output is not there, or nothing.
    """
    if plain(dict(params.items())):
        return params
    late = {name: _bound(value, outputs) for name, value in params.items() if waits_for_output(value)}
    return Facts(**{**params, **late}) if late else params


def _bound(value: Json, outputs: Mapping[str, Facts]) -> Json:
    scope: dict[str, Json] = {}
    for reference in references(value):
        if reference.output is not None:
            scope[reference.name] = _output(*reference.output, outputs)
    return finish(bind(value, scope))


def _output(step: str, field: str, outputs: Mapping[str, Facts]) -> Json:
    if step not in outputs:
        raise Rejected(f"${{steps.{step}.output.{field}}}: step {step} has given no output")
    value: Json = dict(outputs[step])
    for part in field.split("."):
        if not isinstance(value, dict) or part not in value:
            given = ", ".join(sorted(outputs[step])) or "nothing"
            raise Rejected(f"${{steps.{step}.output.{field}}}: step {step} gave {given}")
        value = value[part]
    if value is None:
        raise Rejected(f"${{steps.{step}.output.{field}}}: step {step} found nothing to put there")
    return value
