"""Copies out of a ring what a drill needs of the time before it: an evidence file of its own, sealed like any other.

Rows of the drill's own clock (host, boot, time namespace) are copied as they are. Rows of another boot are placed by
UTC, and their brackets widened by the bounds that the kernel gave for both; without such a bound they are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from drills.clock import NS, clock_id
from drills.durations import show
from drills.observe.process import now, read_clocks, time_namespace, utc_error_ns
from drills.observe.store import create, reading
from drills.timeline.codec import dump, load
from drills.timeline.samples import BAD, UNKNOWN, ClockReading, ObserverHeader

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

BASELINE_NS = 2 * 3600 * NS
"""How far before the moment of interest the copy begins, and by how much further while it begins with trouble."""
_STEPS = 60
_ROW = "sent, ended, up, hard, by, status, resolved, connected, first_byte, detail"


@dataclass(frozen=True, slots=True)
class Adopted:
    """What came of it: how many rows, how long before now the copy begins, and what is to be said of it."""

    rows: int
    back_s: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Life:
    header: ObserverHeader
    first: int
    beyond: int
    first_control: int
    beyond_control: int
    shift: int
    widen: int


def adopt(ring: Path, file: Path, observer: str, moment: int) -> Adopted | str:
    """Copy the ring into ``file``, from a while before ``moment`` (monotonic, ns) until now, for ``observer``.

    Gives a sentence instead when nothing in the ring can be placed on this host's clock. ``JournalError`` when one of
    the files cannot be read or written.
    """
    with reading(ring) as run:
        lives, notes = _lives(run)
        if not lives:
            return notes[0] if notes else "the ring is empty"
        begin = _begin(run, lives, moment)
        names: list[tuple[int, str]] = run.execute("SELECT id, name FROM names ORDER BY id").fetchall()
        rows = [row for life in lives for row in _samples(run, life, begin)]
        controls = [row for life in lives for row in _controls(run, life, begin)]
        (dropped,) = run.execute("SELECT rows FROM dropped").fetchone()
        readings = _readings(run, lives[-1], begin)
    if not rows:
        return "the ring holds nothing of the time before"
    rows.sort(key=lambda row: (row[1], row[0]))
    notes += _gaps(rows, lives[-1].header)
    if dropped:
        notes.append(f"{dropped} older rows had been dropped from the ring")
    told = f"copied from the ring {ring.name}: {len(rows)} rows, {show((now() - rows[0][0]) / NS)} back"
    header = replace(
        lives[-1].header,
        observer=observer,
        started=rows[0][0],
        ended=rows[-1][1],
        at_start=readings[0],
        at_end=readings[1],
        dropped=sum(1 for row in rows if row[2] == UNKNOWN and str(row[9]).startswith("dropped")),
        missed=sum(1 for row in rows if row[2] == UNKNOWN and str(row[9]).startswith("missed")),
        notes=(*lives[-1].header.notes, told, *notes),
    )
    _write(file, header, names, rows, controls)
    return Adopted(len(rows), (now() - rows[0][0]) / NS, (told, *notes))


def _lives(run: sqlite3.Connection) -> tuple[list[_Life], list[str]]:
    """Give the lives that can be placed on this clock, oldest first, and what is to be said of the others.

    A ring outlives a change of what is looked at: the newest life says what the ring is about.
    """
    found: list[tuple[int, int, int, str]] = run.execute(
        "SELECT life, first, first_control, text FROM lives ORDER BY life"
    ).fetchall()
    mine, here, error = (clock_id(), time_namespace()), read_clocks(), utc_error_ns()
    lives: list[_Life] = []
    unplaced = elsewhere = 0
    now_at = _looks_at(load(ObserverHeader, found[-1][3])) if found else ()
    for place, (life, first, first_control, text) in enumerate(found):
        header = load(ObserverHeader, text)
        if _looks_at(header) != now_at:
            elsewhere += 1
            continue
        after = found[place + 1] if place + 1 < len(found) else (0, 1 << 62, 1 << 62, "")
        shift = widen = 0
        if (header.clock, header.time_namespace) != mine:
            then = run.execute(
                "SELECT realtime, monotonic, error FROM clocks WHERE life = ? ORDER BY rowid DESC LIMIT 1", (life,)
            ).fetchone()
            if then is None or then[2] is None or error is None:
                unplaced += 1
                continue
            shift = (then[0] - then[1]) - (here.realtime - here.monotonic)
            widen = then[2] + error
        lives.append(_Life(header, first, after[1], first_control, after[2], shift, widen))
    said = f"{unplaced} lives of the ring ran by another clock without a bound on its UTC: they are left out"
    lives_of = "1 life of the ring" if elsewhere == 1 else f"{elsewhere} lives of the ring"
    other = [f"{lives_of} looked at something else, or in another way: left out"] if elsewhere else []
    return lives, [said, *other] if unplaced else other


def _looks_at(header: ObserverHeader) -> tuple[object, ...]:
    """Give what makes two lives of a ring one past: whom they ask, through whose eyes, and who is named."""
    return header.url, header.persona, header.identified


def _begin(run: sqlite3.Connection, lives: list[_Life], moment: int) -> int:
    """Give where the copy begins: before the moment, and further back while the service was down there."""
    begin = moment
    for _ in range(_STEPS):
        begin -= BASELINE_NS
        told = None
        for life in lives:
            told = run.execute(
                "SELECT up FROM samples WHERE id >= ? AND id < ? AND up >= 0 AND sent >= ? ORDER BY id LIMIT 1",
                (life.first, life.beyond, begin - life.shift),
            ).fetchone()
            if told is not None:
                break
        if told is None or told[0] != BAD:
            break
    return begin


def _samples(run: sqlite3.Connection, life: _Life, begin: int) -> list[tuple[Any, ...]]:
    rows = run.execute(
        f"SELECT {_ROW} FROM samples WHERE id >= ? AND id < ? AND sent >= ? ORDER BY id",  # noqa: S608 - our own columns
        (life.first, life.beyond, begin - life.shift),
    ).fetchall()
    if not (life.shift or life.widen):
        return rows

    def moved(stamp: int | None) -> int | None:
        return None if stamp is None else stamp + life.shift

    return [
        (sent + life.shift - life.widen, ended + life.shift + life.widen, *label, *map(moved, stamps), detail)
        for sent, ended, *rest in rows
        for label, stamps, detail in [(rest[:4], rest[4:7], rest[7])]
    ]


def _controls(run: sqlite3.Connection, life: _Life, begin: int) -> list[tuple[int, int, int, int]]:
    rows = run.execute(
        "SELECT sent, ended, late_ns, ok FROM controls WHERE id >= ? AND id < ? AND sent >= ? ORDER BY id",
        (life.first_control, life.beyond_control, begin - life.shift),
    ).fetchall()
    wide = life.widen
    return [(sent + life.shift - wide, ended + life.shift + wide, late, ok) for sent, ended, late, ok in rows]


def _readings(run: sqlite3.Connection, life: _Life, begin: int) -> tuple[ClockReading | None, ClockReading | None]:
    """Give the clocks of the newest life as they were read nearest before the copy begins, and last."""
    found = [
        ClockReading(*row)
        for row in run.execute(
            "SELECT realtime, monotonic, boottime FROM clocks WHERE sample >= ? - 1 ORDER BY rowid", (life.first,)
        )
    ]
    before = [one for one in found if one.monotonic <= begin - life.shift]
    first = before[-1] if before else found[0] if found else None
    if life.shift:
        return None, None
    return first, life.header.at_end


def _gaps(rows: list[tuple[Any, ...]], header: ObserverHeader) -> list[str]:
    """Say where nobody looked: what lies in a gap is unknown, never good."""
    limit = 3 * header.every_ns + header.timeout_ns
    between: list[int] = [after[0] - before[1] for before, after in pairwise(rows)]
    gaps = [gap for gap in between if gap > limit]
    if not gaps:
        return []
    count = f"{len(gaps)} gap{'' if len(gaps) == 1 else 's'}"
    return [f"{count} without a look, the longest {show(max(gaps) / NS)}: what happened there is unknown"]


def _write(
    file: Path,
    header: ObserverHeader,
    names: list[tuple[int, str]],
    rows: list[tuple[Any, ...]],
    controls: list[tuple[int, int, int, int]],
) -> None:
    connection = create(file)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", names)
        connection.executemany("INSERT INTO samples VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.executemany("INSERT INTO controls VALUES (NULL, ?, ?, ?, ?)", controls)
        connection.execute("INSERT INTO header VALUES (1, ?)", (dump(header),))
        connection.execute("COMMIT")
    finally:
        connection.close()
