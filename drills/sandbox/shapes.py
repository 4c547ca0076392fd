"""What a data plane is made of and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Loss = Literal["kill", "blackhole"]


class Condition(StrEnum):
    """How a site is."""

    UP = "up"
    KILLED = "killed"
    BLACKHOLED = "black-holed"


@dataclass(frozen=True, slots=True)
class SiteShape:
    """One site: its database is the primary or a standby of it.

    ``synchronous`` on a standby: commits wait for it; on the primary: for every standby. Until the first promotion,
    and again after ``rebuild_standby``. ``fsync`` and ``synchronous_commit`` are the settings of PostgreSQL.
    """

    name: str
    primary: bool
    synchronous: bool = False
    fsync: bool = True
    synchronous_commit: bool = True


@dataclass(frozen=True, slots=True)
class LossStamp:
    """When a site was lost, on this machine's monotonic clock in ns.

    Signals went out in ``[before_ns, after_ns]``. After a kill the first and the last process were seen to be gone at
    ``first_exit_ns`` and ``last_exit_ns``; a black hole ends nobody and has none.
    """

    site: str
    how: Loss
    before_ns: int
    after_ns: int
    first_exit_ns: int | None = None
    last_exit_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One living process; ``site`` is empty for the keeper and the DNS server, ``a~b`` for a link."""

    role: str
    site: str
    instance: str
    pid: int
