"""Drills compared: two of them, one against those before it, or two groups; by objective, phase and step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from drills.errors import Usage
from drills.measure.series import ALPHA, Change, Figure, apart, change
from drills.report import figures
from drills.report.blocks import Line, Part, Table, Tone, Words
from drills.report.history import bounds
from drills.report.past import KINDS_OF_FIGURES, figures_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.report.past import Past


@dataclass(frozen=True, slots=True)
class Line2:
    """One objective, phase or step on both sides. ``longer``: bounds of the difference, of two single drills."""

    what: str
    name: str
    before: tuple[Figure, ...]
    after: tuple[Figure, ...]
    change: Change | None = None
    longer: Figure | None = None
    word: str = ""
