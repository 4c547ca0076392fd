"""The service and the name server that fail at known moments."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from pathlib import Path

import dns.message
import dns.query
import pytest

from drills.calibrate.truth import ask_service
from drills.calibrate.world import Moment, NameServer, Service
from drills.clock import SystemClock
from drills.errors import DrillsError

MS = 1_000_000
clock = SystemClock()


def answer(service: Service) -> str:
    """Ask on a raw socket: the site that answered 200, or the name of what happened."""
    try:
        return ask_service(service.host, service.port, service.host) or "no 200"
    except OSError as error:
        return type(error).__name__


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def eventually_gone(pids: list[int]) -> bool:
    until = time.monotonic() + 5
    while not all(gone(pid) for pid in pids) and time.monotonic() < until:
        clock.sleep(0.01)
    return all(gone(pid) for pid in pids)


def test_each_order_takes_effect_within_the_bracket_it_gives() -> None:
    with Service() as service:
        said: list[str] = []
        for down, mode, up in [
            ("close", "", "open"),
            ("kill", "", "start"),
            ("full", "", "drain"),
            ("mode", "503", "mode"),
            ("mode", "maintenance", "mode"),
            ("mode", "hang", "mode"),
        ]:
            before = time.monotonic_ns()
            struck = service.order(down, mode=mode)
            assert before <= struck.earliest <= struck.latest <= time.monotonic_ns()
            said.append(answer(service))
            service.order(up, mode="up")
            assert answer(service) == "main"
        assert said == [
            "ConnectionRefusedError",
            "ConnectionRefusedError",
            "TimeoutError",
            "no 200",
            "maintenance",
            "TimeoutError",
        ]


def test_who_asked_a_process_that_stands_still_is_answered_when_it_goes_on() -> None:
    with Service() as service, socket.socket() as wire:
        service.order("stop")
        wire.connect((service.host, service.port))
        wire.sendall(b"GET / HTTP/1.0\r\n\r\n")
        wire.settimeout(0.2)
        with pytest.raises(TimeoutError):
            wire.recv(1)
        gone_on = service.order("go")
        assert wire.recv(512).startswith(b"HTTP/1.1 200")
        assert gone_on.latest > gone_on.earliest


def test_a_late_effect_comes_after_the_answer_and_is_told_when_it_was() -> None:
    with Service() as service:
        ordered = service.order("later", after_s=0.2)
        assert answer(service) == "main"
        assert service.order("effect") == Moment(0, 0)
        clock.sleep(0.3)
        effect = service.order("effect")
        assert effect.earliest - ordered.latest >= 190 * MS
        assert answer(service) == "ConnectionRefusedError"


@pytest.mark.parametrize("how", [signal.SIGKILL, None])
def test_no_process_of_the_service_outlives_its_keeper(how: signal.Signals | None) -> None:
    service = Service()
    (server,) = children(service.pid)
    service.order("stop")
    if how is None:
        service.end()
    else:
        os.kill(service.pid, how)
    assert eventually_gone([server])
    service.end()
    with pytest.raises(DrillsError):
        service.order("close")


def test_the_name_server_tells_one_address_with_its_ttl_and_writes_down_whom_it_told() -> None:
    with NameServer("127.0.0.1", 7) as names:
        host, _, port = names.at.partition(":")

        def ask(kind: str) -> list[str]:
            question = dns.message.make_query("client.calibrate.test", kind)
            return [f"{one.ttl} {one[0]}" for one in dns.query.udp(question, host, port=int(port), timeout=3).answer]

        assert (ask("A"), ask("AAAA")) == (["7 127.0.0.1"], [])
        flipped = names.flip("127.0.0.2")
        assert ask("A") == ["7 127.0.0.2"]
        told = [one for one in names.told if one.at > flipped.latest]
        assert [(one.name, one.address) for one in told] == [("client.calibrate.test", "127.0.0.2")]


def test_an_answer_slower_than_the_witness_waits_is_an_outage_to_it_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()

        def serve() -> None:
            for _ in range(2):
                wire, _ = server.accept()
                with wire:
                    wire.recv(4096)
                    clock.sleep(0.4)
                    with contextlib.suppress(OSError):
                        wire.sendall(b"HTTP/1.0 200 OK\r\nX-Drills-Site: west\r\n\r\n")

        serving = threading.Thread(target=serve)
        serving.start()
        with pytest.raises(TimeoutError):
            ask_service(host, port, host)
        assert ask_service(host, port, host, patience_s=5.0) == "west"
        serving.join(10)
