"""A drill's result for a terminal, a pipe or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from drills.report import content, paint

if TYPE_CHECKING:
    from drills.report.result import DrillResult


def render(result: DrillResult, *, columns: int = 80, full: bool = True) -> str:
    """Write a drill as plain lines of at most ``columns`` characters."""
    return paint.plain(content.parts(result, full=full), columns)


def show(stream: TextIO, result: DrillResult, *, full: bool = False) -> None:
    """Print a drill in the form that fits ``stream``: coloured tables on a terminal, else plain lines."""
    paint.show(stream, content.parts(result, full=full))
