"""The stages of observing as the engine knows them: watch, baseline, settled, collected.

Each may be asked again after a crash: observers that live are adopted, those that died are started anew with a
file of their own, and what was read once may be read again.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drills.clock import process_start
from drills.durations import show
from drills.engine.plan import Mode
from drills.engine.settling import settled
from drills.errors import JournalError, Refused
from drills.observe.adopt import Adopted, adopt
from drills.observe.job import MarkerJob, ProbeJob
from drills.observe.keeping import FOLDER as RINGS
from drills.observe.keeping import ring_of
from drills.observe.ledger import Spot
from drills.observe.recover import recover
from drills.observe.start import Observers
from drills.observe.store import read_header, seal
from drills.timeline import events as ev
from drills.timeline.stores import StoreKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from drills.aws.sessions import Accounts
    from drills.clock import Clock
    from drills.engine.crew import Token
    from drills.engine.plan import AvailabilityWatch, DataWatch, Plan
    from drills.engine.points import Points
    from drills.engine.state import State
    from drills.observe.job import Job

READ_AGAIN_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Owner:
    """The process with which observers of a private sandbox end; pid 0: they live until their own deadline."""

    pid: int = 0
    start: str = ""

    @classmethod
    def me(cls) -> Owner:
        """Give this process."""
        return cls(os.getpid(), process_start(os.getpid()))


@dataclass(frozen=True, slots=True)
class Reach:
    """What observing needs of the world: what a secret's reference stands for, sessions in AWS, recovery points."""

    secret: Callable[[str], str]
    accounts: Accounts
    points: Points | None = None


def probe_job(watch: AvailabilityWatch, owner: Owner, secret: Callable[[str], str], deadline_s: float) -> ProbeJob:
    """Say what an availability observer is to do; ``secret`` resolves the address of a SQL server."""
    return ProbeJob(
        watch.id,
        watch.url,
        "",
        status=watch.status,
        body=watch.body,
        header=watch.header,
        every_s=watch.every_s,
        timeout_s=watch.timeout_s,
        stable_for_s=watch.stable_for_s,
        resolve=watch.resolve,
        resolver=watch.resolver,
        connect_to=watch.connect_to,
        method=watch.method,
        deadline_s=deadline_s,
        owner_pid=owner.pid,
        owner_start=owner.start,
        addresses=watch.addresses,
        ca=watch.ca,
        dsn=secret(watch.dsn) if watch.dsn else "",
        query=watch.query,
        value=watch.value,
        at_least=watch.at_least,
        at_json=watch.at_json,
        at_header=watch.at_header,
        by_json=watch.by_json,
        by_address=watch.by_address,
    )


class Watchers:
    """Does the stages for one drill.

    ``outside`` is called once when the baseline has been taken, before the first step: what a rehearsed incident
    imposes on the world. The drill is not told when.
    """

    def __init__(
        self,
        drill: str,
        folder: Path,
        clock: Clock,
        *,
        owner: Owner,
        reach: Reach,
        outside: Callable[[], None] | None = None,
    ) -> None:
        self._drill = drill
        self._folder = folder / "observers"
        self._rings = folder.parent / RINGS
        self._untaken: list[str] = []
        self._clock = clock
        self._owner = owner
        self._reach = reach
        self._outside = outside
        self._observers = Observers(clock)
        self._one_hand = threading.Lock()
        """An abort may come while observers are being started: they are ended only after that."""

    def stage(self, name: str, state: State, cancelled: Token) -> Iterator[ev.Body]:
        """Do one stage; the last event says how it went."""
        match name:
            case "watch":
                yield from self._watch(state)
            case "baseline":
                begun = self._clock.now()
                yield from self._ask_points(state, cancelled, after=False)
                yield self._baseline(state, cancelled, self._clock.now().since(begun))
            case "settled":
                yield from self._settled(state, cancelled)
            case "collected":
                yield from self._collected(state, cancelled)
            case _:
                raise ValueError(f"no stage is called {name!r}")

    # -- watch ---------------------------------------------------------------------------------------------

    def _watch(self, state: State) -> Iterator[ev.Body]:
        """Adopt what lives and start what is missing; end those that a crash left without a word on the timeline."""
        with self._one_hand:
            before = list(self._before(state))
            yield from before
            alive = [one for one in state.watching.values() if self._observers.adopt(one)]
            self._observers.sweep(self._folder, alive)
            known = {one.observer for one in alive}
            missing = [job for job in self._jobs(state.plan) if job.id not in known]
            failed: list[str] = []
            started = 0
            for jobs in self._at_once(missing, state):
                try:
                    for watching in self._observers.start(jobs, self._folder):
                        yield watching
                        started += 1
                except Refused as error:
                    failed.append(str(error))
        told = f"{started} observers started, {len(alive)} found alive"
        told += f", {len(before)} rings taken over" if before else ""
        yield ev.Ready("watch", ok=not failed, detail="; ".join([told, *self._untaken, *failed]))

    def _before(self, state: State) -> Iterator[ev.Watching]:
        """Take over, in an incident, what `drills observe` has kept of the time before: once, and from the same URL."""
        if state.plan.mode is not Mode.INCIDENT or any(one.process == ev.RING for one in state.watched):
            return
        said = state.began.earliest if state.began is not None else None
        now = self._clock.now()
        moment = now.mono_ns if said is None else min(now.mono_ns, now.mono_ns - (now.utc_ns - said))
        for watch in state.plan.availability:
            ring = ring_of(self._rings / state.plan.environment, watch.id)
            copy = self._folder / f"{watch.id}.ring.db"
            if not ring.exists():
                continue
            for left in self._folder.glob(f"{copy.name}*"):  # by a process that ended before it said so
                left.unlink()
            try:
                looked_at = read_header(ring).url
                self._folder.mkdir(parents=True, exist_ok=True)
                fits = looked_at == watch.url
                taken = adopt(ring, copy, watch.id, moment) if fits else f"it looks at {looked_at}, not at {watch.url}"
            except JournalError as error:
                taken = str(error)
            if isinstance(taken, Adopted):
                yield ev.Watching(watch.id, str(copy.absolute()), 0, ev.RING)
            else:
                self._untaken.append(f"the ring of {watch.id} is not taken over: {taken}")

    def _at_once(self, missing: list[Job], state: State) -> list[list[Job]]:
        """All together in the beginning; later each for itself: the writer cannot begin again on a lost primary."""
        return [[job] for job in missing] if "baseline" in state.stages else [missing] if missing else []

    def _jobs(self, plan: Plan) -> Iterator[Job]:
        for watch in plan.availability:
            yield probe_job(watch, self._owner, self._reach.secret, plan.deadline_s)
        for watch in plan.data:
            yield self._marker_job(watch, plan)

    def _spot(self, watch: DataWatch, plan: Plan, address: str, at: str) -> Spot:
        """Give one side of a ledger, its secrets revealed."""
        place = next((place for place in plan.places if place.name == at), None)
        return Spot(StoreKind(watch.store), address, place, watch.options).revealed(self._reach.secret)

    def _marker_job(self, watch: DataWatch, plan: Plan) -> MarkerJob:
        spot = self._spot(watch, plan, watch.write, watch.write_at)
        return MarkerJob(
            watch.id,
            self._drill,
            watch.id,
            spot.address,
            "",
            every_s=watch.every_s,
            timeout_s=watch.timeout_s,
            deadline_s=plan.deadline_s,
            owner_pid=self._owner.pid,
            owner_start=self._owner.start,
            kind=spot.kind,
            place=spot.place,
            options=spot.options,
        )

    # -- recovery points -----------------------------------------------------------------------------------

    def _ask_points(self, state: State, cancelled: Token, *, after: bool) -> Iterator[ev.PointTold]:
        """Ask the services when their recovery points are: the last known before the disaster, and those of today."""
        return iter(()) if self._reach.points is None else self._reach.points.ask(state.plan, cancelled, after=after)

    # -- baseline ------------------------------------------------------------------------------------------

    def _baseline(self, state: State, cancelled: Token, passed_s: float) -> ev.Ready:
        cancelled.wait(max(0.0, state.plan.baseline_s - passed_s))
        if self._outside is not None and not cancelled.is_set():
            self._outside()
        watched_s = max(passed_s, state.plan.baseline_s)
        return ev.Ready("baseline", ok=True, detail=f"watched for {show(watched_s)} before the first step")

    # -- settled -------------------------------------------------------------------------------------------

    def _settled(self, state: State, cancelled: Token) -> Iterator[ev.Body]:
        self._read_ledgers(state, 1, cancelled, READ_AGAIN_EVERY_S * 4)
        yield from settled(state, self._clock, cancelled)

    # -- collected -----------------------------------------------------------------------------------------

    def _collected(self, state: State, cancelled: Token) -> Iterator[ev.Body]:
        if state.stop is None and not state.world_gone:
            yield from self._ask_points(state, cancelled, after=True)
        killed: list[str] = []
        stores = {one.id for one in state.plan.data}
        if not state.held:  # what is still acknowledged while the survivor is read could not be found by that reading
            with self._one_hand:
                killed += self._observers.stop([one for one in state.watching.values() if one.observer in stores])
        read = self._read_ledgers(state, 2, cancelled, READ_AGAIN_EVERY_S * 4)
        if not state.held:
            with self._one_hand:
                killed += self._observers.stop([one for one in state.watching.values() if one.observer not in stores])
                self._observers.sweep(self._folder, ())
        for one in state.watched:
            if not Path(one.file).exists():
                continue
            sealed = seal(Path(one.file))
            yield ev.Sealed(one.observer, one.file, sealed.rows, sealed.first, sealed.last, sealed.sha256)
        said = [detail for ok, detail in read if not ok] + [f"{name} did not end and was killed" for name in killed]
        yield ev.Ready("collected", ok=not said, detail="; ".join(said) or "all evidence is sealed")

    def _read_ledgers(self, state: State, number: int, cancelled: Token, limit_s: float) -> list[tuple[bool, str]]:
        """Read the markers back from the survivor, again and again while it gives no whole answer, within bounds."""
        answers: list[tuple[bool, str]] = []
        for watch in state.plan.data:
            if watch.id not in state.watching:
                continue
            begun = self._clock.now()
            files = [Path(one.file) for one in state.watched if one.observer == watch.id and Path(one.file).exists()]
            while True:
                spot = self._spot(watch, state.plan, watch.read, watch.read_at)
                seen = recover(spot, self._drill, watch.id, files, number, self._reach.accounts)
                if seen.ok is True or cancelled.is_set() or self._clock.now().since(begun) >= limit_s:
                    break
                cancelled.wait(READ_AGAIN_EVERY_S)
            answers.append((seen.ok is True, f"round {number}: {seen.detail}"))
        return answers
