"""What really happened, seen by means that share no code with the observers of a drill.

Three witnesses: the exit of processes (pidfd), a watcher on raw sockets that asks the name server and the service
every few milliseconds, and a writer of its own whose acknowledged rows are compared with the survivor's. It knows
the sandbox from inside (its process ids, the gateway's audit log), which no observer of a drill does.

All moments are nanoseconds of CLOCK_MONOTONIC; a bracket is (earliest, latest).
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import LiteralString

MS = 1_000_000
EVERY_S = 0.004
PATIENCE_S = 0.25
WRITE_EVERY_S = 0.01


@dataclass(frozen=True, slots=True)
class Seen:
    """One raw request: when it was sent, when it ended, and which site answered well (empty: none did)."""

    sent: int
    ended: int
    site: str


def ask_name(resolver: tuple[str, int], name: str, patience_s: float = PATIENCE_S) -> str:
    """Send one hand-made DNS question over UDP; give the first A record, or nothing."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    question = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.settimeout(patience_s)
        wire.sendto(question, resolver)
        answer = wire.recv(512)
    if struct.unpack(">H", answer[6:8])[0] == 0:
        return ""
    return socket.inet_ntoa(answer[-4:])


def ask_service(address: str, port: int, host: str, patience_s: float = PATIENCE_S) -> str:
    """Send one hand-made HTTP request; give the site that answered 200, or nothing."""
    with socket.create_connection((address, port), timeout=patience_s) as wire:
        wire.sendall(f"GET /healthz HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = wire.recv(4096)
            if not more:
                break
            answer += more
    head = answer.decode("latin-1").splitlines()
    if not head or " 200 " not in f"{head[0]} ":
        return ""
    sites = [line.partition(":")[2].strip() for line in head if line.lower().startswith("x-drills-site:")]
    return sites[0] if sites else "?"


@dataclass(slots=True)
class Watcher:
    """Asks the service on raw sockets, one request after the other, until it is stopped.

    ``patience_s``: what takes longer is down. Where the outage answers at once (a refused connection) it should be
    the observers' own timeout, or a slow answer of a busy machine is an outage to the witness alone; where nothing
    answers it is also how far apart the witness's requests are.
    """

    url: str
    resolver: str
    patience_s: float = PATIENCE_S
    seen: list[Seen] = field(default_factory=list[Seen])
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the last request."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(10)

    def _watch(self) -> None:
        host, port = urlsplit(self.url).hostname or "", urlsplit(self.url).port or 80
        server, _, at = self.resolver.partition(":")
        while not self._ended.wait(EVERY_S):
            sent = time.monotonic_ns()
            try:
                address = ask_name((server, int(at)), host, self.patience_s)
                site = ask_service(address, port, host, self.patience_s) if address else ""
            except OSError:
                site = ""
            self.seen.append(Seen(sent, time.monotonic_ns(), site))

    def lost(self, site: str, after: int) -> tuple[int, int] | None:
        """Bracket the moment from which ``site`` gave no good answer: (send of the last good, end of the next).

        A black hole lets the next request hang; its service was down no later than its end.
        """
        goods = [one for one in self.seen if one.site == site]
        if not goods:
            return None
        last = goods[-1]
        bads = [one for one in self.seen if one.sent > last.sent and one.ended > after]
        return (last.sent, min(one.ended for one in bads)) if bads else None

    def restored(self, site: str) -> tuple[int, int] | None:
        """Bracket when ``site`` began to answer well for good: (send of the last other, end of the first good)."""
        others = [one.sent for one in self.seen if one.site != site]
        last = max(others, default=0)
        goods = [one.ended for one in self.seen if one.site == site and one.sent > last]
        return (last, min(goods)) if goods else None


@dataclass(slots=True)
class Exits:
    """Stamps the exit of processes by pidfd."""

    pids: Sequence[int]
    ended: dict[int, int] = field(default_factory=dict[int, int])
    _thread: threading.Thread | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin to wait for exits."""
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def _wait(self) -> None:
        poll = select.poll()
        watched: dict[int, int] = {}
        for pid in self.pids:
            try:
                watched[os.pidfd_open(pid)] = pid
            except ProcessLookupError:
                continue
        for descriptor in watched:
            poll.register(descriptor, select.POLLIN)
        while watched and not self._stop.is_set():
            for descriptor, _ in poll.poll(50):
                self.ended[watched.pop(descriptor)] = time.monotonic_ns()
                poll.unregister(descriptor)
                os.close(descriptor)
        for descriptor in watched:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Row:
    """One write of the recorder's own: its number, when it was sent, when it was acknowledged (None: never)."""

    number: int
    sent: int
    acked: int | None


@dataclass(slots=True)
class Writer:
    """Writes numbered rows of its own into the primary, one after the other, and keeps what was acknowledged."""

    dsn: str
    rows: list[Row] = field(default_factory=list[Row])
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Make the table and begin to write."""
        import psycopg

        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS truth_rows (number bigint PRIMARY KEY)")
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; a write in flight is given up after its timeout."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(10)

    def _write(self) -> None:
        import psycopg

        number = 0
        try:
            with psycopg.connect(self.dsn, autocommit=True, connect_timeout=2) as connection:
                while not self._ended.wait(WRITE_EVERY_S):
                    number += 1
                    sent = time.monotonic_ns()
                    self.rows.append(Row(number, sent, None))
                    connection.execute("INSERT INTO truth_rows VALUES (%s)", (number,))
                    self.rows[-1] = Row(number, sent, time.monotonic_ns())
        except psycopg.Error:
            return

    def survived(self, dsn: str) -> set[int]:
        """Read the numbers that the survivor holds."""
        return numbers(dsn, "SELECT number FROM truth_rows")

    def loss(self, survived: Iterable[int], struck: tuple[int, int]) -> tuple[int, int]:
        """Bracket the loss in nanoseconds: disaster minus the first acknowledged write that is gone.

        The first lost commit took effect between the send of the last survivor and its own acknowledgement.
        """
        there = set(survived)
        lost = [row for row in self.rows if row.acked is not None and row.number not in there]
        if not lost:
            # Nothing of ours is gone; a write of somebody else's may be, between our last one and the disaster.
            last = max((row.sent for row in self.rows if row.acked is not None), default=struck[1])
            return 0, max(0, struck[1] - last)
        kept = [row.sent for row in self.rows if row.number in there and row.number < lost[0].number]
        ends = max(lost[-1].acked or 0, struck[0]), max(lost[-1].acked or 0, struck[1])
        return max(0, ends[0] - (lost[0].acked or 0)), ends[1] - max(kept, default=lost[0].sent)


def numbers(dsn: str, query: LiteralString) -> set[int]:
    """Read one column of whole numbers."""
    import psycopg

    with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
        return {int(row[0]) for row in connection.execute(query)}
