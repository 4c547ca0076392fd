"""What PostgreSQL acknowledged before it was on disk is gone after a crash, and the ledger counts it to the row."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from observe_world import Postgres, clock, postgres_pair, wait_until

from drills.measure.evidence import Bracket
from drills.measure.rpo import Book, Loss, loss
from drills.observe.job import MarkerJob
from drills.observe.reader import collect
from drills.observe.start import Observers
from drills.observe.store import read_ledger, read_recovered, read_rounds

pytestmark = pytest.mark.prove
DRILL, STORE = "d1", "orders-db"


@pytest.fixture
def pair() -> Generator[tuple[Postgres, Postgres]]:
    with postgres_pair() as servers:
        yield servers


@dataclass(frozen=True)
class Crash:
    """What a crash came to: by our estimators, and straight from the writer's file and the survivor's table."""

    judged: Loss
    acked: set[tuple[str, int]]
    there: set[tuple[str, int]]

    @property
    def lost(self) -> set[tuple[str, int]]:
        return self.acked - self.there


def settle(primary: Postgres, **settings: str) -> None:
    """Change settings that need no restart, and wait until they hold."""
    for name, value in settings.items():
        primary.ask(f"ALTER SYSTEM SET {name} = '{value}'")
    primary.ask("SELECT pg_reload_conf()")
    for name, value in settings.items():
        wait_until(lambda name=name, value=value: primary.ask(f"SHOW {name}") == [(value,)], name)


def acks(file: Path) -> int:
    return sum(1 for one in read_ledger(file) if one.acked)


def crash(primary: Postgres, survivor: Postgres, folder: Path, **settings: str) -> Crash:
    """Write markers, the later ones under ``settings``; kill all processes of the server at once, read the survivor."""
    observers = Observers()
    (watching,) = observers.start([MarkerJob("orders", DRILL, STORE, primary.dsn, "", 0.01, 0.4)], folder)
    file = Path(watching.file)
    wait_until(lambda: acks(file) > 30, "30 acks")
    primary.ask("CHECKPOINT")
    settle(primary, **settings)
    enough = acks(file) + 100
    wait_until(lambda: acks(file) > enough, "100 acks more")
    before, after = primary.kill()
    clock.sleep(0.5)
    assert observers.stop([watching]) == []
    if survivor is primary:
        primary.start()
    else:
        survivor.ask("SELECT pg_promote(true, 10)")
    assert collect(survivor.dsn, DRILL, STORE, file, 1).ok is True
    markers = read_ledger(file)
    book = Book(STORE, markers, read_rounds(file), read_recovered(file))
    rows = survivor.ask(f"SELECT writer, seq FROM drills_markers WHERE drill = '{DRILL}'")  # noqa: S608 - a constant
    return Crash(
        loss(book, Bracket(before, after)),
        {(one.writer, one.seq) for one in markers if one.acked},
        {(str(writer), int(seq)) for writer, seq in rows},
    )


def test_a_commit_that_waits_for_no_disk_loses_acked_rows_when_its_server_crashes(
    tmp_path: Path, pair: tuple[Postgres, Postgres]
) -> None:
    primary, _ = pair
    seen = crash(primary, primary, tmp_path, synchronous_commit="off", wal_writer_delay="10s")
    assert seen.lost, "the WAL writer was faster than the crash"
    assert seen.there & seen.acked
    assert seen.judged.rows.lost == len(seen.lost)
    assert seen.judged.high is not None
    assert 0 < seen.judged.low <= seen.judged.high


def test_a_commit_that_waits_for_the_disk_loses_nothing_in_the_same_crash(
    tmp_path: Path, pair: tuple[Postgres, Postgres]
) -> None:
    primary, _ = pair
    seen = crash(primary, primary, tmp_path, synchronous_commit="local", wal_writer_delay="10s")
    assert (seen.lost, seen.judged.rows.lost, seen.judged.low) == (set(), 0, 0)
    assert len(seen.acked) > 100


@pytest.mark.parametrize("waits", [True, False])
def test_only_replication_that_is_waited_for_loses_nothing_with_its_primary(
    tmp_path: Path, pair: tuple[Postgres, Postgres], *, waits: bool
) -> None:
    primary, standby = pair
    if waits:
        settle(primary, synchronous_standby_names="*")
        wait_until(lambda: primary.ask("SELECT sync_state FROM pg_stat_replication") == [("sync",)], "a sync standby")
    seen = crash(primary, standby, tmp_path, synchronous_commit="on" if waits else "off", wal_writer_delay="10s")
    assert seen.judged.rows.lost == len(seen.lost)
    assert bool(seen.lost) is not waits
    assert (seen.judged.low > 0) is not waits
