"""Fresh DNS without a named resolver: the authoritative servers are found, asked each time, and never a cache."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from dns_world import RESOLVER, SPARE, Manner, Tree, tree
from observe_world import Service, clock, free_port, mono, wait_until

from drills.errors import Refused
from drills.observe.authority import Authority
from drills.observe.chosen import Chosen
from drills.observe.job import ProbeJob
from drills.observe.names import NameRefused, NameUnanswered, NameUnfound, names_for
from drills.observe.start import Observers
from drills.observe.store import read_header, read_requests
from drills.timeline.samples import Sample

HOST = "www.orders.test"


def authority(at: Tree, timeout_s: float = 1.0) -> Authority:
    """Give what the fresh persona asks first, without the comparison with this machine's own resolver."""
    job = replace(ProbeJob("a", f"dns://{HOST}", "", timeout_s=timeout_s), **at.fields)  # pyright: ignore[reportArgumentType] - two fields
    chosen = names_for(job)
    assert isinstance(chosen, Chosen)
    return chosen.authority


def test_the_servers_of_a_delegated_zone_are_found_and_asked_without_recursion() -> None:
    with tree() as at:
        at.point(f"{HOST}.", "127.0.0.7")

        async def twice() -> tuple[list[str], list[str], Authority]:
            names = authority(at)
            first = list(await names.addresses(HOST))
            at.walker.asked.clear()
            at.point(f"{HOST}.", "127.0.0.8")
            return first, list(await names.addresses(HOST)), names

        first, second, names = asyncio.run(twice())
        assert (first, second) == (["127.0.0.7"], ["127.0.0.8"])
        assert (list(names.zones), names.ttl_s) == (["orders.test"], 5)
        assert at.walker.asked == [], "the resolver was asked again for what is known"
        told = [*at.child.asked, *at.spare.asked]
        assert [desired for name, desired in told if name == f"{HOST}. A"] == [False, False]


def test_an_alias_is_followed_into_the_zone_it_leads_to_even_when_it_is_changed() -> None:
    with tree() as at:
        for server in (at.child, at.spare):
            server.records[f"{HOST}.", "CNAME"] = ["near.orders.test."]
            server.records["near.orders.test.", "CNAME"] = ["east.cloud.test."]
        at.other.records["east.cloud.test.", "A"] = ["127.0.0.7"]
        at.other.records["west.cloud.test.", "AAAA"] = ["::1"]

        async def ask() -> tuple[list[str], list[str], list[str]]:
            names = authority(at)
            east = list(await names.addresses(HOST))
            for server in (at.child, at.spare):
                server.records["near.orders.test.", "CNAME"] = ["west.cloud.test."]
            return east, list(await names.addresses(HOST)), list(names.zones)

        assert asyncio.run(ask()) == (["127.0.0.7"], ["::1"], ["cloud.test", "orders.test"])


def test_a_server_that_is_silent_or_refuses_is_passed_over_and_asked_last_from_then_on() -> None:
    with tree() as at:
        at.point(f"{HOST}.", "127.0.0.7")

        async def ask(manner: Manner) -> int:
            names = authority(at)
            at.child.manner = Manner.ANSWERS
            await names.addresses(HOST)
            at.child.manner = manner
            at.child.asked.clear()
            for _ in range(6):
                assert list(await names.addresses(HOST)) == ["127.0.0.7"]
            return len([name for name, _ in at.child.asked if name == f"{HOST}. A"])

        assert asyncio.run(ask(Manner.MUTE)) == 1
        assert asyncio.run(ask(Manner.REFUSES)) == 1


def test_what_dns_says_decides_what_a_sample_may_be_taken_for() -> None:
    with tree() as at:
        at.point(f"{HOST}.", "127.0.0.7")
        for server in (at.child, at.spare):
            server.records["loop.orders.test.", "CNAME"] = ["loop.cloud.test."]
        at.other.records["loop.cloud.test.", "CNAME"] = ["loop.orders.test."]

        async def ask(host: str, names: Authority) -> None:
            await names.addresses(host)

        async def both(manner: Manner) -> None:
            names = authority(at, timeout_s=0.4)
            await names.addresses(HOST)
            at.child.manner = at.spare.manner = manner
            await names.addresses(HOST)

        with pytest.raises(NameRefused, match="NXDOMAIN"):
            asyncio.run(ask("nobody.orders.test", authority(at)))
        with pytest.raises(NameRefused, match="do not end"):
            asyncio.run(ask("loop.orders.test", authority(at)))
        with pytest.raises(NameUnanswered, match="none of the 2 servers of orders"):
            asyncio.run(both(Manner.MUTE))
        at.child.manner = at.spare.manner = Manner.ANSWERS
        with pytest.raises(NameRefused, match="REFUSED"):
            asyncio.run(both(Manner.REFUSES))
        at.parent.manner = Manner.MUTE
        at.walker.kept.clear()
        with pytest.raises(NameUnfound):
            asyncio.run(ask(HOST, authority(at)))


def test_what_can_be_the_name_of_nobody_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(Refused, match=r"'www\.\.test' can be the name of no host: A DNS label is empty"):
        asyncio.run(names_for(ProbeJob("a", "dns://www..test", "")).prepare("www..test"))


def test_servers_that_nobody_can_find_are_looked_for_less_and_less_often() -> None:
    with tree() as at:
        at.point(f"{HOST}.", "127.0.0.7")
        at.parent.manner = Manner.REFUSES

        async def ask(times: int) -> tuple[int, list[str]]:
            names = authority(at)
            for _ in range(times):
                with pytest.raises(NameUnfound, match="cannot be found"):
                    await names.addresses(HOST)
            asked = len(at.walker.asked)
            at.parent.manner = Manner.ANSWERS
            at.walker.kept.clear()
            for _ in range(200):
                try:
                    return asked, list(await names.addresses(HOST))
                except NameUnfound:
                    await asyncio.sleep(0.05)
            return asked, []

        asked, found = asyncio.run(ask(300))
        assert asked < 100, "a look at each request is a flood of questions"
        assert found == ["127.0.0.7"]


def test_servers_that_moved_are_found_again_once_the_old_ones_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drills.observe.authority._NOT_SOONER_NS", 0)
    with tree() as at:
        at.point(f"{HOST}.", "127.0.0.7")
        for server in (at.child, at.spare):
            server.records["orders.test.", "NS"] = ["ns1.orders.test."]

        async def ask() -> list[str]:
            names = authority(at)
            await names.addresses(HOST)
            at.child.manner = Manner.MUTE
            at.parent.below["orders.test."] = {"ns2.orders.test.": SPARE}
            at.spare.records["orders.test.", "NS"] = ["ns2.orders.test."]
            at.walker.kept.clear()
            with pytest.raises(NameUnanswered):
                await names.addresses(HOST)
            for _ in range(100):
                try:
                    return list(await names.addresses(HOST))
                except NameUnanswered:
                    await asyncio.sleep(0.05)
            return []

        assert asyncio.run(ask()) == ["127.0.0.7"]


def _sent_to(found: list[Sample], site: str) -> list[int]:
    return [row.sent for row in found if row.by == site]


@pytest.mark.prove
def test_a_prober_follows_a_failover_by_dns_that_the_systems_resolver_has_not_heard_of(tmp_path: Path) -> None:
    port = free_port("127.0.0.1", "127.0.0.2")
    base = ProbeJob("fresh", f"http://{HOST}:{port}/", "", header="X-Drills-Site", every_s=0.02, timeout_s=1.0)
    with Service("127.0.0.1", port, "east"), Service("127.0.0.2", port, "west"), tree() as at:
        at.point(f"{HOST}.", "127.0.0.1")
        fresh = replace(base, **at.fields)  # pyright: ignore[reportArgumentType] - two fields
        cached = replace(base, id="cached", resolver=f"{RESOLVER}:{at.port}")
        observers = Observers()
        started = observers.start([fresh, cached], tmp_path)
        files = {one.observer: Path(one.file) for one in started}
        try:
            wait_until(lambda: all(_sent_to(read_requests(file), "east") for file in files.values()), "answers of east")
            before = mono()
            at.point(f"{HOST}.", "127.0.0.2")
            after = mono()
            wait_until(lambda: len(_sent_to(read_requests(files["fresh"]), "west")) > 5, "answers of west")
            gone = mono()
            at.child.manner = at.spare.manner = Manner.MUTE
            wait_until(
                lambda: any(row.up is False and row.sent > gone for row in read_requests(files["fresh"])), "an outage"
            )
            clock.sleep(0.2)
        finally:
            assert observers.stop(started) == []
    seen = {name: [row for row in read_requests(file) if row.up is not None] for name, file in files.items()}
    assert {row.by for row in seen["fresh"] if after < row.sent and row.ended < gone} == {"west"}
    assert {row.by for row in seen["fresh"] if row.ended < before} == {"east"}
    assert _sent_to(seen["cached"], "west") == [], "the cache heard of it: the two personas show nothing"
    assert {row.hard for row in seen["fresh"] if row.up is False} == {False}
    assert "names are asked of the servers of orders.test" in read_header(files["fresh"]).notes
