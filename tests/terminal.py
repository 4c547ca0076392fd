"""A command at a terminal of its own: what it shows is read, and keys are pressed, as a person would."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from drills.clock import SystemClock

CLOCK = SystemClock()
CTRL_C = "\x03"


class Terminal:
    """One process and its terminal of 30 rows and 100 columns."""

    def __init__(self, pid: int, screen: int) -> None:
        self.pid = pid
        self.text = ""
        self._screen = screen
        self._code: int | None = None

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._screen, keys.encode())

    def read(self, wait_s: float = 0.05) -> bool:
        """Take in what it shows now; False once the other side is gone."""
        while select.select([self._screen], [], [], wait_s)[0]:
            try:
                more = os.read(self._screen, 65536)
            except OSError:
                return False
            if not more:
                return False
            self.text += more.decode("utf-8", "replace")
            wait_s = 0.0
        return True

    def shows(self, words: str, within_s: float = 30.0) -> None:
        """Wait until it has shown these words."""
        begun = CLOCK.now()
        while words not in self.text:
            there = self.read()
            assert there or words in self.text, f"it ended without {words!r}: {self.text[-2000:]}"
            assert CLOCK.now().since(begun) < within_s, f"no {words!r} within {within_s:g} s: {self.text[-2000:]}"

    def wait(self, within_s: float = 60.0) -> int:
        """Read until it ends, and give its exit code."""
        begun = CLOCK.now()
        while self._code is None:
            self.read()
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self._code = os.waitstatus_to_exitcode(status)
                self.read(0.0)
                break
            late = CLOCK.now().since(begun) >= within_s
            assert not late, f"it goes on after {within_s:g} s: {self.text[-2000:]}\n{self._stands()}"
        return self._code

    def _stands(self) -> str:
        """Say what the system knows of it: what it sleeps in, and the signals it was sent and has not taken."""
        about = Path(f"/proc/{self.pid}")
        known = (about / "status").read_text(encoding="utf-8").splitlines()
        told = [line for line in known if line.startswith(("State", "Sig", "ShdPnd"))]
        return "\n".join([*told, f"in: {(about / 'wchan').read_text(encoding='utf-8')}"])

    def close(self) -> None:
        """Kill it if it goes on, and take its terminal away."""
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._screen)


@contextmanager
def terminal(words: Sequence[str], variables: Mapping[str, str], cwd: Path) -> Generator[Terminal]:
    """Start a command at a terminal; what is left of it at the end of the block is killed."""
    pid, screen = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.chdir(cwd)
        os.execve(words[0], list(words), {**variables, "TERM": "xterm"})  # noqa: S606 - the test's own command
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    shown = Terminal(pid, screen)
    try:
        yield shown
    finally:
        shown.close()
