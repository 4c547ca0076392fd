"""What people say to a running drill: one row a message, written by any process, read by the one that drives."""

from __future__ import annotations

import getpass
import platform
import sqlite3
from pathlib import Path

from drills.errors import JournalError
from drills.timeline.events import Told, Word

FILE = "inbox.db"
PAGE = 100
_DDL = (
    "create table if not exists messages(id integer primary key, word text not null, by text not null, "
    "step text not null, note text not null, accept_data_loss integer not null, force integer not null default 0) "
    "strict"
)
_FORCE = "alter table messages add column force integer not null default 0"


def person() -> str:
    """Name who is at the keyboard: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{platform.node()}"


def say(folder: Path, message: Told) -> None:
    """Leave a message for the drill in ``folder``; it is taken once, also by a process that starts later."""
    try:
        with sqlite3.connect(folder / FILE, timeout=5) as db:
            _prepare(db)
            said = (message.word.value, message.by, message.step, message.note)
            values = [text.encode("utf-8", "replace").decode() for text in said]  # a shell hands over any bytes
            db.execute(
                "insert into messages(word, by, step, note, accept_data_loss, force) values(?, ?, ?, ?, ?, ?)",
                (*values, message.accept_data_loss, message.force),
            )
    except sqlite3.Error as error:
        raise JournalError(f"{folder / FILE}: {error}; nothing was said") from error


def _prepare(db: sqlite3.Connection) -> None:
    """Make the table, or give one of an earlier version its last column."""
    db.execute(_DDL)
    if "force" not in {row[1] for row in db.execute("pragma table_info(messages)")}:
        db.execute(_FORCE)


class Inbox:
    """The driving process's view: what has come since the last look. A look costs microseconds when nothing came."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._version = -1
        try:
            self._db = sqlite3.connect(self._file, timeout=5, isolation_level=None)
            _prepare(self._db)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise JournalError(f"{self._file}: {error}; nobody could speak to the drill") from error

    def fetch(self, after: int) -> list[Told]:
        """Give the messages after row ``after``, oldest first; ``JournalError`` when they cannot be read."""
        try:
            version = self._db.execute("pragma data_version").fetchone()[0]
            if version == self._version:
                return []
            rows = self._db.execute("select * from messages where id > ? order by id limit ?", (after, PAGE)).fetchall()
            if len(rows) < PAGE:
                self._version = version
            return [
                Told(Word(word), by, row, step, note, bool(loss), bool(force))
                for row, word, by, step, note, loss, force in rows
            ]
        except (sqlite3.Error, ValueError) as error:
            raise JournalError(f"{self._file}: {error}; nothing more is started") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()
