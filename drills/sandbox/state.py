"""What the world knows beside moto and the processes: sites, DNS changes on their way, health, effects.

Read and written with ``Cloud.lock`` held.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from drills.clock import NS
from drills.sandbox.lines import Lines

if TYPE_CHECKING:
    from pathlib import Path

    from drills.clock import Clock
    from drills.sandbox.cloud import Cloud, DbRef
    from drills.sandbox.profile import Profile

_MOST_CHANGES = 10_000
_MOST_EFFECTS = 10_000


class Outage(StrEnum):
    """How a lost site goes: its processes die at once, or nothing reaches it any more."""

    KILL = "kill"
    BLACKHOLE = "blackhole"


class Work(StrEnum):
    """What RDS is doing to a database; FAILED is where it ends when PostgreSQL did not follow."""

    NONE = ""
    PROMOTING = "promoting"
    CREATING = "creating"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was last seen of a site's real processes."""

    listening: frozenset[str] = frozenset()
    reachable: bool = True
    writer: bool | None = None
    streaming: bool = False
    lag_s: float | None = None


@dataclass(slots=True)
class Settling:
    """A switch whose change takes effect a while after it was asked for."""

    on: bool = False
    asked: bool = False
    since_ns: int = 0

    def see(self, now_ns: int, after_s: float, *, asked: bool) -> bool:
        """Note what is asked for now, and give what is in effect."""
        if asked != self.asked:
            self.asked, self.since_ns = asked, now_ns
        if self.on != asked and now_ns - self.since_ns >= after_s * NS:
            self.on = asked
        return self.on


@dataclass(slots=True)
class Site:
    """One site: where it stands in AWS, what is wanted of it and what is so."""

    name: str
    account: str
    region: str
    db: DbRef | None = None
    vpc: str = ""
    asg: str = ""
    imposed: Outage | None = None
    """Lost by order from outside, not by the AWS API."""
    cut: Settling = field(default_factory=Settling)
    """Its network ACLs let nothing through."""
    lost: Outage | None = None
    """How it is lost now, in reality."""
    fence: Settling = field(default_factory=Settling)
    """The security groups of its database let nobody in."""
    fenced: bool = False
    """Its PostgreSQL is fenced now, in reality."""
    work: Work = Work.NONE
    sync_from: str = ""
    """The site a new standby is to be copied from."""
    last_snapshot: str = ""
    """The final snapshot of a deleted database, as which its files are kept before they are overwritten."""
    started: dict[str, int] = field(default_factory=dict[str, int])
    """When an instance was first seen in moto (monotonic)."""
    served: frozenset[str] = frozenset()
    """Instances whose app was listening at least once."""
    unwell_since_ns: dict[str, int] = field(default_factory=dict[str, int])
    condemned: set[str] = field(default_factory=set[str])
    """Instances marked Unhealthy by SetInstanceHealth."""
    force_stop: set[str] = field(default_factory=set[str])
    seen: Seen = Seen()


@dataclass(slots=True)
class Change:
    """One change batch of Route 53 on its way to the name servers."""

    id: str
    since_ns: int
    submitted_utc_ns: int
    in_sync: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """What a health check's checker found last."""

    healthy: bool
    detail: str
    checked_utc_ns: int


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that really happened to a site, with its time."""

    utc_ns: int
    mono_ns: int
    clock: str
    site: str
    what: str
    detail: str = ""


class Effects:
    """The log of what really happened, in memory and as lines of JSON on disk."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._file = Lines(path)
        self._all: deque[Effect] = deque(maxlen=_MOST_EFFECTS)
        self._lock = threading.Lock()

    def add(self, site: str, what: str, detail: str = "") -> None:
        """Record that something happened just now."""
        with self._lock:
            now = self._clock.now()
            effect = Effect(now.utc_ns, now.mono_ns, now.clock, site, what, detail)
            self._all.append(effect)
            self._file.add(effect)

    def all(self) -> tuple[Effect, ...]:
        """Give every effect so far, oldest first."""
        with self._lock:
            return tuple(self._all)


@dataclass(slots=True)
class World:
    """The state that operations, reconcile loop and control endpoint share."""

    cloud: Cloud
    clock: Clock
    profile: Profile
    effects: Effects
    outage: Outage
    sites: dict[str, Site]
    other_accounts: tuple[str, ...] = ()
    """Accounts of the environment in which no site stands."""
    zone: str = ""
    endpoint: str = ""
    """Where the gateway is reached."""
    databases: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    """Where the PostgreSQL of each site is reached."""
    changes: OrderedDict[str, Change] = field(default_factory=OrderedDict[str, Change])
    health: dict[str, Health] = field(default_factory=dict[str, Health])
    levers: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict[tuple[str, str], tuple[str, str]])
    """The safety lever of FIS, by account and region, once it was moved: its state, and why."""
    wake: threading.Event = field(default_factory=threading.Event)
    trouble: str = ""
    """Why the last turn of the reconcile loop failed; empty when it did not."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts of the environment."""
        return tuple(sorted({site.account for site in self.sites.values()} | set(self.other_accounts)))

    def now_ns(self) -> int:
        """Monotonic nanoseconds."""
        return self.clock.now().mono_ns

    def site_of(self, ref: DbRef) -> Site | None:
        """Give the site whose PostgreSQL stands behind this DB instance."""
        return next((site for site in self.sites.values() if site.db == ref), None)

    def free_site(self, ref: DbRef) -> Site | None:
        """Give a site of the account and region that has no DB instance."""
        here = (site for site in self.sites.values() if (site.account, site.region) == (ref.account, ref.region))
        return next((site for site in here if site.db is None), None)

    def submit_change(self) -> Change:
        """Note a change batch that name servers do not serve yet."""
        now = self.clock.now()
        change = Change(f"/change/C{next(self._numbers):08d}{now.utc_ns % 10**6:06d}", now.mono_ns, now.utc_ns)
        self.changes[change.id] = change
        while len(self.changes) > _MOST_CHANGES:
            self.changes.popitem(last=False)
        return change

    def healthy(self, check_id: str) -> bool:
        """Say whether a health check is healthy; one never checked yet counts as healthy, as in Route 53."""
        found = self.health.get(check_id)
        return found is None or found.healthy
