"""What JMESPath finds in an answer, and how ``${before.NAME}`` and ``${receipt.NAME}`` are put into a call."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from drills import expression
from drills.errors import Rejected
from drills.services.aws_model import REFERENCE
from drills.timeline.facts import Facts, Json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from drills.yamldoc import Where

NO_VALUE: Final = "no value: "
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def expression_problem(text: str) -> str:
    """Say why a text is no JMESPath to ask; empty when it is, or when a name in it is not bound yet."""
    if REFERENCE.search(text):
        return ""
    if reason := expression.problem(text):
        examples = "Table.TableStatus, MetricAlarms[0].StateValue"
        return f"{text!r} is no JMESPath that can be asked ({reason}); write it as in {examples}"
    return ""


def search(path: str, answer: Json) -> Json:
    """Find what a JMESPath names in an answer; a text beginning ``no value`` when it cannot be carried out."""
    if _NAME.fullmatch(path):  # most are the name of one member, which needs no parser
        return answer.get(path) if isinstance(answer, dict) else None
    try:
        return expression.search(path, answer)
    except expression.Unfit as error:
        return f"{NO_VALUE}{error}"


def pick(wanted: Mapping[str, str], answer: Json) -> dict[str, Json]:
    """Take from an answer what each JMESPath names, by name; None where there is nothing."""
    found = {name: search(path, answer) for name, path in wanted.items()}
    return {name: None if str(value).startswith(NO_VALUE) else value for name, value in found.items()}


def references(value: Any, where: Where = ()) -> Iterator[tuple[Where, str]]:
    """Give each ``${...}`` anywhere in the parameters of a call: where it stands, and what stands in it."""
    if isinstance(value, str):
        for found in REFERENCE.findall(value):
            yield where, found[2:-1].strip()
    elif isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from references(item, (*where, key))
    elif isinstance(value, list):
        for number, item in enumerate(cast("list[Any]", value)):
            yield from references(item, (*where, number))


def bind(value: Any, roots: Mapping[str, Facts | None], *, strict: bool = True) -> Any:
    """Put in what ``${ROOT.NAME}`` stands for; a whole-string reference keeps its type, other names stay as written."""
    if isinstance(value, dict):
        return {key: bind(item, roots, strict=strict) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [bind(item, roots, strict=strict) for item in cast("list[Any]", value)]
    if not isinstance(value, str):
        return value
    whole = REFERENCE.fullmatch(value)
    if whole:
        return _look_up(value[2:-1].strip(), value, roots, strict=strict)
    return REFERENCE.sub(lambda found: str(_look_up(found[0][2:-1].strip(), found[0], roots, strict=strict)), value)


def _look_up(reference: str, written: str, roots: Mapping[str, Facts | None], *, strict: bool) -> Any:
    root, _, path = reference.partition(".")
    if root not in roots:
        return written
    facts = roots[root]
    found: Any = None if facts is None else search(path, dict(facts))
    if found is None and strict:
        raise Rejected(f"{written} is not known: nothing was recorded under that name")
    return written if found is None else found
