"""A drill's result as Markdown, for a wiki page or a pull request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from drills.report import content
from drills.report.blocks import Command, Line, Table
from drills.report.printable import harmless

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.report.blocks import Body, Part
    from drills.report.result import DrillResult

_SPECIAL = re.compile(r"([\\|*_<>\[\]#])")


def render(result: DrillResult) -> str:
    """Write a drill as Markdown (GitHub's tables), ending in a newline."""
    return write(content.parts(result))


def write(parts: Sequence[Part]) -> str:
    """Write parts as Markdown."""
    return "\n\n".join(_part(part, first=place == 0) for place, part in enumerate(parts)) + "\n"


def _part(part: Part, *, first: bool) -> str:
    blocks = [f"## {_text(part.title)}"] if part.title else []
    lines: list[str] = []
    for body in part.body:
        if isinstance(body, Line) and body.mark:
            lines.append(f"- {_text(str(body.text))}")
            continue
        if lines:
            blocks.append("\n".join(lines))
            lines = []
        blocks.append(_block(body, heading=first and not blocks))
    if lines:
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _block(body: Body, *, heading: bool) -> str:
    match body:
        case Line(text=text):
            return f"# {_text(str(text))}" if heading else _text(str(text))
        case Command(lines=lines):
            return "\n".join(("```sh", *lines, "```"))
        case Table(head=head, rows=rows, right=right):
            columns = len(rows[0]) if rows else len(head)
            rule = ("---:" if at in right else "---" for at in range(columns))
            titles = head or ("",) * columns
            return "\n".join(
                f"| {' | '.join(cells)} |"
                for cells in (titles, rule, *(tuple(_text(str(cell)) for cell in row) for row in rows))
            )


def _text(text: str) -> str:
    """Escape what Markdown would take as its own, but leave what stands in backticks."""
    pieces = harmless(" ".join(text.split())).split("`")
    if len(pieces) % 2 == 0:
        return _SPECIAL.sub(r"\\\1", "'".join(pieces))
    escaped = (
        _SPECIAL.sub(r"\\\1", piece) if at % 2 == 0 else piece.replace("|", "\\|") for at, piece in enumerate(pieces)
    )
    return "`".join(escaped)
