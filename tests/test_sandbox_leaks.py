"""Of a private sandbox nothing remains, whenever and however its drill is told to end; a standing one remains whole."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM

import pytest
from leaks import Witness, open_scratch, started, witness
from runtime_drill import eventually
from test_runtime_sandbox import ROOT, command, environment, runbook, the_drill, until

from drills.cli import folders
from drills.clock import SystemClock
from drills.engine import decide
from drills.engine.progress import Phase
from drills.engine.state import State
from drills.errors import JournalError
from drills.runtime.journal import read_drill

pytestmark = [pytest.mark.sandbox, pytest.mark.prove, pytest.mark.timeout(300)]
CLOCK = SystemClock()
GONE_WITHIN_S = 5.0
ENDS_WITHIN_S = 60.0

PHASES: dict[str, Callable[[State], object]] = {
    "before": lambda state: decide.phase(state) in (Phase.WATCHING, Phase.BEFORE),
    "disrupt": lambda state: state.progress["lose"].started is not None,
    "waiting": lambda state: "go" in state.running,
    "undo": lambda state: any(one.undo_started or one.undone for one in state.progress.values()),
    "recover": lambda state: state.progress["promote"].started is not None,
    "observing": lambda state: decide.phase(state) is Phase.SETTLING,
    "teardown": lambda state: state.finished is not None,
}
"""When a drill is where; before it has opened there is only its sandbox, which is being set up."""
ASKING = ("waiting", "undo")


def drills(seen: Witness, *words: str) -> subprocess.CompletedProcess[str]:
    """Speak to the drills of a home, as a person does."""
    return subprocess.run(
        command(*words),
        env=environment(seen.home) | {"TMPDIR": str(seen.scratch)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def rehearsing(seen: Witness, *words: str) -> Generator[subprocess.Popen[bytes]]:
    """Rehearse, followed by the witness; what is left of the process itself is killed."""
    process = subprocess.Popen(
        command("rehearse", runbook(seen.home), *words),
        env=environment(seen.home) | {"TMPDIR": str(seen.scratch)},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seen.follow(process.pid)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def newest(home: Path) -> Path:
    return folders.every(home)[0]


def reach(seen: Witness, phase: str, *, drills_before: int = 0) -> None:
    """Wait until the drill is in that phase, and bring it there if it takes a word."""
    if phase == "setup":
        eventually(lambda: len(seen.family) > 3)
        return
    eventually(lambda: len(folders.every(seen.home)) > drills_before, ENDS_WITHIN_S)
    if phase == "undo":
        come(seen.home, "waiting")
        assert drills(seen, "abort", newest(seen.home).name).returncode == 0
    come(seen.home, phase)


def come(home: Path, phase: str) -> None:
    def there() -> object:
        try:
            return PHASES[phase](read_drill(newest(home))[1])
        except JournalError:
            return False

    eventually(there, ENDS_WITHIN_S)


def told(process: subprocess.Popen[bytes], seen: Witness, phase: str, number: signal.Signals) -> None:
    """Tell the drill to end, and let one whose terminal went away come to its end."""
    process.send_signal(number)
    if number is SIGHUP and phase == "waiting":
        until(seen.home, lambda state: "go" in state.running)
        assert drills(seen, "approve", "go").returncode == 0
    process.wait(ENDS_WITHIN_S)


@pytest.fixture(autouse=True)
def heeded() -> Generator[None]:
    """Let Ctrl-C reach those who are started from here, though whoever runs the tests may have had it ignored."""
    before = signal.signal(SIGINT, signal.default_int_handler)
    yield
    signal.signal(SIGINT, before)


@pytest.fixture(scope="module")
def scratch() -> Generator[Path]:
    with open_scratch() as folder:
        yield folder


@pytest.mark.parametrize("number", [SIGINT, SIGTERM, SIGHUP, SIGKILL])
@pytest.mark.parametrize("phase", ["setup", *PHASES])
def test_nothing_of_a_private_sandbox_is_left_by_a_drill_that_is_told_to_end(
    tmp_path: Path, scratch: Path, phase: str, number: signal.Signals
) -> None:
    with witness(tmp_path, scratch) as seen:
        with rehearsing(seen, *(["--ask"] if phase in ASKING else [])) as process:
            reach(seen, phase)
            assert len([pid for pid in tuple(seen.family) if started(pid)]) > 2
            told(process, seen, phase, number)
        gone(seen)
        if phase == "setup":
            assert process.returncode != 0
            assert folders.every(tmp_path) == []
            assert drills(seen, "status").returncode == 0
        else:
            ends_well(seen, phase, number, process.returncode)
        assert seen.left() == []


def gone(seen: Witness) -> None:
    """Give what is left a moment to go, and name what does not."""
    begun = CLOCK.now()
    while seen.left() and CLOCK.now().since(begun) < GONE_WITHIN_S:
        CLOCK.sleep(0.05)
    assert seen.left() == []


def ends_well(seen: Witness, phase: str, number: signal.Signals, code: int) -> None:
    """Say what a drill must have come to, and that it can be taken up again where it is not over."""
    state = read_drill(the_drill(seen.home))[1]
    if phase == "teardown":
        assert state.finished is not None
        return
    if number is SIGHUP:
        assert (code, state.finished and state.finished.status) == ((6, "aborted") if phase == "undo" else (0, "met"))
        return
    if state.finished is not None:
        assert code == state.finished.exit_code
        assert state.owed() == []
        assert state.finished.status != "met"
        return
    assert code in (3, 8, -SIGKILL)
    assert the_drill(seen.home).name in drills(seen, "status").stdout
    resumed = drills(seen, "resume", "--output", "json")
    came = json.loads(resumed.stdout)
    assert (resumed.returncode, came["exit_code"], came["remains"]) == (came["exit_code"], came["exit_code"], [])
    assert came["status"] != "met"
    assert "nothing is owed" in came["remains_note"]


# -- a standing sandbox ------------------------------------------------------------------------------------

BEFORE_NO_RETURN = ("before", "disrupt", "waiting", "undo")


def whole(home: Path) -> Counter[str]:
    """Count the living processes of the standing sandbox by what they are; PostgreSQL's own come and go."""
    from drills.sandbox import lifecycle

    living = lifecycle.status(lifecycle.find(home / "sandboxes" / "default"))["processes"]
    names = ["/".join(name.partition("#")[0].split("/")[:2]) for name, pid in living.items() if started(pid)]
    return Counter(name for name in names if not name.endswith("backend"))


@pytest.mark.parametrize("number", [SIGINT, SIGTERM, SIGKILL])
def test_a_standing_sandbox_stays_whole_and_takes_the_next_rehearsal_after_an_undo(
    tmp_path: Path, scratch: Path, number: signal.Signals
) -> None:
    with witness(tmp_path, scratch) as seen:
        assert drills(seen, "sandbox", "up").returncode == 0
        try:
            made = whole(tmp_path)
            for count, phase in enumerate(BEFORE_NO_RETURN):
                words = ["--ask"] if phase in ASKING else []
                with rehearsing(seen, "--in", "default", *words) as process:
                    reach(seen, phase, drills_before=count)
                    told(process, seen, phase, number)
                folder = newest(tmp_path)
                if read_drill(folder)[1].finished is None:
                    undone = drills(seen, "undo", folder.name)
                    assert undone.returncode == 6, (phase, undone.stdout, undone.stderr)
                state = read_drill(folder)[1]
                assert state.finished is not None, phase
                assert state.owed() == [], phase
                watching = [one.pid for one in state.watched]
                eventually(lambda watching=watching: not [pid for pid in watching if started(pid)], GONE_WITHIN_S)
                eventually(lambda: whole(tmp_path) == made, GONE_WITHIN_S * 4)
            with rehearsing(seen, "--in", "default") as process:
                assert process.wait(ENDS_WITHIN_S) == 0
        finally:
            drills(seen, "sandbox", "down")
        gone(seen)
