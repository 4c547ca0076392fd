"""The power goes: what a disk has for certain is enough to go on with, and nothing is done twice."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from runtime_drill import LOOKS, Drill, eventually

from drills.clock import SystemClock
from drills.engine.progress import Status
from drills.errors import JournalError
from drills.runtime.journal import read_drill
from drills.timeline.facts import Before

SECTOR = 512
"""Bytes that a disk writes whole or not at all."""
CHANGES = [f"DO s{number}" for number in range(0, LOOKS + 1, 5)]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that keeps what is synced."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler to build the stand-in of a disk with")
    library = tmp_path_factory.mktemp("power") / "power.so"
    source = Path(__file__).parent / "power.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True, timeout=60)
    return library


class Powered(Drill):
    """A drill whose disk is looked at: ``disk`` holds what it had synced when it last did."""

    def __init__(self, folder: Path, library: Path) -> None:
        super().__init__(folder, "looks", LD_PRELOAD=str(library), DISK=str(folder / "disk"))
        self.disk = folder / "disk"
        self.disk.mkdir()
        for number in range(LOOKS + 1):
            if number % 5:
                (folder / "world" / f"s{number}").touch()

    def ended(self) -> list[int]:
        """Give the numbers of the steps that have ended, for all that the disk knows."""
        try:
            state = read_drill(self.disk)[1]
        except JournalError:
            return []
        finally:
            (self.disk / "journal.db-shm").unlink(missing_ok=True)
        return [int(name[1:]) for name, one in state.progress.items() if one.status is Status.DONE]

    def cut_power(self, chance: random.Random) -> None:
        """Leave what was synced; of all that was written after it, each sector is on the disk or not."""
        (self.folder / "journal.db-shm").unlink(missing_ok=True)
        for file in self.folder.glob("journal.db*"):
            synced = self.disk / file.name
            old = synced.read_bytes() if synced.exists() else b""
            file.write_bytes(torn(old, file.read_bytes(), chance))


def torn(old: bytes, new: bytes, chance: random.Random) -> bytes:
    """Mix two versions of a file, sector by sector; ``old`` is what is certain of it."""
    size = chance.randint(min(len(old), len(new)), max(len(old), len(new)))
    old, new = (version.ljust(size, b"\0") for version in (old, new))
    starts = range(0, size, SECTOR)
    return b"".join(chance.choice((old, new))[at : at + SECTOR] for at in starts)[:size]


HELD = {5: "captured", 6: "looked", 25: "before", 26: "looked", 45: "captured", 46: "looked", 60: "before"}
"""Steps that are held up, and at which of their moments: about to change something, or next after a change."""


def test_what_led_to_a_change_and_how_it_ended_is_on_the_disk_before_anything_follows(
    tmp_path: Path, kept: Path
) -> None:
    drill = Powered(tmp_path, kept)
    for number, moment in HELD.items():
        drill.outside.close_gate(f"s{number}.{moment}")
    with drill.driven():
        for number, moment in HELD.items():
            eventually(lambda gate=f"s{number}.{moment}": drill.outside.is_at(gate))
            assert drill.ended() == list(range(number))
            if moment == "before":
                begun = read_drill(drill.disk)[1].progress[f"s{number}"]
                assert (begun.status, begun.before) == (Status.RUNNING, Before(was=False))
            drill.outside.open_gate(f"s{number}.{moment}")


def test_what_was_only_looked_at_is_on_the_disk_soon(tmp_path: Path, kept: Path) -> None:
    drill = Powered(tmp_path, kept)
    drill.outside.close_gate("s9.looked")
    with drill.driven():
        eventually(lambda: drill.ended() == list(range(9)))


def test_power_that_is_cut_at_random_moments_costs_no_change_twice(tmp_path: Path, kept: Path) -> None:
    chance = random.Random(7)
    drill = Powered(tmp_path, kept)
    for _ in range(6):
        with drill.driven() as process:
            eventually(lambda: drill.ended() or process.poll() is not None)
            SystemClock().sleep(chance.uniform(0.0, 0.15))
        drill.cut_power(chance)
    assert drill.go() == (3, "")
    assert drill.outside.effects == CHANGES


def test_a_disk_that_no_longer_syncs_stops_a_drill_before_the_next_change(tmp_path: Path, kept: Path) -> None:
    drill = Powered(tmp_path, kept)
    drill.outside.close_gate("s10.before")
    with drill.driven() as process:
        eventually(lambda: drill.outside.is_at("s10.before"))
        (drill.disk / "broken").touch()
        drill.outside.open_gate("s10.before")
        assert process.wait(15) == 1
        assert process.stderr is not None
        said = process.stderr.read()
    assert said.startswith(f"drills: {drill.folder / 'journal.db'}: ")
    assert said.endswith("nothing more is started\n")
    assert drill.outside.effects == CHANGES[:3]
    (drill.disk / "broken").unlink()
    assert drill.go() == (3, "")
    assert drill.outside.effects == CHANGES
