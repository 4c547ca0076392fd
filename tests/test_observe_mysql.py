"""Marker ledgers in a real MariaDB: a primary, its replica, and what a failover loses."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from observe_world import SECRET, wait_until
from stores_world import Maria, drilling, maria_pair, moment, nap

from drills.errors import Refused
from drills.observe.ledger import Spot
from drills.observe.store import read_header
from drills.timeline.stores import StoreKind


@pytest.fixture(scope="module")
def pair() -> Generator[tuple[Maria, Maria]]:
    with maria_pair() as servers:
        yield servers


def spot(server: Maria) -> Spot:
    return Spot(StoreKind.SQL, server.url)


def test_a_database_that_cannot_take_markers_is_refused_with_its_reason(
    tmp_path: Path, pair: tuple[Maria, Maria]
) -> None:
    with pytest.raises(Refused, match="is read-only, a replica perhaps"), drilling(tmp_path / "a", spot(pair[1])):
        pass
    nowhere = Spot(StoreKind.SQL, f"mysql://drills:{SECRET}@127.0.0.1:1/shop")
    with pytest.raises(Refused, match=r"cannot be written to mysql://127.0.0.1:1/shop: .*Connection refused") as told:
        drilling(tmp_path / "b", nowhere).__enter__()
    assert SECRET not in str(told.value)


def test_a_failover_loses_what_the_replica_had_not_applied(tmp_path: Path, pair: tuple[Maria, Maria]) -> None:
    primary, replica = pair
    with drilling(tmp_path / "d", spot(primary)) as drill:
        drill.await_acks(15)
        early = drill.read(spot(replica), 1)
        assert early.ok is False
        assert "read-only" in early.detail
        wait_until(lambda: len(replica.keys()) > 10, "rows on the replica")
        replica.ask("STOP SLAVE IO_THREAD")
        drill.await_acks(15)
        replica.ask("SET GLOBAL read_only = 0")
        still = drill.read(spot(replica), 1)
        assert still.ok is False
        assert "still applies" in still.detail
        at = moment(primary.kill)
        replica.ask("STOP SLAVE")
        replica.ask("RESET SLAVE ALL")
        wait_until(lambda: any(one.acked is False for one in drill.ledger()), "a marker without a connection")
        nap(0.1)
        drill.end()
        for number in (1, 2):
            assert drill.read(spot(replica), number).ok is True
        there = replica.keys()
        assert drill.found(1) == drill.found(2) == there
        lost = drill.acked() - there
        judged = drill.judge(at, ordered=True)
        assert (judged.rows.acked, judged.rows.lost, judged.rows.holes) == (len(drill.acked()), len(lost), 0)
        assert len(lost) >= 15
        assert judged.high is not None
        assert 0 < judged.low <= judged.high
        (identity,) = {one.primary for one in drill.ledger() if one.acked}
        assert identity.endswith(f":{primary.port}")
        assert SECRET.encode() not in drill.written()
        assert read_header(drill.file).url == f"mysql://127.0.0.1:{primary.port}/shop"
