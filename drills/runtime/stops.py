"""The global stop of this machine: one small file for all drills, and one for each environment that is stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from drills.errors import JournalError
from drills.runtime.folder import JOURNAL, home

if TYPE_CHECKING:
    from drills.aws.place import Place
    from drills.engine.halt import Halt

FOLDER = "stops"


def _file(environment: str, folder: Path | None = None) -> Path:
    return (folder or home()) / FOLDER / (f"env-{environment}.json" if environment else "all.json")


def homes(processes: Path = Path("/proc")) -> tuple[Path, ...]:
    """Give the folders of drills of this machine: the present one, and those in which a process has a drill open.

    ``DRILLS_HOME`` says which one counts, and then it is the only one. Without it each working directory has its own,
    and whoever stops all drills may stand in another: theirs are found by the journals that processes hold open, as
    far as this user may look.
    """
    found = {home().resolve(): None}
    if not os.environ.get("DRILLS_HOME"):
        for link in processes.glob("[0-9]*/fd/*"):
            try:
                journal = Path(link.readlink())
            except OSError:
                continue
            if journal.name == JOURNAL and (journal.parent / "lock").is_file():
                found[journal.parent.parent] = None
    return tuple(found)


def raise_here(halt: Halt, folder: Path | None = None) -> None:
    """Set the flag in a folder of drills, on disk before it returns; ``JournalError`` when it cannot be written."""
    import msgspec

    path = _file(halt.environment, folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(halt))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}; the flag is not set on this machine") from error


def clear_here(environment: str, folder: Path | None = None) -> bool:
    """Take the flag away; False when there was none."""
    path = _file(environment, folder)
    try:
        there = path.exists()
        path.unlink(missing_ok=True)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}; the flag still stands on this machine") from error
    return there


def is_set_here(environment: str) -> bool:
    """Say whether the flag stands beside the drills of the present folder."""
    return _file(environment).exists()


def standing_here(environment: str) -> Halt | None:
    """Give the flag that binds an environment on this machine. One that cannot be read binds all the same."""
    for path in (_file(""), _file(environment)):
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            text = f"{path} cannot be read: {error}"
        from drills.engine.halt import decode

        return decode(text)
    return None


def placed_here(environment: str) -> tuple[tuple[Place, ...], tuple[Path, ...]]:
    """Give where else this machine has set the flag: in which accounts, and in which other folders of drills."""
    from drills.engine.halt import decode

    try:
        flag = decode(_file(environment).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return (), ()
    return (flag.places, tuple(map(Path, flag.homes))) if flag is not None else ((), ())


def told_here() -> tuple[str, ...]:
    """Say each flag that stands on this machine in one sentence."""
    from drills.engine.halt import decode

    try:
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in (home() / FOLDER).glob("*.json")]
    except OSError:
        return ()
    return tuple(flag.told() for text in sorted(texts) if (flag := decode(text)) is not None)
