"""Paint blocks: plain lines for pipes and files, rich for terminals."""

from __future__ import annotations

import errno
import io
import os
import shutil
import textwrap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TextIO

from drills.report.blocks import Command, Line, Part, Table, Tone, Words
from drills.report.printable import harmless

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType
    from rich.text import Text

    from drills.report.blocks import Body, Cell

NARROWEST_LAST = 24
"""A last column with less room than this goes under its row."""
WIDEST = 120
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_cut_short: list[str] = []
_STYLES = {Tone.GOOD: "green", Tone.BAD: "bold red", Tone.DOUBT: "yellow", Tone.FAINT: "dim", Tone.PLAIN: ""}


def is_fancy(stream: TextIO) -> bool:
    """Say whether colours and tables that move have a place there: a terminal, not dumb, no ``NO_COLOR``."""
    try:
        terminal = stream.isatty()
    except ValueError:
        return False
    return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in (None, "", "dumb")


def width() -> int:
    """Give the columns there are: those of the terminal (or ``COLUMNS``), 80 where nobody knows."""
    return max(40, min(WIDEST, shutil.get_terminal_size((80, 24)).columns))


def put(stream: TextIO, text: str) -> None:
    """Write all of ``text``; a reader who has gone away (a closed pipe, a lost terminal) is no error.

    A full disk is none here either, where a drill may be under way: ``cut_short`` tells of it at the end.
    """
    try:
        stream.write(text if _can(stream, text) else text.encode("ascii", "replace").decode())
        stream.flush()
    except (OSError, ValueError) as error:
        lost(stream, error)


def lost(stream: TextIO, error: OSError | ValueError) -> bool:
    """Write no more, and say whether somebody misses it: a disk is full, which ``cut_short`` remembers."""
    hush(stream)
    if not isinstance(error, OSError) or error.errno not in _FULL:
        return False
    _cut_short.append(error.strerror or str(error))
    return True


def cut_short() -> str:
    """Say why what was written is not whole; empty where it is, or nobody reads it any more."""
    return _cut_short[0] if _cut_short else ""


def _can(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def hush(stream: TextIO) -> None:
    """Send everything further to nowhere, also what the interpreter flushes at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass


def show(stream: TextIO, parts: Sequence[Part]) -> None:
    """Paint parts in the form that fits ``stream``."""
    if not is_fancy(stream):
        put(stream, plain(parts, width()))
        return
    from rich.console import Console

    try:
        paint(Console(file=stream, width=width(), highlight=False), parts)
    except (OSError, ValueError):
        hush(stream)


class Guarded(io.TextIOBase):
    """A stream that falls silent instead of failing when its terminal or its reader has gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - read only, as everybody uses it
        """The encoding of the stream behind."""
        return self._stream.encoding

    def write(self, text: str, /) -> int:
        """Write, or fall silent."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            hush(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flush, or fall silent."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            hush(self._stream)

    def isatty(self) -> bool:
        """Say whether a terminal is behind."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Give the number of the file behind."""
        return self._stream.fileno()


def _harmless(part: Part) -> Part:
    """Take from a part what would steer the terminal: much of it was written by others."""

    def cell(one: Cell) -> Cell:
        return Words(harmless(one.text), one.tone) if isinstance(one, Words) else harmless(one)

    def body(one: Body) -> Body:
        match one:
            case Line(text=text):
                return replace(one, text=cell(text))
            case Command(lines=lines):
                return Command(tuple(map(harmless, lines)))
            case Table(rows=rows):
                return replace(one, rows=tuple(tuple(map(cell, row)) for row in rows))

    return Part(part.title, tuple(map(body, part.body)))


# -- plain -------------------------------------------------------------------------------------------------


def plain(parts: Sequence[Part], columns: int = 80) -> str:
    """Write parts as lines of at most ``columns`` characters (commands are never broken)."""
    lines: list[str] = []
    for part in map(_harmless, parts):
        if lines:
            lines.append("")
        indent = 2 if part.title else 0
        if part.title:
            lines.append(part.title.upper())
        for body in part.body:
            lines.extend(_plain(body, indent, columns))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _plain(body: Body, indent: int, columns: int) -> list[str]:
    match body:
        case Line(text=text, mark=mark):
            head = " " * indent + (f"{mark} " if mark else "")
            return _wrapped(str(text), head, " " * len(head), columns)
        case Command(lines=lines):
            return [f"{' ' * (indent + 2)}{line}" for line in lines]
        case Table():
            return _plain_table(body, indent, columns)


def _wrapped(text: str, first: str, rest: str, columns: int) -> list[str]:
    return textwrap.wrap(text, columns, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False) or [first]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the columns of a table stand; ``under``: the last one goes under its row for lack of room."""

    table: Table
    widths: tuple[int, ...]
    indent: int
    columns: int

    @property
    def lead(self) -> int:
        return self.indent + sum(self.widths[:-1]) + 2 * (len(self.widths) - 1)

    @property
    def under(self) -> bool:
        return self.columns - self.lead < min(NARROWEST_LAST, self.widths[-1])

    def lines(self, row: Sequence[Cell]) -> list[str]:
        right, last = self.table.right, str(row[-1])
        cells = [
            str(cell).rjust(self.widths[at]) if at in right else str(cell).ljust(self.widths[at])
            for at, cell in enumerate(row[:-1])
        ]
        begin = " " * self.indent + "".join(f"{cell}  " for cell in cells)
        if len(self.widths) - 1 in right:
            return [begin + last.rjust(self.widths[-1])]
        if self.under and last:
            below = " " * (self.indent + 4)
            return [begin, *_wrapped(last, below, below, self.columns)]
        return _wrapped(last, begin, " " * self.lead, self.columns)


def _layout(table: Table, indent: int, columns: int) -> _Layout:
    layout = _Layout(table, _widths(table), indent, columns)
    if not table.brief or layout.under:
        return layout
    room = max(NARROWEST_LAST, columns - layout.lead)
    brief = replace(table, rows=tuple((*row[:-1], _cut(row[-1], room)) for row in table.rows))
    return replace(layout, table=brief, widths=_widths(brief))


def _widths(table: Table) -> tuple[int, ...]:
    every = [table.head, *table.rows] if table.head else table.rows
    return tuple(max(len(str(row[at])) for row in every) for at in range(len(every[0])))


def _cut(cell: Cell, room: int) -> Cell:
    if len(str(cell)) <= room or (isinstance(cell, Words) and cell.tone is Tone.BAD):
        return cell
    short = f"{str(cell)[: room - 3].rstrip()}..."
    return Words(short, cell.tone) if isinstance(cell, Words) else short


def _plain_table(table: Table, indent: int, columns: int) -> list[str]:
    layout = _layout(table, indent, columns)
    rows = [table.head, *layout.table.rows] if table.head else layout.table.rows
    return [line for row in rows for line in layout.lines(row)]


# -- rich --------------------------------------------------------------------------------------------------


def ansi(parts: Sequence[Part]) -> str:
    """Write parts with the colours of a terminal, for who prints text itself."""
    from rich.console import Console

    text = io.StringIO()
    paint(Console(file=text, width=width(), highlight=False, force_terminal=True), parts)
    return text.getvalue()


def paint(console: Console, parts: Sequence[Part]) -> None:
    """Paint parts on a terminal."""
    from rich.padding import Padding
    from rich.text import Text

    for place, part in enumerate(map(_harmless, parts)):
        if place:
            console.print()
        if part.title:
            console.print(Text(part.title.upper(), style="bold"))
        for body in part.body:
            indent = 2 if part.title else 0
            if isinstance(body, Command):
                for line in body.lines:
                    console.print(Text(f"{' ' * (indent + 2)}{line}", style="cyan"), soft_wrap=True)
            else:
                console.print(Padding(_rich(body, console.width - indent), (0, 0, 0, indent)))


def _rich(body: Line | Table, columns: int) -> RenderableType:
    from rich.table import Table as Grid

    match body:
        case Line(text=text, mark=mark):
            if not mark:
                return styled(text)
            grid = Grid.grid(padding=(0, 1))
            grid.add_row(mark, styled(text))
            return grid
        case Table():
            layout = _layout(body, 0, columns)
            return _rich_under(layout) if layout.under else _rich_table(layout.table)


def _rich_table(table: Table) -> RenderableType:
    from rich.table import Table as Grid

    last = len(table.head or table.rows[0]) - 1
    grid = Grid(box=None, show_header=bool(table.head), header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for at in range(last + 1):
        title = table.head[at] if table.head else ""
        justify = "right" if at in table.right else "left"
        grid.add_column(title, justify=justify, no_wrap=at != last or at in table.right, overflow="fold")
    for row in table.rows:
        grid.add_row(*map(styled, row))
    return grid


def _rich_under(layout: _Layout) -> RenderableType:
    from rich.text import Text

    text = Text("\n".join(layout.lines(layout.table.head)) if layout.table.head else "", style="dim")
    for row in layout.table.rows:
        lines = Text("\n".join(layout.lines(row)), style="not dim")
        for cell in row:
            if isinstance(cell, Words) and cell.text:
                lines.highlight_words([cell.text], _STYLES[cell.tone])
        text.append("\n" if len(text) else "").append_text(lines)
    return text


def styled(cell: Cell) -> Text:
    """Give a cell its colour."""
    from rich.text import Text

    return Text(cell.text, style=_STYLES[cell.tone]) if isinstance(cell, Words) else Text(cell)
