"""What a report is made of before it has a form: parts with lines and tables. Told once, painted three ways."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Tone(StrEnum):
    """What a word means for the eye."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"
    DOUBT = "doubt"
    FAINT = "faint"


@dataclass(frozen=True, slots=True)
class Words:
    """A piece of text with a tone."""

    text: str
    tone: Tone = Tone.PLAIN

    def __str__(self) -> str:
        return self.text


Cell: TypeAlias = "str | Words"


@dataclass(frozen=True, slots=True)
class Line:
    """One paragraph; ``mark`` is its bullet."""

    text: Cell
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a head (empty: no head); the last column wraps. ``right``: columns set to the right.

    ``brief``: the last column keeps to one line, unless its words are BAD.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    right: frozenset[int] = frozenset()
    brief: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """Commands to be copied: never wrapped."""

    lines: tuple[str, ...]


Body: TypeAlias = Line | Table | Command


@dataclass(frozen=True, slots=True)
class Part:
    """A titled piece of a report; without a title it is its head."""

    title: str
    body: tuple[Body, ...]


TONES = {
    "MET": Tone.GOOD,
    "MISSED": Tone.BAD,
    "UNPROVEN": Tone.DOUBT,
    "met": Tone.GOOD,
    "restored": Tone.GOOD,
    "missed": Tone.BAD,
    "unproven": Tone.DOUBT,
    "done": Tone.GOOD,
    "failed": Tone.BAD,
    "unknown": Tone.BAD,
    "undo incomplete": Tone.BAD,
    "refused": Tone.DOUBT,
    "aborted": Tone.DOUBT,
    "held": Tone.BAD,
    "incomplete": Tone.DOUBT,
    "waiting": Tone.FAINT,
    "skipped": Tone.FAINT,
    "dropped": Tone.FAINT,
}


def toned(word: str, shown: str = "") -> Words:
    """Give a verdict or a status its tone; ``shown`` is what is written in its place."""
    return Words(shown or word, TONES.get(word, Tone.PLAIN))
