"""What a ring holds now: how far it reaches back, what it forgot, and whether the service is up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.observe.store import read_header, reading

if TYPE_CHECKING:
    from pathlib import Path

    from drills.timeline.samples import ObserverHeader


@dataclass(frozen=True, slots=True)
class Held:
    """A ring in figures. UTC in nanoseconds, None where there is nothing to say.

    ``up`` is what the newest told request said, and ``since`` the end of the last one that said otherwise (or the
    beginning of what is held); ``unknown`` counts requests that were told nothing; ``dropped`` rows were forgotten,
    the last of them at ``dropped_until``.
    """

    header: ObserverHeader
    rows: int
    unknown: int
    lives: int
    oldest: int | None
    newest: int | None
    up: bool | None
    since: int | None
    detail: str
    dropped: int
    dropped_until: int | None


def held(file: Path) -> Held:
    """Read a ring; ``JournalError`` when it is none or cannot be read."""
    header = read_header(file)
    with reading(file) as run:
        rows, unknown, first, last = run.execute(
            "SELECT count(*), coalesce(sum(up < 0), 0), min(id), max(id) FROM samples"
        ).fetchone()
        (lives,) = run.execute("SELECT count(*) FROM lives").fetchone()
        dropped, until = run.execute("SELECT rows, until_utc FROM dropped").fetchone()
        told: tuple[int, int, str] | None = run.execute(
            "SELECT id, up, detail FROM samples WHERE up >= 0 ORDER BY id DESC LIMIT 1"
        ).fetchone()
        before: tuple[int] | None = None
        if told is not None:
            before = run.execute(
                "SELECT id FROM samples WHERE up >= 0 AND up != ? ORDER BY id DESC LIMIT 1", (told[1],)
            ).fetchone()

        def utc(row: int | None) -> int | None:
            if row is None:
                return None
            (ended,) = run.execute("SELECT ended FROM samples WHERE id = ?", (row,)).fetchone()
            clock = run.execute(
                "SELECT realtime - monotonic FROM clocks WHERE life = (SELECT max(life) FROM lives WHERE first <= ?)"
                " ORDER BY rowid DESC LIMIT 1",
                (row,),
            ).fetchone()
            return None if clock is None else int(ended + clock[0])

        return Held(
            header,
            rows,
            unknown,
            lives,
            utc(first),
            utc(last),
            None if told is None else bool(told[1]),
            utc(before[0] if before is not None else first),
            "" if told is None else told[2],
            dropped,
            until or None,
        )
