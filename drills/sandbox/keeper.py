"""The keeper: a small process that starts, stamps and kills every process of one data plane.

It exists because the world has threads and a busy interpreter: a fork with a death signal is safe only without threads,
the kernel ties that signal to the thread that forked, and the moment of an exit must not wait for anybody's lock.
When the world ends, by whatever signal, its end of the line closes: the keeper kills everything, removes the scratch
folder and ends. Should the keeper itself be killed, the kernel kills its children.

Run as ``python -m drills.sandbox.keeper FD OWNER_PID EXITS SCRATCH``.
"""

from __future__ import annotations

import gc
import os
import select
import shutil
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import assert_never

import msgspec

from drills.errors import DrillsError
from drills.sandbox.family import Child, Family
from drills.sandbox.line import PACKET_BYTES, Answer, Question, encode
from drills.sandbox.native import adopt_orphans, die_with_parent, name_process
from drills.sandbox.orders import (
    Close,
    Count,
    Ended,
    Exec,
    Fork,
    Freeze,
    Kill,
    Label,
    Open,
    Order,
    Outcome,
    Role,
    Send,
    Started,
    Warm,
)

_orders: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
_CONTROL = 3  # the descriptor a fork finds its line at
_LOOK_S = 1.0


class Keeper:
    """Obeys the world, one order at a time."""

    def __init__(self, world: socket.socket, family: Family) -> None:
        self._world = world
        self._family = family
        self._closed: set[str] = set()

    def serve(self, owner: int) -> None:
        """Obey until the world is gone."""
        watch = select.poll()
        watch.register(self._world, select.POLLIN)
        watch.register(owner, select.POLLIN)
        watch.register(self._family.fileno(), select.POLLIN)
        while True:
            ready = [fd for fd, _ in watch.poll(_LOOK_S * 1000)]
            self._family.collect()
            if owner in ready or (self._world.fileno() in ready and not self._obey_next()):
                return

    def _obey_next(self) -> bool:
        try:
            packet, files, _, _ = socket.recv_fds(self._world, PACKET_BYTES, 1)
        except ConnectionError:
            return False
        if not packet:
            return False
        question = msgspec.json.decode(packet, type=Question)
        try:
            answer = Answer(question.number, "", encode(self._obey(_orders.decode(question.body), files)))
        except (DrillsError, OSError, msgspec.MsgspecError) as error:
            answer = Answer(question.number, f"{error}")
        finally:
            for file in files:
                os.close(file)
        try:
            self._world.send(msgspec.json.encode(answer))
        except OSError:
            return False
        return True

    def _obey(self, order: Order, files: list[int]) -> object:
        match order:
            case Exec():
                return Started(self._exec(order))
            case Fork():
                return Started(self._fork(order, files))
            case Warm():
                return _warm()
            case Close(site):
                self._closed.add(site)
                return self._family.kill(self._family.of_site(site))
            case Open(site):
                return self._closed.discard(site)
            case Freeze(site, roles):
                return self._family.freeze([child for child in self._family.of_site(site) if child.label.role in roles])
            case Kill(pids):
                return self._family.kill(self._family.of_pids(pids))
            case Send(pid, number):
                return self._family.send(pid, number)
            case Ended(pid):
                code = self._family.code_of(pid)
                return Outcome(ended=code is not None, code=code or 0)
            case Count():
                return self._family.everybody()
            case _:
                assert_never(order)

    def _admit(self, label: Label) -> None:
        lost = self._closed.intersection(label.sites)
        if lost:
            raise DrillsError(f"{label.role} cannot start: site {', '.join(sorted(lost))} is lost")

    def _exec(self, order: Exec) -> int:
        self._admit(order.label)
        keeper = os.getpid()
        user = order.run_as
        with Path(order.log).open("ab") as log, Path(order.stdin).open("rb") as stdin:
            started = Popen(  # noqa: S603 - the world's own argv
                order.argv,
                stdin=stdin,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                user=None if user is None else user.uid,
                group=None if user is None else user.gid,
                extra_groups=None if user is None else [],
                preexec_fn=lambda: die_with_parent(keeper),  # noqa: PLW1509 - the keeper has no threads
            )
        self._family.add(Child(started.pid, order.label))
        started.returncode = 0  # the family reaps it
        return started.pid

    def _fork(self, order: Fork, files: list[int]) -> int:
        self._admit(order.label)
        if len(files) != 1:
            raise DrillsError(f"a {order.label.role} needs a line")
        keeper = os.getpid()
        log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        pid = os.fork()
        if pid == 0:
            _become(order, files[0], log, keeper)
        os.close(log)
        self._family.add(Child(pid, order.label))
        return pid


def _warm() -> None:
    import asyncio

    import aiohttp.web
    import dns.message
    import dns.rrset
    import psycopg

    from drills.sandbox import app, edge, nameserver, pipes, wan

    dns.rrset.from_text("a.", 1, "IN", "A", "127.0.0.1")  # dnspython loads a type when it first meets it
    dns.rrset.from_text("a.", 1, "IN", "SOA", ". . 1 1 1 1 1")
    loaded = (asyncio, aiohttp.web, dns.message, dns.rrset, psycopg, app, edge, nameserver, pipes, wan)
    gc.collect()
    gc.freeze()  # what the forks share stays shared
    del loaded


def _become(order: Fork, line: int, log: int, keeper: int) -> None:
    """Turn this fork into the process that was ordered; never returns."""
    code = 1
    try:
        die_with_parent(keeper)
        name_process(f"drills-{order.label.role}")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if line != _CONTROL:
            os.dup2(line, _CONTROL)
        for held in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208 - names are all that is wanted
            if held > _CONTROL:
                with suppress(OSError):  # the listing's own descriptor is gone already
                    os.close(held)
        _run_role(order, socket.socket(fileno=_CONTROL))
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it was, it belongs in this process's log and ends it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _run_role(order: Fork, control: socket.socket) -> None:
    from drills.sandbox import app, edge, nameserver, wan

    match order.label.role:
        case Role.APP:
            app.main(msgspec.json.decode(order.config, type=app.Config), control)
        case Role.EDGE:
            edge.main(msgspec.json.decode(order.config, type=edge.Config), control)
        case Role.LINK:
            wan.main(msgspec.json.decode(order.config, type=wan.Config), control)
        case Role.DNS:
            nameserver.main(msgspec.json.decode(order.config, type=nameserver.Config), control)
        case Role.POSTGRES | Role.BACKEND | Role.TOOL | Role.KEEPER:
            raise DrillsError(f"{order.label.role} is no role of ours")


def main(argv: list[str]) -> None:
    """Keep processes until the owner is gone."""
    line, owner, exits, scratch = int(argv[0]), int(argv[1]), Path(argv[2]), Path(argv[3])
    name_process("drills-keeper")
    adopt_orphans()
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    world = socket.socket(fileno=line)
    family = Family(exits)
    try:
        if os.getppid() == owner:
            Keeper(world, family).serve(os.pidfd_open(owner))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        family.end()
        shutil.rmtree(scratch, ignore_errors=True)


def _leave(number: int, frame: object) -> None:
    del number, frame
    raise SystemExit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
