"""What the world may ask of the keeper of its processes, and what it is told."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Role(StrEnum):
    """What a process of the data plane is there for."""

    POSTGRES = "postgres"
    BACKEND = "postgres-backend"  # any child of a postmaster
    EDGE = "edge"
    APP = "app"
    LINK = "link"
    DNS = "dns"
    TOOL = "tool"  # initdb, cp, pg_basebackup, pg_rewind
    KEEPER = "keeper"


class Label(msgspec.Struct, frozen=True):
    """Who a process is: a link belongs to two sites, the DNS server to none."""

    role: Role
    sites: tuple[str, ...] = ()
    instance: str = ""


class Process(msgspec.Struct, frozen=True):
    """One living process."""

    label: Label
    pid: int


class Exit(msgspec.Struct, frozen=True):
    """One line of ``exits.jsonl``: when (monotonic ns) a process was seen to be gone."""

    at_ns: int
    pid: int
    label: Label


class Owner(msgspec.Struct, frozen=True):
    """The user a process runs as when the world is root."""

    uid: int
    gid: int


class Exec(msgspec.Struct, frozen=True, tag=True):
    """Start a program."""

    label: Label
    argv: tuple[str, ...]
    log: str
    run_as: Owner | None = None
    stdin: str = "/dev/null"


class Fork(msgspec.Struct, frozen=True, tag=True):
    """Start one of our own roles in a fork of the keeper; its line's descriptor comes with the request."""

    label: Label
    config: msgspec.Raw
    log: str


class Warm(msgspec.Struct, frozen=True, tag=True):
    """Load what the forks need, so that each starts in milliseconds."""


class Close(msgspec.Struct, frozen=True, tag=True):
    """Kill every process of a site and start none there until ``Open``."""

    site: str


class Open(msgspec.Struct, frozen=True, tag=True):
    """Let processes start at a site again."""

    site: str


class Freeze(msgspec.Struct, frozen=True, tag=True):
    """Stop (SIGSTOP) the processes of a site that have one of these roles."""

    site: str
    roles: tuple[Role, ...]


class Kill(msgspec.Struct, frozen=True, tag=True):
    """Kill these processes, postmasters with all their children, and wait until they are gone."""

    pids: tuple[int, ...]


class Send(msgspec.Struct, frozen=True, tag=True):
    """Send a signal to one process."""

    pid: int
    signal: int


class Ended(msgspec.Struct, frozen=True, tag=True):
    """Ask whether a process ended."""

    pid: int


class Count(msgspec.Struct, frozen=True, tag=True):
    """List every process."""


Order = Exec | Fork | Warm | Close | Open | Freeze | Kill | Send | Ended | Count


class Started(msgspec.Struct, frozen=True):
    """The process that was started."""

    pid: int


class Outcome(msgspec.Struct, frozen=True):
    """Whether a process ended, and with which code (negative: the signal that killed it)."""

    ended: bool
    code: int = 0


class Struck(msgspec.Struct, frozen=True):
    """When signals went out and, for a kill, when the victims were seen to be gone (monotonic ns; 0: none)."""

    before_ns: int
    after_ns: int
    first_exit_ns: int = 0
    last_exit_ns: int = 0
    exits: tuple[Exit, ...] = ()
