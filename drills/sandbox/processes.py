"""The world's side of the keeper: start, watch, freeze and kill the processes of one data plane."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import drills
from drills.clock import SystemClock
from drills.errors import DrillsError
from drills.sandbox.line import Line, LineLost, encode, pair
from drills.sandbox.native import free_shared_memory
from drills.sandbox.orders import (
    Close,
    Count,
    Ended,
    Exec,
    Fork,
    Freeze,
    Kill,
    Label,
    Open,
    Outcome,
    Process,
    Role,
    Send,
    Started,
    Struck,
    Warm,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import msgspec

    from drills.sandbox.orders import Owner

_POLL_S = 0.004
_STARTS_WITHIN_S = 20.0
_LEAVES_WITHIN_S = 5.0
_TAIL_LINES = 8


def tail(log: Path) -> str:
    """Quote the last lines of a log in an error; says so when there is nothing in it."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
    except OSError:
        lines = []
    return "\n".join([f"its log {log} ends:", *lines]) if lines else f"its log {log} is empty"


@dataclass(frozen=True, slots=True)
class Forked:
    """One of our own processes and the line to it."""

    pid: int
    line: Line
    log: Path

    def ready(self, within_s: float = _STARTS_WITHIN_S) -> int:
        """Wait until it listens and return its port; raises with the tail of its log when it does not."""
        try:
            return self.line.ready(within_s).port
        except LineLost as error:
            raise DrillsError(f"{error}; {tail(self.log)}") from error


class Processes:
    """Thread-safe. Logs and ``exits.jsonl`` go to ``folder``; the keeper removes ``scratch`` when all is over."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._folder = folder
        self._scratch = scratch
        self._programs: set[int] = set()
        self._clock = SystemClock()
        ours, theirs = pair()
        source = str(Path(drills.__file__).resolve().parent.parent)
        paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
        argv = [sys.executable, "-P", "-m", "drills.sandbox.keeper", str(theirs.fileno()), str(os.getpid())]
        with (folder / "keeper.log").open("ab") as log:
            self._keeper = subprocess.Popen(  # noqa: S603 - our own module
                [*argv, str(folder / "exits.jsonl"), str(scratch)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C on the terminal is for the drill, not for its world
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        theirs.close()
        self._line = Line(ours, "the keeper of processes")

    def exec(
        self,
        label: Label,
        argv: Sequence[str | Path],
        run_as: Owner | None,
        *,
        stdin: str = "/dev/null",
    ) -> tuple[int, Path]:
        """Start a program; returns its pid and its log."""
        log = self._log_of(label, argv)
        words = tuple(str(word) for word in argv)
        pid = self._line.ask(Exec(label, words, str(log), run_as, stdin), Started).pid
        self._programs.add(pid)
        return pid, log

    def run(
        self,
        label: Label,
        argv: Sequence[str | Path],
        run_as: Owner | None,
        within_s: float,
        *,
        stdin: str = "/dev/null",
    ) -> None:
        """Run a program to its end; raises with the tail of its log when it fails, or takes longer (and is killed)."""
        self.finish(*self.exec(label, argv, run_as, stdin=stdin), f"{Path(argv[0]).name}", within_s)

    def finish(self, pid: int, log: Path, name: str, within_s: float) -> None:
        """Wait for the end of a program that ``exec`` started; raises as ``run`` does."""
        until = time.monotonic() + within_s
        while not (outcome := self.ended(pid)).ended:
            if time.monotonic() > until:
                self.kill([pid])
                raise DrillsError(f"{name} took longer than {within_s:g} s; {tail(log)}")
            self._clock.sleep(_POLL_S)
        if outcome.code:
            raise DrillsError(f"{name} failed with code {outcome.code}; {tail(log)}")

    def fork(self, label: Label, config: msgspec.Struct) -> Forked:
        """Start one of our own roles."""
        log = self._log_of(label, [label.role])
        ours, theirs = pair()
        line = Line(ours, " ".join(filter(None, (label.role, label.instance, "of", "~".join(label.sites) or "all"))))
        try:
            pid = self._line.ask(Fork(label, encode(config), str(log)), Started, files=[theirs.fileno()]).pid
        except DrillsError:
            line.close()
            raise
        finally:
            theirs.close()
        return Forked(pid, line, log)

    def warm(self) -> None:
        """Have the keeper load what the forks need."""
        self._line.ask(Warm(), type(None), within_s=_STARTS_WITHIN_S)

    def ended(self, pid: int) -> Outcome:
        """Tell whether a process ended, and with which code."""
        return self._line.ask(Ended(pid), Outcome)

    def signal(self, pid: int, number: int) -> None:
        """Send a signal; nothing happens when the process is gone."""
        self._line.ask(Send(pid, number), type(None))

    def kill(self, pids: Collection[int]) -> Struck:
        """Kill processes and, of a postmaster, all children; returns when they are gone."""
        return self._line.ask(Kill(tuple(pids)), Struck, within_s=_LEAVES_WITHIN_S)

    def freeze(self, site: str, roles: Sequence[Role]) -> Struck:
        """SIGSTOP the processes of a site that have one of ``roles``."""
        return self._line.ask(Freeze(site, tuple(roles)), Struck)

    def close_site(self, site: str) -> Struck:
        """Kill every process of a site, and refuse to start any there until ``open_site``."""
        return self._line.ask(Close(site), Struck, within_s=_LEAVES_WITHIN_S)

    def open_site(self, site: str) -> None:
        """Let processes start at a site again."""
        self._line.ask(Open(site), type(None))

    def everybody(self) -> list[Process]:
        """List every living process, PostgreSQL's children and the keeper included."""
        return self._line.ask(Count(), list[Process])

    def stop(self) -> None:
        """End every process and the keeper; safe twice."""
        self._line.close()
        try:
            self._keeper.wait(_LEAVES_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._keeper.kill()  # the kernel then kills its children
            self._keeper.wait(_LEAVES_WITHIN_S)
        if self._keeper.returncode:  # it was killed, or failed: what it would have removed is still there
            free_shared_memory(self._programs)
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _log_of(self, label: Label, argv: Sequence[str | Path]) -> Path:
        what = Path(argv[0]).name if label.role is Role.TOOL else label.role
        return self._folder / ("-".join([what, *label.sites, *filter(None, [label.instance])]) + ".log")
