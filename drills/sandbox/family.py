"""The living processes of one data plane, as their keeper sees them: when they ended, and how to end them."""

from __future__ import annotations

import os
import select
import signal
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from drills.sandbox.native import children_of, free_shared_memory
from drills.sandbox.orders import Exit, Label, Process, Role, Struck

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_GONE_S = 2.0  # a killed process is gone in milliseconds; what is not after this hangs in the kernel
_CODES_KEPT = 4096
_STRIKE_ORDER = {Role.LINK: 0, Role.EDGE: 1, Role.POSTGRES: 2}


@dataclass(frozen=True, slots=True)
class Child:
    """One process and who it is."""

    pid: int
    label: Label


class Family:
    """Not thread-safe: the keeper has one thread. ``fileno`` becomes readable when somebody ended."""

    def __init__(self, exits: Path) -> None:
        self._children: dict[int, Child] = {}
        self._watched: dict[int, Child] = {}  # by pidfd
        self._codes: dict[int, int] = {}
        self._recent: deque[Exit] = deque(maxlen=_CODES_KEPT)
        self._ends = select.epoll()
        self._exits = exits.open("ab", buffering=0)

    def fileno(self) -> int:
        """Give the descriptor to wait on."""
        return self._ends.fileno()

    def add(self, child: Child) -> None:
        """Take in a process that was just started."""
        self._children[child.pid] = child
        self._watch(child)

    def of_site(self, site: str) -> list[Child]:
        """List who belongs to a site; links belong to both of theirs."""
        return [child for child in self._children.values() if site in child.label.sites]

    def of_pids(self, pids: Iterable[int]) -> list[Child]:
        """List our processes among ``pids``."""
        return [self._children[pid] for pid in pids if pid in self._children]

    def code_of(self, pid: int) -> int | None:
        """Tell how a process of ours ended; ``None`` while it lives."""
        self.collect()
        return self._codes.get(pid)

    def send(self, pid: int, number: int) -> None:
        """Signal one of ours; nothing happens when it is gone."""
        if pid in self._children:
            _send(pid, signal.Signals(number))

    def everybody(self) -> list[Process]:
        """List every process, the keeper and PostgreSQL's children included."""
        self.collect()
        found = [Process(Label(Role.KEEPER), os.getpid())]
        for child in self._children.values():
            found.append(Process(child.label, child.pid))
            if child.label.role in (Role.POSTGRES, Role.TOOL):
                label = Label(Role.BACKEND, child.label.sites)
                found += [Process(label, pid) for pid in _descendants(child.pid)]
        return found

    def freeze(self, victims: Sequence[Child]) -> Struck:
        """SIGSTOP them."""
        before_ns = time.monotonic_ns()
        for child in _in_order(victims):
            _send(child.pid, signal.SIGSTOP)
        return Struck(before_ns, time.monotonic_ns())

    def kill(self, victims: Sequence[Child]) -> Struck:
        """End them as one: stop all, then kill all, links first, a postmaster after its children.

        PostgreSQL's children lead sessions of their own and a group kill misses them; a stopped postmaster starts no
        new ones while they are listed.
        """
        self.collect()
        ordered = _in_order([child for child in victims if child.pid in self._children])
        before_ns = time.monotonic_ns()
        for child in ordered:
            _send(child.pid, signal.SIGSTOP)
        doomed: list[Child] = []
        for child in ordered:
            label = Label(Role.BACKEND, child.label.sites)
            offspring = [Child(pid, label) for pid in _descendants(child.pid)]
            for each in offspring:
                self._watch(each)
            doomed += [*offspring, child]
        for each in doomed:
            _send(each.pid, signal.SIGKILL)
        after_ns = time.monotonic_ns()
        exits = self._await({child.pid for child in doomed}, before_ns)
        free_shared_memory({child.pid for child in doomed})
        if not exits:
            return Struck(before_ns, after_ns)
        return Struck(before_ns, after_ns, exits[0].at_ns, exits[-1].at_ns, tuple(exits))

    def end(self) -> None:
        """Kill everybody, orphans too."""
        self.kill(list(self._children.values()))
        until = time.monotonic() + _GONE_S
        while (orphans := children_of(os.getpid())) and time.monotonic() < until:
            for pid in orphans:
                _send(pid, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def collect(self, wait_s: float = 0) -> None:
        """Stamp and reap whoever ended."""
        for descriptor, _ in self._ends.poll(wait_s):
            at_ns = time.monotonic_ns()
            child = self._watched.pop(descriptor)
            self._ends.unregister(descriptor)
            os.close(descriptor)
            ended = Exit(at_ns, child.pid, child.label)
            self._recent.append(ended)
            self._exits.write(msgspec.json.encode(ended) + b"\n")
            if self._children.pop(child.pid, None) is not None:
                self._reap(child.pid)
        if not self._watched or wait_s == 0:
            self._reap_orphans()

    def _await(self, pids: set[int], since_ns: int) -> list[Exit]:
        until = time.monotonic() + _GONE_S
        while time.monotonic() < until:
            if not any(child.pid in pids for child in self._watched.values()):
                break
            self.collect(max(0.001, until - time.monotonic()))
        return sorted(
            (each for each in self._recent if each.pid in pids and each.at_ns >= since_ns), key=lambda each: each.at_ns
        )

    def _watch(self, child: Child) -> None:
        try:
            descriptor = os.pidfd_open(child.pid)
        except ProcessLookupError:
            return
        self._watched[descriptor] = child
        self._ends.register(descriptor, select.EPOLLIN)

    def _reap(self, pid: int) -> None:
        try:
            _, status = os.waitpid(pid, 0)
        except ChildProcessError:
            return
        self._codes[pid] = os.waitstatus_to_exitcode(status)
        while len(self._codes) > _CODES_KEPT:
            del self._codes[next(iter(self._codes))]

    def _reap_orphans(self) -> None:
        """Reap adopted processes, which nobody else will; ours are reaped where they are stamped."""
        for pid in children_of(os.getpid()):
            if pid not in self._children:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)


def _in_order(victims: Iterable[Child]) -> list[Child]:
    return sorted(victims, key=lambda child: _STRIKE_ORDER.get(child.label.role, len(_STRIKE_ORDER)))


def _descendants(pid: int) -> list[int]:
    """List the children of a process and theirs, the deepest last."""
    found = children_of(pid)
    for child in found:
        found += children_of(child)
    return found


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
