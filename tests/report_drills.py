"""Drills for the tests of reports and doors: simulated to an end, or really driven by a process of their own.

``python report_drills.py FOLDER`` drives a small drill in FOLDER until people have answered its questions.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace as altered

from drills.clock import SystemClock
from drills.engine.plan import Mode, Objective, Plan, Section
from drills.engine.state import State, fold
from drills.runtime.journal import Journal
from drills.testing import Script, Simulation, World, plan, step
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.facts import Facts
from drills.timeline.marks import Mark
from drills.work import Kind, Place

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

ROOT = Path(__file__).parent.parent
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
OBJECTIVES = (
    Objective("rto", Mark.DISASTER, Mark.SERVICE_RESTORED, 300.0),
    Objective("rpo", Mark.RECOVERY_POINT, Mark.DISASTER, 30.0),
)
PLACES = (
    Place("from", "111122223333", "us-east-1"),
    Place("to", "111122223333", "us-west-2", "arn:aws:iam::111122223333:role/drills"),
)
CLAIMS = Facts(
    objectives=[
        {
            "name": "rto",
            "verdict": "MET",
            "low_s": 7.812,
            "best_s": 8.05,
            "high_s": 8.31,
            "target_s": 300.0,
            "why": "announced drill, detection not exercised",
            "decided_by": "",
        },
        {
            "name": "rpo",
            "verdict": "UNPROVEN",
            "low_s": 0.0,
            "best_s": 0.02,
            "high_s": None,
            "target_s": 30.0,
            "why": "replication was never cut: the timeline does not show that the survivor stopped receiving",
            "decided_by": "a step that cuts replication",
        },
    ],
    rows={"acked": 12030, "lost": 3, "phantom": 0, "indeterminate": 1, "holes": 0, "diverged": 0, "reconciled": 2},
    phases=[
        {"name": "decide", "seconds": 1.02, "detail": "operator: go", "low_s": 0.9, "high_s": 1.14},
        {"name": "promote", "seconds": 3.2, "detail": "", "low_s": 3.2, "high_s": 3.2},
    ],
    flaps={
        "count": 1,
        "first_success_s": 7.2,
        "stable_since_s": 8.05,
        "downtime_low_s": 7.5,
        "downtime_high_s": 8.2,
        "observer": "checkout",
    },
    recovery={
        "seen_by": ["checkout"],
        "low_s": 7.812,
        "best_s": 8.05,
        "high_s": 8.31,
        "detail": "from the disaster until checkout had the service back",
    },
    dns_tail={"low_s": -0.1, "high_s": 0.9},
    worst_client={"low_s": 7.8, "high_s": 68.1},
    observers=[
        {
            "name": "checkout",
            "persona": "fresh",
            "samples": 2412,
            "low_s": 7.8,
            "best_s": 7.9,
            "high_s": 8.1,
            "resolution_s": 0.12,
            "detail": "",
            "flaps": {
                "count": 1,
                "first_success_s": 7.2,
                "stable_since_s": 8.05,
                "downtime_low_s": 7.5,
                "downtime_high_s": 8.2,
            },
        }
    ],
    real=["PostgreSQL primary and standby", "HTTP application", "DNS server"],
    simulated=["AWS control plane (moto)", "how long RDS takes (the profile)"],
    assumptions=["a good sample has an up instant between send and receive"],
    warnings=["only 812 good samples before the disaster: the latency limit is not certain"],
    write_rate="20/s",
)


def failover(**changes: object) -> Plan:
    """A failover with every kind of step, marks, sentences and places."""
    lose = step("lose", Kind.FAULT, holds_authority=True, mark=Mark.DISASTER, place="from", uses="site.isolate")
    promote = step("promote", Kind.ACTION, "scale", one_way="a promoted replica stays", authority=True)
    promote = altered(promote, uses="rds.promote_read_replica", expect_s=180.0, by_hand="aws rds promote-read-replica")
    steps = (
        step("ready", Kind.PROBE, section=Section.BEFORE),
        lose,
        step("go", Kind.OPERATOR, "lose", say="Fail over now?"),
        step("scale", Kind.ACTION, "go", permissions=("autoscaling:UpdateAutoScalingGroup",)),
        promote,
        step("writer", Kind.PROBE, "promote", say="The new primary takes writes."),
        step("no-split-brain", Kind.PROBE, section=Section.AFTER),
    )
    placed = (altered(one, place=one.place if one.place != "here" else "to") for one in steps)
    whole = plan(*placed, runbook="orders", title="Fail orders over", environment="sandbox", places=PLACES)
    whole = replace(whole, mode=Mode.REHEARSE, objectives=OBJECTIVES, ask=False)
    return replace(whole, **changes)  # pyright: ignore[reportArgumentType] - fields of Plan by name


def simulate(pinned: Plan, script: Script | None = None, cut: int | None = None) -> list[ev.Event]:
    """Drive a drill against the simulated world and give its events; ``cut``: killed after that many."""
    simulation = Simulation(pinned, World(), script or Script())
    simulation.run(cut)
    return [codec.load_event(line) for line in simulation.lines]


def claiming(events: Sequence[ev.Event], claims: Facts, status: str = "", code: int = 0) -> list[ev.Event]:
    """Give the same events with other claims (and ending) in ``finished``."""
    return [
        altered(one, body=altered(one.body, claims=claims, status=status or one.body.status, exit_code=code))
        if isinstance(one.body, ev.Finished)
        else one
        for one in events
    ]


def states(events: Sequence[ev.Event]) -> State:
    """Fold events of a drill that begins with ``Opened``."""
    assert isinstance(events[0].body, ev.Opened)
    return fold(codec.load(Plan, events[0].body.plan), events)


def keep(home: Path, name: str, events: Sequence[ev.Event]) -> Path:
    """Write a drill to disk as its folder."""
    with Journal.create(home / name) as journal:
        journal.append(events)
    return home / name


def shifted(events: Sequence[ev.Event], seconds: int) -> list[ev.Event]:
    """Give the same events, that much later."""
    ns = seconds * 1_000_000_000
    return [altered(one, at=altered(one.at, utc_ns=one.at.utc_ns + ns, mono_ns=one.at.mono_ns + ns)) for one in events]


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a ``drills`` process."""
    quiet = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "LINES")}
    return {**quiet, "DRILLS_HOME": str(home), "PYTHONPATH": str(ROOT), **more}


def unmeasured(variables: Mapping[str, str]) -> dict[str, str]:
    """The same variables for a process that coverage must not follow: its own files and imports would be seen."""
    return {name: value for name, value in variables.items() if not name.startswith("COVERAGE_")}


def drills(home: Path, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the real command with its output in pipes."""
    return subprocess.run(
        [sys.executable, "-m", "drills", *words],
        env=environment(home, **(env or {})),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def driven(folder: Path) -> Generator[subprocess.Popen[str]]:
    """Have a process of its own drive a drill of questions, until the test lets go of it."""
    process = subprocess.Popen([sys.executable, __file__, str(folder)], env=environment(folder.parent), text=True)
    try:
        await_asked(folder, "first")
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


def await_asked(folder: Path, name: str, within_s: float = 30.0) -> None:
    """Wait until the drill asks a question."""
    clock = SystemClock()
    begun = clock.now()
    while clock.now().since(begun) < within_s:
        if (folder / "journal.db").is_file():
            with Journal.open(folder) as journal:
                try:
                    if any(isinstance(one.body, ev.Asked) and one.body.step == name for one in journal.read()):
                        return
                except Exception as error:  # noqa: BLE001 - the table may not be there yet
                    _ = error
        clock.sleep(0.05)
    raise AssertionError(f"{name} was not asked within {within_s} s")


def questions() -> Plan:
    """A drill that changes one nothing, and asks twice."""
    nothing = step("nothing", Kind.ACTION, uses="flow.nothing", place="to")
    first = step("first", Kind.OPERATOR, "nothing", uses="confirm", place="to", say="Shall it go on?", timeout_s=60.0)
    second = altered(first, id="second", needs=("first",))
    whole = plan(nothing, first, second, runbook="questions", title="Two questions", places=PLACES)
    return replace(whole, objectives=OBJECTIVES, deadline_s=60.0)


def drive(folder: Path) -> None:
    """Drive ``questions`` in this process with the real runtime."""
    from drills import catalog
    from drills.aws.retry import Retry
    from drills.aws.sessions import Accounts
    from drills.engine import decide
    from drills.engine.means import Means
    from drills.report.live import Listener
    from drills.runtime.local import LocalRun

    class NoObservers:
        def stage(self, name: str, state: State, cancelled: object) -> list[ev.Body]:
            _ = state, cancelled
            return [ev.Ready(name, ok=True, detail="")]

    def conclude(state: State) -> ev.Finished:
        end = decide.ending(state, ("MET",))
        return ev.Finished(end.value, decide.EXIT_CODES[end], CLAIMS)

    clock = SystemClock()
    pinned = questions()
    with Journal.create(folder) as journal, Listener() as listener:
        opened = ev.Event(1, clock.now(), ev.Opened(folder.name, "test", "ana@host", codec.dump(pinned)))
        state = fold(pinned, [opened])
        journal.append([opened])
        means = Means(Accounts(), Retry(clock), clock, catalog.load, NoObservers(), conclude)
        LocalRun(journal, state, means, listen=listener, interrupted=listener.interrupted).run()


def await_end(process: subprocess.Popen[str], within_s: float = 30.0) -> int:
    """Wait for a process to end by itself."""
    begun = time.monotonic()
    code = process.wait(timeout=within_s)
    assert time.monotonic() - begun < within_s
    return code


if __name__ == "__main__":
    drive(Path(sys.argv[1]))
