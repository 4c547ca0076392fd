"""``${name}`` in runbooks and environments: found, checked, and replaced, in three stages.

Load knows parameters, plan knows the environment, and just before a step the outputs of earlier steps are known.
What a stage does not know it leaves as it stands. ``$${`` is a literal ``${``; it stays escaped until ``finish``,
and a value that is put in is escaped too, so that no stage reads what an earlier one wrote. A compiled plan is
finished but for the fields that ``waits_for_output``. No pydantic here: the engine uses this while a drill runs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from drills.yamldoc import Node, Where

_OPEN: Final = b"${"
_TOKEN: Final = re.compile(r"\$\$\{|\$\{(?P<name>[^{}]*)\}|\$\{(?P<open>)")
_OUTPUT: Final = re.compile(r"steps\.(?P<step>[A-Za-z0-9][\w-]*)\.output\.(?P<field>[\w-]+(?:\.[\w-]+)*)")
_LATE: Final = re.compile(r"\$\{\s*steps\.")
_KNOWN: Final = re.compile(r"(?:(?:from|to|site|sandbox)\.)?[A-Za-z0-9][\w-]*")


class Reference(NamedTuple):
    """One ``${...}``: where it stands, the name in it, and whether it is the whole value.

    ``name`` is empty when it is not closed or says nothing.
    """

    where: Where
    name: str
    whole: bool

    @property
    def head(self) -> str:
        """``from``, ``to``, ``site``, ``sandbox`` or ``steps``; empty for a plain name."""
        return self.name.partition(".")[0] if "." in self.name else ""

    @property
    def tail(self) -> str:
        """What follows the head; the name itself when it has none."""
        return self.name.partition(".")[2] if "." in self.name else self.name

    @property
    def output(self) -> tuple[str, str] | None:
        """The step and field of ``steps.ID.output.FIELD``, None for anything else."""
        found = _OUTPUT.fullmatch(self.name)
        return None if found is None else (found["step"], found["field"])

    @property
    def well_formed(self) -> bool:
        """Whether the name is written as a reference can be written."""
        return self.output is not None or (self.head != "steps" and _KNOWN.fullmatch(self.name) is not None)


def references(value: Node, where: Where = ()) -> Iterator[Reference]:
    """Give every reference in ``value``, in reading order."""
    if isinstance(value, str):
        if "${" not in value:
            return
        for found in _TOKEN.finditer(value):
            if found["open"] is not None:
                yield Reference(where, "", whole=False)
            elif found["name"] is not None:
                yield Reference(where, found["name"].strip(), whole=found.span() == (0, len(value)))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from references(item, (*where, number))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from references(item, (*where, name))


def plain(value: Node | Mapping[str, Node]) -> bool:
    """Say whether ``value`` holds no reference and no escaped one, so that it already is what it will be.

    One look through its JSON, which writes both characters as they are; what has none is looked at like any other.
    """
    try:
        return _OPEN not in msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError):
        return False


def bind(value: Node, scope: Mapping[str, Node]) -> Node:
    """Replace every reference that ``scope`` knows, as a whole string keeping its type; leave the others."""
    return _each(value, lambda text: _replace(text, scope))


def waits_for_output(value: Node) -> bool:
    """Say whether ``value`` names an output, even as escaped text: then ``finish`` comes after the outputs."""
    if isinstance(value, str):
        return "${" in value and _LATE.search(value) is not None
    if isinstance(value, list):
        return any(waits_for_output(item) for item in value)
    return isinstance(value, dict) and any(waits_for_output(item) for item in value.values())


def finish(value: Node) -> Node:
    """Turn ``$${`` into ``${``: once, after the last ``bind``."""
    return _each(value, lambda text: text.replace("$${", "${"))


def _each(value: Node, change: Callable[[str], Node]) -> Node:
    if isinstance(value, str):
        return change(value) if "${" in value else value
    if isinstance(value, list):
        return [_each(item, change) for item in value]
    if isinstance(value, dict):
        return {name: _each(item, change) for name, item in value.items()}
    return value


def _replace(text: str, scope: Mapping[str, Node]) -> Node:
    whole = _TOKEN.fullmatch(text)
    if whole is not None and whole["name"] is not None:
        name = whole["name"].strip()
        return _escape(scope[name]) if name in scope else text

    def one(found: re.Match[str]) -> str:
        name = (found["name"] or "").strip()
        if found["name"] is None or name not in scope:
            return found.group()
        return _escape_text(_words(scope[name]))

    return _TOKEN.sub(one, text)


def _words(value: Node) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _escape_text(text: str) -> str:
    return text.replace("${", "$${")


def _escape(value: Node) -> Node:
    return _each(value, _escape_text)
