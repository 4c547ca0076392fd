"""Fakes that ship with drills, for its tests and for those of people who write their own work.

``FakeClock`` is time that moves when told to. ``World`` is an outside that remembers what was done to it, and
``Simulation`` drives the real loop and the real fold against it in virtual time: hours in milliseconds, and a
crash wherever one is wanted.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from msgspec.structs import replace as altered

from drills.clock import NS, Stamp
from drills.engine import decide, drive
from drills.engine.plan import Mode, Plan, Section, Step
from drills.engine.state import State, fold
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.events import Outcome
from drills.timeline.facts import Before, Receipt
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BEGIN_UTC_NS = 1_700_000_000 * NS


class FakeClock:
    """A clock that moves only when told to."""

    def __init__(self, clock: str = "fake/boot-1") -> None:
        self.passed_ns = 0
        self.clock = clock

    def now(self) -> Stamp:
        """Read UTC and monotonic time together."""
        return Stamp(BEGIN_UTC_NS + self.passed_ns, self.passed_ns, self.clock)

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass at once."""
        self.passed_ns += round(seconds * NS)


def step(step_id: str, kind: Kind = Kind.ACTION, *needs: str, **changes: object) -> Step:
    """Build a step; ``changes`` are any fields of ``Step``."""
    return altered(Step(step_id, 0, kind, f"test.{kind}", "here", needs=needs), **changes)  # pyright: ignore[reportArgumentType] - fields of Step by name


def plan(*steps: Step, **changes: object) -> Plan:
    """Build a plan of these steps, numbered in order; ``changes`` are any fields of ``Plan``."""
    numbered = tuple(altered(one, number=number) for number, one in enumerate(steps, 1))
    blank = Plan(
        "test",
        "A test",
        "test",
        "sandbox",
        Mode.RUN,
        "east",
        "west",
        "home",
        (),
        numbered,
        (),
        hold_for_s=0.0,
        ask=True,
    )
    return replace(blank, **changes)  # pyright: ignore[reportArgumentType] - fields of Plan by name


@dataclass(slots=True)
class World:
    """An outside that remembers. ``effects`` is the log no engine writes: every change that took place, in order."""

    done: set[str] = field(default_factory=set)
    effects: list[str] = field(default_factory=list)

    def do(self, name: str) -> None:
        """Make a change."""
        self.effects.append(f"DO {name}")
        self.done.add(name)

    def undo(self, name: str) -> None:
        """Take a change back, if it is there."""
        if name in self.done:
            self.effects.append(f"UNDO {name}")
            self.done.remove(name)


@dataclass(frozen=True, slots=True)
class Script:
    """How the world answers: which steps are refused, which end in silence, how long each takes, who says what when.

    ``unreadable``: changes of which nobody can say what was there before; they end before they begin. ``unseen``:
    stages of observing that do not come out well.
    ``says``: messages by the moment (seconds after the beginning) at which they are in the inbox. ``happens``: what
    comes about at a moment by itself, to whoever drives then.
    """

    refuses: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()
    unseen: frozenset[str] = frozenset()
    undo_fails: frozenset[str] = frozenset()
    takes_s: Callable[[str], float] = lambda _: 1.0
    says: tuple[tuple[float, ev.Told], ...] = ()
    happens: tuple[tuple[float, ev.Body], ...] = ()


class Crash(Exception):
    """The driving process is gone."""


class Simulation:
    """Drives one drill against a ``World`` in virtual time. ``lines`` is the journal: what a crash leaves behind."""

    def __init__(self, pinned: Plan, world: World, script: Script | None = None, lines: Sequence[str] = ()) -> None:
        self.plan = pinned
        self.world = world
        self.script = script or Script()
        self.clock = FakeClock()
        self.lines = list(lines)
        self.state = fold(pinned, map(codec.load_event, self.lines))
        if self.state.last is not None:
            self.clock.passed_ns = self.state.last.mono_ns
        self._ahead = [(round(at * NS), body) for at, body in self.script.happens if at * NS >= self.clock.passed_ns]
        self._queue: list[tuple[int, int, Callable[[], Sequence[ev.Body | drive.Prepared]]]] = []
        self._order = 0
        self._dropped: set[str] = set()
        self._in_flight: dict[str, None] = {}

    def run(self, cut: int | None = None, *, late_effects: bool = False) -> State:
        """Drive until over, held or parked. ``cut``: crash once that many events are on disk, keeping just those.

        ``late_effects``: changes that were in flight at the crash still take place afterwards.
        """
        try:
            self._commit(self._first())
            self._drive(cut)
        except Crash:
            del self.lines[cut:]
            if late_effects:
                for name in self._in_flight:
                    if fold(self.plan, map(codec.load_event, self.lines)).progress[name].started is not None:
                        self.world.do(name)
        return self.state

    def _first(self) -> list[ev.Event]:
        bodies: list[ev.Body] = [ev.Opened("test", "0", "somebody", codec.dump(self.plan))]
        if self.lines:
            left = [told for at, told in self.script.says if at <= 0 and told.inbox > self.state.inbox]
            bodies = drive.resumption(left, "somebody", 2)
        events = [ev.Event(self.state.count + number, self.clock.now(), body) for number, body in enumerate(bodies, 1)]
        for event in events:
            self.state.apply(event)
        return events

    def _commit(self, events: Sequence[ev.Event], cut: int | None = None) -> None:
        self.lines.extend(codec.dump_event(event.seq, event.at, event.body) for event in events)
        if cut is not None and len(self.lines) >= cut:
            raise Crash

    def _drive(self, cut: int | None) -> None:
        loop = drive.drive(self.state)
        turn = next(loop)
        for _ in range(100_000):
            facts = self._news(turn.wait_s)
            turn = loop.send(drive.News(self.clock.now(), facts))
            self._commit(turn.events, cut)
            for act in turn.acts:
                self._act(act)
            if turn.last:
                return
        raise AssertionError("the drill does not end")

    def _news(self, wait_s: float | None) -> tuple[drive.Fact, ...]:
        now_ns = self.clock.passed_ns
        words = [(round(at * NS), told) for at, told in self.script.says if told.inbox > self.state.inbox]
        moments = [self._queue[0][0]] if self._queue else []
        moments += [at for at, _ in (*words, *self._ahead)]
        if wait_s is not None:
            moments.append(now_ns + max(0, round(wait_s * NS)))
        if moments:
            self.clock.passed_ns = max(now_ns, min(moments))
        facts = [drive.Fact(self.clock.now(), told) for at, told in words if at <= self.clock.passed_ns]
        while self._ahead and self._ahead[0][0] <= self.clock.passed_ns:
            facts.append(drive.Fact(self.clock.now(), self._ahead.pop(0)[1]))
        while self._queue and self._queue[0][0] <= self.clock.passed_ns:
            facts.extend(drive.Fact(self.clock.now(), body) for body in heapq.heappop(self._queue)[2]())
        return tuple(facts)

    def _later(self, name: str, job: Callable[[], Sequence[ev.Body | drive.Prepared]]) -> None:
        self._order += 1
        at = self.clock.passed_ns + round(self.script.takes_s(name) * NS)
        heapq.heappush(self._queue, (at, self._order, job))

    def _act(self, act: drive.Act) -> None:
        match act:
            case drive.Prepare(step=name):
                self._later(name, lambda: self._prepare(name))
            case drive.Perform(step=name):
                self._in_flight[name] = None
                self._later(name, lambda: self._perform(name))
            case drive.Look(step=name):
                self._dropped.discard(name)
                self._later(name, lambda: self._look(name))
            case drive.Drop(step=name):
                self._dropped.add(name)
            case decide.Recheck(step=name):
                self._later(name, lambda: self._recheck(name))
            case decide.TakeBack(step=name):
                self._later(name, lambda: self._take_back(name))
            case decide.Observe(stage=stage):
                self._later(stage, lambda: [ev.Ready(stage, ok=stage not in self.script.unseen, detail="")])
            case decide.Disarm(step=name):
                self._later(name, lambda: [ev.Disarmed(name, "")])
            case decide.Conclude():
                self._later("@conclude", self._conclude)
            case drive.Guard() | drive.Witness():
                pass

    def _prepare(self, name: str) -> list[ev.Body | drive.Prepared]:
        if name in self.script.unreadable:
            return [ev.Ended(name, Outcome.FAILED, "nobody can say what was there")]
        there = name in self.world.done
        return [drive.Prepared(name, Before(was=there), adopted=there)]

    def _look(self, name: str) -> list[ev.Body | drive.Prepared]:
        if name in self._dropped:
            return []
        return [ev.Ended(name, Outcome.FAILED if name in self.script.refuses else Outcome.DONE, "looked")]

    def _perform(self, name: str) -> list[ev.Body | drive.Prepared]:
        self._in_flight.pop(name, None)
        if name in self.script.refuses:
            return [ev.Ended(name, Outcome.FAILED, "refused")]
        self.world.do(name)
        if name in self.script.silent:
            return [ev.Ended(name, Outcome.UNKNOWN, "nobody answered")]
        return [ev.Ended(name, Outcome.DONE, "", receipt=Receipt(name=name))]

    def _recheck(self, name: str) -> list[ev.Body | drive.Prepared]:
        if name in self.script.silent:
            return [ev.Ended(name, Outcome.UNKNOWN, "still nobody answers")]
        if name in self.world.done:
            return [ev.Ended(name, Outcome.DONE, "found done")]
        return self._perform(name)

    def _take_back(self, name: str) -> list[ev.Body | drive.Prepared]:
        if name in self.script.undo_fails:
            return [ev.UndoFailed(name, "no", ("aws by hand",))]
        self.world.undo(name)
        return [ev.Undid(name, "as before")]

    def _conclude(self) -> list[ev.Body | drive.Prepared]:
        end = decide.ending(self.state, ("MET",))
        return [ev.Finished(end.value, decide.EXIT_CODES[end])]


def sections(*names: str, section: Section, kind: Kind = Kind.PROBE) -> tuple[Step, ...]:
    """Build one step a name, all in ``section``."""
    return tuple(step(name, kind, section=section) for name in names)
