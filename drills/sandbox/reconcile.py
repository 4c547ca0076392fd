"""The reconcile loop: a call wakes it, the level decides.

Each turn compares what moto wants (network ACLs, security groups, instances, promotions, records) with what was last
seen of the real processes, starts what is missing in lanes of their own, and writes reality back.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drills.clock import NS
from drills.sandbox.experiments import Experiments
from drills.sandbox.lanes import Lanes
from drills.sandbox.routing import Choice, choose
from drills.sandbox.schedules import Schedules
from drills.sandbox.state import Outage, Seen, Work
from drills.sandbox.writeback import group_members, write_back

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drills.sandbox.cloud import RecordView
    from drills.sandbox.dataplane import DataPlane
    from drills.sandbox.state import Site, World
    from drills.sandbox.wire import Call

_log = logging.getLogger(__name__)
_SETTLES = {"autoscaling", "ec2"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What moto wants of one site now."""

    lost: Outage | None
    fenced: bool
    instances: tuple[str, ...]
    force_stop: tuple[str, ...]
    work: Work


class Reconciler:
    """Drives the data plane towards what moto holds, and moto towards what the data plane is."""

    def __init__(self, world: World, plane: DataPlane) -> None:
        self.world = world
        self.plane = plane
        self.lanes = Lanes(world.clock, world.wake.set)
        self._schedules = Schedules(world, self.lanes)
        self._experiments = Experiments(world, self.lanes)
        self._running: dict[str, tuple[str, ...]] = {}
        self._served: _Served = _Served()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconcile", daemon=True)

    def start(self) -> None:
        """Begin to turn, by itself and when woken."""
        self._thread.start()

    def stop(self) -> None:
        """End after the turn that is running."""
        self._stop.set()
        self.world.wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def settled(self, call: Call) -> None:
        """Write back at once what a changing call made new, before its answer leaves. Lock held."""
        if call.service in _SETTLES:
            for site in self.world.sites.values():
                group_members(self.world, site)

    def turn(self) -> None:
        """Compare, act, write back: once."""
        with self.world.cloud.lock:
            wanted = {site.name: self._wanted(site) for site in self.world.sites.values()}
        for name, want in wanted.items():
            self._act(self.world.sites[name], want)
        self._serve_names()
        self._schedules.fire_due()
        self._experiments.turn()
        with self.world.cloud.lock:
            write_back(self.world)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.world.wake.wait(self.world.profile.reconcile_every_s)
            self.world.wake.clear()
            try:
                self.turn()
                self.world.trouble = ""
            except Exception as error:  # noqa: BLE001 - a turn that fails is logged and repeated
                self.world.trouble = f"{type(error).__name__}: {error}"
                _log.exception("a turn of the reconcile loop failed; the next one tries again")

    def _wanted(self, site: Site) -> Wanted:
        cloud, profile, now_ns = self.world.cloud, self.world.profile, self.world.now_ns()
        silent = cloud.network_cut(site.account, site.region, site.vpc)
        cut = site.cut.see(now_ns, profile.isolation_effect_s, asked=silent)
        shut = site.db is None or not cloud.group_lets_in(site.db)
        ids = cloud.instances(site.account, site.region, site.vpc)
        site.started = {name: site.started.get(name, now_ns) for name in ids}
        booted = [name for name in ids if now_ns - site.started[name] >= profile.instance_boot_s * NS]
        forced, site.force_stop = tuple(site.force_stop), set()
        return Wanted(
            lost=site.imposed or (self.world.outage if cut else None),
            fenced=site.fence.see(now_ns, profile.security_group_effect_s, asked=shut),
            instances=tuple(booted[: profile.max_instances_per_site]),
            force_stop=forced,
            work=site.work,
        )

    def _act(self, site: Site, want: Wanted) -> None:
        plane, name = self.plane, site.name
        if want.lost is not None and site.lost is None:
            how = want.lost
            self.lanes.run(f"{name}:network", lambda: self._lose(site, how))
        elif want.lost is None and site.lost is not None:
            self.lanes.run(f"{name}:network", lambda: self._heal(site))
        if want.fenced != site.fenced:
            fenced = want.fenced
            self.lanes.run(f"{name}:fence", lambda: self._fence(site, fenced=fenced))
        if want.work is Work.PROMOTING:
            self.lanes.run(f"{name}:database", lambda: self._promote(site))
        elif want.work is Work.CREATING:
            self.lanes.run(f"{name}:database", lambda: self._rebuild(site))
        for instance in want.force_stop:
            self.lanes.run(f"{name}:{instance}", lambda one=instance: plane.stop_instance(name, one, force=True))
        if self._running.get(name) != want.instances:
            self.lanes.run(f"{name}:instances", lambda: self._run_instances(site, want.instances))

    def _run_instances(self, site: Site, ids: tuple[str, ...]) -> None:
        self.plane.set_instances(site.name, ids)
        self._running[site.name] = ids

    def _lose(self, site: Site, how: Outage) -> None:
        stamp = self.plane.lose(site.name, "kill" if how is Outage.KILL else "blackhole")
        with self.world.cloud.lock:
            site.lost = how
            site.seen = Seen(reachable=False)
            write_back(self.world)
        self.world.effects.add(site.name, "lost", f"{how.value} in [{stamp.before_ns}, {stamp.after_ns}] ns monotonic")

    def _heal(self, site: Site) -> None:
        self.plane.heal(site.name)
        with self.world.cloud.lock:
            site.lost = None
            site.work = Work.NONE if site.work is Work.FAILED else site.work
        self.world.effects.add(site.name, "healed")

    def _fence(self, site: Site, *, fenced: bool) -> None:
        self.plane.fence_db(site.name, fenced=fenced)
        with self.world.cloud.lock:
            site.fenced = fenced
        self.world.effects.add(site.name, "fenced" if fenced else "unfenced")

    def _promote(self, site: Site) -> None:
        ended = Work.FAILED
        try:
            self.plane.promote(site.name)
            ended = Work.NONE
            self.world.effects.add(site.name, "promoted")
        finally:
            with self.world.cloud.lock:
                site.work = ended
                if ended is Work.NONE and site.db is not None:
                    self.world.cloud.unlink_replica(site.db)
                write_back(self.world)

    def _rebuild(self, site: Site) -> None:
        ended = Work.FAILED
        try:
            self.plane.rebuild_standby(site.name, site.sync_from, snapshot=site.last_snapshot)
            ended = Work.NONE
            self.world.effects.add(site.name, "replica_created", site.sync_from)
        finally:
            with self.world.cloud.lock:
                site.work = ended

    def _serve_names(self) -> None:
        """Give the name server what changed: due change batches, and health that moves an answer."""
        world = self.world
        now_ns = world.now_ns()
        with world.cloud.lock:
            due = [one for one in world.changes.values() if not one.in_sync]
            due = [one for one in due if now_ns - one.since_ns >= world.profile.dns_propagation_s * NS]
            if due or not self._served.records:
                self._served.records = world.cloud.records(world.accounts)
            choices = choose(self._served.records, world.healthy)
        changed = {key: value for key, value in choices.items() if self._served.choices.get(key) != value}
        gone = [key for key in self._served.choices if key not in choices]
        for name, kind in {**changed, **dict.fromkeys(gone, ())}:
            answers = choices.get((name, kind), ())
            if kind == "A":
                self.plane.serve(name, [value for choice in answers for value in choice.values])
            world.effects.add("", "dns", f"{name} {kind} -> {_told(answers)}")
        self._served.choices = choices
        with world.cloud.lock:
            for change in due:
                change.in_sync = True


@dataclass(slots=True)
class _Served:
    records: tuple[RecordView, ...] = ()
    choices: Mapping[tuple[str, str], tuple[Choice, ...]] = field(
        default_factory=dict[tuple[str, str], tuple[Choice, ...]]
    )


def _told(answers: tuple[Choice, ...]) -> str:
    return (
        " | ".join(f"{choice.set_id or '-'} {','.join(choice.values)} x{choice.weight}" for choice in answers)
        or "nothing"
    )
