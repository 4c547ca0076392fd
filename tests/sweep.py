"""Every shipped runbook, cut after every event of every way it can go, and gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from drills.cli.binding import Bound, Wish, declared_direction, declared_world
from drills.engine import decide
from drills.engine.plan import Mode, Plan
from drills.testing import Script, Simulation, World
from drills.timeline.events import Told, Word

ROOT = Path(__file__).parent.parent
RUNBOOKS = sorted(ROOT.glob("runbooks/*.yaml"))


def compiled(runbook: Path, mode: Mode) -> Plan:
    """Bind a shipped runbook to the shipped sandbox, as `drills plan` does."""
    wish = Wish(str(runbook), str(ROOT / "environments" / "sandbox.yaml"))
    book, place = wish.files()
    return Bound(book, place, *declared_direction(place, ""), declared_world(place)).plan(wish, mode, ask=False)


def never(_: str) -> float:
    """Let nothing take long."""
    return 1.0


@dataclass(frozen=True)
class Way:
    """One way a drill can go."""

    name: str
    script: Script = field(default_factory=Script)


def ways(plan: Plan, *, thorough: bool) -> Iterator[Way]:
    """Give the ways a plan can go: well, with each step refused or silent, aborted, and with an undo that fails."""
    yield Way("all goes well")
    changes = [step.id for step in plan.steps if step.changes]
    last = changes[-1]
    for step in plan.steps if thorough else [one for one in plan.steps if one.id in (changes[0], last)]:
        yield Way(f"{step.id} is refused", Script(refuses=frozenset({step.id})))
    for name in changes if thorough else changes[-2:-1]:
        yield Way(f"{name} is silent", Script(silent=frozenset({name})))
    for name in changes if thorough else changes[:1]:
        script = Script(refuses=frozenset({last}), undo_fails=frozenset({name}))
        yield Way(f"{last} is refused, and {name} cannot be taken back", script)
    for second in range(1, 40) if thorough else (6, 18):
        yield Way(f"aborted after {second} s", Script(says=((float(second), Told(Word.ABORT, "ana", 1)),)))


def ends(simulation: Simulation) -> tuple[str, str, frozenset[str], tuple[str, ...]]:
    """How it ended, what stands in the world (but for what nobody can know), and what is owed."""
    state = simulation.state
    owed = tuple(sorted(one.step.id for one in state.owed()))
    known = frozenset(simulation.world.done - simulation.script.silent)
    return decide.ending(state, ("MET",)).value, decide.phase(state).value, known, owed


def unowed(simulation: Simulation) -> list[str]:
    """Give what stands in the world though nobody says so."""
    said = {one.step.id for one in simulation.state.progress.values() if one.owed or one.standing or one.adopted}
    return sorted(simulation.world.done - said)


def twice(effects: list[str]) -> list[str]:
    """Give what was done twice without having been taken back in between."""
    seen: dict[str, list[str]] = {}
    for effect in effects:
        word, _, name = effect.partition(" ")
        seen.setdefault(name, []).append(word)
    return [name for name, words in seen.items() if any(one == other for one, other in pairwise(words))]


def _alike(resumed: Simulation, whole: Simulation) -> bool:
    """Whether they end alike. One that fails may fail before steps that would have run beside the one that failed."""
    mine, theirs = ends(resumed), ends(whole)
    if not whole.script.refuses:
        return mine == theirs
    return mine[:2] == theirs[:2] and mine[2] <= theirs[2] and set(mine[3]) <= set(theirs[3])


def swept(plan: Plan, way: Way, tell: Callable[[int], None] = lambda _: None) -> list[str]:
    """Cut one way after every event, with what was in flight lost and done; give everything that went otherwise."""
    whole = Simulation(plan, World(), way.script)
    whole.run()
    wrong = [f"{way.name}: {name} done twice" for name in twice(whole.world.effects)]
    wrong += [f"{way.name}: {name} stands, and nobody says so" for name in unowed(whole)]
    aborted = bool(way.script.says)
    for cut in range(1, len(whole.lines)):
        for late in (False, True):
            broken = Simulation(plan, World(), way.script)
            broken.run(cut, late_effects=late)
            resumed = Simulation(plan, broken.world, way.script, broken.lines)
            resumed.run()
            tell(1)
            told = f"{way.name}, cut after event {cut}{', in flight done' if late else ''}"
            wrong += [f"{told}: {name} done twice" for name in twice(resumed.world.effects)]
            wrong += [f"{told}: {name} stands, and nobody says so" for name in unowed(resumed)]
            # A crash takes time, so an abort meets a resumed drill at another step; and who resumes a drill that was
            # held already gives it another turn on purpose.
            if not aborted and not (broken.state.held or broken.state.held_for) and not _alike(resumed, whole):
                wrong.append(f"{told}: {ends(resumed)}, unbroken {ends(whole)}")
    return wrong
