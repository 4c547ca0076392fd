"""Several stores: the worst one is the recovery point, and the RCO says how far they fit each other."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from observe_world import Postgres, clock, mono, postgres_pair, wait_until

from drills.cli.main import main
from drills.clock import Stamp, clock_id
from drills.engine.plan import DataWatch, Mode, Objective
from drills.engine.state import fold
from drills.measure.consistency import consistency
from drills.measure.evidence import Bracket
from drills.measure.rpo import Book, loss
from drills.observe.job import MarkerJob
from drills.observe.reader import collect
from drills.observe.start import Observers
from drills.observe.store import read_ledger, read_recovered, seal
from drills.report.judging import finished, judged_claims
from drills.runtime.journal import Journal
from drills.testing import plan, step
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.facts import Receipt
from drills.timeline.marks import Mark
from drills.timeline.samples import Marker, ReadRound, Recovered
from drills.work import Evidence, Kind

DRILL = "20260101-000000-orders-aaaa"
FAULT = 10_000


def store(random: Random, name: str, cut: int) -> Book:
    """One ordered log: what was sent before ``cut`` is there; the writer goes on until the disaster."""
    every, writer = random.randint(3, 30), f"{name}.{random.randint(1, 9)}"
    markers: list[Marker] = []
    for seq, slot in enumerate(range(FAULT - random.randint(300, 600), FAULT + 60, every)):
        sent = slot + random.randint(0, 2)
        acked = sent < FAULT
        markers.append(Marker(writer, seq, sent, sent + 1, acked=acked or None, primary="old" if acked else ""))
    rows = [Recovered(1, FAULT + 900, one.writer, one.seq, "old") for one in markers if one.acked and one.sent < cut]
    rounds = [ReadRound(1, FAULT + 800, FAULT + 900, "new", complete=True)]
    return Book(name, markers, rounds, rows, old="old")


@given(st.builds(Random, st.integers(0, 2**63)))
@settings(max_examples=200)
def test_the_true_share_of_moments_in_all_stores_lies_within_the_bounds(random: Random) -> None:
    cuts = [FAULT - random.randint(0, 150) for _ in range(random.randint(2, 4))]
    books = [store(random, f"s{number}", cut) for number, cut in enumerate(cuts)]
    found = consistency([(book, loss(book, Bracket(FAULT - 1, FAULT + 1))) for book in books])
    assert found is not None
    first, last = max(one.markers[0].sent for one in books), min(one.markers[-1].sent for one in books)
    ticks = [one.sent for book in books for one in book.markers if one.acked and first <= one.sent <= last]
    truth = sum(tick < min(cuts) for tick in ticks)
    assert found.ticks == len(ticks)
    assert found.low <= truth <= found.high
    assert found.high - found.low <= len(ticks) * 0.3


def test_one_store_alone_has_no_consistency() -> None:
    book = store(Random(1), "s", FAULT)
    assert consistency([(book, loss(book, Bracket(FAULT, FAULT)))]) is None


# -- two real stores, end to end ---------------------------------------------------------------------------


def lose_two_stores(folder: Path, primary: Postgres, standby: Postgres) -> tuple[dict[str, Path], tuple[int, int]]:
    """Write to two stores and lose their primary: orders are replicated, of payments there is an older copy."""
    observers = Observers()
    jobs = [MarkerJob(name, DRILL, name, primary.dsn, "", 0.02, 0.4) for name in ("orders", "payments")]
    watching = observers.start(jobs, folder)
    files = {one.observer: Path(one.file) for one in watching}
    wait_until(lambda: all(sum(one.acked is True for one in read_ledger(file)) > 40 for file in files.values()), "acks")
    copied = primary.ask(
        "SELECT drill, store, writer, seq, primary_id, sent_ns FROM drills_markers WHERE store = 'payments'"
    )
    clock.sleep(0.4)
    struck = primary.kill()
    standby.ask("SELECT pg_promote(true, 10)")
    clock.sleep(0.6)
    standby.ask("CREATE DATABASE copy")
    elsewhere = standby.dsn.replace("/postgres", "/copy")
    with psycopg.connect(elsewhere, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE drills_markers"
            " (drill text, store text, writer text, seq bigint, primary_id text, sent_ns bigint)"
        )
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO drills_markers VALUES (%s, %s, %s, %s, %s, %s)", copied)
    for name, dsn in (("orders", standby.dsn), ("payments", elsewhere)):
        assert collect(dsn, DRILL, name, files[name], 1).ok is True
    assert observers.stop(list(watching)) == []
    return files, struck


def kept(home: Path, files: dict[str, Path], struck: tuple[int, int]) -> None:
    """Write the drill's journal around the real ledgers, with claims judged from them."""
    lose = step("lose", Kind.FAULT, mark=Mark.DISASTER, evidence=(Evidence.REPLICATION_CUT,), uses="site.isolate")
    pinned = replace(
        plan(lose, step("promote", Kind.ACTION, "lose"), runbook="orders", mode=Mode.REHEARSE),
        objectives=(Objective("rpo", Mark.RECOVERY_POINT, Mark.DISASTER, 0.05),),
        data=tuple(DataWatch(name, "sql", "env:OLD", "env:NEW") for name in files),
    )
    before, after = struck
    told: list[tuple[int, ev.Body]] = [(before - 10**9, ev.Opened(DRILL, "0", "ana@host", codec.dump(pinned)))]
    told += [(before - 10**9, ev.Watching(name, str(file), 1, "1")) for name, file in files.items()]
    told += [
        (before - 10**8, ev.Ready("watch", ok=True, detail="")),
        (before - 10**8, ev.Ready("baseline", ok=True, detail="")),
        (before, ev.Started("lose", 1)),
        (after, ev.Performed("lose", Receipt())),
        (after, ev.Effective("lose", ok=True, detail="gone")),
        (after, ev.Ended("lose", ev.Outcome.DONE, "gone")),
        (after + 1, ev.Started("promote", 1)),
        (mono(), ev.Ended("promote", ev.Outcome.DONE, "promoted")),
        (mono(), ev.Ready("settled", ok=True, detail="")),
    ]
    for name, file in files.items():
        one = seal(file)
        told.append((mono(), ev.Sealed(name, str(file), one.rows, one.first, one.last, one.sha256)))
    told.append((mono(), ev.Ready("collected", ok=True, detail="")))
    events = [
        ev.Event(number, Stamp(1_767_225_600_000_000_000 + at - before, at, clock_id()), body)
        for number, (at, body) in enumerate(told, 1)
    ]
    with Journal.create(home / DRILL) as journal:
        journal.append(events)
        state = fold(pinned, events)
        end = finished(judged_claims(home / DRILL, state), state)
        journal.append([ev.Event(len(events) + 1, structs.replace(events[-1].at, mono_ns=mono()), end)])


def drills(home: Path, *words: str) -> str:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
        patch.setenv("DRILLS_HOME", str(home))
        main(list(words))
    return out.getvalue()


def test_two_real_stores_are_told_apart_from_their_files_to_the_report(tmp_path: Path) -> None:
    with postgres_pair() as (primary, standby):
        files, struck = lose_two_stores(tmp_path / "observers", primary, standby)
    kept(tmp_path, files, struck)

    told: dict[str, Any] = json.loads(drills(tmp_path, "report", DRILL, "--output", "json"))
    stores = {one["store"]: one for one in told["stores"]}
    lost: dict[str, list[Marker]] = {}
    for name, file in files.items():
        there = {(row.writer, row.seq) for row in read_recovered(file)}
        lost[name] = [one for one in read_ledger(file) if one.acked and (one.writer, one.seq) not in there]
        assert stores[name]["lost"] == len(lost[name])
    assert len(lost["payments"]) > len(lost["orders"])
    rpo = told["objectives"][0]
    assert rpo["low_s"] == stores["payments"]["low_s"] == max(one["low_s"] for one in stores.values())
    assert rpo["high_s"] == stores["payments"]["high_s"] == max(one["high_s"] for one in stores.values())
    assert rpo["verdict"] == "MISSED"
    # What was sent after the copy was taken is in no two stores; only while both are written to is there a moment.
    sent = [[one.sent for one in read_ledger(file)] for file in files.values()]
    first, last = max(map(min, sent)), min(map(max, sent))
    acked = [one.sent for file in files.values() for one in read_ledger(file) if one.acked]
    ticks = [at for at in acked if first <= at <= last]
    since = min(one.sent for one in lost["payments"])
    seen = told["consistency"]
    assert seen["ticks"] == len(ticks)
    assert seen["low"] <= sum(at < since for at in ticks) / len(ticks) <= seen["high"]
    assert seen["worst_store"] == "payments"
    assert seen["high"] < 1

    text = drills(tmp_path, "report", DRILL)
    assert "recovery consistency (RCO):" in text
    assert "payments lacks most" in text
    assert "## Stores" in drills(tmp_path, "report", DRILL, "--format", "md")
    checked = json.loads(drills(tmp_path, "verify", DRILL, "--output", "json"))
    assert {one["name"]: one["ok"] for one in checked["checks"]}["consistency"] is True
    assert all(one["ok"] for one in checked["checks"])
