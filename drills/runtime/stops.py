"""The global stop of this machine: one small file for all drills, and one for each environment that is stopped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from drills.errors import JournalError
from drills.runtime.folder import home

if TYPE_CHECKING:
    from pathlib import Path

    from drills.aws.place import Place
    from drills.engine.halt import Halt

FOLDER = "stops"


def _file(environment: str) -> Path:
    return home() / FOLDER / (f"env-{environment}.json" if environment else "all.json")


def raise_here(halt: Halt) -> None:
    """Set the flag on this machine, on disk before it returns; ``JournalError`` when it cannot be written."""
    import msgspec

    path = _file(halt.environment)
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


def clear_here(environment: str) -> bool:
    """Take the flag away; False when there was none."""
    path = _file(environment)
    there = path.exists()
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}; the flag still stands on this machine") from error
    return there


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


def placed_here(environment: str) -> tuple[Place, ...]:
    """Give where else this machine has set the flag."""
    from drills.engine.halt import decode

    try:
        flag = decode(_file(environment).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ()
    return flag.places if flag is not None else ()


def told_here() -> tuple[str, ...]:
    """Say each flag that stands on this machine in one sentence."""
    from drills.engine.halt import decode

    try:
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in (home() / FOLDER).glob("*.json")]
    except OSError:
        return ()
    return tuple(flag.told() for text in sorted(texts) if (flag := decode(text)) is not None)
