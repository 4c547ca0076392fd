"""The data plane lives: applications, replication, DNS, fences, and several side by side."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import msgspec
import psycopg
import pytest
from dataplane_world import EAST, WEST, ask, eventually, insert, items, running, serving

from drills.errors import DrillsError
from drills.sandbox.dataplane import DataPlane, SiteShape
from drills.sandbox.nameserver import Effective

pytestmark = pytest.mark.sandbox


def test_an_application_answers_200_only_where_its_database_takes_writes(tmp_path: Path) -> None:
    with running(tmp_path) as plane:
        serving(plane, "east", "i-1", "i-2")
        serving(plane, "west", "i-3")
        sites = plane.addresses().sites
        seen = [ask(sites["east"].app) for _ in range(4)]
        assert {(each.status, each.site) for each in seen} == {(200, "east")}
        assert {each.instance for each in seen} == {"i-1", "i-2"}
        standby = ask(sites["west"].app, "/")
        assert (standby.status, standby.site, standby.instance) == (503, "west", "i-3")
        assert "read-only" in standby.body["reason"]
        order = ask(sites["east"].app, "/orders", post='{"item": "lamp", "quantity": 2}')
        assert (order.status, order.body["id"]) == (201, 1)
        assert ask(sites["east"].app, "/orders", post='{"itme": "lamp"}').status == 400
        assert ask(sites["west"].app, "/orders", post="").status == 503
        eventually(lambda: items(plane, "west") == {"lamp"})
        assert (plane.is_writer("east"), plane.is_writer("west")) == (True, False)
        assert (plane.streaming("west"), plane.streaming("east")) == (True, False)
        assert plane.replica_lag_s("east") is None


def test_an_instance_answers_more_than_fifty_requests_a_second(tmp_path: Path) -> None:
    with running(tmp_path) as plane:
        serving(plane, "east", "i-1")
        app = plane.addresses().sites["east"].app
        statuses: list[int] = []

        def visit() -> None:
            statuses.extend(ask(app).status for _ in range(50))

        began = time.monotonic()
        visitors = [threading.Thread(target=visit) for _ in range(4)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join(20)
        assert statuses == [200] * 200
        assert 200 / (time.monotonic() - began) > 50


def test_instances_come_drain_and_die_and_nobody_listens_where_none_is_left(tmp_path: Path) -> None:
    with running(tmp_path) as plane:
        app = plane.addresses().sites["east"].app
        with pytest.raises(ConnectionRefusedError):
            ask(app)
        serving(plane, "east", "i-1", "i-2", "i-3")
        serving(plane, "east", "i-1", "i-2")
        plane.stop_instance("east", "i-2", force=True)
        eventually(lambda: plane.listening("east") == frozenset({"i-1"}))
        assert {ask(app).instance for _ in range(4)} == {"i-1"}
        plane.stop_instance("east", "i-1", force=False)
        eventually(lambda: not plane.listening("east"))
        with pytest.raises(ConnectionRefusedError):
            ask(app)
        eventually(lambda: not [each for each in plane.processes() if each.role == "app"])
        serving(plane, "east", "i-1")


def test_the_delay_of_the_wan_is_the_lag_of_the_standby(tmp_path: Path) -> None:
    with running(tmp_path, wan_delay_s=0.25) as plane:
        insert(plane, "east", "lamp")
        assert items(plane, "west") == set()
        began = time.monotonic()
        eventually(lambda: items(plane, "west") == {"lamp"})
        assert time.monotonic() - began > 0.1
        eventually(lambda: 0.2 < (plane.replica_lag_s("west") or 0) < 1.5)
        plane.set_wan_delay(0.0)
        insert(plane, "east", "book")
        eventually(lambda: items(plane, "west") == {"lamp", "book"}, within_s=5)


def test_a_fence_ends_and_refuses_clients_and_keeps_replication(tmp_path: Path) -> None:
    with running(tmp_path) as plane:
        serving(plane, "east", "i-1")
        at = plane.addresses().sites["east"]
        with psycopg.connect(at.dsn, autocommit=True) as client:
            client.execute("SELECT 1")
            plane.fence_db("east", fenced=True)
            with pytest.raises(psycopg.OperationalError):
                client.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(at.dsn)
        assert ask(at.app).status == 503
        assert (plane.is_writer("east"), plane.streaming("west")) == (True, True)
        plane.lose("east", "kill")
        plane.heal("east")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(at.dsn)
        plane.fence_db("east", fenced=False)
        insert(plane, "east", "lamp")
        eventually(lambda: plane.listening("east") == frozenset({"i-1"}))
        assert ask(at.app).status == 200


def test_a_dns_change_is_seen_by_the_first_query_after_it(tmp_path: Path) -> None:
    name = "orders.example.com."
    with running(tmp_path, ttl_s=7) as plane:
        resolver = plane.addresses().resolver

        def look_up(kind: str = "A") -> dns.message.Message:
            return dns.query.udp(dns.message.make_query(name, kind), resolver.host, 2, resolver.port)

        assert look_up().rcode() == dns.rcode.NXDOMAIN
        told = [plane.serve("Orders.Example.com", [f"127.1.1.{last}", "127.1.2.1"]) for last in range(1, 20)]
        for last in range(1, 20):
            plane.serve(name, [f"127.1.1.{last}"])
            (found,) = look_up().answer
            assert found.to_text() == f"{name} 7 IN A 127.1.1.{last}"
        query = dns.message.make_query(name.upper(), "A")
        assert len(dns.query.tcp(query, resolver.host, 2, resolver.port).answer) == 1
        other = look_up("AAAA")
        assert (other.rcode(), other.answer, len(other.authority)) == (dns.rcode.NOERROR, [], 1)
        with pytest.raises(DrillsError, match="cannot serve"):
            plane.serve(name, ["not-an-address"])
        plane.serve(name, [])
        assert look_up().rcode() == dns.rcode.NXDOMAIN
        lines = (tmp_path / "dns.jsonl").read_text(encoding="utf-8").splitlines()
        stamped = [msgspec.json.decode(line, type=Effective) for line in lines]
        assert stamped[:19] == told
        assert all(each.before_ns <= each.after_ns for each in stamped)
        assert len(stamped) == 19 * 2 + 1


def test_two_data_planes_side_by_side_do_not_meet(tmp_path: Path) -> None:
    with running(tmp_path / "one") as one, running(tmp_path / "two") as two:
        serving(one, "east", "i-1")
        serving(two, "east", "i-1")
        one.lose("east", "kill")
        with pytest.raises(OSError, match="refused"):
            ask(one.addresses().sites["east"].app)
        assert ask(two.addresses().sites["east"].app).status == 200
        assert two.streaming("west")


def test_a_database_that_does_not_start_is_an_error_with_its_log(tmp_path: Path) -> None:
    plane = DataPlane(tmp_path, [EAST, WEST], wan_delay_s=0, ttl_s=1)
    at = plane.addresses().sites["east"].postgres
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((at.host, at.port))
        taken.listen()
        with pytest.raises(DrillsError, match=r"PostgreSQL of east ended while starting(?s:.*)could not bind"):
            plane.start()
    assert not list(tmp_path.glob("data-*"))


def test_what_cannot_be_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DrillsError, match="exactly one primary"):
        DataPlane(tmp_path, [WEST], wan_delay_s=0, ttl_s=1)
    with pytest.raises(DrillsError, match="different names"):
        DataPlane(tmp_path, [EAST, SiteShape("east", primary=False)], wan_delay_s=0, ttl_s=1)
    plane = DataPlane(tmp_path, [EAST, WEST], wan_delay_s=0, ttl_s=1)
    with pytest.raises(DrillsError, match="not started"):
        plane.lose("east", "kill")
    plane.stop()
    with pytest.raises(DrillsError, match="was stopped"):
        plane.start()
