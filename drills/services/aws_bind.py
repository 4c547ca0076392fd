"""What JMESPath finds in an answer, and how ``${before.NAME}`` and ``${receipt.NAME}`` are put into a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from drills.errors import Rejected
from drills.services.aws_model import REFERENCE
from drills.timeline.facts import Facts, Json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def expression(text: str) -> str:
    """Check that a text is JMESPath."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        jmespath.compile(text)
    except JMESPathError as error:
        raise ValueError(f"{text!r} is no JMESPath: {error}") from None
    return text


def search(expression: str, answer: Json) -> Json:
    """Find what a JMESPath names in an answer; a text beginning ``no value`` when it cannot be carried out."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return cast("Json", jmespath.search(expression, answer))
    except JMESPathError as error:
        return f"no value: {error}"


def references(value: Any) -> Iterator[str]:
    """Give what stands inside each ``${...}`` anywhere in the parameters of a call."""
    if isinstance(value, str):
        yield from (found[2:-1].strip() for found in REFERENCE.findall(value))
    elif isinstance(value, dict):
        for item in cast("dict[str, Any]", value).values():
            yield from references(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from references(item)


def bind(value: Any, roots: Mapping[str, Facts | None], *, strict: bool = True) -> Any:
    """Put in what ``${before...}`` and ``${receipt...}`` stand for; a whole-string reference keeps its type."""
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
    facts = roots.get(root)
    found: Any = None if facts is None else search(path, dict(facts))
    if found is None and strict:
        raise Rejected(f"{written} is not known: nothing was recorded under that name")
    return written if found is None else found
