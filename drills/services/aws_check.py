"""Check the parameters of a call against botocore's own service model, before anything runs.

botocore itself checks parameters only when it sends, and enums never. Whatever holds ``${...}`` is not known yet
and is taken on trust until it is bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from drills.services.aws_model import REFERENCE, near, nearest
from drills.services.spec import Wrong

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botocore.model import OperationModel, Shape, StructureShape

    from drills.timeline.facts import Json
    from drills.yamldoc import Where

DEEPEST: Final = 40
QUOTE: Final = 60
"""Characters of a value that are repeated in a sentence about it."""


@dataclass(frozen=True, slots=True)
class _Spot:
    """A value in a call: where it stands in the file, and how it is called in a sentence."""

    where: Where
    words: str

    def inside(self, part: str | int) -> _Spot:
        """Go one step down."""
        words = f"{self.words}[{part}]" if isinstance(part, int) else f"{self.words}.{part}"
        return _Spot((*self.where, part), words)

    def wrong(self, message: str) -> Wrong:
        """Say what is wrong here."""
        return Wrong(self.where, f"{self.words} {message}")


@dataclass(frozen=True, slots=True)
class _Given:
    """The parameters of a call. Two are the same when they are written the same: a drill asks many times alike."""

    written: str
    values: Mapping[str, Json] = field(compare=False)


def check_call(model: OperationModel, parameters: Mapping[str, Json], where: Where) -> tuple[Wrong, ...]:
    """Give all that is wrong with the parameters of a call: names, types, required ones, enums, bounds."""
    return _checked(model, _Given(repr(parameters), parameters), where)


@lru_cache(maxsize=1024)
def _checked(model: OperationModel, given: _Given, where: Where) -> tuple[Wrong, ...]:
    shape = model.input_shape
    if shape is not None:
        return tuple(_check(shape, dict(given.values), _Spot(where, str(model.name))))
    return (Wrong(where, f"{model.name} takes no parameters; leave them out"),) if given.values else ()


def _check(shape: Shape, value: Json, spot: _Spot) -> Iterator[Wrong]:
    if len(spot.where) > DEEPEST:
        yield spot.wrong(f"is nested deeper than {DEEPEST}")
        return
    if isinstance(value, str) and REFERENCE.fullmatch(value):
        return
    kind = str(shape.type_name)
    if kind == "structure" and not getattr(shape, "is_document_type", False):
        yield from _check_structure(cast("StructureShape", shape), value, spot)
    elif kind == "list":
        if not isinstance(value, list):
            yield _not(value, "a list, as in [a, b]", spot)
            return
        yield from _bounds(shape, len(value), spot, "items")
        member: Any = getattr(shape, "member", None)
        for index, item in enumerate(value):
            yield from _check(member, item, spot.inside(index))
    elif kind == "map":
        if not isinstance(value, dict):
            yield _not(value, "a mapping, 'name: value' on each line", spot)
            return
        inner: Any = getattr(shape, "value", None)
        for key, item in value.items():
            yield from _check(inner, item, spot.inside(key))
    elif kind != "structure":
        yield from _check_scalar(shape, kind, value, spot)


def _check_structure(shape: StructureShape, value: Json, spot: _Spot) -> Iterator[Wrong]:
    if not isinstance(value, dict):
        yield _not(value, "a mapping, 'name: value' on each line", spot)
        return
    members: dict[str, Shape] = dict(shape.members)
    unknown = [name for name in value if name not in members]
    for name, item in value.items():
        if name in members:
            yield from _check(members[name], item, spot.inside(name))
        else:
            unused = [member for member in members if member not in value]
            yield Wrong((*spot.where, name), f"{spot.words} has no member {name!r}{near(name, unused)}")
    for name in shape.required_members:
        # A misspelt name is told once, at its own line.
        if name not in value and name not in {nearest(one, members) for one in unknown}:
            yield spot.wrong(f"needs {name!r}; add it")


def _check_scalar(shape: Shape, kind: str, value: Json, spot: _Spot) -> Iterator[Wrong]:
    if kind == "boolean":
        if not isinstance(value, bool):
            yield _not(value, "true or false", spot)
    elif kind in ("integer", "long"):
        if isinstance(value, bool) or not isinstance(value, int):
            yield _not(value, "a whole number", spot)
        else:
            yield from _bounds(shape, value, spot, "")
    elif kind in ("float", "double"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield _not(value, "a number", spot)
        else:
            yield from _bounds(shape, value, spot, "")
    elif kind == "timestamp":
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            yield _not(value, "a time, such as 2026-01-31T12:00:00Z", spot)
    elif not isinstance(value, str):
        yield _not(value, "text (put it in quotes)", spot)
    elif kind == "string" and not REFERENCE.search(value):
        allowed: list[str] = list(getattr(shape, "enum", []) or [])
        if allowed and value not in allowed:
            yield spot.wrong(f"is {value!r}, which AWS does not know{near(value, allowed)}")
        elif not allowed:
            yield from _bounds(shape, len(value), spot, "characters")


def _bounds(shape: Shape, size: float, spot: _Spot, unit: str) -> Iterator[Wrong]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    has = f"has {size} {unit}" if unit else f"is {size}"
    if isinstance(low, int | float) and size < low:
        yield spot.wrong(f"{has}; at least {low} are needed" if unit else f"{has}; at least {low} is needed")
    if isinstance(high, int | float) and size > high:
        yield spot.wrong(f"{has}; at most {high} are allowed" if unit else f"{has}; at most {high} is allowed")


def _not(value: Json, wanted: str, spot: _Spot) -> Wrong:
    shown = repr(value)
    shown = shown if len(shown) <= QUOTE else f"{shown[:QUOTE]}..."
    return spot.wrong(f"is {shown}, not {wanted}")
