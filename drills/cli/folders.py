"""Find drills on disk: ``.drills/`` in the working directory, or the folder that ``DRILLS_HOME`` names."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drills.errors import JournalError, Unbegun, Unreadable, Usage
from drills.runtime.folder import JOURNAL, home
from drills.timeline import stored

if TYPE_CHECKING:
    from drills.engine.state import State
    from drills.timeline.events import Event

LISTED = 5


def every(folder: Path | None = None) -> list[Path]:
    """Give the folders of all drills, newest first by the time they were opened."""
    folder = folder or home()
    try:
        found = [one for one in folder.iterdir() if (one / JOURNAL).is_file()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Usage(f"{folder} cannot be read: {error.strerror}") from error
    return sorted(found, key=lambda one: (_opened_ns(one), one.name), reverse=True)


def find(name: str | None = None) -> Path:
    """Find one drill: the newest when nothing is said, a path, a name, or the beginning of one name.

    Raises ``Usage`` saying which drills there are when none or several fit.
    """
    if name is None:
        drills = every()
        if not drills:
            raise Usage(f"there are no drills in {home()}; `drills rehearse RUNBOOK` makes one")
        return drills[0]
    for path in (home() / name, Path(name)):
        if name and (path / JOURNAL).is_file():
            return path
    if os.sep in name:
        raise Usage(f"{name} holds no drill (no {JOURNAL})")
    drills = every()
    fitting = [one for one in drills if name and one.name.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    raise Usage(_not_one(name, [one.name for one in drills], [one.name for one in fitting]))


def _not_one(name: str, drills: list[str], fitting: list[str]) -> str:
    if fitting:
        return f"{name!r} begins the names of {len(fitting)} drills: {_some(fitting)}; write more of it"
    if not drills:
        return f"there is no drill {name!r}: there are no drills in {home()}"
    from difflib import get_close_matches

    near = get_close_matches(name, drills, n=1)
    return f"there is no drill {name!r}; " + (f"did you mean {near[0]}?" if near else f"there are: {_some(drills)}")


def _some(names: list[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def driven(folder: Path) -> bool:
    """Say whether a process drives the drill now: whether somebody holds the lock beside its journal."""
    try:
        with (folder / "lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
    except OSError:
        return False
    return False


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill as it was read: its events, what they come to, the chain's head, and whether a process drives it."""

    folder: Path
    events: list[Event]
    state: State
    head: str
    driven: bool

    @property
    def name(self) -> str:
        """The name of its folder, which is what commands take."""
        return self.folder.resolve().name


UNFIT = (sqlite3.Error, TypeError, ValueError, LookupError, AttributeError, JournalError)
"""What reading a damaged journal may come to; ``damaged`` makes one sentence of it."""


def read(folder: Path) -> Drill:
    """Read a drill; ``JournalError`` names the file and, where it can be told, the event at which it is damaged.

    ``Unbegun``: it is not damaged, there was never an event.
    """
    from drills.engine.state import fold
    from drills.runtime import journal

    is_driven = driven(folder)
    try:
        with journal.Journal.open(folder) as one:
            events, head = one.read(), one.head
        state = fold(journal.pinned_plan(events), events)
    except (Unbegun, Unreadable):
        raise
    except UNFIT as error:
        raise damaged(folder / JOURNAL, error) from error
    return Drill(folder, events, state, head, is_driven and state.finished is None)


def damaged(file: Path, error: Exception) -> JournalError:
    """Say what is wrong with a journal: the file, the event, the reason."""
    reason = str(error) if isinstance(error, JournalError | sqlite3.Error) else f"its events do not fit ({error!r})"
    if isinstance(error, Unreadable):
        return error
    if isinstance(error, JournalError) and "event" in reason and str(file) in reason:
        return error
    reason = reason.removeprefix(f"{file}: ").partition(" with text ")[0]  # SQLite would quote the whole line
    readable = _readable(file)
    upto = f"its events can be read up to {readable}" if readable else "no event of it can be read"
    return JournalError(f"{file}: {reason}; {upto}")


def _readable(file: Path) -> int:
    """Count the events from the first one on that come out of the file."""
    count = 0
    try:
        with closing(stored.opened(file)) as db:
            for _ in db.execute("select seq, line from events order by seq"):
                count += 1
    except (sqlite3.Error, UnicodeError, JournalError):
        pass
    return count


def _opened_ns(folder: Path) -> int:
    """Give the moment of the first event; of a journal that cannot be read, the file's own."""
    try:
        with closing(stored.opened(folder / JOURNAL)) as db:
            row = db.execute("select json_extract(line, '$.at.utc_ns') from events where seq = 1").fetchone()
        if row is not None and isinstance(row[0], int):
            return row[0]
    except (sqlite3.Error, UnicodeError, JournalError):
        pass
    try:
        return (folder / JOURNAL).stat().st_mtime_ns
    except OSError:
        return 0


@dataclass(frozen=True, slots=True)
class Ends:
    """The first and the last line of a journal as they stand: enough to list a drill that is over."""

    first: str
    last: str
    over: bool


def ends(folder: Path) -> Ends | None:
    """Read the first and the last line, if the chain between them holds; None when there is none."""
    from drills.timeline.chain import broken_at

    file = folder / JOURNAL
    try:
        with closing(stored.opened(file)) as db:
            rows = db.execute("select seq, line, link from events order by seq").fetchall()
            over = db.execute(
                "select json_extract(line, '$.kind') = 'Finished' from events order by seq desc limit 1"
            ).fetchone()
        broken = broken_at(rows)
    except (sqlite3.Error, UnicodeError, TypeError) as error:
        if isinstance(error, sqlite3.OperationalError) and "no such table" in str(error):
            return None
        raise damaged(file, error) from error
    if broken is not None:
        raise damaged(file, JournalError(f"{file}: event {broken} was changed after it was written"))
    return Ends(rows[0][1], rows[-1][1], bool(over[0])) if rows else None
