"""One sandbox put together: processes, moto, gateway, loops; started in order, stopped in reverse."""

from __future__ import annotations

import http.client
import logging
import os
import threading
from typing import TYPE_CHECKING

from drills.clock import SystemClock, process_start
from drills.errors import DrillsError
from drills.sandbox import booted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from drills.sandbox.cloud import Cloud
    from drills.sandbox.dataplane import DataPlane
    from drills.sandbox.spec import WorldSpec
    from drills.sandbox.state import Site, World

_log = logging.getLogger(__name__)
READY_WITHIN_S = 60.0
_LOOK_S = 0.02
_ENTRANCE_TIMEOUT_S = 1.0


class Assembly:
    """Everything of one sandbox. ``ended`` set from outside makes ``start`` give up."""

    def __init__(self, spec: WorldSpec, folder: Path, *, private: bool) -> None:
        self.spec = spec
        self.folder = folder
        self.private = private
        self.clock = SystemClock()
        self.ended = threading.Event()
        self._stops: list[Callable[[], None]] = []
        self._given_up: Callable[[], object] = lambda: None

    def start(self) -> booted.Booted:
        """Build everything and wait until it works; raises what went wrong."""
        began = self.clock.now()
        plane = self._plane()
        failed: list[BaseException] = []
        starting = threading.Thread(target=_keep_error, args=(plane.start, failed), name="data plane", daemon=True)
        self._stops.append(plane.stop)
        starting.start()  # PostgreSQL starts while moto is imported
        self._given_up = lambda: (plane.stop(), starting.join())
        cloud, sites = self._seed_places()
        starting.join()
        if failed:
            raise failed[0]
        world, endpoint = self._control_plane(cloud, sites, plane)
        now = self.clock.now()
        return booted.Booted(
            endpoint_url=endpoint,
            resolver=str(plane.addresses().resolver),
            folder=str(self.folder),
            private=self.private,
            url=f"http://{self.spec.record}:{plane.addresses().port}",
            zone=world.zone,
            record=self.spec.record,
            environment=self.spec.environment,
            primary=self.spec.primary,
            outage=self.spec.outage.value,
            sites=self._facts(world, plane),
            accounts=world.accounts,
            pid=os.getpid(),
            process=process_start(os.getpid()),
            started_utc_ns=began.utc_ns,
            ready_s=round(now.since(began), 3),
            pids=_pids(plane),
        )

    def give_up(self) -> None:
        """End every process of one that is still being built; that moto is being imported is waited for by nobody."""
        self._given_up()

    def stop(self) -> None:
        """End everything, the newest first; one that fails does not keep the others."""
        while self._stops:
            try:
                self._stops.pop()()
            except Exception:  # noqa: BLE001 - what did not stop is logged, and the rest must stop too
                _log.exception("a part of the sandbox did not stop by itself")

    def _plane(self) -> DataPlane:
        from drills.sandbox.dataplane import DataPlane, SiteShape

        shapes = [SiteShape(one.name, primary=one.name == self.spec.primary) for one in self.spec.sites]
        folder = self.folder / "data"
        folder.mkdir(exist_ok=True)
        return DataPlane(folder, shapes, wan_delay_s=self.spec.wan_delay_s, ttl_s=self.spec.ttl_s)

    def _seed_places(self) -> tuple[Cloud, dict[str, Site]]:
        from drills.sandbox.cloud import Cloud
        from drills.sandbox.seed import seed_places

        cloud = Cloud()
        return cloud, seed_places(cloud, self.spec)

    def _control_plane(self, cloud: Cloud, sites: dict[str, Site], plane: DataPlane) -> tuple[World, str]:
        """Seed the names, start what turns moto's wishes into deeds, and wait until everything works."""
        from drills.sandbox.control import Control
        from drills.sandbox.faults import FaultTable
        from drills.sandbox.gateway import Audit, Gateway
        from drills.sandbox.health import Checkers
        from drills.sandbox.monitor import Monitor
        from drills.sandbox.profile import load_profile
        from drills.sandbox.reconcile import Reconciler
        from drills.sandbox.seed import Entrance, seed_names
        from drills.sandbox.server import Server
        from drills.sandbox.state import Effects, World

        effects = Effects(self.folder / "effects.jsonl", self.clock)
        world = World(cloud, self.clock, load_profile(), effects, self.spec.outage, sites, self.spec.accounts)
        where = plane.addresses().sites
        entrances = {name: Entrance(site.app.host, site.app.port) for name, site in where.items()}
        world.databases = {name: (site.database.host, site.database.port) for name, site in where.items()}
        world.zone = seed_names(cloud, self.spec, entrances)
        world.submit_change()
        reconciler, monitor = Reconciler(world, plane), Monitor(world, plane)
        checkers = Checkers(world, lambda name: _look_up(name, str(plane.addresses().resolver)))
        faults = FaultTable(self.clock)
        control = Control(world, faults, lambda: _pids(plane))
        gateway = Gateway(world, faults, Audit(self.folder / "audit.jsonl", self.clock), control, reconciler.settled)
        server = Server(gateway, plane.addresses().control.host, plane.addresses().control.port)
        world.endpoint = server.url
        for part in (monitor, reconciler, server):
            part.start()
        self._stops += [monitor.stop, checkers.stop, reconciler.stop, server.close]
        self._wait_ready(lambda: self._missing(world, plane))
        checkers.start()  # what they find first decides, so that only now there is something to find
        self._wait_ready(lambda: [] if len(world.health) == len(self.spec.sites) else ["health checks not made yet"])
        monitor.publish()
        return world, server.url

    def _wait_ready(self, missing: Callable[[], list[str]]) -> None:
        began = self.clock.now()
        while absent := missing():
            if self.ended.is_set():
                raise DrillsError("told to end while starting")
            if self.clock.now().since(began) > READY_WITHIN_S:
                raise DrillsError(f"not ready after {READY_WITHIN_S:.0f} s: {'; '.join(absent)}")
            self.clock.sleep(_LOOK_S)

    def _missing(self, world: World, plane: DataPlane) -> list[str]:
        missing: list[str] = []
        for one in self.spec.sites:
            seen = world.sites[one.name].seen
            if len(seen.listening) < one.capacity:
                missing.append(f"{one.name}: {len(seen.listening)} of {one.capacity} applications listen")
            if one.name != self.spec.primary and not seen.streaming:
                missing.append(f"{one.name}: its standby does not stream")
        entrance = plane.addresses().sites[self.spec.primary].app
        if not missing and not _answers(entrance.host, entrance.port):
            missing.append(f"{self.spec.primary}: its entrance does not answer 200")
        if any(not change.in_sync for change in world.changes.values()):
            missing.append(f"{self.spec.record} is not served")
        return missing

    def _facts(self, world: World, plane: DataPlane) -> Mapping[str, booted.SiteFacts]:
        where = plane.addresses().sites
        return {
            one.name: booted.SiteFacts(
                name=one.name,
                account=one.account,
                region=one.region,
                db=one.db,
                asg=one.asg,
                others_alarm=one.others_alarm,
                vpc=world.sites[one.name].vpc,
                dsn=where[one.name].dsn,
                direct=where[one.name].url,
                truth_dsn=where[one.name].direct_dsn,
            )
            for one in self.spec.sites
        }


def _keep_error(act: Callable[[], None], failed: list[BaseException]) -> None:
    try:
        act()
    except BaseException as error:  # noqa: BLE001 - it is raised again by the thread that waits for this one
        failed.append(error)


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=_ENTRANCE_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _look_up(name: str, resolver: str) -> str:
    """Ask the sandbox's own name server for an address; ``OSError`` when it has none."""
    import dns.exception
    import dns.message
    import dns.query

    host, _, port = resolver.rpartition(":")
    try:
        answer = dns.query.udp(dns.message.make_query(name, "A"), host, timeout=_ENTRANCE_TIMEOUT_S, port=int(port))
    except dns.exception.DNSException as error:
        raise OSError(f"{name}: {error}") from error
    found = [line.split()[-1] for group in answer.answer for line in group.to_text().splitlines()]
    if not found:
        raise OSError(f"{name} is not served by this sandbox")
    return found[0]


def _pids(plane: DataPlane) -> dict[str, int]:
    """Name every process: ``east/postgres``, ``east/app/i-0123``, ``east~west/link``, ``dns``, ``world``."""
    found: dict[str, int] = {"world": os.getpid()}
    for one in plane.processes():
        name = "/".join(part for part in (one.site, str(one.role), one.instance) if part)
        found[name if name not in found else f"{name}#{one.pid}"] = one.pid
    return found
