"""How soon a drill answers whoever tells it to stop: Ctrl-C, TERM, HUP, abort, guard, deadline, global stop.

``python benchmarks/turning_back.py [--times 12] [--seed N]``: for each way so many drills of real actions, each in a
process of its own, against a moto server that takes up to 0.2 s for a call. It is told at a random moment, while it
changes things or waits. Measured from the request (for a command: from the start of its process; for a guard: from
the alarm's change; for the deadline: from its moment) to the first event of taking back, as the journal stamps it,
less the time that writes in flight took to end after the request. TERM takes nothing back: it parks, and that is its
answer. HUP is not to be answered: a drill that got one still answers an abort. All clocks are one: CLOCK_MONOTONIC.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs
from record import Bar, finish, tell

from drills.clock import NS, SystemClock
from drills.engine.plan import Mode, Section
from drills.runtime.journal import read_drill
from drills.timeline import events as ev
from drills.timeline.facts import Facts
from drills.work import Kind

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aws_world import World

    from drills.clock import Stamp
    from drills.engine.plan import Plan, Step
    from drills.engine.state import State

CLOCK = SystemClock()
MOST_S = 2.0
"""The promise: so long to the first event of taking back, writes in flight not counted."""
SLOWEST_S = 0.1
"""A call and its answer each take up to so long."""
CHANGES = 6
LONGEST_S = 60.0
DEADLINE_S = 4.0


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds from the request: to the answer, without and with writes in flight; to the end; to the process's end."""

    answer_s: float
    with_writes_s: float
    end_s: float
    exit_s: float


class Bench:
    """A world to drill in, and the drill that is told to stop in it."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.alarm = world.name("alarm")
        self.set_alarm("OK")

    def set_alarm(self, to: str) -> None:
        """Put the guard's alarm into a state; made anew where it is not there."""
        watch = self.world.client("cloudwatch")
        watch.put_metric_alarm(
            AlarmName=self.alarm,
            MetricName="Errors",
            Namespace="others",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1.0,
            ComparisonOperator="GreaterThanThreshold",
        )
        watch.set_alarm_state(AlarmName=self.alarm, StateValue=to, StateReason="a benchmark")

    def plan(self, *, deadline_s: float) -> Plan:
        """Give a plan of changes, one after the other, and a wait that has no end; a guard watches."""
        from drills.testing import plan, step

        at = self.world.place.name
        steps: list[Step] = []
        for number in range(CHANGES):
            name, needs = f"grow{number}", [f"grow{number - 1}"] if number else []
            sizes = Facts(asg=self.world.asg(), min=1, desired=2, max=9)
            steps.append(step(name, Kind.ACTION, *needs, uses="autoscaling.set_capacity", place=at, params=sizes))
        endless = Facts(**{"for": "1h"})
        steps.append(step("wait", Kind.PROBE, f"grow{CHANGES - 1}", uses="flow.wait", place=at, params=endless))
        quiet = Facts(alarm=self.alarm)
        guard = step("guard", Kind.PROBE, uses="cloudwatch.alarm_quiet", place=at, params=quiet, section=Section.GUARD)
        from msgspec.structs import replace as altered

        steps.append(altered(guard, every_s=0.5, tolerance=0))
        return plan(
            *(altered(one, timeout_s=3600.0) if one.id == "wait" else one for one in steps),
            mode=Mode.REHEARSE,
            places=(replace(self.world.place),),
            from_site=at,
            to_site=at,
            home="us-east-2",
            service=self.world.name("orders"),
            deadline_s=deadline_s,
            ask=False,
        )

    def once(self, way: Way) -> Took:
        """Drive one drill, tell it to stop at some moment, and say how long that took."""
        from drills.timeline import codec

        with tempfile.TemporaryDirectory(prefix="drills-bench-") as name:
            home = Path(name)
            pinned = self.plan(deadline_s=DEADLINE_S if way.name == "deadline" else 3600.0)
            (home / "plan.json").write_text(codec.dump(pinned), encoding="utf-8")
            process = subprocess.Popen(
                [sys.executable, __file__, "drive", name],
                stdin=subprocess.DEVNULL,
                env=_variables(home),
                start_new_session=True,
            )
            try:
                _until(home, lambda state: state.progress["grow0"].ended is not None)
                CLOCK.sleep(self.chance.uniform(0.0, 2.5))
                asked = way.tell(self, home, process)
                process.wait(LONGEST_S)
                ended = CLOCK.now()
            finally:
                process.kill()
                process.wait()
            self.set_alarm("OK")
            events, state = read_drill(home / "drill")
            return _took(events, state, asked, ended, way)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to tell a drill to stop: what is done, and which event is the answer."""

    name: str
    tell: Callable[[Bench, Path, subprocess.Popen[bytes]], Stamp]
    answer: type[ev.Body] = ev.UndoStarted


def _variables(home: Path) -> dict[str, str]:
    return os.environ | {"DRILLS_HOME": str(home), "PYTHONPATH": str(TESTS)}


def _until(home: Path, true: Callable[[State], bool]) -> State:
    from drills.errors import JournalError

    begun = CLOCK.now()
    while CLOCK.now().since(begun) < LONGEST_S:
        try:
            state = read_drill(home / "drill")[1]
        except JournalError:
            state = None
        if state is not None and true(state):
            return state
        CLOCK.sleep(0.01)
    raise SystemExit("the drill did not come so far")


def _took(events: Sequence[ev.Event], state: State, asked: Stamp, ended: Stamp, way: Way) -> Took:
    if way.name != "SIGTERM" and (state.finished is None or state.owed()):
        raise SystemExit(f"{way.name}: the drill did not take all back: {state.why}")
    changes = {one.id for one in state.plan.steps if one.changes}
    begun: dict[str, Stamp] = {}
    free = asked
    for event in events:
        body = event.body
        if isinstance(body, ev.Started) and body.step in changes:
            begun[body.step] = event.at
        flying = isinstance(body, ev.Ended) and body.step in begun and begun[body.step].since(asked) <= 0
        if flying and event.at.since(asked) > 0:
            free = event.at
    answers = [event.at for event in events if isinstance(event.body, way.answer)]
    answered = answers[0]
    return Took(max(0.0, answered.since(free)), answered.since(asked), events[-1].at.since(asked), ended.since(asked))


def _signalled(number: signal.Signals) -> Callable[[Bench, Path, subprocess.Popen[bytes]], Stamp]:
    def tell_it(_: Bench, home: Path, process: subprocess.Popen[bytes]) -> Stamp:
        del home
        asked = CLOCK.now()
        process.send_signal(number)
        return asked

    return tell_it


def _said(*words: str) -> Callable[[Bench, Path, subprocess.Popen[bytes]], Stamp]:
    def tell_it(_: Bench, home: Path, process: subprocess.Popen[bytes]) -> Stamp:
        del process
        asked = CLOCK.now()
        _cli(home, *words)
        return asked

    return tell_it


def _cli(home: Path, *words: str) -> None:
    command = [sys.executable, "-m", "drills", *words]
    subprocess.run(command, env=_variables(home), cwd=home, stdout=subprocess.DEVNULL, check=True, timeout=LONGEST_S)


def _hung_up(bench: Bench, home: Path, process: subprocess.Popen[bytes]) -> Stamp:
    process.send_signal(signal.SIGHUP)
    CLOCK.sleep(bench.chance.uniform(0.0, 1.0))
    return _said("abort")(bench, home, process)


def _alarmed(bench: Bench, home: Path, process: subprocess.Popen[bytes]) -> Stamp:
    del home, process
    asked = CLOCK.now()
    bench.set_alarm("ALARM")
    return asked


def _too_late(_: Bench, home: Path, process: subprocess.Popen[bytes]) -> Stamp:
    del process
    opened = read_drill(home / "drill")[0][0].at
    late_ns = int(DEADLINE_S * NS)
    return structs.replace(opened, mono_ns=opened.mono_ns + late_ns, utc_ns=opened.utc_ns + late_ns)


def _stopped_elsewhere(bench: Bench, home: Path, process: subprocess.Popen[bytes]) -> Stamp:
    from drills.aws.sessions import Accounts
    from drills.engine.halt import Halt, raise_flag

    del home, process
    ssm = Accounts().write(replace(bench.world.place, region="us-east-2")).client("ssm")
    asked = CLOCK.now()
    raise_flag(ssm, Halt("somebody@elsewhere", asked.iso(), "a benchmark"))
    return asked


WAYS = (
    Way("Ctrl-C", _signalled(signal.SIGINT)),
    Way("SIGTERM", _signalled(signal.SIGTERM), ev.Parked),
    Way("abort after SIGHUP", _hung_up),
    Way("drills abort", _said("abort")),
    Way("guard", _alarmed),
    Way("deadline", _too_late),
    Way("drills stop --all", _said("stop", "--all")),
    Way("stop --all elsewhere", _stopped_elsewhere),
)


def _in_silence(events: Sequence[ev.Event], state: State) -> None:
    """Show nothing."""
    del events, state


def drive(home: Path) -> int:
    """Drive the drill of a folder, as the command line does."""
    from drills.cli import compose
    from drills.engine.plan import Plan
    from drills.report.ask import interrupt_prompt
    from drills.runtime.warden import Warden
    from drills.timeline import codec

    pinned = codec.load(Plan, (home / "plan.json").read_text(encoding="utf-8"))
    accounts = compose.recorded_accounts(home / "drill", pinned)
    warden = Warden("drill", pinned, accounts, CLOCK)
    show = compose.Show(_in_silence, interrupt_prompt, lambda: None)
    return compose.exit_code(compose.open_drill(home / "drill", pinned, accounts, show, outside=None, warden=warden))


def main() -> int:
    """Tell each way as often as is asked for, and write what came of it."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--times", type=int, default=12)
    words.add_argument("--seed", type=int, default=1)
    chosen = words.parse_args()
    from aws_world import World
    from recording_moto import recording_moto

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    chance = random.Random(chosen.seed)  # noqa: S311 - moments, no secrets
    took: dict[str, list[Took]] = {way.name: [] for way in WAYS}
    with recording_moto() as recording:
        bench = Bench(World(recording.endpoint), chance)
        recording.pause = lambda: CLOCK.sleep(chance.uniform(0.0, SLOWEST_S))
        for number in range(chosen.times):
            for way in WAYS:
                took[way.name].append(bench.once(way))
                _lifted(bench)
            worst = (f"{name} {max(one.answer_s for one in some):.2f}s" for name, some in took.items())
            tell(f"{number + 1} of each: {', '.join(worst)}")
    bars = [
        Bar(f"{name}: seconds to the answer, worst of {len(some)}", max(one.answer_s for one in some), MOST_S)
        for name, some in took.items()
    ]
    told = {
        name: {
            "answer_s": [round(one.answer_s, 3) for one in some],
            "with_writes_s": [round(one.with_writes_s, 3) for one in some],
            "end_s": [round(one.end_s, 3) for one in some],
            "exit_s": [round(one.exit_s, 3) for one in some],
        }
        for name, some in took.items()
    }
    measured = " ".join((__doc__ or "").split())
    return finish("turning-back", bars, {"seed": chosen.seed, "measured": measured, "ways": told})


def _lifted(bench: Bench) -> None:
    """Lift a stop that stands in the world, so that the next drill may begin."""
    from drills.aws.sessions import Accounts
    from drills.engine.halt import clear_flag

    clear_flag(Accounts().write(replace(bench.world.place, region="us-east-2")).client("ssm"), "")


if __name__ == "__main__":
    sys.exit(drive(Path(sys.argv[2])) if sys.argv[1:2] == ["drive"] else main())
