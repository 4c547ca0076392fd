"""An experiment template as data: its parts, its placeholders, and what FIS takes as a duration."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from drills.yamldoc import Node, Where

Table: TypeAlias = "Mapping[str, Node]"

SHORTEST: Final = timedelta(minutes=1)
LONGEST: Final = timedelta(hours=12)
"""An action and an experiment last at most 12 hours (AWS FIS User Guide, "Quotas")."""
ALARM: Final = "aws:cloudwatch:alarm"
_PLACEHOLDER: Final = re.compile(r"\$\$\{|\$\{\s*(?P<name>[^{}]*?)\s*\}")
_ISO: Final = re.compile(r"P(?:(?P<d>\d+)D)?(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+)S)?)?")
_FOREIGN: Final = re.compile(r"<[^<>]+>|^!\w+ |\{\{.*\}\}|^\{\w+\}$")
"""How other people mark what is to be filled in: ``<ACCOUNT>``, ``!Ref Name``, ``{{ name }}``."""


class Missing(msgspec.Struct, frozen=True):
    """A placeholder that nothing was given for: where it stands, and its name."""

    where: Where
    name: str


def is_open(value: Node, *, foreign: bool = False) -> bool:
    """Say whether text holds a placeholder, so that its value is not known yet; ``foreign``: other people's too."""
    if not isinstance(value, str):
        return False
    ours = any(found["name"] is not None for found in _PLACEHOLDER.finditer(value))
    return ours or (foreign and _FOREIGN.search(value) is not None)


def placeholders(value: Node, where: Where = ()) -> Iterator[Missing]:
    """Give every ``${name}`` in a template, in reading order; ``$${`` is a literal ``${``."""
    if isinstance(value, str):
        yield from (
            Missing(where, str(found["name"])) for found in _PLACEHOLDER.finditer(value) if found["name"] is not None
        )
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from placeholders(item, (*where, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from placeholders(item, (*where, number))


def fill(value: Node, given: Table) -> Node:
    """Put values in for ``${name}``; one that is a whole text keeps its type. What is not given stays as it is."""
    if isinstance(value, dict):
        return {name: fill(item, given) for name, item in value.items()}
    if isinstance(value, list):
        return [fill(item, given) for item in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    whole = _PLACEHOLDER.fullmatch(value)
    if whole is not None and whole["name"] in given:
        return given[whole["name"]]

    def one(found: re.Match[str]) -> str:
        if found["name"] is None:
            return "${"
        return str(given[found["name"]]) if found["name"] in given else found[0]

    return _PLACEHOLDER.sub(one, value)


def closed(value: Node) -> Node:
    """Write every ``${`` of a template so that nobody else fills it in."""
    if isinstance(value, dict):
        return {name: closed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [closed(item) for item in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def duration(text: Node) -> timedelta | None:
    """Read an ISO 8601 duration such as ``PT10M``; None when it is none, or holds months or fractions."""
    found = _ISO.fullmatch(text) if isinstance(text, str) else None
    if found is None or not any(found.groups()):
        return None
    days, hours, minutes, seconds = (int(found[unit] or 0) for unit in "dhms")
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        return None


def table(value: Node) -> Table:
    """Give a mapping as it is, and nothing for anything else: what is wrong with it is told elsewhere."""
    return value if isinstance(value, dict) else {}


def tables(value: Node) -> dict[str, Table]:
    """Give the mappings in a mapping, by name."""
    return {name: item for name, item in table(value).items() if isinstance(item, dict)}


def texts(value: Node) -> tuple[str, ...]:
    """Give the texts in a list; one text alone counts as a list of it only where a placeholder stands for it."""
    if isinstance(value, list):
        return tuple(item for item in value if isinstance(item, str))
    return (cast("str", value),) if is_open(value) else ()


def alarms(template: Table) -> tuple[str, ...]:
    """Give the alarms that stop an experiment, as their ARNs."""
    given = template.get("stopConditions")
    conditions = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    return tuple(str(one.get("value", "")) for one in conditions if one.get("source") == ALARM and one.get("value"))


def alarm_name(arn: str) -> str:
    """Give the name in the ARN of an alarm; empty when it is no such ARN."""
    return arn.split(":", 6)[6] if arn.startswith("arn:") and arn.count(":") >= 6 and ":alarm:" in arn else ""  # noqa: PLR2004 - the parts of an ARN
