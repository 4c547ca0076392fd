"""The PostgreSQL server of one site: start, stop, ask, promote, rebuild."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

from drills.clock import SystemClock
from drills.errors import DrillsError
from drills.sandbox.orders import Label, Role
from drills.sandbox.processes import Processes, tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

    from drills.sandbox.addresses import Endpoint, SiteAddresses
    from drills.sandbox.binaries import Postgres

_STATUS_LINE = 7  # of postmaster.pid, counted from 0
_POLL_S = 0.005
_OURS = "-c statement_timeout=1s -c synchronous_commit=local"  # the world's own writes wait for no standby
_STARTS_WITHIN_S = 30.0
_STOPS_WITHIN_S = 3.0
_TOOLS_WITHIN_S = 120.0
_TURN_WITHIN_S = 5.0
_LAG = """
SELECT CASE
  WHEN NOT pg_is_in_recovery() THEN NULL
  WHEN pg_last_wal_replay_lsn() >= latest_end_lsn AND clock_timestamp() - last_msg_receipt_time < interval '1.6 s'
    THEN extract(epoch FROM greatest(last_msg_receipt_time - last_msg_send_time, interval '0'))
  ELSE extract(epoch FROM clock_timestamp() - greatest(
    pg_last_xact_replay_timestamp(),
    CASE WHEN pg_last_wal_replay_lsn() >= latest_end_lsn THEN last_msg_send_time END))
  END::float8
FROM (SELECT 1) AS one LEFT JOIN pg_stat_wal_receiver ON status = 'streaming'
"""
_END_CLIENTS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND usename = 'orders' AND pid <> pg_backend_pid()
"""
_WRITE = """
INSERT INTO heartbeats (site, instance, beats, at) VALUES (%s, 'world', 1, clock_timestamp())
ON CONFLICT (site, instance) DO UPDATE SET beats = heartbeats.beats + 1, at = excluded.at
RETURNING beats
"""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Whom a standby follows: the site, and where its PostgreSQL is reached over the WAN."""

    site: str
    at: Endpoint


class Database:
    """One PostgreSQL cluster. ``ask`` is thread-safe; start, stop and rebuild are for one caller at a time."""

    def __init__(
        self, site: str, addresses: SiteAddresses, processes: Processes, postgres: Postgres, data: Path
    ) -> None:
        self._site = site
        self._addresses = addresses
        self._processes = processes
        self._postgres = postgres
        self._data = data
        self._clock = SystemClock()
        self._lock = threading.Lock()
        self._connection: Connection[tuple[object, ...]] | None = None
        self._pid = 0
        self._log = Path()
        self._options: tuple[str, ...] = ()

    def copy_template(self) -> tuple[int, Path]:
        """Begin to copy the ready-made cluster; returns the pid and the log of the copying program."""
        argv = ["cp", "-a", self._postgres.template, self._data]
        return self._processes.exec(self._label(Role.TOOL), argv, self._postgres.run_as)

    def follow(self, upstream: Upstream | None) -> None:
        """Write down whether the stopped cluster is a standby, and whose; forgets ``ALTER SYSTEM`` settings.

        A copied cluster carries its source's settings, and a promoted standby with its source's
        ``synchronous_standby_names`` would hang at its first commit.
        """
        (self._data / "postgresql.auto.conf").write_text("", encoding="ascii")
        mark = self._data / "standby.signal"
        if upstream is None:
            mark.unlink(missing_ok=True)
            self._options = ()
            return
        mark.touch()
        source = self._conninfo(upstream) + f" application_name={self._site} connect_timeout=2"
        self._options = ("-c", f"primary_conninfo={source}")

    def launch(self, settings: Sequence[str] = ()) -> None:
        """Start the server and return at once; ``settings`` are ``name=value``."""
        (self._data / "postmaster.pid").unlink(missing_ok=True)  # of a server we killed: its pid may be another's now
        at = self._addresses.postgres
        given = [f"listen_addresses={at.host}", f"port={at.port}", f"cluster_name={self._site}", *settings]
        argv = [self._postgres.programs / "postgres", "-D", self._data, *self._options]
        for setting in given:
            argv += ["-c", setting]
        label = self._label(Role.POSTGRES)
        self._pid, self._log = self._processes.exec(label, argv, self._postgres.run_as)

    def wait_ready(self, within_s: float = _STARTS_WITHIN_S) -> None:
        """Wait until the server takes connections, as ``pg_ctl -w`` does; raises with the tail of its log."""
        until = time.monotonic() + within_s
        while not self._says_ready():
            if self._processes.ended(self._pid).ended:
                raise DrillsError(f"PostgreSQL of {self._site} ended while starting; {tail(self._log)}")
            if time.monotonic() > until:
                raise DrillsError(f"PostgreSQL of {self._site} is not ready after {within_s:g} s; {tail(self._log)}")
            self._clock.sleep(_POLL_S)

    def stop(self) -> None:
        """Shut down fast (clients dropped, data flushed); kill what takes longer than 3 s."""
        if not self._pid or self._processes.ended(self._pid).ended:
            return
        self._processes.signal(self._pid, signal.SIGINT)
        until = time.monotonic() + _STOPS_WITHIN_S
        while not self._processes.ended(self._pid).ended:
            if time.monotonic() > until:
                self._processes.kill([self._pid])
                return
            self._clock.sleep(_POLL_S)

    def ask(self, statement: LiteralString, values: Sequence[object] = ()) -> object:
        """Run one statement of at most 1 s as superuser, behind edge and fence, and return its first column.

        Raises ``DrillsError`` when the server says no or cannot be asked.
        """
        import psycopg

        if not self._lock.acquire(timeout=_TURN_WITHIN_S):
            raise DrillsError(f"the database of {self._site} is busy with other questions")
        try:
            if self._connection is None or self._connection.closed:
                dsn = self._addresses.direct_dsn
                self._connection = psycopg.connect(dsn, autocommit=True, options=_OURS)
            row = self._connection.execute(statement, values or None).fetchone()
        except psycopg.Error as error:
            self._forget()
            raise DrillsError(f"the database of {self._site}: {' '.join(str(error).split())}") from error
        finally:
            self._lock.release()
        return row[0] if row else None

    def is_writer(self) -> bool | None:
        """Whether it takes writes; ``None`` when it cannot be asked."""
        try:
            return self.ask("SELECT NOT pg_is_in_recovery()") is True
        except DrillsError:
            return None

    def lag_s(self) -> float | None:
        """Seconds by which this standby is behind: an upper bound, the age of the newest state it surely has.

        With all received WAL replayed and the link alive it is the time the last message was under way. ``None`` for a
        writer, and when it cannot be asked or never heard of its upstream.
        """
        try:
            found = self.ask(_LAG)
        except DrillsError:
            return None
        return found if isinstance(found, float) else None

    def streaming(self) -> bool:
        """Whether it receives WAL now."""
        try:
            return self.ask("SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'") == 1
        except DrillsError:
            return False

    def wait_streaming(self, within_s: float) -> None:
        """Wait until WAL arrives, after a ``write`` upstream: its lag is then known."""
        until = time.monotonic() + within_s
        while not self.streaming() or self.lag_s() is None:
            if time.monotonic() > until:
                raise DrillsError(f"{self._site} does not stream after {within_s:g} s; {tail(self._log)}")
            self._clock.sleep(_POLL_S)

    def promote(self, within_s: float) -> None:
        """Make it a writer and wait until a write was committed; nothing happens to one that is."""
        until = time.monotonic() + within_s
        if self.ask("SELECT pg_is_in_recovery()"):
            self.ask("SELECT pg_promote(wait => false)")
        while self.ask("SELECT pg_is_in_recovery()"):
            if time.monotonic() > until:
                raise DrillsError(
                    f"{self._site} is still in recovery {within_s:g} s after pg_promote; {tail(self._log)}"
                )
            self._clock.sleep(_POLL_S)
        self.write()

    def write(self) -> None:
        """Commit a write."""
        self.ask(_WRITE, (self._site,))

    def end_clients(self, within_s: float) -> None:
        """End every client's session and wait until none is left: after this nothing of theirs is committed."""
        until = time.monotonic() + within_s
        while self.ask(_END_CLIENTS):
            if time.monotonic() > until:
                raise DrillsError(f"clients of the database of {self._site} do not end within {within_s:g} s")
            self._clock.sleep(_POLL_S)

    def confirm_each_at(self, standby: str, within_s: float) -> None:
        """Have commits wait for that standby, and wait until it counts as synchronous."""
        import psycopg
        import psycopg.sql

        until = time.monotonic() + within_s
        with psycopg.connect(self._addresses.direct_dsn, autocommit=True) as connection:
            name = psycopg.sql.Literal(f'"{standby}"')
            connection.execute(psycopg.sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}").format(name))
        self.ask("SELECT pg_reload_conf()")
        while self.ask("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'") != 1:
            if time.monotonic() > until:
                raise DrillsError(f"{standby} is no synchronous standby of {self._site} after {within_s:g} s")
            self._clock.sleep(_POLL_S)

    def checkpoint(self) -> None:
        """Write a checkpoint, so that pg_rewind sees the timeline a promotion began."""
        import psycopg

        with psycopg.connect(self._addresses.direct_dsn, autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def keep(self, snapshot: str) -> None:
        """Copy the files of the stopped server beside them; a copy of that name that is there already stays."""
        copy = self._data.with_name(f"{self._data.name}-snapshot-{snapshot}")
        if not copy.exists():
            argv = ["cp", "-a", self._data, copy]
            self._processes.run(self._label(Role.TOOL), argv, self._postgres.run_as, _TOOLS_WITHIN_S)

    def rebuild(self, upstream: Upstream) -> None:
        """Make this stopped cluster a copy of ``upstream``: by pg_rewind, or by pg_basebackup where that refuses."""
        label, user = self._label(Role.TOOL), self._postgres.run_as
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        source = self._conninfo(upstream)
        rewind = [self._postgres.programs / "pg_rewind", "-D", self._data, f"--source-server={source} dbname=orders"]
        try:
            self._processes.run(label, rewind, user, _TOOLS_WITHIN_S)
        except DrillsError:
            shutil.rmtree(self._data, ignore_errors=True)
            options = ["-X", "stream", "-c", "fast", "--no-sync"]
            copy = [self._postgres.programs / "pg_basebackup", "-D", self._data, "-d", source, *options]
            self._processes.run(label, copy, user, _TOOLS_WITHIN_S)
        self.follow(upstream)

    def close(self) -> None:
        """Close our own connection."""
        with self._lock:
            self._forget()

    def _says_ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="ascii").splitlines()
        except OSError:
            return False
        mine = lines[:1] == [str(self._pid)]
        return mine and len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"

    def _conninfo(self, upstream: Upstream) -> str:
        return f"host={upstream.at.host} port={upstream.at.port} user=drills"

    def _label(self, role: Role) -> Label:
        return Label(role, (self._site,))

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
