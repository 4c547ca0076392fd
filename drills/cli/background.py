"""A drill that goes on in the background: a process of its own, until it can be watched."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from drills.errors import Refused

OPENED_WITHIN_S = 120.0
"""How long a drill in the background may take to bring up its sandbox and open its journal."""
LOOK_S = 0.05


def detach_here(folder: Path) -> None:
    """Go on in a process of its own, its output beside the drill; the first process waits until it can be watched."""
    log = folder.parent / f"{folder.name}.log"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    except OSError as error:
        told = f"{folder.parent} cannot be written: {error.strerror}; work elsewhere, or set DRILLS_HOME"
        raise Refused(f"not started: {told}; nothing was changed") from error
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        _leave(child, folder, log)
    os.setsid()
    with Path(os.devnull).open("rb") as nothing, log.open("ab") as out:
        os.dup2(nothing.fileno(), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)


def _leave(child: int, folder: Path, log: Path) -> NoReturn:
    """End this process once the drill has opened; with its exit code and its words when it has not."""
    from drills.clock import SystemClock
    from drills.runtime.journal import FILE

    clock = SystemClock()
    begun, code = clock.now(), 0
    while not (folder / FILE).is_file() and clock.now().since(begun) < OPENED_WITHIN_S:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            click.echo(log.read_text(encoding="utf-8", errors="replace").rstrip(), err=True)
            code = abs(os.waitstatus_to_exitcode(status)) or 1
            break
        clock.sleep(LOOK_S)
    else:
        click.echo(f"{folder.name}\nit goes on in the background: `drills watch {folder.name}`; its output is in {log}")
    sys.stdout.flush()
    os._exit(code)
