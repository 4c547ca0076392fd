"""Capacity in what is expected: a first 200 with a part of the instances is no recovery."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from dataplane_world import ask, running, serving
from observe_world import clock, mono, wait_until

from drills.clock import clock_id
from drills.measure.effect import Disaster
from drills.measure.evidence import Bracket
from drills.measure.judge import judge
from drills.measure.question import Question, Target, Watch
from drills.observe.answer import Answer
from drills.observe.capacity import enough, reader
from drills.observe.job import ProbeJob
from drills.observe.start import Observers
from drills.observe.store import read_header, read_requests, read_samples
from drills.sandbox.addresses import Endpoint
from drills.timeline.marks import Mark

S = 1_000_000_000
GOOD = Answer(up=True, by="west", status=200)


@pytest.mark.parametrize(
    ("body", "expression", "up"),
    [
        (b'{"healthy": 4}', "healthy", True),
        (b'{"healthy": "4"}', "healthy", True),
        (b'{"healthy": 3}', "healthy", False),
        (b'{"targets": [{"up": true}, {"up": true}, {"up": true}, {"up": true}]}', "length(targets[?up])", True),
        (b'{"targets": 4}', "length(targets)", False),
        (b'{"healthy": true}', "healthy", False),
        (b'{"healthy": "NaN"}', "healthy", False),
        (b"<html>we are back soon</html>", "healthy", False),
        (b"[]", "healthy", False),
    ],
)
def test_an_answer_is_good_only_when_it_tells_of_enough(body: bytes, expression: str, *, up: bool) -> None:
    found = enough(reader(expression)(body), 4, GOOD)
    assert (found.up, found.by, found.status) == (up, "west", 200)
    assert found.hard is not up


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("X-Healthy", "2" if self.path == "/some" else "5")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class gives it
        del format, args


def test_a_header_tells_the_capacity_too(tmp_path: Path) -> None:
    def job(url: str) -> ProbeJob:
        return ProbeJob(url.rpartition("/")[2], url, "", every_s=0.02, at_least=4.0, at_header="X-Healthy")

    some, every = (read_requests(file) for file in probed(tmp_path, _Handler, job, "some", "all"))
    assert {one.up for one in every if one.status} == {True}
    assert {(one.up, one.detail) for one in some if one.status} == {(False, "capacity 2, at least 4 is needed")}


class _Naming(_Handler):
    """Names its site in the body, and in no header."""

    says: ClassVar = {"/named": '"west"', "/unnamed": "null", "/number": "7"}

    def do_GET(self) -> None:
        body = f'{{"server": {{"site": {self.says[self.path]}}}}}'.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_field_of_the_body_tells_which_site_answered(tmp_path: Path) -> None:
    def job(url: str) -> ProbeJob:
        return ProbeJob(url.rpartition("/")[2], url, "", every_s=0.02, by_json="server.site")

    files = probed(tmp_path, _Naming, job, "named", "unnamed", "number")
    answered = [{one.by for one in read_requests(file) if one.status} for file in files]
    assert answered == [{"west"}, {""}, {""}]
    assert all(read_header(file).identified for file in files)


def probed(folder: Path, handler: type[_Handler], job: Callable[[str], ProbeJob], *paths: str) -> list[Path]:
    """Serve, probe each path until it has answered a few times, and give the file of each."""
    server = ThreadingHTTPServer(("127.9.3.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    observers = Observers()
    watching = observers.start([job(f"http://127.9.3.1:{server.server_port}/{path}") for path in paths], folder)
    try:
        files = {one.observer: Path(one.file) for one in watching}
        wait_until(lambda: all(len(read_requests(file)) > 3 for file in files.values()), "answers")
    finally:
        observers.stop(list(watching))
        server.shutdown()
        server.server_close()
    return [files[path] for path in paths]


class _Truth(threading.Thread):
    """Asks on its own, by another client, and notes when it saw a thing first and not yet."""

    def __init__(self, at: Endpoint, enough_instances: int) -> None:
        super().__init__(daemon=True)
        self._at, self._enough = at, enough_instances
        self.ended = threading.Event()
        self.seen: dict[str, Bracket] = {}
        self._last_no = {"served": 0, "capacity": 0}

    def run(self) -> None:
        while not self.ended.is_set():
            begun = mono()
            try:
                reply = ask(self._at, "/capacity")
                served, healthy = reply.status == 200, int(reply.body.get("healthy", 0))
            except (OSError, ValueError):
                served, healthy = False, 0
            answered = mono()
            for what, yes in (("served", served), ("capacity", healthy >= self._enough)):
                if yes:
                    self.seen.setdefault(what, Bracket(self._last_no[what], answered))
                else:
                    self._last_no[what] = begun
                    self.seen.pop(what, None)
            clock.sleep(0.01)


@pytest.mark.prove  # the rehearsals of every run ask for capacity too
@pytest.mark.sandbox
def test_recovery_with_capacity_comes_later_than_the_first_answer_and_holds_the_truth(tmp_path: Path) -> None:
    """Three instances die; one comes back, and two more a second later."""
    with running(tmp_path / "plane") as plane:
        serving(plane, "east", "a", "b", "c")
        at = plane.addresses().sites["east"].app
        wait_until(lambda: ask(at, "/capacity").body.get("healthy") == 3, "three that write")
        url = f"http://{at}"
        jobs = [
            ProbeJob("checkout", f"{url}/healthz", "", every_s=0.05, timeout_s=1.0, stable_for_s=1.0),
            ProbeJob("capacity", f"{url}/capacity", "", every_s=0.05, timeout_s=1.0, at_least=3.0, at_json="healthy"),
        ]
        observers = Observers()
        watching = observers.start(jobs, tmp_path / "observers")
        files = [Path(one.file) for one in watching]
        clock.sleep(2.5)
        before = mono()
        plane.set_instances("east", ())
        wait_until(lambda: not plane.listening("east"), "an application that is gone")
        after = mono()
        truth = _Truth(at, 3)
        truth.start()
        clock.sleep(0.3)
        serving(plane, "east", "d")
        clock.sleep(1.0)
        serving(plane, "east", "d", "e", "f")
        wait_until(lambda: "capacity" in truth.seen, "capacity")
        clock.sleep(5)
        truth.ended.set()
        truth.join(5)
        assert observers.stop(list(watching)) == []
        judged = judge(_question(files, Bracket(before, after), mono()))
    found = {one.name: one for one in judged.objectives}
    first, whole = found["first-answer"], found["rto"]
    for one, seen in ((first, truth.seen["served"]), (whole, truth.seen["capacity"])):
        assert one.low_s is not None
        assert one.high_s is not None
        assert one.low_s <= (seen.latest - before) / S
        assert (seen.earliest - after) / S <= one.high_s
    assert first.high_s is not None
    assert whole.low_s is not None
    assert whole.low_s > first.high_s


def _question(files: list[Path], struck: Bracket, until: int) -> Question:
    watches = tuple(Watch(read_header(file), read_samples(file), 2 * S) for file in files)
    rto = Target("rto", Mark.DISASTER, Mark.SERVICE_RESTORED, 60 * S, joint=("checkout", "capacity"))
    first = Target("first-answer", Mark.DISASTER, Mark.SERVICE_RESTORED, 60 * S, seen_by=("checkout",))
    return Question(
        clock_id(),
        watches[0].header.time_namespace,
        Disaster(struck, confirmed=struck.latest),
        until,
        watches=watches,
        targets=(rto, first),
    )
