"""One drill's timeline on disk: a SQLite file with one writer, each line chained to the one before by SHA-256.

Write-ahead log, ``synchronous=FULL``: what ``append`` has returned from survives a kill -9 and a power loss. What
``append_unsynced`` has returned from survives a kill -9, and a power loss once ``append`` or ``sync`` has returned
after it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from drills.engine.plan import Plan
from drills.engine.state import State
from drills.errors import Driven, JournalError, Unbegun
from drills.runtime.folder import JOURNAL as FILE
from drills.timeline import chain, codec, stored
from drills.timeline.events import Event, Opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import BufferedWriter
    from types import TracebackType

UNBEGUN = "the drill ended before its first event: nothing was begun, and its folder can go"
LOG_PAGES = 64
"""The write-ahead log is folded into the file and begun anew after so many pages: to sync what is written over costs
a third less processor time than to sync a file that grows, and takes a third less long."""
_DDL = "create table events(seq integer primary key, line text not null, link text not null) strict"
ROWS_AT_ONCE = 8
FIRST = -(2**63)
"""A row before event 1 is none of ours, and must not go unseen."""


@cache
def _insert(rows: int) -> str:
    return f"insert into events values {', '.join(['(?, ?, ?)'] * rows)}"  # noqa: S608 - nothing but question marks


class Journal:
    """The append-only timeline of the drill in ``folder``. ``open`` reads; ``take`` also locks it for writing."""

    def __init__(self, folder: Path, db: sqlite3.Connection, lock: BufferedWriter | None) -> None:
        self.folder = folder
        self._db = db
        self._lock = lock
        self._head = chain.GENESIS
        self._full: bool = True
        """Whether the next transaction is waited for until the disk has it, by the setting of the connection."""
        self._unsynced = self._synced = 0
        """The last event whose transaction was not waited for, and one up to which the disk has them all."""

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Make a new drill's folder and journal, locked for this process."""
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise JournalError(f"{folder} cannot be made: {error.strerror}; nothing was started") from error
        return cls._locked(folder, _DDL)

    @classmethod
    def take(cls, folder: Path) -> Self:
        """Lock an existing journal for writing; ``JournalError`` when another process drives the drill."""
        if not (folder / FILE).is_file():
            raise JournalError(f"{folder} holds no drill (no {FILE})")
        return cls._locked(folder)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open an existing journal for reading only."""
        if not (folder / FILE).is_file():
            raise JournalError(f"{folder} holds no drill (no {FILE})")
        try:
            return cls(folder, stored.opened(folder / FILE), None)
        except sqlite3.Error as error:
            raise JournalError(f"{folder / FILE}: {error}") from error

    @classmethod
    def _locked(cls, folder: Path, *statements: str) -> Self:
        try:
            lock = (folder / "lock").open("ab")
        except OSError as error:
            raise JournalError(f"{folder / 'lock'}: {error.strerror}; nothing was started") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise Driven(
                f"drill {folder.name} is driven by another process; `drills watch {folder.name}` shows it"
            ) from error
        try:
            db = sqlite3.connect(folder / FILE, timeout=5, isolation_level=None, check_same_thread=False)
            db.execute("pragma journal_mode=wal")
            db.execute("pragma synchronous=full")
            db.execute("pragma cache_size=-256")  # KiB: it is only ever added to
            db.execute(f"pragma wal_autocheckpoint={LOG_PAGES}")
            for statement in statements:
                db.execute(statement)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            lock.close()
            raise JournalError(f"{folder / FILE}: {error}; nothing was started") from error
        return cls(folder, db, lock)

    def append(self, events: Sequence[Event]) -> None:
        """Write events in one transaction; when it returns they are on disk, as all that was written before.

        ``JournalError`` when they are not.
        """
        if events:
            self._write(events, full=True)
        else:
            self.sync()

    def append_unsynced(self, events: Sequence[Event]) -> None:
        """Write events in one transaction as ``append`` does, but do not wait for the disk: no kill loses them."""
        if events:
            self._write(events, full=False)

    def sync(self) -> None:
        """Wait until the disk has what was written so far; ``JournalError`` when it does not take it.

        May be called while another thread writes.
        """
        last = self._unsynced
        if last <= self._synced:
            return
        try:
            log = os.open(self.folder / f"{FILE}-wal", os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(log)
            finally:
                os.close(log)
        except OSError as error:
            raise JournalError(f"{self.folder / FILE}: {error.strerror}; nothing more is started") from error
        self._synced = max(self._synced, last)

    def _write(self, events: Sequence[Event], *, full: bool) -> None:
        values: list[int | str] = []
        head = self._head
        for event in events:
            line = codec.dump_event(event.seq, event.at, event.body)
            head = chain.link(head, line)
            values += (event.seq, line, head)
        try:
            if full != self._full:
                self._db.execute("pragma synchronous=full" if full else "pragma synchronous=normal")
                self._full = full
            # Up to so many rows are one statement, and that a transaction of its own.
            if len(events) <= ROWS_AT_ONCE:
                self._db.execute(_insert(len(events)), values)
            else:
                self._append_many(values)
        except sqlite3.Error as error:
            raise JournalError(f"{self.folder / FILE}: {error}; nothing more is started") from error
        self._head = head
        if full:
            self._synced = events[-1].seq
        else:
            self._unsynced = events[-1].seq

    def _append_many(self, values: Sequence[int | str]) -> None:
        self._db.execute("begin immediate")
        for first in range(0, len(values), 3 * ROWS_AT_ONCE):
            some = values[first : first + 3 * ROWS_AT_ONCE]
            self._db.execute(_insert(len(some) // 3), some)
        self._db.execute("commit")

    def read(self, after: int = 0) -> list[Event]:
        """Read the events after a sequence number, checking the chain; ``JournalError`` where it is broken.

        ``Unbegun`` where there is none at all.
        """
        try:
            rows: list[tuple[int, str, str]] = self._db.execute(
                "select seq, line, link from events where seq >= ? order by seq", (after or FIRST,)
            ).fetchall()
        except UnicodeDecodeError as error:
            raise JournalError(f"{self.folder / FILE}: a text in it is damaged ({error.reason})") from error
        except sqlite3.Error as error:
            if "no such table" in str(error):  # its process died between making the file and writing into it
                raise self._unbegun() from error
            raise JournalError(f"{self.folder / FILE}: {error}") from error
        if not rows and not after:
            raise self._unbegun()
        head, expected, events = chain.GENESIS, after or 1, list[Event]()
        for seq, line, link in rows:
            if after and seq == after:
                head, expected = link, after + 1
                continue
            if seq != expected:
                raise JournalError(f"{self.folder / FILE}: event {expected} is missing")
            head = chain.link(head, line)
            if head != link:
                raise JournalError(f"{self.folder / FILE}: event {seq} was changed after it was written")
            event = codec.load_event(line)
            if event.seq != seq:
                raise JournalError(f"{self.folder / FILE}: event {seq} claims to be {event.seq}")
            events.append(event)
            expected += 1
        self._head = head
        return events

    def _unbegun(self) -> JournalError:
        """Say that there is no event; beside what a drill leaves once it has begun, that is damage."""
        left = [name for name in ("observers", "calls.jsonl") if (self.folder / name).exists()]
        if left:
            return JournalError(f"{self.folder / FILE}: it had events, as {left[0]} beside it shows, and they are gone")
        return Unbegun(f"{self.folder / FILE}: {UNBEGUN}")

    def state(self) -> State:
        """Compute the drill's state from all its events; ``JournalError`` when they are damaged or not of a drill."""
        return self.told()[1]

    def told(self) -> tuple[list[Event], State]:
        """Read all events, and compute the state they come to; errors as ``state``."""
        events = self.read()  # it names its file itself
        try:
            state = State(pinned_plan(events))
            for event in events:
                state.apply(event)
        except JournalError as error:
            raise JournalError(f"{self.folder / FILE}: {error}") from error
        except (KeyError, AttributeError, ValueError, IndexError) as error:
            raise JournalError(f"{self.folder / FILE}: the events do not fit the plan ({error!r})") from error
        return events, state

    @property
    def head(self) -> str:
        """The chain's head after the last ``append`` or ``read``: hex SHA-256."""
        return self._head

    def close(self) -> None:
        """Close the file and give the lock back."""
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def pinned_plan(events: Sequence[Event]) -> Plan:
    """Read the plan out of a drill's first event; ``JournalError`` when it is not there."""
    if not events or not isinstance(events[0].body, Opened):
        raise JournalError("the journal does not begin with an opened drill")
    return codec.load(Plan, events[0].body.plan)


def read_drill(folder: Path) -> tuple[list[Event], State]:
    """Read a drill's events and compute its state; ``JournalError`` when the journal is damaged."""
    with Journal.open(folder) as journal:
        return journal.told()
