"""One finding about a template, and the template as the rules look at it."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from drills.fis.template import is_open, tables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drills.fis.template import Table
    from drills.yamldoc import Where

FEW: Final = 8


class Severity(StrEnum):
    """Whether a template with this finding is started."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: ``rule`` names its kind in one word, ``message`` says it with the repair."""

    where: Where
    rule: str
    message: str
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class Template:
    """A template while it is looked at."""

    data: Table
    foreign: bool

    @property
    def actions(self) -> dict[str, Table]:
        """Its actions by their names."""
        return tables(self.data.get("actions"))

    @property
    def targets(self) -> dict[str, Table]:
        """Its targets by their names."""
        return tables(self.data.get("targets"))

    def is_open(self, value: object) -> bool:
        """Say whether a value is not known yet."""
        return is_open(value if isinstance(value, str) else None, foreign=self.foreign)


def warning(where: Where, rule: str, message: str) -> Finding:
    """Make a finding that refuses nothing."""
    return Finding(where, rule, message, Severity.WARNING)


def near(word: str, known: Iterable[str]) -> str:
    """End a sentence about an unknown word: the nearest one, or all where they are few."""
    names = {one.lower(): one for one in known}
    found = get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if found:
        return f"did you mean {names[found[0]]!r}?"
    return f"there are: {', '.join(sorted(names.values()))}" if 0 < len(names) <= FEW else "see `drills fis actions`"
