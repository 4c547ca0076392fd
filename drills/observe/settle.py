"""One cheap look at a growing evidence file: whether the service is restored and stayed so for a whole window.

It decides how long a drill goes on measuring, never what it measured: the bounds come from ``drills.measure``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.clock import NS
from drills.durations import show
from drills.errors import JournalError
from drills.observe.process import now
from drills.observe.store import read_header, reading
from drills.timeline.samples import BAD, GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from drills.timeline.samples import ObserverHeader

_SILENT_NS = 5 * NS
"""An observer without new rows for this long, beyond its own interval and timeout, is not watching."""
_GAPS_IN_WINDOW = 5
"""A run of good answers has no gap longer than this part of its window (the largest gap: rho_max <= W / 5)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found. ``since``: end of the first good answer (ns) of a run that goes on; None without one."""

    ok: bool | None
    detail: str
    since: int | None = None


def stable(file: Path, to_site: str, since_ns: int, window_ns: int, back_ns: int = 0) -> Seen:
    """Look whether nothing has been down for ``window_ns`` since a restored answer sent at or after ``since_ns``.

    Restored: up and, where answers name their site and ``to_site`` is given, answered by ``to_site``; an answer
    of another site ends a run as a failure does. Reads only the newest rows: about two windows of them, or twice
    ``back_ns`` where that is more. ``ok`` None when the file cannot be read or its observer has fallen silent.
    """
    try:
        header = read_header(file)
        newest, rows = _newest(file, header, since_ns, max(window_ns, back_ns))
    except JournalError as error:
        return Seen(None, str(error))
    quiet = now() - max(newest, header.started)
    if header.ended is None and quiet > _SILENT_NS + header.every_ns + header.timeout_ns:
        return Seen(None, f"{header.observer} has written nothing for {show(quiet / NS)}")
    site = to_site if header.identified else ""
    good_since, good_until = _last_run(sorted(rows), site, max(window_ns // _GAPS_IN_WINDOW, 2 * header.every_ns))
    if good_since is None:
        return Seen(ok=False, detail=f"{header.observer}: not restored")
    steady = good_until - good_since
    detail = f"{header.observer}: good for {show(max(steady, 0) / NS)} of {show(window_ns / NS)}"
    return Seen(steady >= window_ns, detail, good_since)


def _newest(
    file: Path, header: ObserverHeader, since_ns: int, window_ns: int
) -> tuple[int, list[tuple[int, int, int, str]]]:
    """Give when the newest row ended, and (sent, ended, up, by) of the last two windows or so, none sent before."""
    rows: list[tuple[int, int, int, str]] = []
    newest = 0
    with reading(file) as connection:
        found: Iterator[tuple[int, int, int, str]] = connection.execute(
            "SELECT sent, ended, up, name FROM samples JOIN names ON names.id = samples.by ORDER BY samples.id DESC"
        )
        for row in found:
            newest = newest or row[1]
            # Rows stand in the order in which they ended.
            if row[1] < max(since_ns, newest - 2 * window_ns - 4 * header.timeout_ns - _SILENT_NS):
                break
            if row[0] >= since_ns or row[2] == BAD:
                rows.append(row)
    return newest, rows


def _last_run(rows: list[tuple[int, int, int, str]], site: str, most_gap: int) -> tuple[int | None, int]:
    """Give (end of the first good answer, send of the last) of the run that nothing has ended; rows sorted by sent."""
    failed = [ended for _, ended, up, by in rows if up == BAD or (up == GOOD and site and by != site)]
    clear = max(failed, default=-1)
    first: int | None = None
    last, before = 0, 0
    for sent, ended, up, by in rows:
        if up != GOOD or (site and by != site) or sent <= clear:
            continue
        if first is None or ended - before > most_gap:
            first = ended
        last, before = sent, sent
    return first, last
