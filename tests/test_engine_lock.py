"""The lock of a target, against a real moto server, by real processes that are killed while they hold it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aws_world import moto_server
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_drill import eventually

from drills.aws.place import Place
from drills.aws.sessions import Accounts
from drills.clock import SystemClock
from drills.engine import lock
from drills.engine.lock import Holder, Seen, Standing
from drills.engine.plan import Mode
from drills.testing import FakeClock

TESTS = Path(__file__).parent
HOME = {"account": "123456789012", "region": "us-east-2", "access_key": "AKIATEST00000000"}


@pytest.fixture(scope="module")
def endpoint() -> Generator[str]:
    with moto_server() as address:
        yield address


def ssm_of(endpoint: str) -> Any:
    return Accounts().write(Place("home", endpoint_url=endpoint, **HOME)).client("ssm")


def holder(drill: str, mode: Mode = Mode.RUN, host: str = "laptop-1", lease_s: float = 60.0) -> Holder:
    return Holder(drill, "ana@laptop", host, mode, lease_s, lease_s)


def lock_of(endpoint: str, name: str, me: Holder, clock: Any = None) -> lock.Lock:
    return lock.Lock(ssm_of(endpoint), f"/drills/lock/{name}", me, clock or SystemClock())


def test_of_two_only_the_first_holds_the_lock_until_it_gives_it_back(endpoint: str) -> None:
    first, second = (lock_of(endpoint, "two", holder(name)) for name in ("a", "b"))
    nobody = first.look()
    assert nobody == Seen()
    assert first.take(nobody)
    assert not second.take(nobody)
    seen = second.look()
    assert (seen.generation, seen.holder, seen.free) == (1, holder("a"), False)
    assert lock.standing(seen, holder("b"), takeover=True, ended=False) is Standing.TAKEN
    first.free()
    assert lock.standing(second.look(), holder("b"), takeover=False, ended=False) is Standing.FREE
    assert second.take(second.look())
    assert not first.renew()


def test_whoever_was_taken_over_sees_it_at_the_next_renewal_and_takes_nothing_back(endpoint: str) -> None:
    drill, incident = lock_of(endpoint, "seen", holder("a")), lock_of(endpoint, "seen", holder("b", Mode.INCIDENT))
    assert drill.take(drill.look())
    seen = incident.look()
    assert lock.standing(seen, incident.me, takeover=False, ended=False) is Standing.PREEMPTED
    assert incident.take(seen)
    assert not drill.renew()
    drill.free()
    assert incident.renew()
    assert incident.look().holder == incident.me


def test_a_lease_that_ran_out_is_no_renewal_but_a_new_race(endpoint: str) -> None:
    clock = FakeClock()
    mine = lock_of(endpoint, "lapsed", holder("a"), clock)
    assert mine.take(mine.look())
    clock.sleep(61.0)
    assert not mine.held()
    assert not mine.renew()
    assert mine.take(mine.look())
    assert mine.generation == 2


def test_only_the_last_generations_are_kept(endpoint: str) -> None:
    mine = lock_of(endpoint, "swept", holder("a"))
    for _ in range(15):
        assert mine.take(mine.look())
    left = ssm_of(endpoint).get_parameters_by_path(Path="/drills/lock/swept", MaxResults=10)["Parameters"]
    assert max(one["Name"] for one in left).endswith("/000015")
    assert len(left) <= lock.KEPT + 2


MODES = st.sampled_from(Mode)
HOLDERS = st.builds(holder, st.sampled_from("ab"), MODES, st.sampled_from(["laptop-1", "laptop-2"]))
SEEN = st.builds(Seen, st.integers(1, 9), HOLDERS, st.floats(0, 300))


@given(seen=SEEN, me=HOLDERS, takeover=st.booleans(), ended=st.booleans())
def test_a_lock_that_lives_is_taken_only_by_its_own_drill_or_an_incident(
    *, seen: Seen, me: Holder, takeover: bool, ended: bool
) -> None:
    how = lock.standing(seen, me, takeover=takeover, ended=ended)
    assert seen.holder is not None
    own = seen.holder.drill == me.drill and seen.holder.host == me.host
    incident = me.mode is Mode.INCIDENT and seen.holder.mode is not Mode.INCIDENT
    if seen.age_s <= seen.holder.lease_s + seen.holder.grace_s and not (own or incident or ended):
        assert how is Standing.TAKEN
    if not (own or incident or ended or takeover) and seen.holder.drill != me.drill:
        assert not lock.may_take(how)
    if ended or own or incident:
        assert lock.may_take(how)


@given(HOLDERS)
@settings(max_examples=20)
def test_what_is_written_is_what_is_read(one: Holder) -> None:
    assert msgspec.json.decode(msgspec.json.encode(one), type=Holder) == one


HOLDS = ("begin", "over", "stale")


def race(
    endpoint: str, folder: Path, rivals: int, turns: int, kills: int, *, incidents: int = 0
) -> tuple[list[tuple[int, str, str]], set[int]]:
    """Let rivals race for one lock, kill some while they hold it, and give the log and the killed holds."""
    log = folder / "log"
    name, chance = f"/drills/lock/race-{folder.name}", random.Random(folder.name)

    def start(rival: str, times: int, mode: Mode = Mode.RUN) -> subprocess.Popen[bytes]:
        words = [sys.executable, str(TESTS / "lock_rival.py"), endpoint, name, str(log), rival, str(times), "1.5", mode]
        return subprocess.Popen(words, cwd=TESTS.parent, env=os.environ | {"PYTHONPATH": str(TESTS)})

    running = {f"r{number}": start(f"r{number}", turns) for number in range(rivals)}
    killed: set[int] = set()

    def lines() -> list[tuple[int, str, str]]:
        text = log.read_text(encoding="utf-8") if log.exists() else ""
        rows = (line.split(" ") for line in text.split("\n")[:-1])
        return [(int(generation), rival, word) for generation, rival, word in rows]

    try:
        for number in range(kills):
            before = len(lines())
            eventually(lambda before=before: len(lines()) > before and lines()[-1][2].rstrip("!") in HOLDS, within_s=30)
            generation, rival, _ = lines()[-1]
            running[rival].kill()
            running[rival].wait()
            killed.add(generation)
            running[f"k{number}"] = start(f"k{number}", turns)
            SystemClock().sleep(chance.uniform(0.0, 0.2))
        for number in range(incidents):
            running[f"i{number}"] = start(f"i{number}", 1, Mode.INCIDENT)
        for process in running.values():
            process.wait(timeout=150)
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    return lines(), killed


def check(lines: list[tuple[int, str, str]], killed: set[int]) -> int:
    """Hold the log against the promise that at most one holds the lock; gives how many were stalled past their lease.

    A lock that is found free was ended by whoever had it. It is taken from a holder that lives only by an incident,
    or once its lease has run out (a machine may stall it for that long): that one may be caught in one act, and does
    nothing more. Nobody but such a one is met by the witness.
    """
    held, holder, stalled = 0, "", 0
    deprived = dict[int, int]()
    for generation, rival, said in lines:
        word = said.rstrip("!")
        if word in HOLDS:
            assert word != "begin" or held == 0, f"{rival} found {generation} free while {held} was held"
            assert word != "over" or (rival.startswith("i") and not holder.startswith("i")), (
                f"{rival} pre-empted {holder}"
            )
            assert generation > held
            if held and held not in killed:
                deprived[held] = 0
                stalled += word == "stale"
            assert said == word or deprived, f"{rival} began {generation} while another still held the witness"
            held, holder = generation, rival
        elif generation in deprived and word == "act":
            deprived[generation] += 1
            assert deprived[generation] == 1, f"{rival} acted again after it was taken over"
        else:
            assert held == generation, f"{rival} said {word} of {generation}, and {held} was held"
            held, holder = (0, "") if word == "end" else (held, holder)
    generations = [generation for generation, _, word in lines if word.rstrip("!") in HOLDS]
    assert generations == sorted(set(generations))
    return stalled


def test_of_many_processes_exactly_one_holds_the_lock_though_holders_are_killed(endpoint: str, tmp_path: Path) -> None:
    lines, killed = race(endpoint, tmp_path, rivals=3, turns=1, kills=1)
    check(lines, killed)
    assert len({rival for _, rival, _ in lines}) >= 3
    assert len(killed) == 1


@pytest.mark.prove
def test_of_many_processes_exactly_one_holds_the_lock_at_length(endpoint: str, tmp_path: Path) -> None:
    lines, killed = race(endpoint, tmp_path, rivals=8, turns=8, kills=6, incidents=2)
    check(lines, killed)
    assert len(killed) == 6
    assert {rival for _, rival, word in lines if word.rstrip("!") in HOLDS and rival.startswith("i")} == {"i0", "i1"}


def test_the_check_of_the_race_finds_two_holders_at_once() -> None:
    fair = [(1, "r0", "begin"), (1, "r0", "act"), (2, "i0", "over!"), (1, "r0", "act"), (2, "i0", "end")]
    with pytest.raises(AssertionError, match="witness"):
        check([(1, "r0", "begin"), (2, "r1", "stale!")], {1})
    assert check(fair, set()) == 0
    assert check([(1, "r0", "begin"), (2, "r1", "stale"), (2, "r1", "end")], {1}) == 0
    assert check([(1, "r0", "begin"), (2, "r1", "stale"), (3, "r2", "stale!"), (3, "r2", "end")], set()) == 2
    for wrong in (
        [(1, "r0", "begin"), (2, "r1", "begin")],
        [(1, "r0", "begin"), (2, "r1", "over")],
        [(1, "r0", "begin"), (1, "r0", "end"), (1, "r0", "act")],
        [(1, "r0", "begin"), (1, "r0", "end"), (2, "r1", "begin!")],
        [*fair, (1, "r0", "act")],
        [(1, "r0", "begin"), (2, "i0", "over"), (1, "r0", "end")],
    ):
        with pytest.raises(AssertionError):
            check(wrong, set())
