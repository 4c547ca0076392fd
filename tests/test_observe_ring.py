"""Rings: what `drills observe` keeps on disk, what it forgets, and what a drill takes over of it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from observe_world import Mood, Service, clock, mono, wait_until

from drills.clock import NS, clock_id
from drills.errors import Refused
from drills.observe import adopt as adopting
from drills.observe.adopt import Adopted, adopt
from drills.observe.held import held
from drills.observe.job import ProbeJob
from drills.observe.process import read_clocks, time_namespace
from drills.observe.ring import Ring, tidy
from drills.observe.start import Observers
from drills.observe.store import read_controls, read_header, read_requests, read_samples, seal
from drills.timeline.samples import Control, ObserverHeader, Persona, Sample

HOUR = 3600 * NS


def header(every_s: float = 1.0) -> ObserverHeader:
    clocks = read_clocks()
    every = round(every_s * NS)
    return ObserverHeader(
        "front", Persona.FRESH, "http://x", every, NS // 2, clock_id(), time_namespace(), clocks.monotonic
    )


def fill(ring: Ring, begin: int, end: int, *, up: bool | None = True, step: int = NS) -> None:
    for sent in range(begin, end, step):
        ring.sample(Sample(sent, sent + 1_000_000, up, detail="" if up else "refused"))
    assert ring.flush(ring.take(), []) == ""


def test_a_ring_forgets_what_is_older_than_it_keeps_and_says_so(tmp_path: Path) -> None:
    file, now = tmp_path / "front.db", mono()
    ring = Ring(file, header(), 72 * HOUR)
    fill(ring, now - 80 * HOUR, now, step=10 * NS)
    utc = read_clocks().realtime
    run = sqlite3.connect(file, isolation_level=None)
    (pages,) = run.execute("PRAGMA page_count").fetchone()
    gone = tidy(run, utc - 72 * HOUR, 10**9)
    ring.close()
    seen = held(file)
    assert seen.dropped == gone == 80 * 360 - seen.rows
    assert abs(gone - 8 * 360) <= 2  # the clocks went on meanwhile
    assert seen.oldest is not None
    assert abs(seen.oldest - (utc - 72 * HOUR)) < 11 * NS
    assert seen.dropped_until is not None
    assert seen.dropped_until < seen.oldest
    assert tidy(run, utc - 72 * HOUR, 1_000) == seen.rows - 1_000, "no more rows than may stand"
    assert held(file).rows == 1_000
    again = Ring(file, header(), 72 * HOUR)
    fill(again, now - 71 * HOUR, now, step=10 * NS)
    again.close()
    assert run.execute("PRAGMA page_count").fetchone()[0] <= pages * 1.05, "what was dropped is written over"
    run.close()


def test_only_failing_control_probes_and_the_one_before_are_kept(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "front.db", header(), HOUR)
    looks = [Control(number, number + 1, 1, number not in (40, 41)) for number in range(100)]
    for look in looks:
        ring.control(look)
    ring.flush(ring.take(), [])
    ring.close()
    assert read_controls(tmp_path / "front.db") == [looks[39], looks[40], looks[41]]


def test_a_ring_has_one_writer_and_one_that_cannot_be_read_is_put_aside(tmp_path: Path) -> None:
    file = tmp_path / "front.db"
    ring = Ring(file, header(), HOUR)
    with pytest.raises(Refused, match="another observer writes this ring"):
        Ring(file, header(), HOUR)
    ring.close()
    file.write_bytes(b"not a database at all" * 1000)
    Ring(file, header(), HOUR).close()
    assert any("could not be read" in note for note in read_header(file).notes)
    assert (tmp_path / "front.db.damaged").read_bytes().startswith(b"not a database")


def test_a_drill_takes_over_what_lies_before_it_and_gaps_stay_gaps(tmp_path: Path) -> None:
    ring, copy, now = tmp_path / "front.db", tmp_path / "copy.db", mono()
    first = Ring(ring, header(), 72 * HOUR)
    fill(first, now - 10 * HOUR, now - HOUR)
    first.close()
    second = Ring(ring, header(), 72 * HOUR)
    fill(second, now - 600 * NS, now - 60 * NS)
    fill(second, now - 60 * NS, now, up=False)
    second.close()
    taken = adopt(ring, copy, "checkout", now)
    assert isinstance(taken, Adopted)
    assert any("1 gap without a look, the longest 50m" in note for note in taken.notes)
    rows = read_requests(copy)
    assert (rows[0].sent >= now - 2 * HOUR - NS, rows[-1].up, len(rows)) == (True, False, taken.rows)
    assert not [row for row in rows if now - HOUR < row.sent < now - 601 * NS], "nothing stands where nobody looked"
    assert (read_header(copy).observer, len(read_samples(copy))) == ("checkout", taken.rows)
    assert seal(copy).rows == taken.rows


def test_a_copy_reaches_back_to_before_the_trouble(tmp_path: Path) -> None:
    ring, now = tmp_path / "front.db", mono()
    one = Ring(ring, header(), 72 * HOUR)
    fill(one, now - 10 * HOUR, now - 5 * HOUR)
    fill(one, now - 5 * HOUR, now, up=False)
    one.close()
    adopt(ring, tmp_path / "copy.db", "front", now)
    assert read_requests(tmp_path / "copy.db")[0].up is True


@pytest.mark.parametrize("bound", [None, 20_000_000])
def test_rows_of_another_boot_are_placed_by_utc_within_a_bound_or_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: int | None
) -> None:
    monkeypatch.setattr(adopting, "utc_error_ns", lambda: 5_000_000)
    ring, copy, now = tmp_path / "front.db", tmp_path / "copy.db", mono()
    other = Ring(ring, replace(header(), clock="this-host/another-boot"), 72 * HOUR)
    ahead = 100 * HOUR  # the other boot's monotonic clock stood there
    fill(other, now + ahead - 20 * NS, now + ahead)
    other.close()
    with sqlite3.connect(ring) as run:
        run.execute("UPDATE clocks SET monotonic = monotonic + ?, error = ?", (ahead, bound))
    mine = Ring(ring, header(), 72 * HOUR)
    fill(mine, now, now + 3 * NS)
    mine.close()
    taken = adopt(ring, copy, "front", now + 3 * NS)
    assert isinstance(taken, Adopted)
    rows = read_requests(copy)
    if bound is None:
        assert len(rows) == 3
        assert any("without a bound on its UTC" in note for note in taken.notes)
        return
    assert len(rows) == 23
    widened = rows[0].ended - rows[0].sent - 1_000_000
    assert widened == 2 * (20_000_000 + 5_000_000), "the bracket is wider by both bounds at both ends"
    assert abs(rows[0].sent - (now - 20 * NS)) < NS // 10


@pytest.mark.parametrize("change", [{"url": "http://old"}, {"persona": Persona.TTL}, {"identified": True}])
def test_a_life_that_looked_at_something_else_is_not_taken_over(tmp_path: Path, change: dict[str, object]) -> None:
    """A ring outlives a change of what is looked at; what stood elsewhere is no past of this service."""
    ring, copy, now = tmp_path / "front.db", tmp_path / "copy.db", mono()
    other = Ring(ring, replace(header(), **change), 72 * HOUR)  # pyright: ignore[reportArgumentType] - fields by name
    fill(other, now - 600 * NS, now - 300 * NS, up=False)
    other.close()
    mine = Ring(ring, header(), 72 * HOUR)
    fill(mine, now - 200 * NS, now)
    mine.close()
    taken = adopt(ring, copy, "front", now)
    assert isinstance(taken, Adopted)
    assert {row.up for row in read_requests(copy)} == {True}
    assert any("1 life of the ring looked at something else" in note for note in taken.notes)


def test_a_killed_observer_goes_on_with_its_ring_and_names_its_lives(tmp_path: Path) -> None:
    observers = Observers()
    with Service() as service:
        job = ProbeJob("front", service.url, "", every_s=1.0, timeout_s=0.5, keep_s=3600.0)
        (watching,) = observers.start([job], tmp_path)
        file = Path(watching.file)
        wait_until(lambda: held(file).rows >= 2, "two rows")
        os.kill(watching.pid, signal.SIGKILL)
        observers.stop([watching])
        flushed = held(file).rows
        service.become(Mood.BROKEN)
        (watching,) = observers.start([job], tmp_path)
        wait_until(lambda: held(file).up is False, "the outage in the ring")
        assert observers.stop([watching]) == []
    seen = held(file)
    assert (seen.lives, seen.rows > flushed, seen.detail) == (2, True, "status 503")


ENVIRONMENT = """
environment: lab
kind: staging
home: us-east-2
sites:
  east: {{account: "111122223333", region: us-east-1}}
  west: {{account: "111122223333", region: us-west-2}}
values: {{url: "{url}"}}
observe:
  availability:
    - {{id: front, http: "${{url}}", timeout: 500ms}}
"""


def drills(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "drills", "observe", *words],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_an_environment_is_observed_by_one_process_until_it_is_told_to_end(tmp_path: Path) -> None:
    with Service() as service:
        (tmp_path / "environments").mkdir()
        (tmp_path / "environments" / "lab.yaml").write_text(ENVIRONMENT.format(url=service.url))
        begun = drills(tmp_path, "lab", "--detach")
        assert begun.returncode == 0, begun.stderr
        try:
            second = drills(tmp_path, "lab")
            assert (second.returncode, "observed already" in second.stderr) == (4, True)
            file = tmp_path / ".drills" / "observe" / "lab" / "front.db"
            wait_until(lambda: held(file).up is True, "a good row")
            prober = read_header(file).pid
            os.kill(prober, signal.SIGKILL)
            wait_until(lambda: read_header(file).pid != prober, "the prober started again")
            told = json.loads(drills(tmp_path, "lab", "--status", "--output", "json").stdout)
            (fact,) = told["environments"]
            assert (fact["environment"], fact["rings"][0]["up"], fact["rings"][0]["lives"]) == ("lab", True, 2)
        finally:
            ended = drills(tmp_path, "lab", "--stop")
        assert (ended.returncode, "observed no more" in ended.stdout) == (0, True)
    clock.sleep(0.1)
    assert not Path(f"/proc/{read_header(file).pid}").exists()
    assert read_header(file).ended is not None
    status = drills(tmp_path, "lab", "--status")
    assert (status.returncode, "NOT observed now" in status.stdout) == (3, True)
    assert drills(tmp_path, "nowhere").returncode == 2
