"""Drills of several laptops on one account: real processes, a real moto server as the home region."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aws_world import moto_server
from runtime_drill import Drill, eventually

from drills.aws.place import Place
from drills.aws.sessions import Accounts
from drills.cli.main import main
from drills.cli.stop import stop_drills
from drills.clock import SystemClock
from drills.engine.halt import Halt, clear_flag, raise_flag
from drills.engine.lock import Holder, Lock
from drills.engine.plan import Mode
from drills.engine.progress import Status
from drills.runtime import inbox
from drills.runtime.journal import read_drill
from drills.runtime.stops import homes as homes_of
from drills.timeline import events as ev
from drills.timeline.events import Told, Word

KEY = "AKIATEST00000000"
SANDBOX = Path(__file__).parent.parent / "environments" / "sandbox.yaml"


@pytest.fixture(scope="module")
def endpoint() -> Generator[str]:
    with moto_server() as address:
        yield address


@pytest.fixture
def home(endpoint: str) -> dict[str, str]:
    return {"TEST_HOME": endpoint, "TEST_SERVICE": f"orders-{uuid4().hex[:6]}"}


def ssm_of(home: dict[str, str]) -> Any:
    place = Place("home", "111122223333", "us-east-2", endpoint_url=home["TEST_HOME"], access_key=KEY)
    return Accounts().write(place).client("ssm")


def laptop(folder: Path, name: str, called: str, home: dict[str, str], **more: str) -> Drill:
    """A drill of another laptop: a folder of its own."""
    folder.mkdir(exist_ok=True)
    return Drill(folder, name, called, **home, **more)


def waiting(drill: Drill) -> None:
    drill.until(lambda state: "seen" in state.running)


def bodies(drill: Drill) -> list[ev.Body]:
    return [one.body for one in read_drill(drill.folder)[0]]


# -- the global stop ---------------------------------------------------------------------------------------


def test_a_stop_on_this_machine_turns_a_drill_back_in_which_nothing_starts(
    tmp_path: Path, home: dict[str, str]
) -> None:
    drill = laptop(tmp_path / "one", "waits", "a", home)
    with drill.driven() as process:
        waiting(drill)
        would = drill.cli("stop")
        assert (would.returncode, would.stdout) == (2, "")
        reach = f"\n  {drill.folder.name} in {drill.folder.parent}: run in test\n"
        assert f"nothing was changed. On this machine --all would now reach:{reach}" in would.stderr
        assert not (drill.folder.parent / "stops").exists()
        stopped = drill.cli("stop", "--all", "--why", "smoke")
        assert (stopped.returncode, reach in stopped.stdout) == (0, True)
        assert process.wait(15) == 6
    assert "smoke" in drill.state.why
    assert drill.outside.effects == ["DO a", "UNDO a"]
    assert ssm_of(home).get_parameters(Names=["/drills/stop/all"])["Parameters"] != []
    told = drill.cli("status").stdout
    assert told.startswith("STOPPED: ")
    refused = laptop(tmp_path / "one", "waits", "b", home)
    assert refused.go()[0] == 4
    assert refused.outside.effects == ["DO a", "UNDO a"]
    cleared = drill.cli("stop", "--clear")
    assert (cleared.returncode, cleared.stdout.count("lifted")) == (0, 2)
    assert ssm_of(home).get_parameters(Names=["/drills/stop/all"])["Parameters"] == []
    mistyped = drill.cli("stop", "--all", "--env", "tset")
    assert (mistyped.returncode, mistyped.stdout, list((tmp_path / "one" / "stops").glob("*"))) == (2, "", [])


def test_a_stop_from_another_folder_reaches_the_drills_that_run_on_this_machine(
    tmp_path: Path, home: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drill, here = laptop(tmp_path / "one", "waits", "a", home), tmp_path / "elsewhere" / ".drills"
    here.mkdir(parents=True)
    monkeypatch.chdir(here.parent)
    monkeypatch.delenv("DRILLS_HOME", raising=False)
    (tmp_path / "proc" / "7" / "fd").mkdir(parents=True)  # as /proc shows it: the real one holds others' drills
    (tmp_path / "proc" / "7" / "fd" / "9").symlink_to(drill.folder / "journal.db")
    with drill.driven() as process:
        waiting(drill)
        homes = homes_of(tmp_path / "proc")
        assert homes == (here.resolve(), drill.folder.parent)
        stop_drills("test", "", homes)
        assert process.wait(15) == 6
    said = capsys.readouterr().out
    assert f"{drill.folder.parent}: set; drills run there too" in said
    assert f"\n  {drill.folder.name} in {drill.folder.parent}: run in test\n" in said
    assert "there is no environments/ in" in said
    monkeypatch.setenv("DRILLS_HOME", str(here))
    assert homes_of(tmp_path / "proc") == (here.resolve(),)
    assert main(["stop", "--clear", "--env", "test"]) == 0
    assert not list(tmp_path.glob("*/stops/*")) + list(here.glob("stops/*"))


def test_a_stop_reaches_all_that_it_can_where_the_present_folder_cannot_be_written(
    tmp_path: Path, home: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRILLS_HOME", raising=False)
    (tmp_path / "file").write_text("no folder")
    drill = laptop(tmp_path / "one", "waits", "a", home)
    with drill.driven() as process:
        waiting(drill)
        with pytest.raises(SystemExit) as ended:
            stop_drills("", "", (tmp_path / "file" / ".drills", drill.folder.parent))
        assert process.wait(15) == 6
    assert ended.value.code == 7
    said = capsys.readouterr()
    assert f"{tmp_path}/file/.drills: FAILED: " in said.err
    assert f"{drill.folder.parent}: set; drills run there too" in said.out
    assert f"lift it with `DRILLS_HOME={drill.folder.parent} drills stop --clear`" in said.out
    monkeypatch.setenv("DRILLS_HOME", str(drill.folder.parent))
    assert main(["stop", "--clear"]) == 0
    assert list((drill.folder.parent / "stops").iterdir()) == []


def test_a_stop_of_one_environment_says_what_to_do_where_nobody_knows_it_and_takes_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRILLS_HOME", str(tmp_path / "home"))
    assert main(["stop", "--all", "--env", "test"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("drills: nothing was changed: no drill of 'test' runs here, and there is no environments/")
    assert "`drills stop --all`" in said
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "a-file.yaml").write_bytes(SANDBOX.read_bytes())
    assert main(["stop", "--all", "--env", "a-file"]) == 0
    assert [one.name for one in (tmp_path / "home" / "stops").iterdir()] == ["env-sandbox.json"]
    said = capsys.readouterr().out
    assert "on this machine it reaches:\n  no drill that runs now\n  (DRILLS_HOME is set: " in said


def test_a_stop_of_another_machine_turns_a_drill_back_and_refuses_the_next(
    tmp_path: Path, home: dict[str, str]
) -> None:
    drill = laptop(tmp_path / "one", "waits", "a", home)
    halt = Halt("eve@elsewhere", "2026-01-01T00:00:00.000Z", "freeze", "test")
    try:
        with drill.driven() as process:
            waiting(drill)
            raise_flag(ssm_of(home), halt)
            assert process.wait(15) == 6
        assert drill.state.why == f"aborted by eve@elsewhere: global stop: {halt.told()}"
        assert drill.outside.effects == ["DO a", "UNDO a"]
        late = laptop(tmp_path / "two", "waits", "b", home)
        assert late.go()[0] == 4
        assert late.outside.effects == []
        assert "freeze" in late.state.why
    finally:
        assert clear_flag(ssm_of(home), "test")


def test_an_incident_is_warned_of_a_stop_and_goes_on(tmp_path: Path, home: dict[str, str]) -> None:
    drill = laptop(tmp_path / "one", "incident", "a", home)
    halt = Halt("eve@elsewhere", "2026-01-01T00:00:00.000Z", "", "test")
    try:
        with drill.driven() as process:
            waiting(drill)
            raise_flag(ssm_of(home), halt)
            drill.until(lambda state: state.notes)
            drill.outside.make("seen")
            process.wait(15)
        assert drill.outside.effects == ["DO a", "DO seen", "DO b"]
        assert "an incident goes on" in drill.state.notes[0][2]
    finally:
        clear_flag(ssm_of(home), "test")


# -- the lock ----------------------------------------------------------------------------------------------


def test_a_second_laptop_is_refused_and_told_who_holds_the_target(tmp_path: Path, home: dict[str, str]) -> None:
    first, second = (laptop(tmp_path / name, "waits", name, home) for name in ("one", "two"))
    with first.driven() as process:
        waiting(first)
        assert second.go()[0] == 4
        assert second.outside.effects == []
        assert "run one of" in second.state.why
        first.outside.make("seen")
        assert process.wait(15) == 3
    assert [type(body) for body in bodies(first)][-2:] == [ev.Unclaimed, ev.Finished]
    third = laptop(tmp_path / "three", "chain", "three", home)
    assert third.go()[0] == 3


def test_an_incident_takes_the_target_and_the_drill_stands_down_without_taking_anything_back(
    tmp_path: Path, home: dict[str, str]
) -> None:
    drill = laptop(tmp_path / "one", "waits", "drill", home)
    with drill.driven() as process:
        waiting(drill)
        incident = laptop(tmp_path / "two", "incident", "incident", home)
        with incident.driven() as other:
            waiting(incident)
            assert process.wait(15) == 8
            assert drill.outside.effects == ["DO a"]
            assert "incident incident of" in drill.state.preempted
            assert [one.step.id for one in drill.state.owed()] == ["a"]
            inbox.say(drill.folder, Told(Word.UNDO, "ana", 0))
            code, said = drill.go()
            assert (code, drill.outside.effects) == (4, ["DO a"])
            assert "incident incident of" in said
            incident.outside.make("seen")
            other.wait(15)
    assert drill.go()[0] == 6
    assert drill.outside.effects == ["DO a", "UNDO a"]


def test_a_killed_drill_still_holds_its_target_until_it_is_taken_up_again(tmp_path: Path, home: dict[str, str]) -> None:
    drill = laptop(tmp_path / "one", "waits", "one", home)
    with drill.driven() as process:
        waiting(drill)
        process.kill()
        process.wait()
    told = drill.cli("status").stdout
    assert f"still holds /drills/lock/test/{home['TEST_SERVICE']}" in told
    other = laptop(tmp_path / "two", "chain", "two", home)
    assert other.go()[0] == 4
    drill.outside.make("seen")
    assert drill.go()[0] == 3
    assert drill.state.claim is None
    assert laptop(tmp_path / "three", "chain", "three", home).go()[0] == 3


@pytest.mark.prove
def test_a_lease_that_ran_out_is_taken_over_only_by_a_word(tmp_path: Path, home: dict[str, str]) -> None:
    drill = laptop(tmp_path / "one", "waits", "one", home, TEST_LEASE="1")
    with drill.driven() as process:
        waiting(drill)
        process.kill()
        process.wait()
    me = Holder("two", "", "", Mode.RUN)
    mine = Lock(ssm_of(home), f"/drills/lock/test/{home['TEST_SERVICE']}", me, SystemClock())
    eventually(lambda: mine.look().stale)
    refused = laptop(tmp_path / "two", "chain", "two", home)
    assert refused.go()[0] == 4
    assert "--takeover" in refused.state.why
    taker = laptop(tmp_path / "two", "chain", "three", home, TEST_TAKEOVER="1")
    assert taker.go()[0] == 3
    assert "taken over: run one of" in next(one.detail for one in bodies(taker) if isinstance(one, ev.Claimed))


def test_a_home_that_does_not_answer_refuses_a_start_and_stops_no_drill_under_way(tmp_path: Path) -> None:
    with moto_server() as address:
        home = {"TEST_HOME": address, "TEST_SERVICE": "orders"}
        drill = laptop(tmp_path / "one", "waits", "one", home)
        process = drill.start()
        try:
            waiting(drill)
        except AssertionError:
            process.kill()
            raise
    try:
        refused = laptop(tmp_path / "two", "waits", "two", home)
        assert refused.go()[0] == 4
        assert refused.outside.effects == []
        assert "could not be learned" in refused.state.why
        drill.until(lambda state: state.notes, within_s=40)
        drill.outside.make("seen")
        assert process.wait(60) == 3
    finally:
        process.kill()
        process.communicate()
    assert drill.state.progress["b"].status is Status.DONE
    assert "goes on without asking it" in drill.state.notes[0][2]
