"""The writing half of an evidence file: rows gather in memory and go to disk in one transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from drills.observe.store import WAIT_S, create
from drills.timeline.codec import dump
from drills.timeline.samples import ROWS_LOST

if TYPE_CHECKING:
    from pathlib import Path

    from drills.timeline.samples import Control, Marker, ObserverHeader, Sample

MOST_HELD = 200_000
"""Rows held in memory while the disk refuses them; beyond this they are counted and lost."""


@dataclass(slots=True)
class _Batch:
    samples: list[Sample] = field(default_factory=list["Sample"])
    controls: list[Control] = field(default_factory=list["Control"])
    markers: list[Marker] = field(default_factory=list["Marker"])

    def __len__(self) -> int:
        return len(self.samples) + len(self.controls) + len(self.markers)


class Recorder:
    """Holds rows until ``flush``. Rows are added by one thread; ``flush`` may run in another, one at a time."""

    def __init__(self, file: Path, header: ObserverHeader, wait_s: float = WAIT_S) -> None:
        self.header = header
        self.lost = 0
        self.flushed = 0
        self._connection = self._open(file, wait_s)
        self._names = {name: number for number, name in self._connection.execute("SELECT id, name FROM names")}
        self._now = _Batch()
        self._refused = _Batch()
        self._write(self._now, [])

    def _open(self, file: Path, wait_s: float) -> sqlite3.Connection:
        """Give the connection to a file of its own."""
        return create(file, wait_s)

    def _beside(self, run: sqlite3.Connection) -> None:
        """Write within a flush's transaction what else must stand in the file; nothing here."""

    def sample(self, row: Sample) -> None:
        """Keep one request for the next flush."""
        if self._room():
            self._now.samples.append(row)

    def control(self, row: Control) -> None:
        """Keep one control probe for the next flush."""
        if self._room():
            self._now.controls.append(row)

    def marker(self, row: Marker) -> None:
        """Keep one marker for the next flush; it replaces what was flushed of the same number."""
        if self._room():
            self._now.markers.append(row)

    def _room(self) -> bool:
        if len(self._now) + len(self._refused) < MOST_HELD:
            return True
        self.lost += 1
        return False

    def take(self) -> _Batch:
        """Hand over what has gathered, to be flushed (perhaps by another thread)."""
        batch, self._now = self._now, _Batch()
        return batch

    def flush(self, batch: _Batch, open_markers: list[Marker]) -> str:
        """Write a batch, the markers still without an answer, and the header, in one transaction.

        Gives an empty text, or what the disk said; then the rows are kept for the next time.
        """
        whole = _Batch(
            self._refused.samples + batch.samples,
            self._refused.controls + batch.controls,
            self._refused.markers + batch.markers,
        )
        try:
            self._write(whole, open_markers)
        except sqlite3.Error as error:
            self._refused = whole
            return str(error)
        self._refused = _Batch()
        self.flushed += len(whole)
        return ""

    def _write(self, batch: _Batch, open_markers: list[Marker]) -> None:
        header = self.header
        if self.lost:
            header = replace(header, notes=(*header.notes, f"{self.lost} {ROWS_LOST}"))
        run = self._connection
        run.execute("BEGIN IMMEDIATE")
        try:
            new = sorted({row.by for row in batch.samples} - self._names.keys())
            names = self._names | {name: len(self._names) + number for number, name in enumerate(new)}
            run.executemany("INSERT INTO names VALUES (?, ?)", [(names[name], name) for name in new])
            run.executemany(
                "INSERT INTO samples VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [_sample_row(row, names[row.by]) for row in batch.samples],
            )
            run.executemany(
                "INSERT INTO controls VALUES (NULL, ?, ?, ?, ?)",
                [(row.sent, row.ended, row.late_ns, row.ok) for row in batch.controls],
            )
            # An answered marker stands in the batch and is written after its open self.
            run.executemany(
                "INSERT OR REPLACE INTO markers VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (row.writer, row.seq, row.sent, row.ended, row.acked, row.primary)
                    for row in (*open_markers, *batch.markers)
                ],
            )
            run.execute("INSERT OR REPLACE INTO header VALUES (1, ?)", (dump(header),))
            self._beside(run)
            run.execute("COMMIT")
        except sqlite3.Error:
            if run.in_transaction:
                run.execute("ROLLBACK")
            raise
        self._names = names

    def close(self) -> None:
        """Close the file; what was not flushed is lost."""
        self._connection.close()


def _sample_row(row: Sample, by: int) -> tuple[int | str | None, ...]:
    up = -1 if row.up is None else int(row.up)
    stamps = (row.resolved, row.connected, row.first_byte)
    return (row.sent, row.ended, up, int(row.hard), by, row.status, *stamps, row.detail)
