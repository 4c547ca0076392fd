"""One door to what a drill has stored, for those who only read it: journals and observers' files, all of SQLite."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from drills.errors import Unreadable

if TYPE_CHECKING:
    from pathlib import Path


def opened(file: Path, wait_s: float = 5.0) -> sqlite3.Connection:
    """Open a file for reading only; ``Unreadable`` says why it may be whole, but cannot be read here.

    SQLite wants to write beside a file with a write-ahead log. On a medium that is only read, such as an archive, it
    need not where nothing is left in that log: then nobody writes, and the file is read as it stands.
    """
    uri = f"{file.absolute().as_uri()}?mode=ro"
    if not os.access(file, os.R_OK):
        raise Unreadable(f"{file} cannot be read: permission denied; read it as the user whose it is")
    if not os.access(file.parent, os.W_OK) and not _beside(file, "-shm").exists():
        log = _beside(file, "-wal")
        if log.exists() and log.stat().st_size:
            raise Unreadable(
                f"{file} cannot be read: a part of it stands in {log.name}; copy both to a place to write in"
            )
        uri += "&immutable=1"
    return sqlite3.connect(uri, uri=True, timeout=wait_s, isolation_level=None)


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(file.name + ending)
