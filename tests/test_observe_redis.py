"""Marker ledgers in a real Redis: a primary, its replica, and what a failover loses."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from observe_world import SECRET, wait_until
from stores_world import Redis, drilling, moment, nap, redis_pair

from drills.errors import Refused
from drills.observe.ledger import Options, Spot
from drills.observe.store import read_header
from drills.timeline.stores import StoreKind


@pytest.fixture
def pair(tmp_path: Path) -> Generator[tuple[Redis, Redis]]:
    with redis_pair(tmp_path / "servers") as servers:
        yield servers


def spot(server: Redis, replicas: int = 0) -> Spot:
    return Spot(StoreKind.REDIS, server.url, options=Options(replicas=replicas))


def cut(primary: Redis, replica: Redis) -> None:
    """Let the replica follow nobody, without making it a primary."""
    replica.ask("REPLICAOF", "127.0.0.1", "1")
    primary.ask("CLIENT", "KILL", "TYPE", "replica")
    wait_until(lambda: primary.info("connected_slaves") == "0", "the cut")


def test_a_failover_loses_what_the_replica_had_not_heard_of(tmp_path: Path, pair: tuple[Redis, Redis]) -> None:
    primary, replica = pair
    with drilling(tmp_path / "d", spot(primary)) as drill:
        drill.await_acks(15)
        early = drill.read(spot(replica), 1)
        assert early.ok is False
        assert "still a replica" in early.detail
        cut(primary, replica)
        drill.await_acks(15)
        at = moment(primary.kill)
        replica.ask("REPLICAOF", "NO", "ONE")
        wait_until(lambda: any(one.acked is False for one in drill.ledger()), "a marker without a connection")
        assert drill.read(spot(replica), 1).ok is True
        drill.end()
        assert drill.read(spot(replica), 2).ok is True
        there = replica.keys()
        assert drill.found(1) == drill.found(2) == there
        lost = drill.acked() - there
        judged = drill.judge(at, ordered=True)
        assert (judged.rows.acked, judged.rows.lost, judged.rows.holes) == (len(drill.acked()), len(lost), 0)
        assert len(lost) >= 15
        assert judged.high is not None
        assert 0 < judged.low <= judged.high
        assert {one.primary for one in drill.ledger() if one.acked} == {f"redis/127.0.0.1:{primary.port}"}
        assert SECRET.encode() not in drill.written()
        assert read_header(drill.file).url == f"redis://127.0.0.1:{primary.port}/0"


def test_what_a_replica_confirmed_survives(tmp_path: Path, pair: tuple[Redis, Redis]) -> None:
    primary, replica = pair
    with drilling(tmp_path / "d", spot(primary, replicas=1), timeout_s=0.3) as drill:
        drill.await_acks(15)
        cut(primary, replica)
        wait_until(lambda: sum(one.acked is None and one.ended is not None for one in drill.ledger()) > 5, "doubt")
        at = moment(primary.kill)
        replica.ask("REPLICAOF", "NO", "ONE")
        nap(0.2)
        drill.end()
        assert drill.read(spot(replica), 1).ok is True
        judged = drill.judge(at, ordered=True)
        assert drill.acked() <= replica.keys() == drill.found(1)
        assert (judged.rows.lost, judged.low) == (0, 0)
        assert judged.rows.indeterminate > 5


def test_a_replica_takes_no_markers(tmp_path: Path, pair: tuple[Redis, Redis]) -> None:
    with pytest.raises(Refused, match="still a replica"), drilling(tmp_path / "d", spot(pair[1])):
        pass


def test_a_primary_that_stalls_leaves_doubt_and_sends_nothing_twice(tmp_path: Path, pair: tuple[Redis, Redis]) -> None:
    primary, _ = pair
    with drilling(tmp_path / "d", spot(primary), timeout_s=0.25) as drill:
        drill.await_acks(10)
        primary.ask("CLIENT", "PAUSE", "800", "ALL")
        wait_until(lambda: sum(one.acked is None and one.ended is not None for one in drill.ledger()) > 0, "doubt")
        nap(0.8)
        drill.await_acks(5)
        drill.end()
        calls = primary.ask("INFO", "commandstats")["cmdstat_hset"]["calls"]
        assert calls <= len(drill.ledger())
        assert drill.read(spot(primary), 1).ok is True
        assert drill.judge(moment(lambda: None)).rows.lost == 0
        assert drill.acked() <= drill.found(1) == primary.keys()
