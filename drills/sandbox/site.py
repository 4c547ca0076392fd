"""One site of the data plane: its edge, its application instances and its database."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from drills.errors import DrillsError
from drills.sandbox import app, edge
from drills.sandbox.orders import Label, Role
from drills.sandbox.shapes import Condition, SiteShape

if TYPE_CHECKING:
    from drills.sandbox.addresses import Endpoint, SiteAddresses
    from drills.sandbox.database import Database
    from drills.sandbox.processes import Forked, Processes

_DRAINS_WITHIN_S = 4.0


@dataclass(frozen=True, slots=True)
class _Instance:
    """One application process; ``port`` is 0 until it listens, ``leaving`` once it was told to stop."""

    process: Forked
    port: int = 0
    leaving: bool = False


class Site:
    """Thread-safe; the lock is held for the time of a few requests to processes, never while a database works."""

    def __init__(self, shape: SiteShape, addresses: SiteAddresses, processes: Processes, database: Database) -> None:
        self.shape = shape
        self.database = database
        self.condition = Condition.UP
        self._addresses = addresses
        self._processes = processes
        self._lock = threading.RLock()
        self._edge: Forked | None = None
        self._fenced = False
        self._wanted: frozenset[str] = frozenset()
        self._instances: dict[str, _Instance] = {}
        self._registered: frozenset[str] = frozenset()

    def settings(self) -> list[str]:
        """Give the database's settings of this shape."""
        shown = {True: "on", False: "off"}
        return [f"fsync={shown[self.shape.fsync]}", f"synchronous_commit={shown[self.shape.synchronous_commit]}"]

    def open_edge(self) -> None:
        """Start the edge, with the fence and the instances there are; one that runs is ended first."""
        with self._lock:
            self._end_edge()
            at = self._addresses
            config = edge.Config(_target(at.app), _target(at.database), _target(at.postgres), self._fenced)
            self._edge = self._processes.fork(Label(Role.EDGE, (self.shape.name,)), config)
            self._edge.ready()
            self._register()

    def set_instances(self, ids: Collection[str]) -> None:
        """Start who is missing and drain who is too many; at a lost site it is remembered for its heal."""
        with self._lock:
            self._wanted = frozenset(ids)
            if self.condition is Condition.KILLED:
                return
            for instance in sorted(self._wanted - self._instances.keys()):
                self._start(instance)
            for instance in sorted(self._instances.keys() - self._wanted):
                self.stop_instance(instance, force=False)

    def stop_instance(self, instance: str, *, force: bool) -> None:
        """Take an instance out of the edge and end it, by SIGTERM or at once by SIGKILL; nothing if it is not there."""
        with self._lock:
            self._wanted -= {instance}
            found = self._instances.get(instance)
            if found is None:
                return
            if force:
                self._processes.kill([found.process.pid])
            elif not found.leaving:
                self._instances[instance] = replace(found, leaving=True)
                self._register()
                self._processes.signal(found.process.pid, signal.SIGTERM)
                killer = threading.Timer(_DRAINS_WITHIN_S, self._give_up, [instance, found.process])
                killer.daemon = True
                killer.start()

    def listening(self) -> frozenset[str]:
        """Name the instances that listen and that the edge forwards to; none while the site is lost."""
        with self._lock:
            return self._registered if self.condition is Condition.UP else frozenset()

    def fence(self, *, on: bool) -> None:
        """Shut the database to its clients, or let them in again; a lost site gets it with its heal."""
        with self._lock:
            self._fenced = on
            if self.condition is not Condition.UP or self._edge is None:
                return
            self._edge.line.ask(edge.Fence(on), type(None))
        if on and self.database.is_writer() is not None:
            self.database.end_clients(within_s=2.0)

    def reachable(self) -> bool:
        """Ask the edge."""
        with self._lock:
            found = self._edge if self.condition is Condition.UP else None
        if found is None:
            return False
        try:
            found.line.ask(edge.Ping(), type(None), within_s=0.5)
        except DrillsError:
            return False
        return True

    def lost(self, condition: Condition) -> None:
        """Take note that the site was killed or cut off."""
        with self._lock:
            self.condition = condition
            if condition is Condition.KILLED:
                self._end_edge()
                self._instances.clear()
                self._registered = frozenset()

    def back(self) -> None:
        """Take note that the site is up again, and start the instances that are wanted."""
        with self._lock:
            self.condition = Condition.UP
            self.set_instances(self._wanted)
            self._register()

    def close(self) -> None:
        """Let go of the edge and the database; they are about to end."""
        self._wanted = frozenset()
        self.database.close()
        if self._edge is not None:
            self._edge.line.close()

    def _start(self, instance: str) -> None:
        config = app.Config(self.shape.name, instance, self._addresses.instances, self._addresses.dsn)
        process = self._processes.fork(Label(Role.APP, (self.shape.name,), instance), config)
        self._instances[instance] = _Instance(process)
        name = f"watch {self.shape.name} {instance}"
        threading.Thread(target=self._watch, args=(instance, process), name=name, daemon=True).start()

    def _watch(self, instance: str, process: Forked) -> None:
        """Register an instance when it listens, and forget it when it ends."""
        try:
            with contextlib.suppress(DrillsError):  # why it did not start stands in its log; it is then gone below
                self._arrived(instance, process, process.ready())
                process.line.wait_end()
        finally:
            with contextlib.suppress(DrillsError):
                self._processes.kill([process.pid])
            process.line.close()
            with self._lock:
                found = self._instances.get(instance)
                if found is not None and found.process is process:
                    del self._instances[instance]
                    self._register()
                    if found.leaving and instance in self._wanted:  # wanted again while it left
                        with contextlib.suppress(DrillsError):
                            self.set_instances(self._wanted)

    def _arrived(self, instance: str, process: Forked, port: int) -> None:
        with self._lock:
            found = self._instances.get(instance)
            if found is not None and found.process is process:
                self._instances[instance] = replace(found, port=port)
                self._register()

    def _register(self) -> None:
        """Tell the edge who listens. An edge that is gone or frozen gets it when it comes back."""
        there = {name: each for name, each in self._instances.items() if each.port and not each.leaving}
        if self._edge is None or self.condition is not Condition.UP:
            return
        targets = tuple(edge.Target(self._addresses.instances, each.port) for each in there.values())
        with contextlib.suppress(DrillsError):
            self._edge.line.ask(edge.Backends(targets), type(None))
            self._registered = frozenset(there)

    def _give_up(self, instance: str, process: Forked) -> None:
        """Kill an instance that does not drain."""
        with self._lock, contextlib.suppress(DrillsError):
            found = self._instances.get(instance)
            if found is not None and found.process is process:
                self._processes.kill([process.pid])

    def _end_edge(self) -> None:
        if self._edge is not None:
            with contextlib.suppress(DrillsError):
                self._processes.kill([self._edge.pid])
            self._edge.line.close()
            self._edge = None


def _target(endpoint: Endpoint) -> edge.Target:
    return edge.Target(endpoint.host, endpoint.port)
