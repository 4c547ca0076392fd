"""Lines that fit the terminal they are printed on. In a pipe or a file they stay whole: machines may read them."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

from drills.report.printable import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator

NARROWEST: Final = 40
_COMMAND: Final = re.compile(r"\s*> [a-z]\S* .*\B--?\w")
"""A command to do something by hand, with an option: it is copied, and never broken."""


def say(text: str, hang: int = 2, *, prose: bool = False) -> None:
    """Print lines on stdout; on a terminal those that are too long go on ``hang`` columns further in.

    ``prose``: lines that stand at the margin are paragraphs, and are filled anew.
    """
    text = harmless(text)
    lines = f"{fitted(text, hang, prose=prose) if sys.stdout.isatty() else text}\n"
    try:
        sys.stdout.write(lines)
    except UnicodeEncodeError:
        from drills.report import paint

        paint.put(sys.stdout, lines)


def fitted(text: str, hang: int = 2, *, prose: bool = False) -> str:
    """Break what is wider than the terminal (80 columns where nobody knows) between its words."""
    import shutil

    columns = max(NARROWEST, shutil.get_terminal_size((80, 24)).columns)
    lines = _paragraphs(text) if prose else text.splitlines()
    return "\n".join(
        part for line in lines for part in _broken(line, 0 if prose and line[:1] != " " else hang, columns)
    )


def _broken(line: str, hang: int, columns: int) -> list[str]:
    import textwrap

    if len(line) <= columns or _COMMAND.match(line):
        return [line]
    margin = line[: len(line) - len(line.lstrip(" >"))]
    further = margin if ">" in margin else margin + " " * hang
    return textwrap.wrap(line, columns, subsequent_indent=further, break_long_words=False, break_on_hyphens=False)


def _paragraphs(text: str) -> Iterator[str]:
    """Join lines that stand at the margin one below the other."""
    joined = ""
    for line in text.splitlines():
        if line and not line.startswith((" ", "-")):
            joined = f"{joined} {line}" if joined else line
            continue
        if joined:
            yield joined
            joined = ""
        yield line
    if joined:
        yield joined
