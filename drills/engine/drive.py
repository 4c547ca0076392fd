"""The one loop, for every runtime: a generator that takes news and gives turns.

A turn is a batch of events and the acts that follow from them. The runtime writes the events in one
transaction, and only then begins the acts; what the acts bring comes back as the next news.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from drills.engine import decide
from drills.engine.plan import Section
from drills.engine.progress import Phase, Status
from drills.engine.shown import criteria, shown
from drills.engine.when import unwanted
from drills.timeline import events as ev
from drills.timeline.facts import Before

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from drills.clock import Stamp
    from drills.engine.state import State


class Prepared(msgspec.Struct, frozen=True):
    """What reading before a change has shown: what is there, and whether the goal is reached already."""

    step: str
    before: Before
    adopted: bool = False
    detail: str = ""


class Fact(msgspec.Struct, frozen=True):
    """Something that happened, and when, by the clock of whoever saw it."""

    at: Stamp
    body: ev.Body | Prepared


class News(msgspec.Struct, frozen=True):
    """What came in since the last turn."""

    now: Stamp
    facts: tuple[Fact, ...] = ()


class Prepare(msgspec.Struct, frozen=True):
    """Read what is there before a change (capture, already)."""

    step: str


class Look(msgspec.Struct, frozen=True):
    """Look until the answer is yes."""

    step: str


class Perform(msgspec.Struct, frozen=True):
    """Make the change; ``before`` is on disk."""

    step: str


class Guard(msgspec.Struct, frozen=True):
    """Keep looking, and tell of the first no."""

    step: str


class Witness(msgspec.Struct, frozen=True):
    """Ask the probes that a question shows, now: ``moment`` is ``asked`` or ``answered``."""

    step: str
    moment: str


class Drop(msgspec.Struct, frozen=True):
    """Stop looking: nobody waits for the answer any more. A change in flight settles, but waits for nothing more."""

    step: str


Act: TypeAlias = (
    Prepare
    | Look
    | Perform
    | Guard
    | Witness
    | Drop
    | decide.Recheck
    | decide.TakeBack
    | decide.Observe
    | decide.Disarm
    | decide.Conclude
)


class Turn(msgspec.Struct):
    """Events to be written in one transaction, the acts that follow, and how long to wait for news at most."""

    events: list[ev.Event] = msgspec.field(default_factory=list)
    acts: list[Act] = msgspec.field(default_factory=list)
    wait_s: float | None = None
    last: bool = False

    def only_looks(self, state: State) -> bool:
        """Say whether it is nothing but steps that look and change nothing, beginning and ending."""
        return all(isinstance(act, Look) for act in self.acts) and all(
            isinstance(one.body, ev.Started | ev.Ended) and not state.progress[one.body.step].step.changes
            for one in self.events
        )


_ANSWERS = frozenset({ev.Word.APPROVE, ev.Word.REJECT, ev.Word.NOT_APPLICABLE})
SETTLED_WITHIN_S = 120.0
"""How long a drill that is parked waits for an undo under way; a change ends by its own timeout."""


class _Loop:
    """What one process remembers between turns beside the state: which acts it has begun."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.begun: set[Act] = set()
        self.turn = Turn()
        self._gave_way = False
        """A step has ended: others may have their turn now."""
        self._guards = tuple(step.id for step in state.plan.steps if step.section is Section.GUARD)

    def emit(self, at: Stamp, body: ev.Body) -> None:
        """Put one fact on the timeline."""
        event = ev.Event(self.state.count + 1, at, body)
        self.state.apply(event)
        self.turn.events.append(event)
        if isinstance(body, ev.Ended):
            self._gave_way = True

    def act(self, act: Act) -> None:
        """Begin an act, once."""
        if act not in self.begun:
            self.begun.add(act)
            self.turn.acts.append(act)

    def take(self, fact: Fact, now: Stamp) -> None:
        """Take one piece of news in."""
        body = fact.body
        if isinstance(body, Prepared):
            self._prepared(body, now)
            return
        if isinstance(body, ev.Ended) and self.state.progress[body.step].status is Status.WAITING:
            self.begun.discard(Prepare(body.step))
            if self.state.stop is not None:
                return
            self.emit(fact.at, ev.Started(body.step, self.state.progress[body.step].attempt + 1))
        running, stopped = set(self.state.running), self.state.stop is not None
        self.emit(fact.at, body)
        if isinstance(body, ev.Told) and body.word in _ANSWERS and body.step in running:
            self._witness(body.step, "answered")
        if isinstance(body, ev.Ready):
            self.begun.discard(decide.Observe(body.stage))
        if isinstance(body, ev.Armed):
            self.begun.discard(decide.Disarm(body.step))
        if isinstance(body, ev.Ended | ev.Undid | ev.UndoFailed):
            self._forget(body.step)
        for name in running - set(self.state.running):
            if not isinstance(body, ev.Ended) or body.step != name:
                self.turn.acts.append(Drop(name))
                self._forget(name)
        if self.state.stop is not None and not stopped:
            self._hurry()

    def _witness(self, name: str, moment: str) -> None:
        """Have the probes of a question asked, where it shows any."""
        one = self.state.progress[name]
        if one.asked and criteria(self.state, one.step):
            self.turn.acts.append(Witness(name, moment))

    def _hurry(self) -> None:
        """Let changes in flight settle, and no stage of observing be waited for: the drill has turned back."""
        self.turn.acts.extend(Drop(name) for name in self.state.running)
        for stage in ("baseline", "settled"):
            if decide.Observe(stage) in self.begun:
                self.begun.discard(decide.Observe(stage))
                self.turn.acts.append(Drop(f"@{stage}"))

    def in_flight(self) -> bool:
        """Say whether a change, or an undo, has been begun here whose end is not known yet."""
        return any(isinstance(act, Perform | decide.Recheck | decide.TakeBack) for act in self.begun)

    def _forget(self, name: str) -> None:
        for kind in (Prepare, Look, Perform, decide.Recheck, decide.TakeBack):
            self.begun.discard(kind(name))

    def _prepared(self, body: Prepared, now: Stamp) -> None:
        one = self.state.progress[body.step]
        self.begun.discard(Prepare(body.step))
        if one.status is not Status.WAITING or self.state.parked or decide.waits(self.state, one.step.section):
            return
        self.emit(now, ev.Started(body.step, one.attempt + 1, body.before))
        if body.adopted:
            self.emit(now, ev.Ended(body.step, ev.Outcome.DONE, body.detail, adopted=True))
        elif one.step.left_out is not None:
            told = f"{one.step.left_out.why}, but its goal is not there: {body.detail}; nothing was changed"
            self.emit(now, ev.Ended(body.step, ev.Outcome.FAILED, told))
        else:
            self.act(Perform(body.step))

    def begin(self, now: Stamp) -> None:
        """Begin everything that the state asks for; a step may end at once and give others their turn."""
        self._gave_way = True
        while self._gave_way:
            self._gave_way = False
            for command in list(decide.commands(self.state)):
                self._command(command, now)
        if self._guards:
            self._guard(decide.phase(self.state))

    def _guard(self, phase: Phase) -> None:
        """Guards look from the first step until the service has settled."""
        for name in self._guards:
            if phase in (Phase.STEPS, Phase.SETTLING):
                self.act(Guard(name))
            elif Guard(name) in self.begun:
                self.begun.discard(Guard(name))
                self.turn.acts.append(Drop(name))

    def _command(self, command: decide.Command, now: Stamp) -> None:
        match command:
            case decide.Start(step=name) | decide.Ask(step=name) if ended := _not_begun(self.state, name):
                self.emit(now, ev.Started(name, self.state.progress[name].attempt + 1))
                self.emit(now, ev.Ended(name, *ended))
            case decide.Start(step=name):
                one = self.state.progress[name]
                if one.step.changes:
                    self.act(Prepare(name))
                else:
                    self.emit(now, ev.Started(name, one.attempt + 1))
                    self.act(Look(name))
            case decide.Ask(step=name):
                self.emit(now, ev.Asked(name, shown(self.state, self.state.progress[name].step)))
                self._witness(name, "asked")
                if self.state.progress[name].step.hand is not None:
                    self.act(Look(name))
            case decide.Recheck(step=name) if self.state.stop is not None:
                self.emit(
                    now, ev.Ended(name, ev.Outcome.UNKNOWN, "in doubt: begun, and nobody wrote down how it ended")
                )
            case decide.TakeBack(step=name):
                self.emit(now, ev.UndoStarted(name))
                self.act(command)
            case _:
                self.act(command)


def _not_begun(state: State, name: str) -> tuple[ev.Outcome, str] | None:
    """Say how a step ends that is passed over without a look, and why; None when it is to be begun."""
    step = state.progress[name].step
    if (ended := unwanted(state, step)) is not None:
        return ended
    out = step.left_out
    return None if out is None or out.goal else (ev.Outcome.SKIPPED, out.why)


def resumption(left: Sequence[ev.Body], by: str, pid: int) -> list[ev.Body]:
    """Give what a process that takes a drill over writes first; ``left``: messages that nobody has taken yet.

    An undo that was asked for meanwhile stands before it: a held drill must not be given another turn first.
    """
    undo = [place for place, body in enumerate(left, 1) if isinstance(body, ev.Told) and body.word is ev.Word.UNDO]
    return [*left[: undo[-1] if undo else 0], ev.Resumed(by, pid)]


def drive(state: State) -> Generator[Turn, News, None]:
    """Drive a drill until it is over, held or parked. Send ``News``; receive the ``Turn`` to carry out.

    A parked drill begins nothing more, and ends when what is being written has settled: no change is left in doubt.
    """
    loop = _Loop(state)
    parking: Stamp | None = None
    loop.turn.wait_s = 0.0
    news = yield loop.turn
    for name, one in state.progress.items():
        if name not in state.running or (one.asked and one.step.hand is None):
            continue
        if one.before is None and not one.asked and (ended := unwanted(state, one.step)) is not None:
            loop.emit(news.now, ev.Ended(name, *ended))
        elif not one.step.changes:
            loop.turn.acts.append(Look(name))
            loop.begun.add(Look(name))
    while True:
        for fact in news.facts:
            loop.take(fact, news.now)
        for body in decide.due(state, news.now):
            loop.take(Fact(news.now, body), news.now)
        if state.parked and state.finished is None:
            parking = parking or news.now
            if not loop.in_flight() or news.now.since(parking) >= SETTLED_WITHIN_S:
                loop.emit(news.now, ev.Parked(state.parked_by))
        else:
            loop.begin(news.now)
        if state.put_aside or decide.rests(state):
            loop.turn.last = True
            yield loop.turn
            return
        loop.turn.wait_s = decide.next_due_s(state, news.now)
        turn, loop.turn = loop.turn, Turn()
        news = yield turn
