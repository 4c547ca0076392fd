"""A drill, or a plan, as one JSON object."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from drills.report.result import DrillResult


def document(result: DrillResult) -> dict[str, Any]:
    """Give the JSON form of a drill; ``rows`` is None where nothing was counted."""
    whole = asdict(result)
    claims = whole.pop("claims")
    claims.pop("objectives")
    return {**whole, "objectives": [one.document() for one in result.objectives], **claims}


def render(result: DrillResult) -> str:
    """Write a drill as one JSON object, indented, ending in a newline."""
    return dumps(document(result))


def dumps(value: object) -> str:
    """Write plain values as JSON; numbers without an end (inf, nan) become null."""
    return json.dumps(_finite(value), indent=2, ensure_ascii=False) + "\n"


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in cast("list[object]", value)]
    return value
