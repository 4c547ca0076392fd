"""A drill of scripted works, driven for real by a process of its own, that may be killed at any moment.

``python runtime_drill.py FOLDER NAME [LIMIT]`` begins the drill NAME in FOLDER, or goes on with it. The world is the
folder ``world`` beside it: a change makes a file there and a line in ``effects`` (synced), which no engine writes.
A file ``gates/STEP.MOMENT`` holds a work up for as long as it is there. LIMIT: most bytes of any file (a full disk).
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace as altered

from drills import catalog
from drills.clock import SystemClock
from drills.engine.by_people import by_people
from drills.engine.plan import Mode, Plan, Section
from drills.engine.state import State
from drills.errors import Busy, DrillsError, JournalError
from drills.runtime.journal import read_drill
from drills.runtime.warden import Warden
from drills.services.spec import ActionSpec, ProbeSpec
from drills.testing import plan, step
from drills.timeline import events as ev
from drills.timeline.facts import Before, Receipt
from drills.work import Aws, Kind, Observation, Place, Undone

if TYPE_CHECKING:
    from collections.abc import Generator

CLOCK = SystemClock()
TESTS = Path(__file__).parent
LONGEST_S = 30.0
HERE = Place("here", "111122223333", "us-east-1")


class Outside:
    """What is outside of a drill: files, and a log of effects."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        for name in ("world", "gates"):
            (self.folder / name).mkdir(exist_ok=True)

    @property
    def effects(self) -> list[str]:
        """What was done, in order."""
        log = self.folder / "effects"
        return log.read_text(encoding="utf-8").split("\n")[:-1] if log.exists() else []

    def log(self, line: str) -> None:
        """Write one effect down, to the disk."""
        with (self.folder / "effects").open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")
            log.flush()
            os.fsync(log.fileno())

    def is_there(self, name: str) -> bool:
        """Whether a change stands."""
        return (self.folder / "world" / name).exists()

    def make(self, name: str) -> None:
        """Make a change."""
        self.log(f"DO {name}")
        (self.folder / "world" / name).touch()

    def unmake(self, name: str) -> None:
        """Take a change back, if it stands."""
        if self.is_there(name):
            self.log(f"UNDO {name}")
            (self.folder / "world" / name).unlink()

    def close_gate(self, name: str) -> None:
        """Hold a work up at one of its moments."""
        (self.folder / "gates" / name).touch()

    def open_gate(self, name: str) -> None:
        """Let it go on."""
        (self.folder / "gates" / name).unlink()

    def pass_gate(self, name: str) -> None:
        """Wait while a gate is closed, and tell that somebody waits."""
        gate = self.folder / "gates" / name
        begun = CLOCK.now()
        while gate.exists() and CLOCK.now().since(begun) < LONGEST_S:
            (self.folder / f"at-{name}").touch()
            CLOCK.sleep(0.005)

    def is_at(self, name: str) -> bool:
        """Whether a work has come to that gate, once."""
        return (self.folder / f"at-{name}").exists()


class Touch(ActionSpec):
    """Make a file."""

    name: ClassVar[str] = "test.touch"
    file: str
    outside: str

    @property
    def world(self) -> Outside:
        return Outside(self.outside)

    def capture(self, aws: Aws) -> Before:
        del aws
        self.world.pass_gate(f"{self.file}.captured")
        return Before(was=self.world.is_there(self.file))

    def already(self, aws: Aws) -> Observation:
        del aws
        there = self.world.is_there(self.file)
        return Observation(ok=there, detail=f"{self.file} is {'there' if there else 'not there'}")

    def perform(self, aws: Aws, before: Before) -> Receipt:
        del aws, before
        self.world.pass_gate(f"{self.file}.before")
        self.world.make(self.file)
        self.world.pass_gate(f"{self.file}.after")
        return Receipt(file=self.file)

    def undo(self, aws: Aws, before: Before, receipt: Receipt | None) -> Undone:
        del aws, before, receipt
        self.world.pass_gate(f"{self.file}.unbefore")
        self.world.unmake(self.file)
        self.world.pass_gate(f"{self.file}.unafter")
        return Undone(f"{self.file} is gone")

    def restored(self, aws: Aws, before: Before) -> Observation:
        del aws, before
        return Observation(ok=not self.world.is_there(self.file), detail="")

    def by_hand(self, before: Before) -> tuple[str, ...]:
        del before
        return (f"rm {self.file}",)


class Slow(Touch):
    """Ask for a file that comes a second later; while it is on its way, asking again is refused, as AWS does."""

    name: ClassVar[str] = "test.slow"

    def already(self, aws: Aws) -> Observation:
        asked = Path(self.outside) / f"asked-{self.file}"
        if asked.exists() and not self.world.is_there(self.file):
            age_s = CLOCK.now().utc_ns / 1e9 - asked.stat().st_mtime
            if age_s > 1.5:
                (self.world.folder / "world" / self.file).touch()
        return super().already(aws)

    def perform(self, aws: Aws, before: Before) -> Receipt:
        del aws, before
        asked = Path(self.outside) / f"asked-{self.file}"
        if asked.exists():
            raise Busy("InvalidDBInstanceState: it is modifying")
        self.world.log(f"DO {self.file}")
        asked.touch()
        self.world.pass_gate(f"{self.file}.after")
        return Receipt(file=self.file)


class Promote(Slow):
    """The same, one way: the point of no return."""

    name: ClassVar[str] = "test.promote"
    one_way: ClassVar[str | None] = "what is promoted stays"
    authority: ClassVar[bool] = True


class Stubborn(Touch):
    """A file whose undo is told `not now` a few times."""

    name: ClassVar[str] = "test.stubborn"

    def undo(self, aws: Aws, before: Before, receipt: Receipt | None) -> Undone:
        self.world.log(f"ASK {self.file}")
        if len(self.world.effects) < 7:
            raise Busy("IncorrectInstanceState: it is stopping")
        return super().undo(aws, before, receipt)


class Stays(Touch):
    """A file that stays, though its undo was answered."""

    name: ClassVar[str] = "test.stays"
    restore_timeout: ClassVar[timedelta] = timedelta(milliseconds=300)

    def undo(self, aws: Aws, before: Before, receipt: Receipt | None) -> Undone:
        del aws, before, receipt
        return Undone("it was asked for")


class There(ProbeSpec):
    """See whether a file is there."""

    name: ClassVar[str] = "test.there"
    file: str
    outside: str

    def observe(self, aws: Aws) -> Observation:
        del aws
        world = Outside(self.outside)
        world.pass_gate(f"{self.file}.looked")
        there = world.is_there(self.file)
        return Observation(ok=there, detail=f"{self.file} is {'there' if there else 'not there'}")


def register() -> None:
    """Put the works of this file into the catalogue of this process, which is the driver's and nobody else's."""
    for work in (Touch, Slow, Promote, Stubborn, Stays):
        catalog.ACTIONS[work.name] = f"{__name__}:{work.__name__}"
    catalog.PROBES[There.name] = f"{__name__}:{There.__name__}"


def bound(pinned: Plan, folder: Path) -> Plan:
    """Give every step its work, by its kind and the beginning of its id, and the world it works on."""
    uses = {"slow": "test.slow", "promote": "test.promote", "stubborn": "test.stubborn", "stays": "test.stays"}
    steps = tuple(
        altered(
            one,
            uses=""
            if one.kind is Kind.OPERATOR
            else "test.there"
            if one.kind is Kind.PROBE
            else uses.get(one.id, "test.touch"),
            params=type(one.params)(file=one.id, outside=str(folder)),
            every_s=0.05,
        )
        for one in pinned.steps
    )
    return replace(pinned, steps=steps, places=(HERE,), to_site="here")


def chain(*, mode: Mode = Mode.REHEARSE) -> Plan:
    """a -> b -> c, and no question."""
    return plan(step("a"), step("b", Kind.ACTION, "a"), step("c", Kind.ACTION, "b"), mode=mode, ask=False)


LOOKS = 60
"""The number of the last step of the drill ``looks``: every fifth changes something, the others only look."""
PLANS: dict[str, Callable[[], Plan]] = {
    "chain": chain,
    "run": lambda: chain(mode=Mode.RUN),
    "long": lambda: plan(*(step(f"s{n}", Kind.ACTION, *([f"s{n - 1}"] if n else [])) for n in range(40))),
    "looks": lambda: plan(
        *(step(f"s{n}", Kind.PROBE if n % 5 else Kind.ACTION, *([f"s{n - 1}"] if n else [])) for n in range(LOOKS + 1)),
        mode=Mode.REHEARSE,
    ),
    "fails": lambda: plan(
        step("a"), step("b", Kind.ACTION, "a"), step("never", Kind.PROBE, "b", timeout_s=0.3), mode=Mode.REHEARSE
    ),
    "incident": lambda: plan(
        step("a"), step("seen", Kind.PROBE, "a"), step("b", Kind.ACTION, "seen"), mode=Mode.INCIDENT
    ),
    "waits": lambda: plan(step("a"), step("seen", Kind.PROBE, "a"), step("b", Kind.ACTION, "seen")),
    "late": lambda: plan(step("a"), step("seen", Kind.PROBE, "a"), step("b", Kind.ACTION, "seen"), deadline_s=1.0),
    "asks": lambda: plan(step("a"), step("go", Kind.OPERATOR, "a"), step("b", Kind.ACTION, "go")),
    "slow": lambda: plan(step("slow", timeout_s=10.0)),
    "promotes": lambda: plan(
        step("a"), step("promote", Kind.ACTION, "a", one_way="stays", authority=True, timeout_s=10.0)
    ),
    "stubborn": lambda: plan(step("stubborn"), step("never", Kind.PROBE, "stubborn", timeout_s=0.3)),
    "stays": lambda: plan(
        step("a"), step("stays", Kind.ACTION, "a"), step("never", Kind.PROBE, "stays", timeout_s=0.3)
    ),
    "hangs": lambda: plan(step("a", timeout_s=0.4)),
    "checked": lambda: plan(step("ready", Kind.PROBE, section=Section.BEFORE), step("a")),
}


def watched(pinned: Plan) -> Plan:
    """Give the plan a home region in the moto server of the test, if there is one."""
    endpoint = os.environ.get("TEST_HOME")
    if endpoint is None:
        return pinned
    place = replace(HERE, endpoint_url=endpoint, access_key="AKIATEST00000000")
    return replace(pinned, places=(place,), home="us-east-2", service=os.environ["TEST_SERVICE"])


def warden_of(folder: Path, pinned: Plan) -> Warden | None:
    """Give the warden of a drill whose plan has a home region."""
    if os.environ.get("TEST_HOME") is None:
        return None
    from drills.aws.sessions import Accounts

    lease_s = float(os.environ.get("TEST_LEASE", "60"))
    return Warden(
        folder.resolve().name, pinned, Accounts(), CLOCK, takeover="TEST_TAKEOVER" in os.environ, lease_s=lease_s
    )


def in_silence(events: Sequence[ev.Event], state: State) -> None:
    """Show nothing."""
    del events, state


def main(folder: Path, name: str, limit: int = -1) -> int:
    """Drive the drill, as the command line would."""
    from drills.aws.sessions import Accounts
    from drills.cli import compose
    from drills.report.live import Listener

    register()
    silent = Listener(quiet=True)
    show = compose.Show(silent, silent.interrupted, silent.close, silent.heed)
    if limit >= 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        if (folder / "journal.db").exists():
            state = compose.take_over(
                folder,
                Accounts(),
                show,
                world_alive=lambda _: True,
                outside=lambda _: None,
                warden=lambda pinned: warden_of(folder, pinned),
            )
        else:
            pinned = watched(bound(PLANS[name](), folder.parent))
            pinned = by_people(pinned) if "TEST_BY_PEOPLE" in os.environ else pinned
            warden = warden_of(folder, pinned)
            state = compose.open_drill(folder, pinned, Accounts(), show, outside=None, warden=warden)
    except DrillsError as error:
        sys.stderr.write(f"drills: {error}\n")
        return error.exit_code
    return compose.exit_code(state)


class Drill:
    """One drill of a test: its folder, what is outside, and the process that drives it."""

    def __init__(self, folder: Path, name: str, called: str = "drill", **variables: str) -> None:
        self.name = name
        self.folder = folder / called
        self.through: tuple[str, ...] = ()
        """The program that the driving process is started by, if any."""
        self.variables = variables
        self.outside = Outside(folder)

    def start(self, limit: int = -1) -> subprocess.Popen[str]:
        """Begin, or go on, in a process of its own; with a full disk coverage stays out, as it would write too."""
        variables = {name: value for name, value in os.environ.items() if limit < 0 or not name.startswith("COVERAGE_")}
        return subprocess.Popen(
            self.command(limit),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=variables | self.own,
        )

    @property
    def own(self) -> dict[str, str]:
        """The variables that its process needs."""
        return self.variables | {"PYTHONPATH": str(TESTS), "DRILLS_HOME": str(self.folder.parent)}

    @property
    def environment(self) -> dict[str, str]:
        """All variables of its process."""
        return dict(os.environ) | self.own

    def command(self, limit: int = -1) -> list[str]:
        """Give the words that begin the drill, or go on with it."""
        return [*self.through, sys.executable, __file__, str(self.folder), self.name, str(limit)]

    def go(self, limit: int = -1) -> tuple[int, str]:
        """Drive to the end, and give the exit code and what was said."""
        process = self.start(limit)
        said = process.communicate(timeout=LONGEST_S)[1]
        return process.returncode, said

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Speak to the drill as a person does."""
        return subprocess.run(
            [sys.executable, "-m", "drills", *words],
            env=os.environ | {"DRILLS_HOME": str(self.folder.parent)},
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )

    @property
    def state(self) -> State:
        """What the journal says."""
        return read_drill(self.folder)[1]

    @contextmanager
    def driven(self, limit: int = -1) -> Generator[subprocess.Popen[str]]:
        """Drive while the block runs; whatever is left then is killed."""
        process = self.start(limit)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def until(self, true: Callable[[State], object], within_s: float = 15.0) -> None:
        """Wait until the drill's state on disk is as it should be."""

        def seen() -> object:
            try:
                return true(self.state)
            except JournalError:
                return False

        eventually(seen, within_s)


def eventually(true: Callable[[], object], within_s: float = 15.0) -> float:
    """Wait until it is true, and give how long that took."""
    begun = CLOCK.now()
    while not true():
        waited_s = CLOCK.now().since(begun)
        assert waited_s < within_s, f"not true within {within_s:g} s"
        CLOCK.sleep(0.01)
    return CLOCK.now().since(begun)


def killed_at(drill: Drill, gate: str) -> None:
    """Kill the drill's process while a work stands at one of its moments, and open the gate."""
    drill.outside.close_gate(gate)
    with drill.driven() as process:
        eventually(lambda: drill.outside.is_at(gate))
        process.kill()
    drill.outside.open_gate(gate)


if __name__ == "__main__":
    # Under its own name, so that the catalogue finds the same classes.
    from runtime_drill import main as drive_it

    sys.exit(drive_it(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
