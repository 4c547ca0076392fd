"""The data plane of a sandbox: real databases, applications, edges, a WAN and a DNS server, of which whole sites die.

Real: PostgreSQL and its streaming replication, processes and their deaths, TCP, HTTP, DNS packets. Simulated: the
WAN's delay (a proxy), the load balancer (a proxy), and that a site is more than processes on one kernel with one clock.
"""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from drills.errors import DrillsError
from drills.sandbox import binaries, nameserver, wan
from drills.sandbox.addresses import Block, DataPlaneAddresses, Endpoint, claim
from drills.sandbox.backlog import fill_backlog
from drills.sandbox.database import Database, Upstream
from drills.sandbox.edge import Target
from drills.sandbox.orders import Label, Role, Struck
from drills.sandbox.processes import Forked, Processes
from drills.sandbox.shapes import Condition, Loss, LossStamp, ProcessInfo, SiteShape
from drills.sandbox.site import Site

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

_STREAMS_WITHIN_S = 20.0
_PROMOTES_WITHIN_S = 30.0
_CUT_OFF = (Role.LINK, Role.EDGE)


__all__ = ["DataPlane", "DataPlaneAddresses", "LossStamp", "ProcessInfo", "SiteShape"]


class DataPlane:
    """Two or more sites. Thread-safe, and every method is bounded in time.

    ``folder`` gets each process's log, ``exits.jsonl`` (every exit, stamped) and ``dns.jsonl`` (every DNS change,
    stamped); data folders are removed at the end. ``wan_delay_s`` is one way. Raises ``DrillsError`` throughout.
    """

    def __init__(self, folder: Path, sites: Sequence[SiteShape], *, wan_delay_s: float, ttl_s: int) -> None:
        if sum(shape.primary for shape in sites) != 1:
            raise DrillsError("a data plane has exactly one primary site")
        if wan_delay_s < 0 or ttl_s < 0:
            raise DrillsError(f"neither the WAN's delay ({wan_delay_s:g} s) nor the TTL ({ttl_s} s) can be negative")
        self._folder = folder.resolve()
        self._shapes = {shape.name: shape for shape in sites}
        self._primary = next(shape.name for shape in sites if shape.primary)
        self._wan_delay_s = wan_delay_s
        self._ttl_s = ttl_s
        self._block: Block = claim([shape.name for shape in sites])
        self._lock = threading.RLock()  # losses, heals and rebuilds, one at a time
        self._sites: dict[str, Site] = {}
        self._links: dict[tuple[str, str], Forked] = {}
        self._stamps: dict[str, LossStamp] = {}
        self._processes: Processes | None = None
        self._dns: Forked | None = None
        self._stopped = False

    def addresses(self) -> DataPlaneAddresses:
        """Tell where everything answers; known from the beginning."""
        return self._block.addresses

    def start(self) -> None:
        """Bring everything up: primary and streaming standbys, edges, links, DNS. No application instances yet."""
        with self._lock:
            if self._processes is not None:
                raise DrillsError("this data plane was started already")
            if self._stopped:
                raise DrillsError("this data plane was stopped")
            self._folder.mkdir(parents=True, exist_ok=True)
            data = binaries.scratch(self._folder, binaries.owner())
            self._processes = Processes(self._folder, data)
            try:
                self._bring_up(self._processes, data)
            except BaseException:
                self.stop()
                raise

    def _bring_up(self, processes: Processes, data: Path) -> None:
        self._started()  # or it was stopped meanwhile
        postgres = binaries.prepare(processes)
        for name, shape in self._shapes.items():
            at = self.addresses().sites[name]
            self._sites[name] = Site(shape, at, processes, Database(name, at, processes, postgres, data / name))
        copies = [site.database.copy_template() for site in self._sites.values()]
        processes.warm()  # meanwhile
        for copying in copies:
            processes.finish(*copying, "cp", within_s=60.0)
        for name, site in self._sites.items():
            site.database.follow(None if name == self._primary else self._upstream(name, self._primary))
            site.database.launch(site.settings())
        for pair in itertools.combinations(self._shapes, 2):
            self._open_link(pair)
        at = self.addresses().resolver
        config = nameserver.Config(at.host, at.port, self._ttl_s, str(self._folder / "dns.jsonl"))
        self._dns = processes.fork(Label(Role.DNS), config)
        with ThreadPoolExecutor(len(self._sites)) as pool:
            list(pool.map(self._await_site, self._sites.values()))
        self._dns.ready()
        for name in self._sites:
            if name != self._primary:
                self._await_replication(name, self._primary)

    def _await_site(self, site: Site) -> None:
        site.open_edge()
        site.database.wait_ready()

    def stop(self) -> None:
        """End every process, remove the data, let the addresses go; safe twice and after a failed start."""
        self._stopped = True
        processes, self._processes = self._processes, None
        if processes is not None:
            for site in self._sites.values():
                site.close()
            processes.stop()
            for each in (*self._links.values(), *filter(None, [self._dns])):
                each.line.close()
        self._block.close()

    # Application instances

    def set_instances(self, site: str, ids: Collection[str]) -> None:
        """Have exactly these instances at a site; returns at once, ``listening`` tells how far it is."""
        self._site(site).set_instances(ids)

    def stop_instance(self, site: str, instance: str, *, force: bool) -> None:
        """End one instance: drained by SIGTERM, or at once by SIGKILL."""
        self._site(site).stop_instance(instance, force=force)

    def listening(self, site: str) -> frozenset[str]:
        """Name the instances that listen and are registered at the edge; none while the site is lost."""
        return self._site(site).listening()

    # Databases

    def promote(self, site: str) -> None:
        """Promote a site's standby and wait until it committed a write; nothing happens to a writer."""
        self._up(site).database.promote(_PROMOTES_WITHIN_S)

    def is_writer(self, site: str) -> bool | None:
        """Whether a site's database takes writes; ``None`` when it is lost or does not answer."""
        found = self._site(site)
        return found.database.is_writer() if found.condition is Condition.UP else None

    def replica_lag_s(self, site: str) -> float | None:
        """Tell how far a standby is behind, in seconds; ``None`` for a writer and for what does not answer."""
        found = self._site(site)
        return found.database.lag_s() if found.condition is Condition.UP else None

    def streaming(self, site: str) -> bool:
        """Whether a site's standby receives WAL now."""
        found = self._site(site)
        return found.condition is Condition.UP and found.database.streaming()

    def fence_db(self, site: str, *, fenced: bool) -> None:
        """Refuse a site's database to its clients and end their sessions, or let them in again.

        When it returns, nothing of theirs is committed any more. Replication goes on. A fence outlives loss and heal.
        """
        self._site(site).fence(on=fenced)

    def rebuild_standby(self, site: str, of: str, *, snapshot: str = "") -> None:
        """Make a site's database a streaming standby of another site's: pg_rewind, else a base backup over the WAN.

        Under ``snapshot``, if it is given, what the database held is kept first.
        """
        with self._lock:
            self._site(of)
            if site == of:
                raise DrillsError(f"{site} cannot be a standby of itself")
            target, source = self._up(site).database, self._up(of).database
            if source.is_writer() is not True:
                raise DrillsError(f"{site} cannot follow {of}: the database of {of} is no writer")
            target.close()
            target.stop()
            if snapshot:
                target.keep(snapshot)
            source.checkpoint()
            target.rebuild(self._upstream(site, of))
            target.launch(self._site(site).settings())
            target.wait_ready()
            self._await_replication(site, of)

    # Losses

    def lose(self, site: str, how: Loss) -> LossStamp:
        """Lose a whole site, and every link to it with what is under way there.

        ``kill``: SIGKILL to each process of it. ``blackhole``: its processes live, but nothing from outside is
        answered and new connections hang. A site lost already in the same way gives its first stamp again.
        """
        processes, found = self._started(), self._site(site)
        if how == "kill":
            struck = processes.close_site(site)  # at once, whatever else is going on
            with self._lock:
                for pair in [pair for pair in self._links if site in pair]:
                    self._links.pop(pair).line.close()
                return self._note_loss(found, how, struck)
        with self._lock:
            if found.condition is Condition.KILLED:
                raise DrillsError(f"site {site} cannot be cut off: it is killed; heal it first")
            struck = processes.freeze(site, _CUT_OFF)
            stamp = self._note_loss(found, how, struck)
        at = self.addresses().sites[site]
        inward = [links.links[site] for name, links in self.addresses().sites.items() if name != site]
        for endpoint in (at.app, at.database, *at.links.values(), *inward):
            fill_backlog(endpoint)
        return stamp

    def _note_loss(self, site: Site, how: Loss, struck: Struck) -> LossStamp:
        condition = Condition.KILLED if how == "kill" else Condition.BLACKHOLED
        name = site.shape.name
        if site.condition is condition and name in self._stamps:
            return self._stamps[name]
        site.lost(condition)
        ends = struck.first_exit_ns or None, struck.last_exit_ns or None
        self._stamps[name] = LossStamp(name, how, struck.before_ns, struck.after_ns, *ends)
        return self._stamps[name]

    def heal(self, site: str) -> None:
        """Bring a lost site back; nothing happens to one that is up.

        After a kill its processes start again, the database on its own data: an old primary is then a second writer,
        unless it is fenced. After a black hole edge and links start afresh: connections from before are reset, and
        what was under way is never delivered.
        """
        processes, found = self._started(), self._site(site)
        with self._lock:
            condition = found.condition
            if condition is Condition.UP:
                return
            try:
                if condition is Condition.KILLED:
                    processes.open_site(site)
                    found.database.close()
                    found.database.launch(found.settings())
                    found.database.wait_ready()
                found.open_edge()
            except DrillsError:
                if condition is Condition.KILLED:
                    processes.close_site(site)  # nothing half alive stays: heal can be tried again
                raise
            self._stamps.pop(site, None)
            found.back()
            for pair in itertools.combinations(self._shapes, 2):
                if site in pair and all(self._sites[each].condition is Condition.UP for each in pair):
                    self._open_link(pair)

    def site_reachable(self, site: str) -> bool:
        """Whether the edge of a site answers."""
        return self._site(site).reachable()

    # Network

    def serve(self, name: str, answers: Sequence[str]) -> nameserver.Effective:
        """Answer ``name`` with these IPv4 addresses from now on (none: it does not exist); returns when that is so."""
        if self._dns is None:
            raise DrillsError("the data plane is not started")
        return self._dns.line.ask(nameserver.Serve(name, tuple(answers)), nameserver.Effective)

    def set_wan_delay(self, seconds: float) -> None:
        """Change the one-way delay of every link that is up."""
        with self._lock:
            self._wan_delay_s = seconds
            for pair, link in self._links.items():
                if all(self._sites[each].condition is Condition.UP for each in pair):
                    link.line.ask(wan.Delay(seconds), type(None))

    def processes(self) -> list[ProcessInfo]:
        """List every living process, PostgreSQL's children and the keeper included."""
        found = self._started().everybody()
        return [
            ProcessInfo(each.label.role, "~".join(each.label.sites), each.label.instance, each.pid) for each in found
        ]

    def _open_link(self, pair: tuple[str, str]) -> None:
        processes = self._started()
        old = self._links.pop(pair, None)
        if old is not None:
            processes.kill([old.pid])
            old.line.close()
        sites, (one, other) = self.addresses().sites, pair
        ways = tuple(
            wan.Way(_target(sites[to].links[start]), _target(sites[to].postgres))
            for start, to in ((one, other), (other, one))
        )
        self._links[pair] = processes.fork(Label(Role.LINK, pair), wan.Config(ways, self._wan_delay_s))
        self._links[pair].ready()

    def _await_replication(self, standby: str, upstream: str) -> None:
        """Wait until a first write arrives; from then on commits wait for that standby, if that is wanted."""
        self._sites[upstream].database.write()
        self._sites[standby].database.wait_streaming(_STREAMS_WITHIN_S)
        if self._shapes[standby].synchronous or self._shapes[upstream].synchronous:
            self._sites[upstream].database.confirm_each_at(standby, _STREAMS_WITHIN_S)

    def _upstream(self, site: str, of: str) -> Upstream:
        return Upstream(of, self.addresses().sites[of].links[site])

    def _started(self) -> Processes:
        if self._processes is None:
            raise DrillsError("the data plane is not started, or was stopped")
        return self._processes

    def _site(self, name: str) -> Site:
        self._started()
        found = self._sites.get(name)
        if found is None:
            raise DrillsError(f"there is no site {name!r}; the sites are {', '.join(self._shapes)}")
        return found

    def _up(self, name: str) -> Site:
        found = self._site(name)
        if found.condition is not Condition.UP:
            raise DrillsError(f"site {name} is {found.condition}")
        return found


def _target(endpoint: Endpoint) -> Target:
    return Target(endpoint.host, endpoint.port)
