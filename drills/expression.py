"""JMESPath in one place: checked when it is read, made ready once, and told in one sentence where it does not fit.

The library raises more than its own errors: a number of 5,000 digits, brackets in a thousand brackets, and a function
given what Python itself cannot compare come out of it as they are.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.timeline.facts import Json

_WRONG = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


_OF = frozenset({"subexpression", "value_projection", "filter_projection"})
"""Nodes that ask for a part of what their first child gives."""


class Unfit(ValueError):
    """An expression that cannot be carried out on what it was given; says why."""


def problem(text: str) -> str:
    """Say why a text is no JMESPath, in a few words; empty when it is."""
    try:
        _ready(text)
    except _WRONG as error:
        return _why(error)
    return ""


def search(text: str, value: Any) -> Json:
    """Find what an expression names in JSON values; None where there is nothing. ``Unfit`` when that cannot be told."""
    try:
        return _ready(text)(value)
    except _WRONG as error:
        raise Unfit(_why(error)) from error


@lru_cache(maxsize=1024)
def _ready(text: str) -> Callable[[Any], Json]:
    import jmespath
    from jmespath.visitor import TreeInterpreter

    parsed: Any = jmespath.compile(text).parsed
    if _asks_a_no(parsed):
        raise ValueError("! comes before the dot: !a.b asks a yes or no for its b, which is never there; write !(a.b)")
    # As ``ParsedResult.search`` does it, which makes an interpreter for each answer.
    return cast("Callable[[Any], Json]", partial(TreeInterpreter().visit, parsed))


def _asks_a_no(parsed: Any) -> bool:
    """Say whether a member is asked for of what ``!`` gives, anywhere within."""
    todo = [parsed]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            inner = cast("dict[str, Any]", node)
            children: list[Any] = inner["children"]
            of_a_no = inner["type"] in _OF and children[0]["type"] == "not_expression"
            if of_a_no and children[1]["type"] != "function_expression":
                return True
            todo += children
    return False


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")
