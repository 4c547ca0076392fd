"""The shipped planned switchover, whole, against witnesses that share no code with the observers of a drill."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from switchover_world import as_fresh_dns_sees_it, difference, down, drills, hasty, objective, rehearse, standing

from drills.calibrate.truth import Watcher, Writer

pytestmark = [pytest.mark.sandbox, pytest.mark.prove, pytest.mark.timeout(240)]


def test_a_planned_switchover_loses_nothing_and_its_downtime_is_that_of_an_independent_watcher(tmp_path: Path) -> None:
    with standing(tmp_path) as world:
        east, west = world["sites"]["east"], world["sites"]["west"]
        watcher, writer = Watcher(world["url"] + "/", world["resolver"], patience_s=0.8), Writer(east["dsn"])
        watcher.start()
        writer.start()
        try:
            code, told = rehearse(tmp_path, as_fresh_dns_sees_it)
        finally:
            writer.stop()
            watcher.stop()
        assert (code, told["status"]) == (0, "met"), [one["why"] for one in told["objectives"]]
        rows = objective(told, "lost_rows")
        assert rows == {**rows, "verdict": "MET", "low": 0, "high": 0, "target": 0, "unit": "rows"}
        assert difference(tmp_path, told, west["truth_dsn"]) == 0
        acked = {row.number for row in writer.rows if row.acked is not None}
        assert len(acked) > 100
        assert acked - writer.survived(west["truth_dsn"]) == set()
        low, high = down(watcher.seen)
        seen = objective(told, "downtime")
        assert 0 < low <= high < 30
        assert seen["low_s"] <= high
        assert low <= seen["high_s"]
        with psycopg.connect(west["truth_dsn"], autocommit=True) as connection:
            follows = "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'"
            assert connection.execute(follows).fetchall() == [("east",)]
        exposure = told["exposure"]
        assert exposure["restored"]
        assert 0 < exposure["low_s"] <= exposure["best_s"] <= exposure["high_s"] < 60
        verified = drills(tmp_path, "verify", told["drill"])
        assert verified.returncode == 0, verified.stdout
        with psycopg.connect(east["truth_dsn"], autocommit=True) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        assert Path(str(row[0])).with_name("east-snapshot-orders-east-last").joinpath("PG_VERSION").is_file()


def test_a_switchover_that_neither_fences_nor_waits_is_missed_by_the_rows_it_loses(tmp_path: Path) -> None:
    with standing(tmp_path) as world:
        code, told = rehearse(tmp_path, hasty)
        assert (code, told["status"]) == (1, "missed")
        rows = objective(told, "lost_rows")
        assert rows["verdict"] == "MISSED"
        assert rows["low"] > 20
        assert rows["low"] <= difference(tmp_path, told, world["sites"]["west"]["truth_dsn"]) <= rows["high"]
        exposure = objective(told, "exposure")
        assert (exposure["verdict"], told["exposure"]["restored"]) == ("UNPROVEN", False)
        assert told["exposure"]["why"].startswith("redundancy was not restored")
