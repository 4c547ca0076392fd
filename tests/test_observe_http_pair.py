"""Marker ledgers behind two HTTP addresses: a real server for each site, between which the test replicates."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from msgspec.structs import replace
from observe_world import SECRET, free_port, wait_until
from stores_world import HttpStore, Key, drilling, http_sites, moment

from drills.errors import Refused
from drills.observe.ledger import Header, Options, Spot
from drills.timeline.stores import StoreKind

OPTIONS = Options(headers=(Header("Authorization", f"Bearer {SECRET}"),), served_by="X-Site")


@pytest.fixture
def sites() -> Generator[tuple[HttpStore, HttpStore]]:
    with http_sites() as both:
        yield both


def spot(url: str) -> Spot:
    return Spot(StoreKind.HTTP, url, options=OPTIONS)


@pytest.mark.parametrize("by_id", [False, True], ids=["list", "by id"])
def test_lost_rows_are_the_set_difference_and_what_arrives_late_is_reconciled(
    tmp_path: Path, sites: tuple[HttpStore, HttpStore], *, by_id: bool
) -> None:
    east, west = sites
    end = "/{id}" if by_id else ""
    with drilling(tmp_path, spot(east.url + end)) as drill:
        drill.await_acks(15)
        at = moment(drill.end)
        assert drill.read(spot(east.url + end), 9).ok is True
        assert drill.acked() <= drill.found(9) == east.keys()
        east.copy(west, lambda row: row["seq"] % 3 == 0)
        first: set[Key] = west.keys()
        assert drill.read(spot(west.url + end), 10).ok is True
        assert drill.found(10) == first
        assert drill.judge(at).rows.lost == len(drill.acked() - first) > 0
        assert drill.judge(at).high is None
        east.copy(west, lambda row: row["seq"] % 3 != 2)
        assert drill.read(spot(west.url + end), 11).ok is True
        judged = drill.judge(at, every_write=True)
        assert judged.rows.lost == len(drill.acked() - west.keys()) > 0
        assert judged.high is not None
        assert judged.low <= judged.high
        assert {one.primary for one in drill.ledger() if one.acked} == {f"http/127.0.0.1:{east.port}/east"}
        assert SECRET.encode() not in drill.written()


def test_an_answer_that_does_not_come_is_doubt_and_a_refusal_is_none(
    tmp_path: Path, sites: tuple[HttpStore, HttpStore]
) -> None:
    east, _ = sites
    with drilling(tmp_path, spot(east.url), timeout_s=0.3) as drill:
        drill.await_acks(3)
        east.status = 503
        wait_until(lambda: any(one.acked is None and one.ended for one in drill.ledger()), "doubt after a 503")
        east.status = 409
        wait_until(lambda: any(one.acked is False for one in drill.ledger()), "a refusal after a 409")
        east.silent, east.status = True, 201
        wait_until(lambda: sum(one.acked is None for one in drill.ledger()) > 5, "doubt after silence")
        east.silent = False
        drill.await_acks(2)
        drill.end()
        assert east.requests <= len(drill.ledger()), "a marker was sent twice"
        assert drill.acked() <= east.keys()


def test_a_reading_that_fails_is_never_taken_for_an_empty_store(
    tmp_path: Path, sites: tuple[HttpStore, HttpStore]
) -> None:
    east, _ = sites
    with drilling(tmp_path, spot(east.url)) as drill:
        drill.await_acks(3)
        at = moment(drill.end)
        east.reads = 500
        for end in ("", "/{id}"):
            assert drill.read(spot(east.url + end), 1).ok is not True
        assert drill.read(spot(f"http://127.0.0.1:{free_port('127.0.0.1')}/markers"), 1).ok is not True
        assert "no complete reading" in drill.judge(at).why


def test_an_address_that_cannot_take_markers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"cannot be written to http://127.0.0.1:1/markers: .*refused"):
        drilling(tmp_path, spot("http://me:of-no-value@127.0.0.1:1/markers?token=x")).__enter__()
    with pytest.raises(Refused, match="http markers need a URL"):
        drilling(tmp_path, spot("somewhere")).__enter__()
    with pytest.raises(Refused, match="redis markers cannot be kept at http://"):
        drilling(tmp_path, replace(spot("http://a"), kind=StoreKind.REDIS)).__enter__()
