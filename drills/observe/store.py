"""An observer's evidence file: what it holds, how it is read while it grows, and how it is sealed.

One SQLite file an observer (WAL): readers never wait for the observer nor it for them. Tables: ``header`` (one
row of JSON), ``samples``, ``controls``, ``names`` of the sites that answered, ``markers``, ``recovered``,
``rounds``. Times are nanoseconds of CLOCK_MONOTONIC.
"""

from __future__ import annotations

import hashlib
import sqlite3
from array import array
from bisect import bisect_right
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from drills.errors import JournalError
from drills.timeline import stored
from drills.timeline.codec import load
from drills.timeline.samples import (
    UNKNOWN,
    Control,
    Marker,
    ObserverHeader,
    ReadRound,
    Recovered,
    Sample,
    Samples,
)

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

FORMAT = 1
_CHUNK = 20_000
WAIT_S = 10.0
"""How long one writer waits for another."""

SCHEMA = """
CREATE TABLE header (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT NOT NULL);
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
INSERT INTO names VALUES (0, '');
CREATE TABLE samples (id INTEGER PRIMARY KEY, sent INTEGER NOT NULL, ended INTEGER NOT NULL, up INTEGER NOT NULL,
    hard INTEGER NOT NULL, by INTEGER NOT NULL, status INTEGER NOT NULL, resolved INTEGER, connected INTEGER,
    first_byte INTEGER, detail TEXT NOT NULL);
CREATE TABLE controls (id INTEGER PRIMARY KEY, sent INTEGER NOT NULL, ended INTEGER NOT NULL,
    late_ns INTEGER NOT NULL, ok INTEGER NOT NULL);
CREATE TABLE markers (writer TEXT NOT NULL, seq INTEGER NOT NULL, sent INTEGER NOT NULL, ended INTEGER,
    acked INTEGER, executor TEXT NOT NULL, PRIMARY KEY (writer, seq)) WITHOUT ROWID;
CREATE TABLE recovered (round INTEGER NOT NULL, read_at INTEGER NOT NULL, writer TEXT NOT NULL, seq INTEGER NOT NULL,
    executor TEXT NOT NULL, PRIMARY KEY (round, writer, seq)) WITHOUT ROWID;
CREATE TABLE rounds (round INTEGER PRIMARY KEY, started INTEGER NOT NULL, ended INTEGER NOT NULL,
    server TEXT NOT NULL, complete INTEGER NOT NULL);
"""

_CONTENT = (
    "SELECT text FROM header",
    "SELECT id, name FROM names ORDER BY id",
    "SELECT sent, ended, up, hard, by, status, resolved, connected, first_byte, detail FROM samples ORDER BY id",
    "SELECT sent, ended, late_ns, ok FROM controls ORDER BY id",
    "SELECT writer, seq, sent, ended, acked, executor FROM markers ORDER BY writer, seq",
    "SELECT round, read_at, writer, seq, executor FROM recovered ORDER BY round, writer, seq",
    "SELECT round, started, ended, server, complete FROM rounds ORDER BY round",
)


@dataclass(frozen=True, slots=True)
class Seal:
    """What an evidence file held: samples and markers counted, the first and last of their ``sent``, its hash."""

    rows: int
    first: int
    last: int
    sha256: str


def create(file: Path, wait_s: float = WAIT_S) -> sqlite3.Connection:
    """Create an evidence file that is not there yet, and give the observer's connection to it.

    ``synchronous`` NORMAL: a killed observer loses nothing it flushed; after a crash of the machine itself the
    clock is another one and the drill UNPROVEN anyway, so an fsync for each flush would only disturb the service.
    Raises ``JournalError`` if the file is there or cannot be written.
    """
    if file.exists():
        raise JournalError(f"{file}: an evidence file is never written twice")
    try:
        connection = sqlite3.connect(file, timeout=wait_s, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
    except sqlite3.Error as error:
        raise JournalError(f"{file}: cannot be created: {error}") from error
    return connection


@contextmanager
def reading(file: Path) -> Generator[sqlite3.Connection]:
    """Give one consistent view of the file; ``JournalError`` if it is none of ours or damaged."""
    if not file.exists():
        raise JournalError(f"{file}: there is no such evidence file")
    connection = None
    try:
        connection = stored.opened(file, WAIT_S)
        connection.execute("BEGIN")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != FORMAT:
            raise JournalError(f"{file}: not an evidence file of format {FORMAT}")
        yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise JournalError(f"{file}: cannot be read: {error}") from error
    finally:
        if connection is not None:
            connection.close()


@contextmanager
def appending(file: Path) -> Generator[sqlite3.Connection]:
    """Give a connection in one write transaction, beside a running observer; for what is read after recovery."""
    if not file.exists():
        raise JournalError(f"{file}: there is no such evidence file")
    connection = None
    try:
        connection = sqlite3.connect(file, timeout=WAIT_S, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise JournalError(f"{file}: cannot be written: {error}") from error
    finally:
        if connection is not None:
            connection.close()


def read_header(file: Path) -> ObserverHeader:
    """Give who looked, at what, by which clock; ``JournalError`` if the observer has not begun."""
    with reading(file) as connection:
        row = connection.execute("SELECT text FROM header").fetchone()
    if row is None:
        raise JournalError(f"{file}: its observer has not begun")
    return load(ObserverHeader, row[0])


def read_samples(file: Path) -> Samples:
    """Give all samples as columns, in the order in which they ended, with the word of the control probe applied.

    A sample whose [sent, ended] meets the window of a late or failing control probe is unknown: the file keeps
    the label it was given.
    """
    sent, ended, by = array("q"), array("q"), array("q")
    up, hard = array("b"), array("b")
    with reading(file) as connection:
        names = tuple(name for (name,) in connection.execute("SELECT name FROM names ORDER BY id"))
        rows = connection.execute("SELECT sent, ended, up, hard, by FROM samples ORDER BY id")
        while chunk := rows.fetchmany(_CHUNK):
            for column, values in zip((sent, ended, up, hard, by), zip(*chunk, strict=True), strict=True):
                column.extend(values)
        censored = _censored(connection)
    if censored:
        _censor(censored, sent, ended, up)
    return Samples(sent, ended, up, hard, by, names)


def _censored(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """Give the merged windows, in order, in which the observer could not trust itself.

    Such a window begins when the control probe before the bad one ended: until then the loop was alive.
    """
    windows: list[tuple[int, int]] = []
    alive: int | None = None
    for sent, ended, ok in connection.execute("SELECT sent, ended, ok FROM controls ORDER BY ended, id"):
        begin = sent if alive is None else min(sent, alive)
        if not ok and windows and begin <= windows[-1][1]:
            windows[-1] = (min(begin, windows[-1][0]), max(ended, windows[-1][1]))
        elif not ok:
            windows.append((begin, ended))
        alive = ended
    return windows


def _censor(windows: list[tuple[int, int]], sent: array[int], ended: array[int], up: array[int]) -> None:
    """Make unknown every row that meets a window; windows are disjoint and in order."""
    begins = [begin for begin, _ in windows]
    for row, (first, last) in enumerate(zip(sent, ended, strict=True)):
        at = bisect_right(begins, last) - 1
        if at >= 0 and windows[at][1] >= first:
            up[row] = UNKNOWN


def read_requests(file: Path) -> list[Sample]:
    """Give every request as it was told, with all its stamps; the control probe's word is not applied."""
    with reading(file) as connection:
        rows = connection.execute(
            "SELECT sent, ended, up, name, status, resolved, connected, first_byte, detail, hard"
            " FROM samples JOIN names ON names.id = samples.by ORDER BY samples.id"
        ).fetchall()
    return [
        Sample(sent, ended, None if up < 0 else bool(up), *rest, hard=bool(hard))
        for sent, ended, up, *rest, hard in rows
    ]


def read_controls(file: Path) -> list[Control]:
    """Give the observer's looks at itself."""
    with reading(file) as connection:
        rows = connection.execute("SELECT sent, ended, late_ns, ok FROM controls ORDER BY id").fetchall()
    return [Control(sent, ended, late, bool(ok)) for sent, ended, late, ok in rows]


def read_ledger(file: Path) -> list[Marker]:
    """Give the markers of a writer in order of their numbers, as its client saw them."""
    with reading(file) as connection:
        rows = connection.execute(
            "SELECT writer, seq, sent, ended, acked, executor FROM markers ORDER BY writer, seq"
        ).fetchall()
    return [
        Marker(writer, seq, sent, ended, None if acked is None else bool(acked), executor)
        for writer, seq, sent, ended, acked, executor in rows
    ]


def read_rounds(file: Path) -> list[ReadRound]:
    """Give the readings of the survivor, in order."""
    with reading(file) as connection:
        rows = connection.execute(
            "SELECT round, started, ended, server, complete FROM rounds ORDER BY round"
        ).fetchall()
    return [
        ReadRound(number, started, ended, server, bool(complete)) for number, started, ended, server, complete in rows
    ]


def read_recovered(file: Path) -> list[Recovered]:
    """Give the marker rows found on the survivor, by round and number."""
    with reading(file) as connection:
        rows = connection.execute(
            "SELECT round, read_at, writer, seq, executor FROM recovered ORDER BY round, writer, seq"
        ).fetchall()
    return [Recovered(*row) for row in rows]


def seal(file: Path) -> Seal:
    """Hash all that the file holds, row by row in a fixed order (SHA-256 over JSON lines of each table).

    The hash is of the content, not of SQLite's pages: a copy, a vacuum or a moved WAL does not change it.
    """
    digest = hashlib.sha256()
    encoder = msgspec.json.Encoder()
    with reading(file) as connection:
        for number, query in enumerate(_CONTENT):
            digest.update(b"table %d\n" % number)
            rows = connection.execute(query)
            while chunk := rows.fetchmany(_CHUNK):
                digest.update(encoder.encode_lines(chunk))
        rows, first, last = connection.execute(
            "SELECT count(*), min(sent), max(sent) FROM (SELECT sent FROM samples UNION ALL SELECT sent FROM markers)"
        ).fetchone()
    return Seal(rows, first or 0, last or 0, digest.hexdigest())
