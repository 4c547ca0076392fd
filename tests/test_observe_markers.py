"""Marker ledgers against a real PostgreSQL primary and its streaming standby."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from observe_world import SECRET, Postgres, clock, free_port, mono, postgres_pair, wait_until

from drills.errors import Refused, Rejected, Unanswered
from drills.observe.job import MarkerJob
from drills.observe.reader import collect, read_markers, writes_refused
from drills.observe.start import Observers
from drills.observe.store import read_header, read_ledger, read_recovered, read_rounds, seal
from drills.timeline.events import Watching
from drills.timeline.samples import Marker, Persona

MS = 1_000_000


@pytest.fixture
def pair() -> Generator[tuple[Postgres, Postgres]]:
    with postgres_pair() as servers:
        yield servers


def write(folder: Path, dsn: str, every_s: float = 0.01, timeout_s: float = 0.4) -> tuple[Observers, Watching, Path]:
    observers = Observers()
    (watching,) = observers.start([MarkerJob("orders", "d1", "orders-db", dsn, "", every_s, timeout_s)], folder)
    return observers, watching, Path(watching.file)


def acked(file: Path) -> list[Marker]:
    return [marker for marker in read_ledger(file) if marker.acked]


def keys(rows: list[tuple[str, int]]) -> set[tuple[str, int]]:
    assert len(set(rows)) == len(rows)
    return set(rows)


def test_a_lost_primary_leaves_a_ledger_that_joins_the_survivor_by_number(
    tmp_path: Path, pair: tuple[Postgres, Postgres]
) -> None:
    primary, standby = pair
    observers, watching, file = write(tmp_path, primary.dsn)
    wait_until(lambda: len(acked(file)) > 30, "30 acks")
    assert collect(standby.dsn, "d1", "orders-db", file, 1).ok is False, "a standby is not the survivor yet"
    with pytest.raises(Rejected, match="still a standby"):
        read_markers(standby.dsn, "d1", "orders-db", file, 1)
    # Cut replication a little before the disaster, so that something acknowledged is lost.
    standby.ask("ALTER SYSTEM SET primary_conninfo = ''")
    standby.ask("SELECT pg_reload_conf()")
    wait_until(lambda: not primary.ask("SELECT 1 FROM pg_stat_replication"), "the cut")
    clock.sleep(0.2)
    primary.freeze()
    clock.sleep(0.15)
    dead_before, dead_after = primary.kill()
    standby.ask("SELECT pg_promote(true, 10)")
    clock.sleep(0.6)
    first = read_markers(standby.dsn, "d1", "orders-db", file, 1)
    second = read_markers(standby.dsn, "d1", "orders-db", file, 2)
    assert observers.stop([watching]) == []

    ledger = read_ledger(file)
    there = keys([(str(row[0]), int(row[1])) for row in standby.ask("SELECT writer, seq FROM drills_markers")])
    for number in (1, 2):
        read = [row for row in read_recovered(file) if row.round == number]
        assert keys([(row.writer, row.seq) for row in read]) == there
    assert read_rounds(file) == [first, second]
    assert first.complete
    lost = [marker for marker in ledger if marker.acked and (marker.writer, marker.seq) not in there]
    assert lost
    assert all(marker.ended is not None and marker.ended < dead_after for marker in lost)
    # What was on its way when the server died has no answer; what came later found no connection.
    open_ones = [marker for marker in ledger if marker.acked is None]
    assert open_ones
    assert all(marker.ended and marker.ended >= dead_before - 600 * MS for marker in open_ones)
    assert {marker.primary for marker in open_ones} == {""}
    never = [marker for marker in ledger if marker.acked is False]
    assert never
    assert all(marker.sent >= dead_before and (marker.writer, marker.seq) not in there for marker in never)
    assert [marker.seq for marker in ledger] == sorted({marker.seq for marker in ledger})

    old = {marker.primary for marker in ledger if marker.acked}
    assert len(old) == 1
    assert first.server not in old
    assert {row.primary for row in read_recovered(file)} == old
    assert "127.9.1.1" in old.pop()
    assert "127.9.2.1" in first.server
    header = read_header(file)
    assert (header.persona, header.store) == (Persona.WRITER, "orders-db")
    assert seal(file).rows == len(ledger)


def test_the_old_primary_is_asked_whether_it_still_takes_writes(
    tmp_path: Path, pair: tuple[Postgres, Postgres]
) -> None:
    primary, standby = pair
    observers, watching, file = write(tmp_path, primary.dsn)
    wait_until(lambda: len(acked(file)) > 5, "5 acks")
    rows = "SELECT count(*) FROM drills_markers WHERE drill = ''"
    assert writes_refused(primary.dsn, file).ok is False
    assert primary.ask(rows) == [(0,)], "the question left a row behind"
    standby.ask("SELECT pg_promote(true, 10)")
    assert writes_refused(standby.dsn, file).ok is None, "the survivor is not the old primary"
    assert collect(standby.dsn, "d1", "orders-db", file, 1).ok is True
    assert collect(standby.dsn, "another", "orders-db", file, 2).value.integer("rows") == 0

    fenced = mono()
    primary.ask("ALTER SYSTEM SET default_transaction_read_only = on")
    primary.ask("SELECT pg_reload_conf()")
    wait_until(lambda: any(one.acked is False for one in read_ledger(file)), "a refused marker")
    refused = [marker for marker in read_ledger(file) if marker.acked is False]
    assert all(marker.sent < (marker.ended or 0) and marker.sent > fenced for marker in refused)
    assert writes_refused(primary.dsn, file).ok is True
    assert observers.stop([watching]) == []
    # A fence refuses: nothing is left in doubt.
    assert None not in {marker.acked for marker in read_ledger(file)}
    primary.stop()
    assert writes_refused(primary.dsn, file).ok is None
    with pytest.raises(Unanswered):
        read_markers(primary.dsn, "d1", "orders-db", file, 3)


def test_a_silent_primary_is_given_up_in_time_and_found_again(tmp_path: Path, pair: tuple[Postgres, Postgres]) -> None:
    primary, _ = pair
    observers, watching, file = write(tmp_path, primary.dsn)
    wait_until(lambda: len(acked(file)) > 5, "5 acks")
    frozen = mono()
    primary.freeze()
    clock.sleep(0.8)
    primary.thaw()
    thawed = mono()
    wait_until(lambda: any(marker.sent > thawed for marker in acked(file)), "acks after the thaw")
    assert observers.stop([watching]) == []
    ledger = read_ledger(file)
    silent = [marker for marker in ledger if marker.acked is None]
    assert silent
    oldest = silent[0]
    assert oldest.ended is not None
    assert 400 * MS <= oldest.ended - oldest.sent < 700 * MS
    assert all(marker.sent > frozen - 500 * MS for marker in silent)
    assert len({marker.primary for marker in ledger if marker.acked}) == 1, "a thawed primary is the same server"
    assert len({marker.writer for marker in ledger}) == 1


def test_a_restarted_primary_keeps_its_identity(tmp_path: Path, pair: tuple[Postgres, Postgres]) -> None:
    primary, _ = pair
    observers, watching, file = write(tmp_path, primary.dsn)
    wait_until(lambda: len(acked(file)) > 5, "5 acks")
    primary.kill()
    primary.start()
    again = mono()
    wait_until(lambda: any(marker.sent > again for marker in acked(file)), "acks after the restart")
    assert observers.stop([watching]) == []
    assert len({marker.primary for marker in acked(file)}) == 1
    executed = keys([(str(row[0]), int(row[1])) for row in primary.ask("SELECT writer, seq FROM drills_markers")])
    ledger = {(marker.writer, marker.seq): marker for marker in read_ledger(file)}
    # fsync is off, but the machine did not fail: what was acked is there, what is there was not refused.
    assert {key for key, marker in ledger.items() if marker.acked} <= executed
    assert all(ledger[key].acked is not False for key in executed)


def test_no_password_stands_in_any_file_of_the_observer(tmp_path: Path, pair: tuple[Postgres, Postgres]) -> None:
    primary, _ = pair
    observers, watching, file = write(tmp_path, primary.dsn)
    primary.kill()
    wait_until(lambda: any(one.acked is False for one in read_ledger(file)), "a marker without a connection")
    assert observers.stop([watching]) == []
    assert len(list(tmp_path.iterdir())) >= 3
    for written in tmp_path.iterdir():
        assert SECRET.encode() not in written.read_bytes(), written


def test_a_writer_without_a_database_is_refused_with_its_reason(tmp_path: Path) -> None:
    dsn = f"postgresql://drills@127.0.0.1:{free_port('127.0.0.1')}/postgres"
    with pytest.raises(Refused, match=r"observer orders did not start: .*markers cannot be written to"):
        write(tmp_path, dsn)
    with pytest.raises(Refused, match="observer orders: sql markers cannot be kept at mongodb://"):
        write(tmp_path, "mongodb://a/b")
    with pytest.raises(Refused, match="NOT_SET_HERE"):
        write(tmp_path, "env:NOT_SET_HERE")
    with pytest.raises(Refused, match="not understood"):
        write(tmp_path, "this is = = no dsn")
