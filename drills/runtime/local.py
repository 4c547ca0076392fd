"""Run a drill in this process: a journal on disk, worker threads, one loop.

The loop has one driver at a time. A worker that has ended its job drives on by itself and goes on with what its own
news has led to: a chain of steps changes threads nowhere. The main thread drives what nobody else does: words of
people, signals, deadlines, and news from the middle of a job.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from drills.durations import measured
from drills.engine import decide, drive
from drills.engine.execute import LAST_WORDS, Workshop
from drills.engine.state import State
from drills.errors import JournalError
from drills.runtime.arrivals import Arrivals
from drills.runtime.inbox import Inbox, person
from drills.timeline import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from drills.clock import Stamp
    from drills.engine.means import Means
    from drills.runtime.journal import Journal

LOOK_EVERY_S = 0.1
"""How often the inbox and the signals are looked at; a word is answered within this time."""
MOST_TOGETHER = 100
"""So much news at most is one turn: what comes while a turn is being written is the next one's."""
SLOW_S = 0.002
SLOW_TIMES = 3
"""When a listener has taken this long so often in a row, what its turn has begun is carried out by another worker."""
WORTH_TELLING_S = 1.0
"""A question after Ctrl-C that held the drill for so long stands on its timeline: its numbers hold that time."""


class Signals(msgspec.Struct):
    """What the process was told by signals since the last look."""

    interrupted: int = 0
    terminated: int = 0

    def __bool__(self) -> bool:
        """Say whether there is anything that nobody has heeded yet."""
        return bool(self.interrupted or self.terminated)


_told: Final = Signals()
"""A process has one set of signals."""


class LocalRun:
    """Drives one drill from its journal until it is over, held or parked.

    ``listen`` is called after each turn with the events just written. ``interrupted`` is called on Ctrl-C and
    answers with what the person (or the rule for no person) wants, None to go on. Neither may raise; the first comes
    from whichever thread drives, the second from the one that called ``run``.
    """

    def __init__(
        self,
        journal: Journal,
        state: State,
        means: Means,
        *,
        listen: Callable[[Sequence[ev.Event], State], None],
        interrupted: Callable[[State], ev.Told | None],
    ) -> None:
        self.state = state
        self._journal = journal
        self._means = means
        self._listen = listen
        self._interrupted = interrupted
        self._news: Arrivals[drive.Fact] = Arrivals()
        self._kept: list[drive.Fact] = []
        self._inbox: Inbox | None = None
        self._heard = 0
        """The last message that was taken out of the inbox, though it may stand on no timeline yet."""
        self._workshop = Workshop(state, means, self._post, self._drive_on)
        self._signals = _told
        self._looked = means.clock.now()
        self._drive = drive.drive(state)
        self._turn = drive.Turn()
        self._driving = threading.Lock()
        """Held by whoever drives: the loop, the state and the journal are theirs alone."""
        self._wanted = False
        """The main thread wants to drive, so no worker begins to."""
        self._fault: BaseException | None = None
        self._slow = 0
        """How often in a row the listener has taken long: a terminal far away, a pipe that somebody empties slowly."""

    def run(self) -> State:
        """Drive to the end of the road; ``JournalError`` when the journal cannot be written: nothing more starts."""
        inbox = self._inbox = Inbox(self._journal.folder)
        try:
            with signals_caught():
                self._means.warden.watch(self._workshop.tell)
                self._workshop.deadman.watch()
                self._loop()
        finally:
            self._means.warden.close()
            self._workshop.stop()
            inbox.close()
        return self.state

    def presses(self) -> str:
        """Say what has come that no question to a person may keep waiting; nothing if nothing has.

        Called while the loop waits for the question's answer; what has come is kept for its next turn.
        """
        now = self._means.clock.now()
        while (fact := self._news.take()) is not None:
            self._kept.append(fact)
        self._kept += self._messages(now)
        if self._signals.terminated:
            return "the process was told to end"
        for body in (*(fact.body for fact in self._kept), *decide.due(self.state, now)):
            match body:
                case ev.Told(word=ev.Word.ABORT | ev.Word.REJECT as word, by=by):
                    return f"{by} said {word}"
                case ev.Guarded(guard=name, detail=detail):
                    return f"guard {name}: {detail}"
                case ev.Preempted(by=by):
                    return f"the target was taken by {by}"
                case ev.TimedOut(step=""):
                    return "the drill's deadline has passed"
                case _:
                    continue
        return ""

    def _messages(self, now: Stamp) -> list[drive.Fact]:
        """Give what people have said since the last look."""
        if self._inbox is None:
            return []
        told = self._inbox.fetch(max(self._heard, self.state.inbox))
        self._heard = max((self._heard, *(body.inbox for body in told)))
        return [drive.Fact(now, body) for body in told]

    def _loop(self) -> None:
        with self._driving:
            self._carry_out(next(self._drive))  # begins nothing: no worker is there yet
        while not self._turn.last:
            self._idle(self._turn.wait_s)
            self._sync()
            self._wanted = True
            with self._driving:
                self._wanted = False
                if self._fault is not None:
                    raise self._fault
                if not self._turn.last:
                    self._send(self._heard_of)
        self._journal.sync()

    def _sync(self) -> None:
        """Wait for the disk to have what was only looked at; meanwhile others drive on."""
        try:
            self._journal.sync()
        except JournalError as fault:
            self._fault = fault
            raise

    def _post(self, fact: drive.Fact) -> None:
        """Take in news, from any thread; the last words of a job wait for ``_drive_on``, which follows at once."""
        (self._news.leave if isinstance(fact.body, LAST_WORDS) else self._news.put)(fact)

    def _drive_on(self) -> None:
        """Drive, in a worker's thread, as long as there is news and nobody else drives; never raises."""
        while self._news and not (self._wanted or self._signals) and self._driving.acquire(blocking=False):
            try:
                if self._turn.last or self._fault is not None:
                    break
                self._send(self._arrived)
            except BaseException:  # noqa: BLE001 - ``_send`` keeps it, and the main thread raises it
                self._news.ring()
            else:
                if self._turn.last or self._due_soon():
                    self._news.ring()
            finally:
                self._driving.release()
        if self._news:
            self._news.ring()

    def _due_soon(self) -> bool:
        """Say whether something is due before the main thread looks by itself."""
        return self._turn.wait_s is not None and self._turn.wait_s < LOOK_EVERY_S

    def _send(self, hear: Callable[[], Sequence[drive.Fact]]) -> None:
        """Give the loop its news and carry out the turn; a fault ends the driving, whoever drives."""
        try:
            facts = tuple(hear())
            self._carry_out(self._drive.send(drive.News(self._means.clock.now(), facts)))
        except BaseException as fault:
            self._fault = fault
            raise

    def _carry_out(self, turn: drive.Turn) -> None:
        """Write what happened, and only then begin what follows from it.

        A turn that only looks does not wait for the disk: it is synced before anything else is begun, and at the
        latest when the main thread looks next. A power loss before that costs looks that can be made again.
        """
        (self._journal.append_unsynced if turn.only_looks(self.state) else self._journal.append)(turn.events)
        for act in turn.acts:
            self._workshop.do(act)
        self._workshop.begun(beside_me=self._slow >= SLOW_TIMES)
        if turn.events:
            told = self._means.clock.now()
            self._listen(turn.events, self.state)
            self._slow = self._slow + 1 if self._means.clock.now().since(told) >= SLOW_S else 0
        self._turn = turn

    def _idle(self, wait_s: float | None) -> None:
        """Let time pass until there is news, a deadline or a signal; at most one look's time."""
        self._news.wait(LOOK_EVERY_S if wait_s is None else max(0.0, min(LOOK_EVERY_S, wait_s)))

    def _arrived(self) -> list[drive.Fact]:
        """Give the news that is there."""
        facts: list[drive.Fact] = []
        while len(facts) < MOST_TOGETHER and (fact := self._news.take()) is not None:
            facts.append(fact)
        return facts

    def _heard_of(self) -> list[drive.Fact]:
        """Give all that has come: news, messages, and what signals mean."""
        facts = self._arrived()
        now = self._means.clock.now()
        if not facts or now.since(self._looked) >= LOOK_EVERY_S:
            self._looked = now
            facts.extend(self._messages(now))
        told = [drive.Fact(self._means.clock.now(), body) for body in self._signalled()]
        facts += self._kept
        self._kept = []
        return facts + told

    def _signalled(self) -> Generator[ev.Body]:
        if self._signals.terminated:
            again, self._signals.terminated = self.state.parked, 0
            yield ev.Parked("SIGTERM") if again else ev.Told(ev.Word.PARK, "SIGTERM", 0)
        if self._signals.interrupted:
            self._signals.interrupted = 0
            self._journal.sync()  # the question may stand for long
            asked = self._means.clock.now()
            told = self._interrupted(self.state)
            held_s = self._means.clock.now().since(asked)
            if held_s >= WORTH_TELLING_S:
                note = f"Ctrl-C: nothing new started for {measured(held_s)}"
                yield ev.Told(ev.Word.NOTE, person(), 0, note=note, held_s=held_s)
            if told is not None:
                yield told


def _interrupt(*_: object) -> None:
    _told.interrupted += 1


def _terminate(*_: object) -> None:
    _told.terminated += 1


@contextmanager
def signals_caught() -> Generator[None]:
    """Turn INT and TERM into words of the drill; HUP (the terminal went away) changes nothing.

    Begins with the drill's first event, long before the loop that heeds them; inside of it another one changes nothing.
    """
    if signal.getsignal(signal.SIGTERM) is _terminate:
        yield
        return
    _told.interrupted = _told.terminated = 0
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, _interrupt),
        signal.SIGTERM: signal.signal(signal.SIGTERM, _terminate),
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
