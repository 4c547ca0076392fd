"""``drills measure`` as a user runs it: real servers that refuse, hang and answer 503; the truth inside the bounds."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from observe_world import Mood, NameServer, Service, clock, free_port, mono, wait_until
from report_drills import drills, environment

from drills.cli.main import main

STARTED = re.compile(r"^watching ", re.MULTILINE)
Moment = tuple[int, int]


class Server:
    """An HTTP server in a process of its own, killed with SIGKILL and started again on the same port."""

    CODE = (
        "import http.server, sys\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers(); self.wfile.write(b'well')\n"
        "    def log_message(self, *_): pass\n"
        "s = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), H)\n"
        "print('listening', flush=True); s.serve_forever()\n"
    )

    def __init__(self) -> None:
        self.port = free_port("127.0.0.1")
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> Moment:
        before = mono()
        words = [sys.executable, "-c", self.CODE, str(self.port)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "listening\n"
        return before, mono()

    def kill(self) -> Moment:
        assert self.process is not None
        before = mono()
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return before, mono()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@contextmanager
def measuring(home: Path, *words: str) -> Generator[tuple[subprocess.Popen[str], Path]]:
    """Run the command beside the test; give it, and the file its live lines go to."""
    live = home / "live"
    with live.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "drills", "measure", "--output", "json", *words],
            env=environment(home),
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            start_new_session=True,
        )
        try:
            wait_until(lambda: STARTED.search(live.read_text()), "the first line", 30)
            yield process, live
        finally:
            process.terminate()
            try:
                process.wait(20)
            finally:
                process.kill()


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Press Ctrl-C, and give the summary."""
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    told = json.loads(out)
    assert told["exit_code"] == process.returncode
    return told


def holds(told: dict[str, Any], truth: Moment) -> bool:
    """Say whether the whole bracket of the truth lies in the bounds, but for the width of the bracket itself."""
    return told["low_mono_ns"] <= truth[1] and truth[0] <= told["high_mono_ns"]


def test_outages_of_every_kind_are_told_live_and_hold_the_truth(tmp_path: Path) -> None:
    with Server() as killed, Service() as hanging, Service() as broken, Service() as healthy:
        urls = [killed.url, hanging.url, broken.url, healthy.url]
        words = ("--every", "50ms", "--timeout", "500ms", "--stable-for", "1500ms", "--for", "60s")
        with measuring(tmp_path, *urls, *words) as (process, live):
            clock.sleep(1.0)
            begins: dict[str, Moment] = {
                killed.url: killed.kill(),
                hanging.url: hanging.become(Mood.SILENT),
                broken.url: broken.become(Mood.BROKEN),
            }
            wait_until(lambda: live.read_text().count("DOWN ") == 3, "three outages told while they last")
            ends: dict[str, Moment] = {
                killed.url: killed.start(),
                hanging.url: hanging.become(Mood.UP),
                broken.url: broken.become(Mood.UP),
            }
            wait_until(lambda: live.read_text().count("UP   ") == 3, "three ends told")
            told = ended(process)
    assert told["exit_code"] == 1
    found = {one["url"]: one for one in told["endpoints"]}
    assert found[healthy.url]["outages"] == []
    assert found[healthy.url]["hidden_s"] < 1
    for url, began in begins.items():
        (one,) = found[url]["outages"]
        assert holds(one["began"], began), (url, one, began)
        assert holds(one["ended"], ends[url]), (url, one, ends[url])
        shortest, longest = ends[url][0] - began[1], ends[url][1] - began[0]
        assert one["length"]["low_s"] * 1e9 <= longest
        assert shortest <= one["length"]["high_s"] * 1e9
        assert one["length"]["high_s"] - one["length"]["low_s"] < 2
    assert "111" in str(found[killed.url]["outages"][0]["told"])
    assert "503" in str(found[broken.url]["outages"][0]["told"])
    assert "timeout" in str(found[hanging.url]["outages"][0]["told"])


def test_a_healthy_endpoint_is_exit_0_and_its_samples_can_be_kept(tmp_path: Path) -> None:
    with Service() as service, NameServer({"orders.test": ("127.0.0.1", 5)}) as names:
        url = f"http://orders.test:{service.port}/"
        ran = drills(
            tmp_path, "measure", url, "--resolver", names.address, "--for", "1500ms", "--stable-for", "1s",
            "--keep", "samples",
        )  # fmt: skip
    assert names.asked > 5
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "no outage was seen" in ran.stdout
    assert "may be unseen" in ran.stdout
    assert (tmp_path / "samples" / "url-1.db").is_file()
    again = drills(tmp_path, "measure", "tcp://127.0.0.1:9", "--for", "1s", "--keep", "samples")
    assert (again.returncode, "is not empty" in again.stderr) == (2, True)


def test_answers_that_say_neither_up_nor_down_are_nothing_measured(tmp_path: Path) -> None:
    with Service() as denied, Service() as limited:
        denied.become(Mood.DENIED)
        limited.become(Mood.LIMITED)
        ran = drills(tmp_path, "measure", denied.url, limited.url, "--for", "1200ms", "--stable-for", "1s")
    assert ran.returncode == 3
    assert ran.stdout.count("nothing was measured;") == 2
    assert "neither up nor down" in ran.stdout
    assert "unknown: status 403 is no evidence" in ran.stdout
    assert ran.stdout.endswith("\nnothing was measured\n")


def test_an_endpoint_that_was_never_up_is_an_outage_without_a_beginning(tmp_path: Path) -> None:
    url = f"tcp://127.0.0.1:{free_port('127.0.0.1')}"
    ran = drills(tmp_path, "measure", url, "--for", "1500ms", "--stable-for", "1s")
    assert ran.returncode == 1
    said = " ".join(ran.stdout.split())
    assert "never seen up before" in said
    assert "not seen to end" in said
    assert all(len(line) <= 80 for line in ran.stdout.splitlines()[2:]), "a summary wider than a terminal"


def test_the_trouble_of_one_endpoint_is_not_told_of_another(tmp_path: Path) -> None:
    words = ("env:DRILLS_TEST_NOPE", "http://127.0.0.1:9/", "--for", "1s", "--stable-for", "500ms")
    ran = drills(tmp_path, "measure", *words, "--output", "json")
    wrong, down = json.loads(ran.stdout)["endpoints"]
    assert "DRILLS_TEST_NOPE" in wrong["trouble"]
    assert (wrong["measured"], down["measured"], down["trouble"]) == (False, True, "")
    assert ran.returncode == 1, "an outage was seen, at the other one"


def test_a_prober_that_dies_is_told_and_never_counts_as_no_outage(tmp_path: Path) -> None:
    with Service() as service, measuring(tmp_path, service.url, "--stable-for", "1s") as (process, live):
        (prober,) = children(process.pid)
        clock.sleep(1.5)
        os.kill(prober, signal.SIGKILL)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 3
    (one,) = json.loads(out)["endpoints"]
    assert one["measured"] is True
    assert "was not watched to the end" in one["trouble"]
    assert "LOST " in live.read_text()


def test_killing_the_command_leaves_no_prober_behind(tmp_path: Path) -> None:
    with Service() as service, measuring(tmp_path, service.url, "--stable-for", "1s") as (process, _):
        probers = children(process.pid)
        process.kill()
        process.wait(10)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in probers), "the prober ends by itself")


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ftp://x",), "is not a URL of http, https, tcp, dns or postgresql, nor env:NAME"),
        (("tcp://127.0.0.1",), "names no port"),
        (("http://127.0.0.1:99999/",), "'http://127.0.0.1:99999/' is no address: Port out of range 0-65535"),
        (("http://[::1/",), "'http://[::1/' is no address: Invalid IPv6 URL"),
        (("http://127.0.0.1:1", "--every", "5"), "write a number and a unit"),
        (("http://127.0.0.1:1", "--for", "0s"), "longer than nothing"),
        (("http://127.0.0.1:1", "--every", "2s"), "too coarse for --stable-for"),
        ((), "Missing argument"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert main(["measure", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, says in err) == ("", True), err
