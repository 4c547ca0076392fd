"""How drills marks what it creates, so that a later run, or a person, finds it and knows what stood there before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drills.timeline.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MANAGED_BY: Final = "drills:managed-by"
"""The tag key on everything drills creates."""
OWNER: Final = "drills"
BEFORE: Final = "drills:before:"
"""Prefix of tag keys that hold what stood there before: the fault can be taken back with nothing but AWS."""


def labels(tags: Iterable[Mapping[str, object]]) -> Facts:
    """Read AWS's list of keys and values."""
    return Facts(**{str(tag.get("Key", "")): str(tag.get("Value", "")) for tag in tags})


def is_ours(tags: Mapping[str, str]) -> bool:
    """Say whether a resource with these tags was created by drills."""
    return tags.get(MANAGED_BY) == OWNER


def remembered(tags: Mapping[str, str]) -> dict[str, str]:
    """Read what stood there before from the tags of what drills created."""
    return {key.removeprefix(BEFORE): value for key, value in tags.items() if key.startswith(BEFORE)}


def sentence(names: Iterable[str]) -> str:
    """List names for a person: at most five, then how many more."""
    listed = sorted(names)
    more = len(listed) - 5
    return ", ".join(listed[:5]) + (f" and {more} more" if more > 0 else "")
