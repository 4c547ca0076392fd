"""One drill for each target at a time, on this machine."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from drills.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Generator

    from drills.engine.plan import Plan


@contextmanager
def target_lock(home: Path, compiled: Plan) -> Generator[None]:
    """Hold the target of a plan: its sandbox, or its environment and service; ``Refused`` when a drill holds it.

    The system gives the lock back when its process ends, however it ends.
    """
    import fcntl

    if compiled.world:
        path = Path(compiled.world) / "target.lock"
    else:
        path = home / f"target-{compiled.environment}-{compiled.service or compiled.runbook}.lock"
    if compiled.world and not path.parent.is_dir():
        yield  # the sandbox has ended, and with it what could be held
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            what = f"the sandbox in {compiled.world}" if compiled.world else path.stem
            raise Refused(f"not started: another drill holds {what}; nothing was changed") from error
        yield
