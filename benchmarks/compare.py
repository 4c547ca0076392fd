"""Compare drills with Chaos Toolkit in one run: processor time, wall time and memory, as medians of paired ratios.

Both tools do the same work from the same content; their runs alternate, so that a noisy machine hurts both. Ours
writes each turn into the journal before it goes on, theirs writes one journal at the end. For no-ops ours waits for
the disk each turn; for reads it waits as it always does: before anything changes, and ten times a second.
"synced" beside the loop of reads is ours when it waits each turn. Their look for a new version is turned off.
Usage: compare.py [--rounds N] [--python PYTHON_FOR_CHAOS_TOOLKIT] [--only CASE,CASE]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import inputs
import peer
from processes import Cost, Program, compiled, middle, ratio, run
from record import ROOT, Bar, finish, table, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LEAST_ROUNDS = 5
HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is measured: what each contender runs for it, by the contender's name."""

    name: str
    contenders: Mapping[str, Callable[[Path], Program]]
    often: int = 1
    """Pairs in each round: of what differs by little, one pair tells little on a machine that is shared."""


@dataclass(slots=True)
class Measured:
    """The costs of one case, by contender, in the order of the rounds."""

    costs: dict[str, list[Cost]] = field(default_factory=dict[str, "list[Cost]"])

    def over(self, other: str = "theirs") -> Cost:
        """Give ours over another contender."""
        return ratio(self.costs["ours"], self.costs[other])


class Cases:
    """What is compared, for one installation of the peer, one moto server and one folder of inputs."""

    def __init__(self, chaos: Path, endpoint: str, folder: Path) -> None:
        self._chaos = chaos
        self._endpoint = endpoint
        self._folder = folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-west-2",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def all(self) -> list[Case]:
        """Give every case, the cheap ones first."""
        return [
            Case("version", {"ours": self._drills("--version"), "theirs": self._theirs("--version")}),
            self._status(),
            *(self._validate(steps) for steps in (10, 1000)),
            *(self._run("no-ops", inputs.NOTHING, steps, "synced") for steps in (10, 100, 1000)),
            *(self._run("reads", inputs.READ, steps) for steps in (100, 1000)),
            *(self._beside_loops(steps) for steps in (100, 1000)),
        ]

    def _status(self) -> Case:
        """One finished drill lies there, so that there is something to tell; theirs knows no status."""
        kept = self._folder / "kept"
        pair = inputs.write(self._folder / "status", inputs.NOTHING, 10)
        words = (str(pair.ours), str(pair.environment), self._endpoint, str(kept / "drill"))
        run(Program((sys.executable, str(HERE / "ours.py"), *words), pair.folder, self._environment))
        here = {**self._environment, "DRILLS_HOME": str(kept)}
        return Case(
            "status",
            {
                "ours": lambda folder: Program((str(BIN / "drills"), "status"), folder, here),
                "theirs": self._theirs("--version"),
            },
        )

    def _validate(self, steps: int) -> Case:
        pair = inputs.write(self._folder / f"validate-{steps}", inputs.NOTHING, steps)
        return Case(
            f"validate {steps}",
            {
                "ours": self._drills("check", str(pair.ours)),
                "theirs": self._theirs("validate", str(pair.theirs), at=pair),
            },
        )

    def _run(self, name: str, work: inputs.Work, steps: int, *how: str) -> Case:
        pair = inputs.write(self._folder / f"{name}-{steps}", work, steps)
        theirs = self._theirs("run", "--journal-path", "journal.json", str(pair.theirs), at=pair)
        return Case(f"{name} {steps}", {"ours": self._ours(pair, *how), "theirs": theirs})

    def _beside_loops(self, steps: int) -> Case:
        """Give the same reads as a loop of a few lines, right after ours: the speed of a shared machine drifts."""
        pair = inputs.write(self._folder / f"loops-{steps}", inputs.READ, steps)

        def bare(folder: Path) -> Program:
            words = (str(HERE / "bare.py"), self._endpoint, str(steps))
            return Program((sys.executable, *words), folder, self._environment)

        contenders = {"ours": self._ours(pair), "bare": bare, "synced": self._ours(pair, "synced")}
        return Case(f"loops {steps}", contenders, often=3)

    def _ours(self, pair: inputs.Pair, *how: str) -> Callable[[Path], Program]:
        def ours(folder: Path) -> Program:
            words = (str(pair.ours), str(pair.environment), self._endpoint, str(folder / "drill"), *how)
            return Program((sys.executable, str(HERE / "ours.py"), *words), folder, self._environment)

        return ours

    def _drills(self, *words: str) -> Callable[[Path], Program]:
        return lambda folder: Program((str(BIN / "drills"), *words), folder, self._environment)

    def _theirs(self, *words: str, at: inputs.Pair | None = None) -> Callable[[Path], Program]:
        path = {} if at is None else {"PYTHONPATH": str(at.folder)}
        flags = () if words == ("--version",) else ("--no-version-check",)
        argv = (str(self._chaos / "chaos"), *flags, *words)
        return lambda folder: Program(argv, folder, {**self._environment, **path})


def measure(cases: list[Case], rounds: int, folder: Path) -> dict[str, Measured]:
    """Run all contenders of a case one after the other, once for warmth and then in all rounds."""
    found: dict[str, Measured] = {}
    for case in cases:
        measured = found[case.name] = Measured({name: [] for name in case.contenders})
        # Long cases are warm after their first seconds; short ones need their files in the page cache.
        warm = 0 if "1000" in case.name else 1
        for number in range(rounds * case.often + warm):
            for name, program in case.contenders.items():
                place = folder / "runs" / f"{case.name.replace(' ', '-')}-{number}-{name}"
                place.mkdir(parents=True)
                cost = run(program(place))
                shutil.rmtree(place)
                if number >= warm:
                    measured.costs[name].append(cost)
        told = ", ".join(f"{name} {middle(costs).cpu_s:.3f}" for name, costs in measured.costs.items())
        tell(f"{case.name}: processor seconds {told}")
    return found


def bars(found: dict[str, Measured]) -> list[Bar]:
    """Judge what was measured; what was left out by ``--only`` is not judged."""
    promises: list[tuple[str, str, Callable[[Measured], float], float]] = [
        ("version", "CPU of --version / its --version", lambda one: one.over().cpu_s, 0.5),
        ("status", "CPU of status / its --version", lambda one: one.over().cpu_s, 0.5),
        ("validate 1000", "CPU to validate 1000 steps / its", lambda one: one.over().cpu_s, 0.5),
        ("no-ops 1000", "CPU of 1000 durable no-ops / its", lambda one: one.over().cpu_s, 1.0),
        ("reads 1000", "CPU of 1000 AWS reads / its", lambda one: one.over().cpu_s, 0.2),
        ("loops 1000", "CPU of 1000 AWS reads / bare boto3", lambda one: one.over("bare").cpu_s, 1.25),
    ]
    judged = [Bar(name, value(found[case]), most) for case, name, value, most in promises if case in found]
    beside = {name: one.over().peak_mib for name, one in found.items() if "theirs" in one.costs}
    return judged + [Bar(f"peak memory, {name} / its", peak, 1.0) for name, peak in beside.items()]


def rows(found: dict[str, Measured]) -> list[tuple[str, ...]]:
    """Lay out the medians of all contenders and the ratios ours over theirs."""
    lines: list[tuple[str, ...]] = [
        ("case", "contender", "CPU s", "wall s", "peak MiB", "CPU ratio", "wall ratio", "peak ratio")
    ]
    for case, one in found.items():
        for name, costs in one.costs.items():
            cost = middle(costs)
            figures = (f"{cost.cpu_s:.3f}", f"{cost.wall_s:.3f}", f"{cost.peak_mib:.1f}")
            over = one.over(name) if name != "ours" else None
            ratios = (
                ("", "", "") if over is None else (f"{over.cpu_s:.3f}", f"{over.wall_s:.3f}", f"{over.peak_mib:.3f}")
            )
            lines.append((case, name, *figures, *ratios))
    return lines


def main() -> int:
    """Measure, print the table, write ``results/compare.json``."""
    parser = argparse.ArgumentParser(description="Compare drills with Chaos Toolkit.")
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS, help="paired runs of each case")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that runs Chaos Toolkit")
    parser.add_argument("--only", default="", help="cases, separated by commas; judges only these")
    parser.add_argument("--result", default="compare", help="name of the result file")
    chosen = parser.parse_args()
    if chosen.rounds < LEAST_ROUNDS and not chosen.only:
        parser.error(f"a verdict needs at least {LEAST_ROUNDS} paired runs")
    chaos = peer.install(chosen.python)
    compiled(Path(sys.executable), ROOT / "drills")
    compiled(chaos / "python")
    folder = peer.WORK / f"run-{os.getpid()}"
    try:
        with peer.moto_server() as endpoint:
            wanted = {name for name in chosen.only.split(",") if name}
            cases = [case for case in Cases(chaos, endpoint, folder).all() if not wanted or case.name in wanted]
            found = measure(cases, chosen.rounds, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    versions = peer.versions(chaos)
    print(f"Chaos Toolkit {versions['chaostoolkit']} on Python {versions['python']}, {chosen.rounds} paired runs\n")
    print(table(rows(found)))
    details = {
        "peer": versions,
        "rounds": chosen.rounds,
        "cases": {
            case: {name: [asdict(cost) for cost in costs] for name, costs in one.costs.items()}
            for case, one in found.items()
        },
    }
    return finish(chosen.result, bars(found), details)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
