"""Whose answer to a question counts: by role, not the starter's own, and how many of them. Pure.

A person is who they say they are: a name of the operating system (``anna``, ``anna@laptop``), and for an answer that
came through AWS the ARN that AWS recorded with it. The first is worth what the machine is worth.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from drills.engine.plan import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drills.engine.plan import Plan, Step

_PERSON: Final = re.compile(r"(?P<user>[^@\s]*)(?P<host>@\S+)?(?: \((?P<arn>arn:[^)]+)\))?")


def same(one: str, other: str) -> bool:
    """Say whether two names are of one person: the same user, on whichever machine, or the same ARN."""
    mine, theirs = _PERSON.match(one), _PERSON.match(other)
    assert mine is not None  # noqa: S101 - the pattern matches any text
    assert theirs is not None  # noqa: S101 - the pattern matches any text
    by_arn = mine["arn"] is not None and mine["arn"] == theirs["arn"]
    return by_arn or mine["user"].lower() == theirs["user"].lower()


def wanted(step: Step) -> int:
    """Give how many different people must say yes."""
    count = step.params.get("approvers", 1)
    return count if isinstance(count, int) else 1


def roles(step: Step) -> tuple[str, ...]:
    """Give the roles whose people are asked; none: anybody."""
    named = step.params.get("roles")
    return tuple(str(role) for role in named) if isinstance(named, list) else ()


def does_not_count(plan: Plan, step: Step, by: str, starter: str) -> str:
    """Say why an answer does not count; empty when it does.

    In an incident every answer counts: whoever is awake decides, and who that was stands on the timeline.
    """
    if plan.mode is Mode.INCIDENT:
        return ""
    asked = roles(step)
    known = [person for role in asked for person in _people(plan, role)]
    if known and not any(_is(by, person) for person in known):
        return f"{by} is not one of {', '.join(asked)} ({', '.join(known)})"
    if step.params.get("not_starter") is True and same(by, starter):
        return f"{by} started the drill, and somebody else has to answer"
    return ""


def enough(step: Step, mode: Mode, said_yes: Iterable[str]) -> bool:
    """Say whether those who said yes are as many different people as are wanted; in an incident one is."""
    return different(said_yes) >= (1 if mode is Mode.INCIDENT else wanted(step))


def different(named: Iterable[str]) -> int:
    """Count how many different people are named."""
    found: list[str] = []
    for one in named:
        if not any(same(one, other) for other in found):
            found.append(one)
    return len(found)


def _people(plan: Plan, role: str) -> tuple[str, ...]:
    found = plan.people.get(role)
    return tuple(str(one) for one in found) if isinstance(found, list) else ()


def _is(by: str, person: str) -> bool:
    """Say whether an answer is that person's: an ARN (``*`` stands for any part) is only matched by an ARN."""
    found = _PERSON.match(by)
    assert found is not None  # noqa: S101 - the pattern matches any text
    if person.startswith("arn:"):
        return found["arn"] is not None and fnmatchcase(found["arn"], person)
    return person.lower() in {found["user"].lower(), f"{found['user']}{found['host'] or ''}".lower()}
