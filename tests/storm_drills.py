"""Drills of the shipped actions in a storm of API faults, each held against what really took place.

Plans are drawn by seed from the actions' own cases (``test_services_contract.CASES``, so that a new action joins by
having one). The engine, its journal, boto3 and moto are the real ones; only time passes faster. Each step has a place
and a key of its own, so the server's record tells which step sent a write.
"""

from __future__ import annotations

import logging
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aws_world import World
from recording_moto import Recording, Write, recording_moto
from test_services_contract import CASES

from drills import __version__, catalog
from drills.aws.place import Place
from drills.aws.retry import Retry
from drills.aws.sessions import Accounts
from drills.aws.storm import Storm
from drills.cli import compose
from drills.clock import Stamp, SystemClock
from drills.engine import decide
from drills.engine.means import Means, NoObservers
from drills.engine.plan import Finally, Mode, OnFailure, Plan, Step
from drills.engine.progress import Progress, Status
from drills.engine.state import State
from drills.runtime import inbox
from drills.runtime.journal import Journal, read_drill
from drills.runtime.local import LocalRun
from drills.services.rds import PromoteReadReplica
from drills.testing import plan as build_plan
from drills.testing import step as build_step
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.facts import Facts
from drills.work import Kind

FASTER = 50
MOST_STEPS = 5
ACCOUNT = "123456789012"
REGION = "us-east-1"


class Hurried:
    """A clock on which fifty seconds pass in one."""

    def __init__(self) -> None:
        self._real = SystemClock()
        self._began = self._real.now()

    def now(self) -> Stamp:
        """Read UTC and monotonic time together."""
        passed_ns = (self._real.now().mono_ns - self._began.mono_ns) * FASTER
        return Stamp(self._began.utc_ns + passed_ns, self._began.mono_ns + passed_ns, self._began.clock)

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass."""
        self._real.sleep(seconds / FASTER)


@contextmanager
def hurried_botocore() -> Generator[None]:
    """Let botocore's waits between its own repeats pass as fast."""
    import botocore.endpoint

    class Time:
        sleep = staticmethod(Hurried().sleep)

    endpoint: Any = botocore.endpoint
    before, endpoint.time = endpoint.time, Time
    try:
        yield
    finally:
        endpoint.time = before


@dataclass(frozen=True)
class Part:
    """One changing step of a drill: how its world reads, what it was, and the key its calls are signed with."""

    step: str
    work: Any
    state: Callable[[], Any]
    was: Any
    key: str


@dataclass
class Stage:
    """The world of many drills: one server, one set of sessions in the storm and one in calm weather."""

    recording: Recording
    storm: Storm
    clock: Hurried = field(default_factory=Hurried)

    def __post_init__(self) -> None:
        self.world = World(self.recording.endpoint)
        self.places = tuple(
            Place(f"p{number}", ACCOUNT, REGION, endpoint_url=self.recording.endpoint, access_key=f"AKIASTEP{number}")
            for number in range(MOST_STEPS + 1)
        )
        self.stormy = Accounts(clock=self.clock, storm=self.storm)
        self.calm = Accounts()


@contextmanager
def stage(rate: float, seed: int) -> Generator[Stage]:
    """Set the world up."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with recording_moto() as recording, hurried_botocore():
        yield Stage(recording, Storm(rate, seed))


def promotion(world: World) -> tuple[Any, Callable[[], Any]]:
    """Give a promotion of a replica, and how its state reads."""
    name = world.db(replica_of=world.db())

    def state() -> Any:
        found = world.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        return found.get("ReadReplicaSourceDBInstanceIdentifier", "")

    return PromoteReadReplica(db=name), state


class ToldToEnd(Exception):
    """The process was told to end while a drill ran: the drill is parked, and says nothing about the storm."""

    @classmethod
    def if_parked(cls, state: State, where: str) -> None:
        """Raise it for a drill that was parked: only a signal parks one that nobody is asked in."""
        if state.parked:
            raise cls(f"{state.parked_by} came in {where}, which is parked; run it again")


@dataclass
class Told:
    """One drill in the storm: what it was, how it ended, and everything that was wrong with it."""

    seed: int
    ending: str = ""
    exit_code: int = 0
    steps: list[str] = field(default_factory=list[str])
    weather: int = 0
    wrong: list[str] = field(default_factory=list[str])


def drawn(stage: Stage, chance: random.Random, names: Sequence[str] = ()) -> tuple[Plan, list[Part]]:
    """Draw a plan of these actions (none named: all), and make the world it works on."""
    names = names or [*CASES, "rds.promote_read_replica"]
    steps: list[Step] = []
    parts: list[Part] = []
    for number in range(chance.randint(1, MOST_STEPS)):
        name = chance.choice(names)
        if name == "rds.promote_read_replica":
            work, state = promotion(stage.world)
        else:
            case = CASES[name](stage.world)
            work, state = case.work, case.state
        parts.append(Part(f"s{number}", work, state, state(), stage.places[number].access_key or ""))
        steps.append(_step(number, work, chance, [one.id for one in steps]))
    if chance.random() < 0.3:
        last = [steps[-1].id] if chance.random() < 0.7 else []
        steps.append(
            build_step(
                "never",
                Kind.PROBE,
                *last,
                uses="autoscaling.in_service",
                place=f"p{MOST_STEPS}",
                params=Facts(asg="nobody", count=1),
                every_s=0.01,
                timeout_s=30.0,
            )
        )
    mode = chance.choices([Mode.RUN, Mode.REHEARSE, Mode.INCIDENT], [6, 3, 1])[0]
    one_way = any(one.one_way for one in steps)
    finally_ = Finally.UNDO if chance.random() < 0.4 and not one_way else Finally.KEEP
    drawn = build_plan(*steps, mode=mode, finally_=finally_, places=stage.places, ask=False, to_site="p0")
    return drawn, parts


def _step(number: int, work: Any, chance: random.Random, before: Sequence[str]) -> Step:
    kind = Kind.FAULT if work.name in catalog.FAULTS else Kind.ACTION
    needs = chance.sample(before, min(len(before), chance.randint(0, 2)))
    given = work.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return build_step(
        f"s{number}",
        kind,
        *needs,
        uses=work.name,
        place=f"p{number}",
        params=Facts(**given),
        every_s=0.01,
        timeout_s=chance.choice([60.0, 300.0]),
        on_failure=chance.choices([OnFailure.HOLD, OnFailure.CONTINUE, OnFailure.UNDO], [5, 3, 2])[0],
        one_way=getattr(work, "one_way", None),
        authority=work.authority,
        holds_authority=work.holds_authority,
        idempotent=work.idempotent,
    )


def drill(stage: Stage, seed: int) -> Told:
    """Run one drill in the storm, hold it against the record; then take back in calm weather what it left."""
    chance = random.Random(seed)
    compiled, parts = drawn(stage, chance)
    told = Told(seed, steps=[f"{one.id} {one.uses}" for one in compiled.steps])
    began, weather = len(stage.recording.writes), stage.storm.told.total()
    with tempfile.TemporaryDirectory(prefix="drills-storm-", dir=memory()) as folder:
        home = Path(folder) / "drill"
        stage.storm.seed(seed)
        state = _driven(stage, home, compiled, chance)
        ToldToEnd.if_parked(state, f"the drill of seed {seed}")
        told.weather = stage.storm.told.total() - weather
        told.ending = state.finished.status if state.finished is not None else str(decide.phase(state))
        told.exit_code = compose.exit_code(state)
        writes = stage.recording.writes[began:]
        told.wrong += checked(stage, state, parts, writes)
        told.wrong += _on_disk(home, state)
        told.wrong += calmly(stage, home, state, parts)
    return told


def memory() -> str | None:
    """Give the folder in memory, where a commit costs nothing; None where there is none."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of its own is made in it


def _driven(stage: Stage, home: Path, compiled: Plan, chance: random.Random) -> State:
    """Drive as the command line does, with every objective met as soon as nothing speaks against it."""
    abort_at = chance.randint(2, 12) if chance.random() < 0.15 else 0

    def listen(events: Sequence[ev.Event], _: State) -> None:
        if abort_at and any(event.seq == abort_at for event in events):
            inbox.say(home, ev.Told(ev.Word.ABORT, "ana", 0))

    def conclude(seen: State) -> ev.Finished:
        end = decide.ending(seen, ("MET",))
        return ev.Finished(end.value, decide.EXIT_CODES[end])

    retry = Retry(stage.clock, random.Random(chance.random()))
    means = Means(stage.stormy, retry, stage.clock, catalog.load, NoObservers(), conclude)
    with Journal.create(home) as journal:
        state = State(compiled)
        opened = ev.Event(1, stage.clock.now(), ev.Opened("drill", __version__, "ana", codec.dump(compiled)))
        state.apply(opened)
        journal.append([opened])
        return LocalRun(journal, state, means, listen=listen, interrupted=_parks).run()


def _parks(_: State) -> ev.Told:
    """Ctrl-C ends the storm too: a drill alone would take it for a question."""
    return ev.Told(ev.Word.PARK, "SIGINT", 0)


def checked(stage: Stage, state: State, parts: Sequence[Part], writes: Sequence[Write]) -> Iterator[str]:
    """Give everything in which the timeline and the world do not agree."""
    by = Counter(one.by for one in writes)
    keys = {part.key for part in parts}
    strangers = [one for one in writes if one.by not in keys]
    if strangers:
        yield f"written by nobody's step: {strangers[0].operation}"
    for part in parts:
        one = state.progress[part.step]
        opened = state.opened.utc_ns if state.opened is not None else 0
        part.work.of(f"{state.drill}@{opened}", part.step)  # as the engine tells it
        for fault in _step_checked(stage, one, part, by[part.key]):
            done = [write.operation for write in writes if write.by == part.key]
            yield f"{part.step} {part.work.name} ({one.status} {one.detail}; wrote {done}): {fault}"
    yield from _ending_checked(state)


def _step_checked(stage: Stage, one: Progress, part: Part, wrote: int) -> Iterator[str]:
    now = part.state()
    if one.started is None and wrote:
        yield "it wrote and was never begun"
    if one.undone:
        if one.undo_detail and "else" in one.undo_detail:
            yield f"left alone, and nobody else was there: {one.undo_detail}"
        if now != part.was:
            yield f"taken back, but {now} is not {part.was}"
        return
    if one.adopted and wrote:
        yield "adopted, and it wrote"
    if one.status is Status.DONE and not one.adopted and not wrote and part.work.name != "flow.nothing":
        yield "done by nobody"
    if one.status is Status.DONE and not one.undo_error and not _goal(stage, part):
        yield f"done, but the goal is not there: {now}"
    if not one.happened and now != part.was:
        yield f"nothing happened, they say, but {now} is not {part.was}"


def _goal(stage: Stage, part: Part) -> bool:
    """Whether the goal is there; plain moto answers a promotion, and never carries it out."""
    if part.work.name in ("flow.nothing", "rds.promote_read_replica"):
        return True
    return part.work.already(stage.calm.read(stage.places[0])).ok is True


def _ending_checked(state: State) -> Iterator[str]:
    owed = [one.step.id for one in state.owed()]
    changes = [one for one in state.progress.values() if one.step.changes]
    all_done = all(one.status is Status.DONE for one in changes if one.step.on_failure is not OnFailure.CONTINUE)
    end = state.finished
    if end is None:
        if decide.phase(state) != "held":
            yield f"it neither ended nor is held: {decide.phase(state)}"
        return
    if end.exit_code in (0, 1, 3) and not all_done:
        yield f"{end.status}, though a step is not done"
    if end.exit_code == 0 and any(one.status is not Status.DONE for one in changes):
        yield "met, though a step is not done"
    if end.exit_code == 0 and state.plan.finally_ is Finally.UNDO and owed and state.plan.mode is not Mode.INCIDENT:
        yield f"met, and {owed} is owed"
    if end.exit_code == 6 and owed:
        yield f"aborted and undone, they say, and {owed} is owed"
    if end.exit_code == 4 and any(one.happened for one in changes):
        yield "refused, and something happened"


def _on_disk(home: Path, state: State) -> Iterator[str]:
    _, again = read_drill(home)
    for name, one in state.progress.items():
        other = again.progress[name]
        if (one.status, one.undone, one.adopted) != (other.status, other.undone, other.adopted):
            yield f"{name} is told otherwise on disk: {other.status}"


def _in_silence(events: Sequence[ev.Event], state: State) -> None:
    del events, state


def calmly(stage: Stage, home: Path, state: State, parts: Sequence[Part]) -> Iterator[str]:
    """Have another process's hands take back what is owed, in calm weather; then the world is as it was."""
    if not state.owed():
        yield from _as_it_was(state, parts)
        return
    inbox.say(home, ev.Told(ev.Word.UNDO, "ana", 0, accept_data_loss=True))
    show = compose.Show(_in_silence, lambda _: None, lambda: None)
    after = compose.take_over(home, stage.calm, show, world_alive=lambda _: True, outside=lambda _: None)
    ToldToEnd.if_parked(after, f"the undo of the drill in {home}")
    if after.owed():
        owed = [f"{one.step.id}: {one.undo_error or one.status}" for one in after.owed()]
        yield f"in calm weather it could not be taken back: {owed}"
    if after.finished is None:
        yield f"it did not end after the undo: {decide.phase(after)}"
    yield from _as_it_was(after, parts)


def _as_it_was(state: State, parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        one = state.progress[part.step]
        now = part.state()
        if not one.standing and not one.owed and not one.adopted and now != part.was:
            yield f"{part.step} {part.work.name} ({one.status} {one.undo_detail}): left {now}, was {part.was}"
