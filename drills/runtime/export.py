"""A drill as one file, with which another machine can take back what it left: its journal, and nothing else.

The journal holds no secret (they are references, resolved at use), and all that undo needs: the pinned plan, what
was there before each change, and what was done. A zip of two members, ``drill.json`` and ``journal.db``.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Final

from drills.errors import JournalError, Usage
from drills.runtime.folder import JOURNAL, home
from drills.runtime.journal import Journal
from drills.timeline import stored

FACTS: Final = "drill.json"
MOST_BYTES: Final = 512 * 1024 * 1024
_MOST_FACTS: Final = 64 * 1024
_NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def export(folder: Path, target: Path) -> int:
    """Write the drill in ``folder`` as a zip, or as a folder where ``target`` does not end in ``.zip``.

    Gives the number of events. The copy is one moment of the journal, also while the drill runs. ``Usage`` when
    ``target`` is there already or cannot be written.
    """
    name = folder.resolve().name
    try:
        there = target.exists()
    except OSError as error:
        raise _unwritable(target, error) from error
    if there:
        raise Usage(f"{target} is there already; choose another name")
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / JOURNAL
        try:
            with (
                closing(stored.opened(folder / JOURNAL)) as source,
                closing(sqlite3.connect(copy)) as into,
            ):
                source.backup(into)
                into.execute("pragma journal_mode=delete")
        except sqlite3.Error as error:
            raise JournalError(f"{folder / JOURNAL}: {error}; nothing was exported") from error
        with Journal.open(copy.parent) as journal:
            events, _ = journal.told()
            facts = json.dumps({"drill": name, "events": len(events), "head": journal.head}, indent=2)
        try:
            _write(target, name, copy, facts)
        except OSError as error:
            raise _unwritable(target, error) from error
    return len(events)


def _unwritable(target: Path, error: OSError) -> Usage:
    return Usage(f"{target} cannot be written: {error.strerror}; nothing was exported")


def _write(target: Path, name: str, copy: Path, facts: str) -> None:
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as pack:
            pack.writestr(FACTS, facts)
            pack.write(copy, JOURNAL)
        return
    inside = target / name
    inside.mkdir(parents=True)
    (inside / JOURNAL).write_bytes(copy.read_bytes())
    (inside / FACTS).write_text(facts, encoding="utf-8")


def bring_in(pack: Path) -> Path:
    """Unpack an exported drill below this machine's drills and give its folder; one that is there already stays.

    ``Usage`` when there is no such file, ``JournalError`` when it is no exported drill, or its journal is not the one
    that was exported.
    """
    try:
        with zipfile.ZipFile(pack) as opened:
            members = {one.filename: one for one in opened.infolist()}
            if members.keys() != {FACTS, JOURNAL}:
                raise JournalError(f"{pack} is no exported drill: it holds {', '.join(sorted(members)[:5])}")
            if members[JOURNAL].file_size > MOST_BYTES or members[FACTS].file_size > _MOST_FACTS:
                raise JournalError(f"{pack} is larger than a drill can be; nothing was unpacked")
            facts = json.loads(opened.read(FACTS))
            data = opened.read(JOURNAL)
            name, head = str(facts["drill"]), str(facts["head"])
    except FileNotFoundError as error:
        raise Usage(f"there is no file {pack}; check the path") from error
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError) as error:
        raise JournalError(f"{pack} is no exported drill ({error})") from error
    if not name or set(name) - _NAME or name.startswith("."):
        raise JournalError(f"{pack} is no exported drill: it calls itself {name!r}")
    folder = home() / name
    if (folder / JOURNAL).is_file():
        return folder
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / JOURNAL).write_bytes(data)
        with Journal.open(Path(temporary)) as journal:
            journal.told()
            if journal.head != head:
                raise JournalError(f"{pack}: its journal is not the one that was exported; nothing was unpacked")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JOURNAL).write_bytes(data)
    return folder
