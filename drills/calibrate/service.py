"""A small HTTP service that goes down and comes back at known moments.

``python -m drills.calibrate.service HOST SITE PORT`` (port 0: any) is two processes: a keeper, who reads orders (one
JSON line each) from standard input, and the server it forked, which it kills, stops and forks again. Each answer
brackets the moment at which the order took effect, stamped by the one who did it: before and after the act, on
CLOCK_MONOTONIC. Standard library only, and nothing of the observers.

Orders: ``open`` and ``close`` the listener, ``mode`` (how requests are answered), ``full`` (accept nothing, backlog
full) and ``drain``, ``kill`` and ``start``, ``stop`` and ``go`` (SIGSTOP, SIGCONT), ``later`` (close the listener a
while after the answer) and ``effect`` (when that was), ``end``.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_BACKLOG = 512
_FILLERS = 8
_LINE = 4096
_MOST_REQUEST = 65536
NS = 1_000_000_000


def now() -> int:
    """Read CLOCK_MONOTONIC in nanoseconds."""
    return time.monotonic_ns()


def page(status: str, site: str) -> bytes:
    """Write a whole answer."""
    body = f"{site}\n".encode()
    head = f"HTTP/1.1 {status}\r\nX-Drills-Site: {site}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@dataclass(eq=False)
class Server:
    """The process that answers. One thread; orders arrive on ``control``."""

    host: str
    port: int
    site: str
    control: socket.socket
    mode: str = "up"
    _listener: socket.socket | None = None
    _open: dict[socket.socket, bytes] = field(default_factory=dict[socket.socket, bytes])
    _fillers: list[socket.socket] = field(default_factory=list[socket.socket])
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _due: int | None = None
    _effect: tuple[int, int] | None = None
    _asked_idle: bool = False

    def run(self) -> None:
        """Serve until the keeper is gone."""
        self._selector.register(self.control, selectors.EVENT_READ, self._order)
        self.say(*self.listen())
        while True:
            ready = self._selector.select(0)
            if not ready:
                if self._asked_idle:  # nothing is waiting any more: what had queued up is answered
                    self._asked_idle = False
                    self.say(now(), now())
                ready = self._selector.select(self._wait_s())
            if self._due is not None and now() >= self._due:
                self._due, self._effect = None, self.close()
            for key, _ in ready:
                act: Callable[[socket.socket], None] = key.data
                if isinstance(key.fileobj, socket.socket) and key.fileobj.fileno() >= 0:
                    act(key.fileobj)

    def _wait_s(self) -> float | None:
        return None if self._due is None else max(0.0, (self._due - now()) / NS)

    def say(self, before: int, after: int) -> None:
        """Answer an order with the bracket of its effect."""
        self.control.sendall(json.dumps([before, after]).encode() + b"\n")

    def _order(self, control: socket.socket) -> None:
        line = control.recv(_LINE)
        if not line:
            os._exit(0)
        order: dict[str, Any] = json.loads(line)
        match order["do"]:
            case "open":
                self.say(*self.listen())
            case "close":
                self.say(*self.close())
            case "mode":
                before = now()
                self.mode = str(order["mode"])
                self.say(before, now())
            case "full":
                self.say(*self.fill())
            case "drain":
                self.say(*self.drain())
            case "later":
                before = now()
                self._due = before + int(float(order["after_s"]) * NS)
                self.say(before, now())
            case "effect":
                self.say(*(self._effect or (0, 0)))
            case "idle":
                self._asked_idle = True
            case unknown:
                raise SystemExit(f"no such order: {unknown}")

    def listen(self) -> tuple[int, int]:
        """Listen; from then on a request is answered."""
        before = now()
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        listener.listen(_BACKLOG)
        after = now()
        listener.settimeout(0)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._listener = listener
        return before, after

    def close(self) -> tuple[int, int]:
        """Stop listening and drop everybody: connections are refused."""
        before = now()
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
        for one in list(self._open):
            self._forget(one)
        return before, now()

    def fill(self) -> tuple[int, int]:
        """Accept nothing any more and have the backlog full, so that the kernel drops whoever knocks."""
        listener = self._listener
        assert listener is not None  # noqa: S101 - the keeper opens before it fills
        before = now()
        self._selector.unregister(listener)
        after = now()
        listener.listen(0)
        for _ in range(_FILLERS):
            filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            filler.settimeout(0)
            filler.connect_ex((self.host, self.port))
            self._fillers.append(filler)
        return before, after

    def drain(self) -> tuple[int, int]:
        """Throw away who got into the full backlog, and accept again."""
        listener = self._listener
        assert listener is not None  # noqa: S101 - the keeper opens before it fills
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        before = now()
        with suppress(BlockingIOError):
            while True:
                listener.accept()[0].close()
        listener.listen(_BACKLOG)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        return before, now()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionError):
            while True:
                client, _ = listener.accept()
                client.settimeout(0)
                self._open[client] = b""
                self._selector.register(client, selectors.EVENT_READ, self._hear)

    def _hear(self, client: socket.socket) -> None:
        try:
            more = client.recv(_MOST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        if not more:
            self._forget(client)
            return
        heard = self._open[client] + more
        self._open[client] = heard
        # Whoever asked while the service hung is never answered, also when it hangs no more.
        if b"\r\n\r\n" not in heard or self.mode == "hang":
            if b"\r\n\r\n" in heard:
                self._selector.modify(client, selectors.EVENT_READ, self._ignore)
            return
        answers = {"503": page("503 Service Unavailable", self.site), "maintenance": page("200 OK", "maintenance")}
        with suppress(OSError):
            client.sendall(answers.get(self.mode, page("200 OK", self.site)))
        self._forget(client)

    def _ignore(self, client: socket.socket) -> None:
        try:
            gone = not client.recv(_MOST_REQUEST)
        except BlockingIOError:
            gone = False
        except OSError:
            gone = True
        if gone:
            self._forget(client)

    def _forget(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        self._open.pop(client, None)
        client.close()


class Keeper:
    """Holds the address, and kills, stops and starts the server."""

    def __init__(self, host: str, site: str, port: int) -> None:
        self._held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind((host, port))  # bound and never listening: the port stays ours while the server is dead
        self.host, self.port = host, int(self._held.getsockname()[1])
        self._site = site
        self._pid = 0
        self._line: socket.socket | None = None

    def start(self) -> tuple[int, int]:
        """Fork a server; up from the moment it listens, by its own stamps."""
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            ours.close()
            if self._line is not None:
                self._line.close()
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
            try:
                Server(self.host, self.port, self._site, theirs).run()
            finally:
                os._exit(1)
        theirs.close()
        if self._line is not None:
            self._line.close()
        self._pid, self._line = pid, ours
        return self._heard()

    def kill(self) -> tuple[int, int]:
        """Kill the server: gone between the signal and the moment its pidfd says that it has exited."""
        watch = os.pidfd_open(self._pid)
        before = now()
        os.kill(self._pid, signal.SIGKILL)
        with selectors.DefaultSelector() as wait:
            wait.register(watch, selectors.EVENT_READ)
            wait.select(10)
        after = now()
        os.close(watch)
        os.waitpid(self._pid, 0)
        return before, after

    def stop(self) -> tuple[int, int]:
        """Stop the server where it stands; what comes meanwhile waits in the kernel."""
        before = now()
        os.kill(self._pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self._pid, os.WSTOPPED)
        return before, now()

    def go(self) -> tuple[int, int]:
        """Let it go on: from before the signal until it has answered all that had queued up."""
        before = now()
        os.kill(self._pid, signal.SIGCONT)
        self.tell({"do": "idle"})
        return before, self._heard()[1]

    def tell(self, order: dict[str, Any]) -> None:
        """Pass an order on."""
        assert self._line is not None  # noqa: S101 - a server was forked before anything is read
        self._line.sendall(json.dumps(order).encode())

    def _heard(self) -> tuple[int, int]:
        assert self._line is not None  # noqa: S101 - as above
        said = self._line.recv(_LINE)
        if not said:
            raise SystemExit("the server is gone")
        before, after = json.loads(said)
        return before, after

    def obey(self, order: dict[str, Any]) -> tuple[int, int]:
        """Do one order and give the bracket of its effect."""
        match order["do"]:
            case "kill":
                return self.kill()
            case "start":
                return self.start()
            case "stop":
                return self.stop()
            case "go":
                return self.go()
            case _:
                self.tell(order)
                return self._heard()


def main(host: str, site: str, port: str) -> int:
    """Keep a server until standard input ends or ``end`` is ordered; the server dies with its keeper."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keeper = Keeper(host, site, int(port))
    up = keeper.start()
    sys.stdout.write(json.dumps([keeper.port, *up]) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        if order["do"] == "end":
            break
        sys.stdout.write(json.dumps(keeper.obey(order)) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
