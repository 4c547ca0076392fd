"""The availability prober against real services: what it saw must agree with what was done to them."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace as altered
from observe_world import SECRET, Mood, NameServer, Service, clock, free_port, mono, postgres_pair, wait_until

from drills.clock import process_start
from drills.errors import Refused
from drills.observe.answer import Answer, Stamps
from drills.observe.job import ProbeJob
from drills.observe.names import System
from drills.observe.prober import Prober, first_header
from drills.observe.recorder import Recorder
from drills.observe.settle import stable
from drills.observe.start import Observers
from drills.observe.store import read_controls, read_header, read_requests, read_samples, seal
from drills.timeline.events import Watching
from drills.timeline.samples import Persona, Sample

MS = 1_000_000
HEADER = "X-Drills-Site"


def job(observer: str, url: str, **fields: object) -> ProbeJob:
    made = ProbeJob(observer, url, "", header=HEADER, every_s=0.02, timeout_s=0.3)
    return replace(made, **fields)  # pyright: ignore[reportArgumentType] - each test names fields of its own


@contextmanager
def observing(folder: Path, *jobs: ProbeJob) -> Generator[dict[str, Path]]:
    """Run observers while the block runs; give their files by id."""
    observers = Observers()
    started = observers.start(jobs, folder)
    try:
        yield {one.observer: Path(one.file) for one in started}
    finally:
        assert observers.stop(started) == []


def rows(file: Path) -> list[Sample]:
    """Give the requests that were told something, by ``sent``; on a busy machine some slots are missed."""
    told = [row for row in read_requests(file) if row.up is not None]
    assert told, "nothing was observed"
    return sorted(told, key=lambda row: row.sent)


def labels(found: list[Sample], first: int, last: int) -> set[bool | None]:
    """Give the labels of the requests sent and ended within two moments."""
    return {row.up for row in found if row.sent > first and row.ended < last}


def test_an_outage_of_any_kind_is_recorded_with_the_truth_inside_its_brackets(tmp_path: Path) -> None:
    kinds: dict[str, tuple[Callable[[Service], tuple[int, int]], Callable[[Service], tuple[int, int]]]] = {
        "refused": (Service.close, Service.open),
        "silent": (lambda one: one.become(Mood.SILENT), lambda one: one.become(Mood.UP)),
        "broken": (lambda one: one.become(Mood.BROKEN), lambda one: one.become(Mood.UP)),
        "body": (lambda one: one.become(Mood.OTHER_BODY), lambda one: one.become(Mood.UP)),
    }
    services = {kind: Service() for kind in kinds}
    jobs = [job(kind, service.url, body="all is well") for kind, service in services.items()]
    down: dict[str, tuple[int, int]] = {}
    up: dict[str, tuple[int, int]] = {}
    with observing(tmp_path, *jobs) as files:
        clock.sleep(0.3)
        for kind, (fail, _) in kinds.items():
            down[kind] = fail(services[kind])
        clock.sleep(0.8)
        for kind, (_, mend) in kinds.items():
            up[kind] = mend(services[kind])
        clock.sleep(0.5)
    for kind, file in files.items():
        found = rows(file)
        assert labels(found, 0, down[kind][0]) == {True}, kind
        assert labels(found, down[kind][1], up[kind][0]) == {False}, kind
        assert labels(found, up[kind][1], mono()) == {True}, kind
        bads = [row for row in found if row.up is False]
        # The service was down at some instant of each bad bracket, and every bad one ends in time.
        assert all(row.ended >= down[kind][0] and row.sent <= up[kind][1] for row in bads), kind
        assert {row.hard for row in bads} == {kind != "silent"}, kind
        assert all(row.ended - row.sent < 450 * MS for row in bads), kind
        slots = sorted(row.sent for row in read_requests(file))
        assert max(later - sooner for sooner, later in pairwise(slots)) < 250 * MS, kind
        services[kind].close()
    silent = [row for row in rows(files["silent"]) if row.up is False]
    assert all(row.ended - row.sent >= 300 * MS for row in silent if row.detail.startswith("timeout"))
    assert {row.by for row in rows(files["broken"])} == {"east"}


def test_flaps_are_seen_one_by_one_and_end_the_wait_for_stability(tmp_path: Path) -> None:
    with Service(site="west") as service, observing(tmp_path, job("web", service.url)) as files:
        edges: list[int] = []
        for _ in range(3):
            edges += service.become(Mood.BROKEN)
            clock.sleep(0.12)
            edges += service.become(Mood.UP)
            clock.sleep(0.2)
        assert stable(files["web"], "west", edges[0], 400 * MS).ok is False
        wait_until(lambda: stable(files["web"], "west", edges[0], 400 * MS).ok, "stable for 400 ms")
    found = rows(files["web"])
    for flap in range(3):
        down_before, down_after, up_before, up_after = edges[flap * 4 : flap * 4 + 4]
        assert labels(found, down_after, up_before) == {False}
        assert any(row.up is False and row.ended >= down_before and row.sent <= up_after for row in found)
        following = edges[flap * 4 + 4] if flap < 2 else mono()
        assert labels(found, up_after, following) == {True}


def test_each_persona_follows_dns_in_its_own_way(tmp_path: Path) -> None:
    port = free_port("127.0.0.1", "127.0.0.2")
    url = f"http://orders.test:{port}/"
    with (
        Service("127.0.0.1", port, "east"),
        Service("127.0.0.2", port, "west"),
        NameServer({"orders.test": ("127.0.0.1", 1)}) as names,
        observing(
            tmp_path,
            job("fresh", url, resolver=names.address),
            job("ttl", url, resolve="ttl", resolver=names.address),
            job("pool", url, resolve="keepalive", resolver=names.address),
            job("direct", url, resolve="direct", connect_to="127.0.0.2"),
        ) as files,
    ):
        clock.sleep(0.3)
        before = mono()
        names.records["orders.test"] = ("127.0.0.2", 1)
        after = mono()
        clock.sleep(1.6)
    seen = {persona: rows(file) for persona, file in files.items()}
    assert {row.up for found in seen.values() for row in found} == {True}
    for persona in ("fresh", "ttl"):
        assert {row.by for row in seen[persona] if row.ended < before} == {"east"}
        assert seen[persona][-1].by == "west"
    assert {row.by for row in seen["fresh"] if row.sent > after} == {"west"}
    stale = [row for row in seen["ttl"] if row.sent > after and row.by == "east"]
    assert stale, "the cache was left at once"
    assert all(row.sent < after + 1_050 * MS for row in stale), "an answer was kept beyond its TTL"
    kept = [row for row in seen["pool"] if row.by == "east" and row.sent > after + 1_050 * MS]
    assert kept, "a connection that stands was left when its name moved"  # a slow answer makes it open a second one
    assert {row.by for row in seen["direct"]} == {"west"}
    header = read_header(files["ttl"])
    assert (header.persona, header.ttl_ns, header.identified) == (Persona.TTL, 1_000 * MS, True)
    one = seen["fresh"][1]
    assert one.resolved is not None
    assert one.connected is not None
    assert one.first_byte is not None
    assert one.sent <= one.resolved <= one.connected <= one.first_byte <= one.ended


def test_dns_failures_are_bad_and_a_silent_name_server_is_a_timeout(tmp_path: Path) -> None:
    with (
        Service() as service,
        NameServer() as names,
        NameServer(mute=True) as mute,
        observing(
            tmp_path,
            job("unknown", f"http://orders.test:{service.port}/", resolver=names.address),
            job("mute", f"http://orders.test:{service.port}/", resolver=mute.address),
        ) as files,
    ):
        clock.sleep(0.6)
    for name, hard, words in (("unknown", True, "NXDOMAIN"), ("mute", False, "")):
        found = rows(files[name])
        assert {(row.up, row.hard) for row in found} == {(False, hard)}
        assert all(words in row.detail for row in found)


def test_a_firewall_or_a_limiter_is_no_evidence(tmp_path: Path) -> None:
    with Service() as service, observing(tmp_path, job("web", service.url)) as files:
        for mood in (Mood.DENIED, Mood.LIMITED):
            service.become(mood)
            clock.sleep(0.15)
    found = [row for row in read_requests(files["web"]) if row.status in (403, 429)]
    assert {row.status for row in found} == {403, 429}
    assert {row.up for row in found} == {None}


def test_tcp_and_dns_targets_are_probed_too(tmp_path: Path) -> None:
    with (
        Service() as service,
        NameServer({"orders.test": ("127.0.0.7", 5)}) as names,
        observing(
            tmp_path,
            job("tcp", f"tcp://127.0.0.1:{service.port}"),
            job("shut", f"tcp://127.0.0.1:{free_port('127.0.0.1')}"),
            job("dns", "dns://orders.test", resolver=names.address),
            job("lost", "dns://elsewhere.test", resolver=names.address),
        ) as files,
    ):
        clock.sleep(0.2)
    assert {row.up for row in rows(files["tcp"])} == {True}
    assert {(row.up, row.hard) for row in rows(files["shut"])} == {(False, True)}
    assert {(row.up, row.detail) for row in rows(files["dns"])} == {(True, "127.0.0.7")}
    assert {row.up for row in rows(files["lost"])} == {False}


def _certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for orders.test that is its own authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "orders.test")])
    begin = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    names = [x509.DNSName("orders.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + dt.timedelta(days=40_000))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "orders.pem"
    text = serialization.Encoding.PEM
    private = key.private_bytes(text, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(made.public_bytes(text) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return file, context


def test_https_is_verified_as_a_client_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem, context = _certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with Service(tls=context) as service:
        elsewhere = f"127.0.0.1:{service.port}"
        with observing(
            tmp_path,
            job("good", f"https://orders.test:{service.port}/", resolve="direct", connect_to=elsewhere, timeout_s=1),
            job("other", f"https://other.test:{service.port}/", resolve="direct", connect_to=elsewhere, timeout_s=1),
        ) as files:
            clock.sleep(0.4)
    assert {(row.up, row.by) for row in rows(files["good"])} == {(True, "east")}
    judged = rows(files["other"])
    assert {(row.up, row.hard) for row in judged} == {(False, True)}
    assert "certificate" in judged[0].detail.lower()


def test_a_file_of_certificates_may_be_given(tmp_path: Path) -> None:
    pem, context = _certificate(tmp_path)
    with Service(tls=context) as service:
        url = f"https://127.0.0.1:{service.port}/"
        with observing(tmp_path, job("own", url, ca=str(pem), timeout_s=1), job("stranger", url, timeout_s=1)) as files:
            clock.sleep(0.4)
    assert {row.up for row in rows(files["own"])} == {True}
    assert {(row.up, row.hard) for row in rows(files["stranger"])} == {(False, True)}


def test_a_name_that_leads_elsewhere_is_not_as_expected(tmp_path: Path) -> None:
    with (
        NameServer({"orders.test": ("127.0.0.7", 5)}) as names,
        observing(
            tmp_path,
            job("here", "dns://orders.test", resolver=names.address, addresses=("127.0.0.7", "127.0.0.8")),
            job("there", "dns://orders.test", resolver=names.address, addresses=("127.0.0.8",)),
        ) as files,
    ):
        clock.sleep(0.2)
    assert {row.up for row in rows(files["here"])} == {True}
    assert {(row.up, row.detail) for row in rows(files["there"])} == {(False, "127.0.0.7: not as expected")}


def test_sql_is_read_and_written_and_a_standby_takes_no_writes(tmp_path: Path) -> None:
    sql = {"every_s": 0.1, "timeout_s": 1.0, "header": "", "query": "SELECT 7"}
    with postgres_pair() as (primary, standby):
        primary.ask("CREATE TABLE drills_probe (at timestamptz NOT NULL)")
        with observing(
            tmp_path,
            job("reads", "sql-read://reads", dsn=primary.dsn, value="7", **sql),
            job("patient", "sql-read://patient", dsn=primary.dsn, **{**sql, "timeout_s": 8.0}),
            job("pooled", "sql-read://pooled", dsn=primary.dsn, resolve="keepalive", **sql),
            job("other", "sql-read://other", dsn=primary.dsn, value="8", **sql),
            job("writes", "sql-write://writes", dsn=primary.dsn, **sql),
            job("standby", "sql-write://standby", dsn=standby.dsn, **sql),
        ) as files:
            clock.sleep(1)
            frozen = mono()
            primary.freeze()
            clock.sleep(2.2)
            thawed = mono()
            primary.thaw()
            clock.sleep(1)
    seen = {name: rows(file) for name, file in files.items()}
    for name in ("reads", "pooled", "writes"):
        assert labels(seen[name], 0, frozen) == {True}, name
        assert labels(seen[name], frozen, thawed) == {False}, name
        assert seen[name][-1].up is True, name
    waited = [row for row in seen["patient"] if row.ended - row.sent > 1_500 * MS]
    assert waited, "nothing was asked of the frozen server"
    assert {row.up for row in waited} == {True}, "a request has the whole timeout that was chosen for it"
    assert {row.detail for row in seen["writes"] if row.up} == {"inserted and rolled back"}
    assert {(row.up, row.detail) for row in seen["other"] if row.ended < frozen} == {(False, "7, not 8")}
    assert {(row.up, row.hard) for row in seen["standby"]} == {(False, True)}
    told = "".join(file.read_text() for file in tmp_path.glob("*.json"))
    assert SECRET not in told + "".join(file.read_text() for file in tmp_path.glob("*.log"))
    assert all(SECRET.encode() not in file.read_bytes() for file in tmp_path.glob("*.db*"))


def test_a_stalled_prober_records_unknown_and_never_an_outage(tmp_path: Path) -> None:
    with Service() as service:
        service.become(Mood.SLOW)
        observers = Observers()
        (watching,) = observers.start([job("web", service.url)], tmp_path)
        clock.sleep(0.5)
        begin = mono()
        os.kill(watching.pid, signal.SIGSTOP)
        clock.sleep(0.9)
        os.kill(watching.pid, signal.SIGCONT)
        end = mono()
        clock.sleep(0.6)
        assert observers.stop([watching]) == []
    file = Path(watching.file)
    read = read_samples(file)
    assert False not in {row.up for row in read}
    # Both ends of the stall, give or take a slot, are unknown; a missed slot has its own row.
    inside = [row for row in read if begin + 40 * MS < row.sent < end - 40 * MS]
    assert len(inside) > 30
    assert {row.up for row in inside} == {None}
    header = read_header(file)
    assert header.missed > 30
    assert header.late_max_ns is not None
    assert header.late_max_ns > 800 * MS
    assert not all(look.ok for look in read_controls(file))
    assert 1 in {row.up for row in read if row.ended < begin}
    assert 1 in {row.up for row in read if row.sent > end}


def test_lateness_under_a_busy_machine_is_recorded(tmp_path: Path) -> None:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        with Service() as service, observing(tmp_path, job("web", service.url)) as files:
            clock.sleep(1.0)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    header = read_header(files["web"])
    assert header.late_p99_ns is not None
    assert header.late_max_ns is not None
    assert 0 < header.late_p99_ns <= header.late_max_ns
    assert header.scheduler in ("SCHED_FIFO", "SCHED_OTHER (denied)")
    late = sum(1 for row in read_requests(files["web"]) if row.detail.startswith("missed"))
    assert late == header.missed
    assert max(look.late_ns for look in read_controls(files["web"])) > 0


class Stubborn:
    """A target that holds on to its slot for a while even when it is told to let go."""

    host = ""

    def __init__(self) -> None:
        self.names = System()

    async def ask(self, stamps: Stamps) -> Answer:
        del stamps
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            await asyncio.sleep(0.4)
            raise
        return Answer(up=True)

    async def close(self) -> None:
        pass


def test_a_slot_without_room_is_unknown_and_not_bad(tmp_path: Path) -> None:
    mine = job("web", "http://127.0.0.1/", file=str(tmp_path / "a.db"), every_s=0.01, timeout_s=0.05)
    recorder = Recorder(tmp_path / "a.db", first_header(mine, ""))

    async def observe() -> Prober:
        prober = Prober(mine, Stubborn(), recorder)
        ticking = asyncio.create_task(prober.tick())
        await asyncio.sleep(0.3)
        ticking.cancel()
        await prober.settle()
        return prober

    prober = asyncio.run(observe())
    recorder.header = prober.header(recorder.header)
    recorder.flush(recorder.take(), [])
    recorder.close()
    dropped = [row for row in read_requests(tmp_path / "a.db") if row.detail.startswith("dropped: 7 ")]
    assert len(dropped) > 10
    assert {row.up for row in dropped} == {None}
    assert read_header(tmp_path / "a.db").dropped == len(dropped)


PARENT = """
import os, sys, json
from pathlib import Path
from drills.observe.job import ProbeJob
from drills.observe.start import Observers
made = Observers().start([ProbeJob("web", sys.argv[1], "", every_s=0.02)], Path(sys.argv[2]))
print(json.dumps([made[0].observer, made[0].file, made[0].pid, made[0].process]), flush=True)
sys.stdin.read()
"""


def test_a_killed_parent_leaves_the_prober_working_and_another_adopts_it(tmp_path: Path) -> None:
    with Service() as service:
        with subprocess.Popen(
            [sys.executable, "-c", PARENT, service.url, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as parent:
            assert parent.stdout is not None
            watching = Watching(*json.loads(parent.stdout.readline()))
            os.killpg(parent.pid, signal.SIGHUP)
            os.killpg(parent.pid, signal.SIGKILL)
        killed = mono()
        file = Path(watching.file)
        wait_until(lambda: any(row.sent > killed for row in read_requests(file)), "rows after the kill")
        observers = Observers()
        assert observers.adopt(watching)
        assert not observers.adopt(altered(watching, process="1"))
        assert observers.stop([watching]) == []
        assert not observers.alive(watching)
    assert read_header(file).ended is not None
    assert seal(file) == seal(file)


def test_what_was_flushed_survives_a_killed_prober(tmp_path: Path) -> None:
    with Service() as service:
        observers = Observers()
        (watching,) = observers.start([job("web", service.url)], tmp_path)
        file = Path(watching.file)
        wait_until(lambda: len(read_requests(file)) > 20, "20 rows")
        os.kill(watching.pid, signal.SIGKILL)
        wait_until(lambda: not observers.alive(watching), "its end")
        found = read_requests(file)
        assert len(found) > 20
        assert read_header(file).ended is None
        (second,) = observers.start([job("web", service.url)], tmp_path)
        assert second.file != watching.file
        assert observers.stop([watching, second]) == []
    assert read_requests(file) == found


def test_an_observer_ends_with_its_owner_and_at_its_deadline(tmp_path: Path) -> None:
    with Service() as service, subprocess.Popen(["/bin/sleep", "60"]) as owner:
        observers = Observers()
        started = observers.start(
            [
                job("owned", service.url, owner_pid=owner.pid, owner_start=process_start(owner.pid)),
                job("brief", service.url, deadline_s=0.5, grace_s=0.2),
            ],
            tmp_path,
        )
        wait_until(lambda: not observers.alive(started[1]), "the deadline")
        assert observers.alive(started[0])
        owner.kill()
        wait_until(lambda: not observers.alive(started[0]), "the owner's end")
        observers.stop(started)
    assert "has gone" in (tmp_path / "owned.log").read_text()
    assert "past its deadline" in (tmp_path / "brief.log").read_text()
    assert read_header(tmp_path / "brief.db").ended is not None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"url": "ftp://a/"}, "is not a URL of http"),
        ({"url": "tcp://a"}, "names no port"),
        ({"every_s": 0.0}, "must be at least"),
        ({"resolve": "magic"}, "not one of fresh"),
        ({"id": "../a"}, "an id has letters"),
        ({"resolver": "127.0.0.1:x"}, "is not host:port"),
        ({"ca": "/nowhere.pem"}, "cannot be read"),
        ({"url": "sql-read://a"}, "no address of the SQL server"),
        ({"url": "sql-read://a", "dsn": "nonsense"}, "none of PostgreSQL"),
    ],
)
def test_a_job_without_sense_is_refused_with_its_reason(tmp_path: Path, wrong: dict[str, object], words: str) -> None:
    fields: dict[str, object] = {"id": "web", "url": "http://orders.test/", "file": ""} | wrong
    with pytest.raises(Refused, match=words):
        Observers().start([ProbeJob(**fields)], tmp_path)  # pyright: ignore[reportArgumentType] - what is wrong is the point


def test_the_address_that_answers_tells_which_site_it_was(tmp_path: Path) -> None:
    networks = (("127.0.1.0/24", "east"), ("127.0.2.7", "west"))
    with (
        NameServer({"orders.test": ("127.0.1.5", 0)}) as names,
        Service("127.0.1.5") as east,
        Service("127.0.2.7", east.port),
        Service("127.0.3.1", east.port),
    ):
        url = f"http://orders.test:{east.port}/"
        fresh = job("fresh", url, resolver=names.address, header="", by_address=networks)
        jobs = (
            fresh,
            replace(fresh, id="pool", resolve="keepalive"),
            replace(fresh, id="port", url=f"tcp://orders.test:{east.port}"),
            replace(fresh, id="bodiless", method="HEAD"),
        )
        with observing(tmp_path, *jobs) as files:

            def answered(name: str, site: str) -> bool:
                return any(row.by == site for row in read_requests(files[name]) if row.connected)

            wait_until(lambda: all(answered(name, "east") for name in files), "the old site")
            for address, site in (("127.0.2.7", "west"), ("127.0.3.1", "")):
                names.records["orders.test"] = (address, 0)
                wait_until(lambda s=site: all(answered(n, s) for n in files if n != "pool"), site or "a stranger")
        assert all(read_header(file).identified for file in files.values())
