"""Sites of the data plane die, are cut off and come back, and what is lost is what was under way."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

import psycopg
import pytest
from dataplane_world import alive, ask, data_of, eventually, insert, items, of_site, postmaster, running, serving

from drills.errors import DrillsError
from drills.sandbox.dataplane import DataPlane, SiteShape
from drills.sandbox.shapes import Loss

pytestmark = pytest.mark.sandbox


def write_for(plane: DataPlane, seconds: float, prefix: str = "row") -> list[str]:
    """Write as fast as it goes through the edge of east; returns what was acknowledged, in order."""
    until = time.monotonic() + seconds
    acked: list[str] = []
    with psycopg.connect(plane.addresses().sites["east"].dsn, autocommit=True) as client:
        while time.monotonic() < until:
            item = f"{prefix}-{len(acked)}"
            client.execute("INSERT INTO orders (item, quantity, site, instance) VALUES (%s, 1, 'east', 't')", (item,))
            acked.append(item)
    return acked


def test_a_killed_site_loses_the_last_rows_and_the_other_takes_over(tmp_path: Path) -> None:
    with running(tmp_path, wan_delay_s=0.2) as plane:
        serving(plane, "east", "i-1")
        serving(plane, "west", "i-2")
        victims = of_site(plane, "east")
        acked = write_for(plane, 0.6)
        before_ns = time.monotonic_ns()
        stamp = plane.lose("east", "kill")
        assert not [pid for pid in victims if alive(pid)]
        assert stamp.first_exit_ns is not None
        assert stamp.last_exit_ns is not None
        assert before_ns <= stamp.before_ns <= stamp.first_exit_ns <= stamp.last_exit_ns <= time.monotonic_ns()
        assert stamp.before_ns <= stamp.after_ns
        assert plane.lose("east", "kill") == stamp
        for refused in (plane.addresses().sites["east"].app, plane.addresses().sites["east"].database):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((refused.host, refused.port), 1)
        assert (plane.is_writer("east"), plane.site_reachable("east"), plane.listening("east")) == (None, False, set())
        assert plane.site_reachable("west")
        with pytest.raises(DrillsError, match="east is killed"):
            plane.promote("east")
        plane.promote("west")
        plane.promote("west")
        insert(plane, "west", "after")
        survived = items(plane, "west") - {"after"}
        lost = [item for item in acked if item not in survived]
        assert lost
        assert survived == set(acked[: len(acked) - len(lost)])
        eventually(lambda: ask(plane.addresses().sites["west"].app).status == 200)
        exits = (tmp_path / "exits.jsonl").read_text(encoding="utf-8")
        assert all(f'"pid":{pid},' in exits for pid in victims)


def test_a_synchronous_standby_loses_nothing(tmp_path: Path) -> None:
    with running(tmp_path, west=SiteShape("west", primary=False, synchronous=True), wan_delay_s=0.02) as plane:
        acked = write_for(plane, 0.5)
        plane.lose("east", "kill")
        plane.promote("west")
        insert(plane, "west", "after")
        assert acked
        assert set(acked) <= items(plane, "west")


def test_a_commit_that_waits_for_a_lost_synchronous_standby_is_not_acknowledged(tmp_path: Path) -> None:
    with running(tmp_path, west=SiteShape("west", primary=False, synchronous=True)) as plane:
        serving(plane, "east", "i-1")
        app = plane.addresses().sites["east"].app
        assert ask(app).status == 200
        plane.lose("west", "kill")
        began = time.monotonic()
        answers = [ask(app), ask(app, "/orders", post="")]
        assert [each.status for each in answers] == [503, 503]
        assert time.monotonic() - began < 3
        plane.heal("west")
        eventually(lambda: ask(app).status == 200)


def test_a_black_hole_answers_nobody_and_its_bytes_never_arrive(tmp_path: Path) -> None:
    with running(tmp_path, wan_delay_s=0.3) as plane:
        serving(plane, "east", "i-1")
        at = plane.addresses().sites["east"]
        eventually(lambda: ask(at.app).status == 200)
        with socket.create_connection((at.database.host, at.database.port), 1) as old:
            acked = write_for(plane, 0.6)
            stamp = plane.lose("east", "blackhole")
            assert (stamp.first_exit_ns, stamp.last_exit_ns) == (None, None)
            with pytest.raises(TimeoutError):
                ask(at.app, timeout_s=0.5)
            for endpoint in (at.app, at.database):
                with pytest.raises(TimeoutError):
                    socket.create_connection((endpoint.host, endpoint.port), 0.3)
            assert not plane.site_reachable("east")
            assert plane.is_writer("east") is None
            held = items(plane, "west")
            assert held < set(acked)
            assert items(plane, "east") == set(acked)
            plane.promote("west")
            insert(plane, "west", "after")
            plane.heal("east")
            old.settimeout(2)
            with contextlib.suppress(ConnectionResetError):
                assert old.recv(1) == b""
        eventually(lambda: ask(at.app).status == 200)
        assert plane.site_reachable("east")
        assert (plane.is_writer("east"), plane.is_writer("west")) == (True, True)
        assert items(plane, "west") == held | {"after"}


def test_a_black_hole_in_front_of_the_standby_stops_replication_until_it_is_healed(tmp_path: Path) -> None:
    with running(tmp_path) as plane:
        serving(plane, "east", "i-1")
        plane.lose("west", "blackhole")
        with pytest.raises(DrillsError, match="west is black-holed"):
            plane.promote("west")
        insert(plane, "east", "lamp")
        assert ask(plane.addresses().sites["east"].app).status == 200
        assert items(plane, "west") == set()
        plane.heal("west")
        plane.heal("west")
        eventually(lambda: items(plane, "west") == {"lamp"})
        eventually(lambda: plane.streaming("west"))


def test_a_black_holed_site_can_still_be_killed_and_healed(tmp_path: Path) -> None:
    with running(tmp_path) as plane:
        serving(plane, "west", "i-1")
        plane.lose("west", "blackhole")
        plane.lose("west", "kill")
        assert not of_site(plane, "west")
        with pytest.raises(DrillsError, match="cannot be cut off: it is killed"):
            plane.lose("west", "blackhole")
        plane.set_instances("west", ["i-1", "i-2"])
        insert(plane, "east", "lamp")
        plane.heal("west")
        eventually(lambda: plane.listening("west") == frozenset({"i-1", "i-2"}))
        eventually(lambda: items(plane, "west") == {"lamp"})


def test_an_old_primary_is_rebuilt_as_a_standby_and_takes_over_again(tmp_path: Path) -> None:
    with running(tmp_path, wan_delay_s=0.02) as plane:
        write_for(plane, 0.3)
        plane.lose("east", "kill")
        plane.promote("west")
        kept = items(plane, "west")
        plane.heal("east")
        assert plane.is_writer("east")
        insert(plane, "east", "split-brain")
        insert(plane, "west", "west-1")
        plane.rebuild_standby("east", of="west")
        assert (plane.is_writer("east"), plane.streaming("east")) == (False, True)
        eventually(lambda: items(plane, "east") == kept | {"west-1"})
        plane.promote("east")
        insert(plane, "east", "back")
        plane.rebuild_standby("west", of="east")
        eventually(lambda: items(plane, "west") == kept | {"west-1", "back"})


def test_a_standby_that_cannot_be_rewound_is_copied_anew(tmp_path: Path) -> None:
    with running(tmp_path) as plane:
        insert(plane, "east", "lamp")
        west = postmaster(plane, "west")
        data = data_of(west)
        os.kill(west, signal.SIGINT)
        eventually(lambda: not alive(west))
        (data / "global" / "pg_control").unlink()
        plane.rebuild_standby("west", of="east")
        insert(plane, "east", "book")
        eventually(lambda: items(plane, "west") == {"lamp", "book"})
        with pytest.raises(DrillsError, match="no writer"):
            plane.rebuild_standby("east", of="west")


def test_losses_in_the_middle_of_anything_leave_a_site_that_heals(tmp_path: Path) -> None:
    with running(tmp_path) as plane:
        hows: tuple[Loss, ...] = ("kill", "blackhole", "kill", "blackhole")
        for number, how in enumerate(hows):
            plane.set_instances("west", [f"i-{number}", "i-9"])
            plane.lose("west", how)
            plane.heal("west")
            eventually(lambda number=number: plane.listening("west") == frozenset({f"i-{number}", "i-9"}))
        eventually(lambda: plane.streaming("west"))
