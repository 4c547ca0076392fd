"""From what pydantic found to what a person can mend: file, line and repair, of every error at once."""

from __future__ import annotations

import copy
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from drills.yamldoc import at, present

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pydantic_core import ErrorDetails

    from drills.errors import Problem
    from drills.yamldoc import Doc, Node, Where

Model = TypeVar("Model", bound=BaseModel)

_ROUNDS = 4
_SECTIONS = ("before", "guard", "steps", "after")
_QUOTE = 60
_BOUND = re.compile(r"(greater|less) than or equal to (\S+)")
_MISPLACED = frozenset({"extra_forbidden", "missing"})
_CERTAIN = _MISPLACED | {"sentence"}
"""Errors that no value of a name can mend: a work that says ``sentence`` has left out what is not known yet."""
_REPAIRS: Mapping[str, str] = {
    "string_type": "write text, in quotes",
    "dict_type": "write a mapping, 'name: value' on each line",
    "model_type": "write a mapping, 'name: value' on each line",
    "mapping_type": "write a mapping, 'name: value' on each line",
    "tuple_type": "write a list, with '- ' before each item",
    "list_type": "write a list, with '- ' before each item",
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "float_parsing": "write a number",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
}


def _nothing(_where: Where) -> bool:
    return False


class Problems:
    """Everything wrong in one file so far."""

    def __init__(self, doc: Doc) -> None:
        self.doc = doc
        self.found: list[Problem] = []
        self.warnings: list[Problem] = []
        self.broken: set[Where] = set()

    def add(self, where: Where, message: str) -> None:
        """Keep one problem of the node at ``where``."""
        self.found.append(self.doc.problem(where, message))

    def warn(self, where: Where, message: str) -> None:
        """Keep one warning about the node at ``where``."""
        self.warnings.append(self.doc.problem(where, message))

    def pydantic(
        self,
        error: ValidationError,
        model: type[BaseModel],
        prefix: Where = (),
        *,
        subject: str = "",
        skip: Callable[[Where], bool] = _nothing,
    ) -> None:
        """Keep each of pydantic's errors in ``model`` read at ``prefix``, but for those that ``skip`` says yes to."""
        for one in error.errors(include_url=False, include_context=False):
            inside = tuple(part for part in one["loc"] if part != "[key]")
            if one["type"] not in _CERTAIN and skip(inside):
                continue
            where = (*prefix, *inside)
            self.broken.add(where)
            # A short form, such as `rto: 5m`, is called what stands in the file.
            written = inside if one["type"] in _MISPLACED else self._written(prefix, inside)
            self.add(where, sentence({**one, "loc": written}, model, subject))

    def _written(self, prefix: Where, inside: Where) -> Where:
        while inside and not present(self.doc.data, (*prefix, *inside)):
            inside = inside[:-1]
        return inside

    def is_broken(self, where: Where) -> bool:
        """Whether the node at ``where`` itself could not be read."""
        return where in self.broken

    def has_broken_field(self, where: Where) -> bool:
        """Whether some field of the mapping at ``where``, or that mapping itself, could not be read."""
        return where in self.broken or any(broken[:-1] == where for broken in self.broken)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the nearest known word, or all of them when there are few."""
    candidates = sorted(set(known))
    near = get_close_matches(word, candidates, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are: {', '.join(candidates)}" if candidates else "there are none"


def sentence(error: ErrorDetails, model: type[BaseModel], subject: str = "") -> str:
    """Say one of pydantic's errors in a person's words, with the repair; ``subject`` is whose fields they are."""
    kind, where = error["type"], error["loc"]
    name = str(where[-1]) if where else "this"
    if kind == "extra_forbidden":
        head = f"{subject} has no field {name!r}" if subject else f"unknown field {name!r}"
        return f"{head}; {did_you_mean(name, fields_at(model, where[:-1]))}"
    if kind == "missing":
        return f"{subject} needs the field {name!r}; add it" if subject else f"field {name!r} is missing; add it"
    message = error["msg"].removeprefix("Value error, ")
    if kind == "sentence":
        return f"{subject}: {message}" if subject else message
    label = next((str(part) for part in reversed(where) if isinstance(part, str) and part != "[key]"), "")
    head = f"{label}: " if label else ""
    if kind == "value_error":
        return f"{head}{message}"
    given: object = error["input"]
    if given is None:
        return f"{head}is empty; {_REPAIRS.get(kind, 'write a value')}, or remove the line"
    shown = _shown(given)
    if kind in {"enum", "literal_error"}:
        known = re.findall(r"'([^']*)'", message.partition("should be ")[2])
        near = did_you_mean(str(given), known)
        return f"{head}{shown} is not known; {near if 'mean' in near else _one_of(known)}"
    if kind in {"tuple_type", "list_type"} and isinstance(given, str):
        return f"{head}{shown} does not fit here; write a list, as in [{given}]"
    repair = _REPAIRS.get(kind)
    if repair is not None:
        return f"{head}{shown} does not fit here; {repair}"
    bound = _BOUND.search(message)
    if bound is not None:
        return f"{head}{shown} does not fit here; write at {'least' if bound[1] == 'greater' else 'most'} {bound[2]}"
    if kind == "string_too_short":
        return f"{head}must not be empty; write some text"
    message = message[:1].lower() + message[1:]
    return f"{head}{shown} does not fit here: {message}"


def _one_of(known: Iterable[str]) -> str:
    return f"write one of {', '.join(known)}"


def _shown(given: object) -> str:
    """Quote a value as it stands in the file, not too long."""
    text = str(given).lower() if isinstance(given, bool) else repr(given)
    return text if len(text) <= _QUOTE else f"{text[:_QUOTE]}..."


def fields_at(model: type[BaseModel], where: tuple[str | int, ...]) -> tuple[str, ...]:
    """Give the names that may be written in the mapping at ``where`` below ``model``."""
    here: tuple[type[BaseModel], ...] = (model,)
    for part in where:
        fields = [field for one in here for name, field in one.model_fields.items() if part in (field.alias, name)]
        if fields:
            here = tuple(inner for field in fields for inner in _models(field.annotation))
    return tuple(field.alias or name for one in here for name, field in one.model_fields.items())


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def read(model: type[Model], problems: Problems, instead: Mapping[str, Node]) -> Model | None:
    """Validate a whole file; on errors keep them and read what is left without the wrong parts, so that all are found.

    ``instead`` stands in for required fields at the top that had to be left out. None when nothing can be read.
    """
    node = problems.doc.data
    if not isinstance(node, dict):
        what = "is empty" if node is None else "is not a mapping"
        problems.add((), f"{what}; write 'name: value' on each line")
        return None
    try:
        return model.model_validate(node)
    except ValidationError as error:
        problems.pydantic(error, model)
        last = error
    rest = copy.deepcopy(node)
    for _ in range(_ROUNDS):
        for one in sorted(last.errors(include_url=False, include_context=False), key=lambda each: -len(each["loc"])):
            _cut(rest, one["loc"])
        for name, value in instead.items():
            rest.setdefault(name, copy.deepcopy(value))
        try:
            return model.model_validate(rest)
        except ValidationError as error:
            last = error
    return None


def _cut(root: dict[str, Node], where: Where) -> None:
    """Take the wrong part out: a field is dropped, an item of a list becomes empty so that the others keep their place.

    Where a field is missing, what holds it goes instead.
    """
    trail: list[Where] = []
    for depth in range(1, len(where) + 1):
        if not present(root, where[:depth]):
            break
        trail.append(where[:depth])
    if len(trail) < len(where) and trail and isinstance(trail[-1][-1], int) and trail[-1][0] not in _SECTIONS:
        trail.pop()
    if not trail:
        return
    *above, last = trail[-1]
    holder = at(root, tuple(above))
    if isinstance(holder, list) and isinstance(last, int):
        holder[last] = {}
    elif isinstance(holder, dict) and isinstance(last, str):
        holder.pop(last, None)
