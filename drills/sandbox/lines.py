"""A file of JSON lines that several threads append to, and that cannot fill the disk."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES: Final = 128 * 1024 * 1024
"""A full file is kept once, under ``NAME.1``, and a new one begun."""


class Lines:
    """Appends objects as lines of JSON; each line is on its way to the disk when ``add`` returns."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self._path = path
        self._most = most_bytes
        self._lock = threading.Lock()
        self._file = path.open("ab", buffering=0)

    def add(self, value: object) -> None:
        """Append one line."""
        import msgspec

        line = msgspec.json.encode(value) + b"\n"
        with self._lock:
            if self._file.tell() + len(line) > self._most:
                self._file.close()
                self._path.replace(self._path.with_suffix(self._path.suffix + ".1"))
                self._file = self._path.open("ab", buffering=0)
            self._file.write(line)
