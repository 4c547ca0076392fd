"""What the failed requests of an observer were told, and why others are no evidence, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.observe.store import reading
from drills.timeline.samples import BAD, UNKNOWN

if TYPE_CHECKING:
    from pathlib import Path

MOST = 5
_ENDLESS = 2**63 - 1


def failures(file: Path, first_ns: int, last_ns: int) -> list[tuple[str, int]]:
    """Give what failed requests sent in [first, last] said and how many said it, most frequent first, at most five."""
    return _counted(file, BAD, first_ns, last_ns)


def unknowns(file: Path) -> list[tuple[str, int]]:
    """Give why requests or slots are no evidence, and how many are not, most frequent first, at most five."""
    return _counted(file, UNKNOWN, 0, _ENDLESS)


def _counted(file: Path, label: int, first_ns: int, last_ns: int) -> list[tuple[str, int]]:
    with reading(file) as connection:
        rows: list[tuple[str, int, int]] = connection.execute(
            "SELECT detail, status, count(*) FROM samples WHERE up = ? AND sent BETWEEN ? AND ?"
            " GROUP BY detail, status ORDER BY count(*) DESC, detail LIMIT ?",
            (label, first_ns, last_ns, MOST),
        ).fetchall()
    return [(detail or f"status {status}", count) for detail, status, count in rows]
