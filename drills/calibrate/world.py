"""Our end of the service that fails on order, and a name server of one name: real things with known moments."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import drills
from drills.calibrate.service import now
from drills.calibrate.truth import ask_service
from drills.errors import DrillsError

if TYPE_CHECKING:
    from types import TracebackType

ANSWERS_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment known to lie in [earliest, latest]; nanoseconds of CLOCK_MONOTONIC."""

    earliest: int
    latest: int

    def later(self, ns: int) -> Moment:
        """Give the moment ``ns`` later (earlier, if negative)."""
        return Moment(self.earliest + ns, self.latest + ns)


class Service:
    """One service process of ``drills.calibrate.service``; every order gives the bracket of its effect."""

    def __init__(self, host: str = "127.0.0.1", site: str = "main", port: int = 0) -> None:
        self.host, self.site = host, site
        source = str(Path(drills.__file__).resolve().parent.parent)
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "drills.calibrate.service", host, site, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": source},
            start_new_session=True,
            bufsize=0,
        )
        try:
            self.port, *_ = self._answer()
        except BaseException:
            self.end()
            raise

    @property
    def pid(self) -> int:
        """The keeper's process."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.host}:{self.port}/healthz"

    def order(self, do: str, **more: str | float) -> Moment:
        """Have something done and give when it took effect; ``DrillsError`` when the process does not answer."""
        assert self._process.stdin is not None  # noqa: S101 - made with a pipe
        try:
            self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        except (OSError, ValueError) as error:  # it has gone, or we have ended it
            raise DrillsError("the calibrated service has ended") from error
        earliest, latest = self._answer()
        return Moment(earliest, latest)

    def round_trip(self) -> int:
        """Ask once on a raw socket and give how long the answer took, in nanoseconds."""
        sent = now()
        ask_service(self.host, self.port, self.host)
        return now() - sent

    def _answer(self) -> list[int]:
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101 - made with a pipe
        ready, _, _ = select.select([pipe], [], [], ANSWERS_WITHIN_S)
        line = pipe.readline() if ready else b""
        if not line:
            raise DrillsError(f"the calibrated service did not answer within {ANSWERS_WITHIN_S:g} s")
        return [int(one) for one in json.loads(line)]

    def end(self) -> None:
        """End both of its processes; safe twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()  # the kernel kills the server with its keeper
            self._process.wait(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()


@dataclass(frozen=True, slots=True)
class Told:
    """One answer of the name server."""

    name: str
    address: str
    at: int


class NameServer:
    """An authoritative DNS server (UDP, A records) for any name, all at one address, with a TTL in whole seconds."""

    def __init__(self, address: str, ttl_s: int) -> None:
        self.ttl_s = ttl_s
        self.told: list[Told] = []
        self._address = address
        self._lock = threading.Lock()
        self._wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._wire.bind(("127.0.0.1", 0))
        self._wire.settimeout(0.1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def at(self) -> str:
        """Where it answers, as ``host:port``."""
        host, port = self._wire.getsockname()
        return f"{host}:{port}"

    def flip(self, address: str) -> Moment:
        """Give another address from now on."""
        before = now()
        with self._lock:
            self._address = address
        return Moment(before, now())

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                question, client = self._wire.recvfrom(512)
            except TimeoutError:
                continue
            except OSError:
                return
            with self._lock:  # what is told and what is written down are one
                name, answer = _answer(question, self._address, self.ttl_s)
                self.told.append(Told(name, self._address, now()))
            self._wire.sendto(answer, client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(5)
        self._wire.close()


def _answer(question: bytes, address: str, ttl_s: int) -> tuple[str, bytes]:
    """Write the answer to a question by hand (RFC 1035); AAAA and the like have no records."""
    labels: list[str] = []
    place = 12
    while question[place]:
        end = place + 1 + question[place]
        labels.append(question[place + 1 : end].decode("ascii", "replace"))
        place = end
    asked = question[12 : place + 5]
    (kind,) = struct.unpack(">H", asked[-4:-2])
    found = kind == 1
    head = question[:2] + struct.pack(">HHHHH", 0x8480, 1, int(found), 0, 0)
    record = struct.pack(">HHHIH", 0xC00C, 1, 1, ttl_s, 4) + socket.inet_aton(address) if found else b""
    return ".".join(labels), head + asked + record
