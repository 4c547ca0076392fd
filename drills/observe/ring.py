"""A ring: an evidence file that outlives its observer and forgets what is older than it may keep.

It has the tables of an evidence file, and three more. ``lives``: one row for each time an observer began, with the
first of its samples; what lies between two lives nobody has seen. ``clocks``: the host's clocks once a minute, so that
rows of another boot can be placed by UTC. ``dropped``: how much was forgotten, and up to when.
"""

from __future__ import annotations

import fcntl
import sqlite3
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from drills.clock import NS
from drills.errors import JournalError, Refused
from drills.observe.process import now, read_clocks, utc_error_ns
from drills.observe.recorder import Recorder
from drills.observe.store import FORMAT, WAIT_S, create
from drills.timeline.codec import dump

if TYPE_CHECKING:
    from pathlib import Path

    from drills.timeline.samples import Control, ObserverHeader, Sample

SCHEMA = """
CREATE TABLE lives (life INTEGER PRIMARY KEY, first INTEGER NOT NULL, first_control INTEGER NOT NULL,
    text TEXT NOT NULL);
CREATE TABLE clocks (sample INTEGER NOT NULL, life INTEGER NOT NULL, realtime INTEGER NOT NULL,
    monotonic INTEGER NOT NULL, boottime INTEGER NOT NULL, error INTEGER);
CREATE TABLE dropped (one INTEGER PRIMARY KEY CHECK (one = 1), rows INTEGER NOT NULL, until_utc INTEGER NOT NULL);
INSERT INTO dropped VALUES (1, 0, 0);
"""
TIDY_NS = 60 * NS
"""How often the clocks are written down and old rows are dropped."""
MOST_NAMES = 1_000
"""Sites that may have answered; a ring lives long, and a header may hold anything."""
_SLACK = 1.2
"""Rows beyond those of the plain schedule that may stand in the file (an interval that was shortened)."""
_ASIDE = ".damaged"


class Ring(Recorder):
    """Writes one ring; another writer of the same ring is refused while this one lives."""

    def __init__(self, file: Path, header: ObserverHeader, keep_ns: int, wait_s: float = WAIT_S) -> None:
        self._keep = keep_ns
        self._most = round(_SLACK * keep_ns / header.every_ns) + 1_000
        self._tidied = 0
        self._life = 0
        self._quiet: Control | None = None
        self._hold = _hold(file)
        super().__init__(file, header, wait_s)

    def _open(self, file: Path, wait_s: float) -> sqlite3.Connection:
        """Open the ring, or begin one; what cannot be read is put aside, and the new ring says so."""
        trouble = ""
        if file.exists():
            try:
                return _opened(file, wait_s)
            except (sqlite3.Error, JournalError) as error:
                trouble = f"the ring before this one could not be read ({error}); it lies in {file.name}{_ASIDE}"
                for tail in ("-wal", "-shm"):
                    file.with_name(file.name + tail).unlink(missing_ok=True)
                file.replace(file.with_name(file.name + _ASIDE))
        connection = create(file, wait_s)
        connection.executescript(f"BEGIN; {SCHEMA} COMMIT;")
        if trouble:
            self.header = replace(self.header, notes=(*self.header.notes, trouble))
        return connection

    def sample(self, row: Sample) -> None:
        """Keep one request for the next flush."""
        if row.by not in self._names and len(self._names) >= MOST_NAMES:
            row = replace(row, by="")
        super().sample(row)

    def control(self, row: Control) -> None:
        """Keep a failing control probe and the one before it, which says how long the loop was alive; no others."""
        if row.ok:
            self._quiet = row
            return
        if self._quiet is not None:
            super().control(self._quiet)
            self._quiet = None
        super().control(row)

    def _beside(self, run: sqlite3.Connection) -> None:
        clocks = read_clocks()
        self.header = replace(self.header, at_end=clocks)
        if not self._life:
            (sample,) = run.execute("SELECT coalesce(max(id), 0) FROM samples").fetchone()
            (control,) = run.execute("SELECT coalesce(max(id), 0) FROM controls").fetchone()
            begun = (sample + 1, control + 1, dump(self.header))
            self._life = run.execute("INSERT INTO lives VALUES (NULL, ?, ?, ?)", begun).lastrowid or 0
        run.execute("UPDATE lives SET text = ? WHERE life = ?", (dump(self.header), self._life))
        if now() - self._tidied < TIDY_NS and self._tidied:
            return
        (last,) = run.execute("SELECT coalesce(max(id), 0) FROM samples").fetchone()
        run.execute(
            "INSERT INTO clocks VALUES (?, ?, ?, ?, ?, ?)",
            (last, self._life, clocks.realtime, clocks.monotonic, clocks.boottime, utc_error_ns()),
        )
        tidy(run, clocks.realtime - self._keep, self._most)
        self._tidied = now()

    def close(self) -> None:
        """Close the file and let another observer have the ring."""
        super().close()
        self._hold.close()


def tidy(run: sqlite3.Connection, cutoff_utc: int, most: int) -> int:
    """Drop the rows that ended before a moment, and the oldest beyond ``most``; give how many were dropped.

    Each row's UTC is found by the last clock reading of its life, good to what the host's clock was stepped by.
    """
    lives: list[tuple[int, int]] = run.execute("SELECT life, first FROM lives ORDER BY life").fetchall()
    (last,) = run.execute("SELECT coalesce(max(id), 0) FROM samples").fetchone()
    keep_from = last - most + 1
    for place, (life, first) in enumerate(lives):
        beyond = lives[place + 1][1] if place + 1 < len(lives) else last + 1
        offset = _offset(run, life)
        row = run.execute(
            "SELECT id FROM samples WHERE id >= ? AND id < ? AND ended >= ? ORDER BY id LIMIT 1",
            (first, beyond, cutoff_utc - offset),
        ).fetchone()
        keep_from = max(keep_from, beyond if row is None else row[0])
        if row is not None:
            break
    gone = run.execute("SELECT count(*), max(id) FROM samples WHERE id < ?", (keep_from,)).fetchone()
    if not gone[0]:
        return 0
    (ended,) = run.execute("SELECT ended FROM samples WHERE id = ?", (gone[1],)).fetchone()
    life = max((one for one, first in lives if first <= gone[1]), default=0)
    until = ended + _offset(run, life)
    run.execute("DELETE FROM samples WHERE id < ?", (keep_from,))
    run.execute("UPDATE dropped SET rows = rows + ?, until_utc = max(until_utc, ?)", (gone[0], until))
    ended_lives = [one for place, (one, _) in enumerate(lives[:-1]) if lives[place + 1][1] <= keep_from]
    run.executemany("DELETE FROM lives WHERE life = ?", [(one,) for one in ended_lives])
    run.execute("DELETE FROM clocks WHERE life NOT IN (SELECT life FROM lives)")
    # The last reading before the first row that stays is what that row is placed by.
    run.execute(
        "DELETE FROM clocks WHERE rowid < (SELECT max(rowid) FROM clocks WHERE sample < ?)",
        (keep_from,),
    )
    # Of the oldest life the controls go with the rows they speak of; those of lives before it have gone with them.
    (sent,) = run.execute("SELECT coalesce(min(sent), 0) FROM samples WHERE id = ?", (keep_from,)).fetchone()
    controls = run.execute("SELECT first_control FROM lives ORDER BY life LIMIT 2").fetchall()
    oldest = controls[0][0]
    beyond = controls[1][0] if len(controls) > 1 else 1 << 62
    run.execute("DELETE FROM controls WHERE id < ?", (oldest,))
    run.execute("DELETE FROM controls WHERE id < ? AND ended < ?", (beyond, sent - TIDY_NS))
    run.execute(
        "DELETE FROM controls WHERE id <= (SELECT coalesce(max(id), 0) FROM controls) - ?",
        (most,),
    )
    return int(gone[0])


def _offset(run: sqlite3.Connection, life: int) -> int:
    """Give UTC minus the monotonic time of a life."""
    row = run.execute(
        "SELECT realtime - monotonic FROM clocks WHERE life = ? ORDER BY rowid DESC LIMIT 1", (life,)
    ).fetchone()
    return int(row[0]) if row is not None else 0


def _hold(file: Path) -> IO[bytes]:
    """Take the ring for one writer; ``Refused`` while another has it."""
    lock = file.with_suffix(".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise Refused(f"{file}: another observer writes this ring") from error
    return lock


def _opened(file: Path, wait_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=wait_s, check_same_thread=False, isolation_level=None)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        whole = connection.execute("PRAGMA quick_check(1)").fetchone()
        connection.execute("SELECT life, first, text FROM lives LIMIT 1").fetchone()
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    if version != FORMAT or whole != ("ok",):
        connection.close()
        raise JournalError(f"format {version}, {whole[0]}")
    return connection
