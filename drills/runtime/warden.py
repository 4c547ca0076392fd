"""What watches over a drill from outside of it: the global stop, and the lock of its target.

Both live in the environment's home region, which neither site's loss can touch; the impaired site is never asked.
Before a drill starts no answer is a no (``begin`` refuses a rehearsal and a run). While it runs no answer stops
nothing: a failover must not wait for a flag, so the drill goes on, says so once, and stands down as soon as the home
region tells it that somebody else has taken the target.
"""

from __future__ import annotations

import platform
import threading
from typing import TYPE_CHECKING, Final

from drills.aws.classify import mapped
from drills.engine import halt, lock
from drills.engine.plan import Mode
from drills.errors import Refused, Rejected, WorkError
from drills.runtime.folder import home
from drills.runtime.inbox import person
from drills.runtime.stops import standing_here
from drills.timeline import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.clock import Clock, Stamp
    from drills.engine.means import Accounts
    from drills.engine.plan import Plan, Step

HERE_EVERY_S: Final = 0.2
"""How often the flag of this machine is looked at."""
HOME_EVERY_S: Final = 1.0
"""How often the home region is asked: one call a second."""
FRESH_S: Final = 2.0
ANSWER_S: Final = 1.5
"""How long a change waits for a fresh answer, once; then it is made."""
RENEWALS: Final = 4
"""How often a lease is renewed before it would run out."""
RACES: Final = 5


class Warden:
    """Watches over one drill. ``takeover``: a person said that a lock whose lease has run out may be taken."""

    def __init__(
        self, drill: str, plan: Plan, accounts: Accounts, clock: Clock, *, takeover: bool = False, lease_s: float = 0.0
    ) -> None:
        self.plan = plan
        self._clock = clock
        self._takeover = takeover
        self._accounts = accounts
        lease_s = lease_s or lock.LEASE_S
        self._me = lock.Holder(drill, person(), platform.node(), plan.mode, lease_s, lease_s / 2)
        self._lock: lock.Lock | None = None
        self._tell: Callable[[ev.Body], None] = lambda _: None
        self._stopped = threading.Event()
        self._looked = threading.Condition()
        self._looks = 0
        self._looked_at: Stamp | None = None
        self._patient = True
        self._flag: halt.Halt | None = None
        self._told = False
        self._silent = False
        self._gone = ""

    # -- before anything ------------------------------------------------------------------------------------

    def begin(self, *, again: bool = False) -> ev.Claimed | ev.Unclaimed:
        """Take the lock of the plan's target; ``Refused`` when somebody else has it, or all drills were stopped.

        When nobody answers, a rehearsal and a run are refused; an incident, and a drill that is taken up ``again``
        (resumed, undone), go on without.
        """
        name = lock.name_of(self.plan)
        try:
            if not again:
                self._refuse_stopped()
            place = lock.home_of(self.plan)
            with mapped(writes=False):
                client = self._accounts.write(place).client("ssm")
            self._lock = lock.Lock(client, name, self._me, self._clock)
            return self._taken(self._lock, place.account, place.region)
        except WorkError as error:
            if not again and self.plan.mode is not Mode.INCIDENT:
                raise Refused(
                    f"not started: whether another drill holds {name} could not be learned in {self.plan.home} "
                    f"({error}); nothing was changed"
                ) from error
            return ev.Unclaimed(name, f"the home region {self.plan.home} gave no answer ({error}); going on without")

    def _refuse_stopped(self) -> None:
        flag = standing_here(self.plan.environment)
        if flag is None and self.plan.mode is not Mode.INCIDENT:
            with mapped(writes=False):
                ssm = self._accounts.read(halt.home_of(self.plan)).client("ssm")
            flag, _ = halt.look(ssm, self.plan.environment)
        if flag is not None and self.plan.mode is not Mode.INCIDENT:
            raise Refused(f"not started: {flag.told()}; `drills stop --clear` lifts it; nothing was changed")

    def _taken(self, mine: lock.Lock, account: str, region: str) -> ev.Claimed:
        for _ in range(RACES):
            seen = mine.look()
            ended = seen.holder is not None and _ended_here(seen.holder)
            how = lock.standing(seen, self._me, takeover=self._takeover, ended=ended)
            if not lock.may_take(how):
                raise Refused(f"not started: {mine.name}: {lock.tell(seen)}{_hint(seen, how)}; nothing was changed")
            if mine.take(seen):
                over = f"taken over: {lock.tell(seen)}" if how is lock.Standing.PREEMPTED else ""
                return ev.Claimed(mine.name, mine.generation, account, region, over)
        raise Refused(f"not started: others keep taking {mine.name}; nothing was changed")

    def give_back(self) -> None:
        """Give the lock back, if it is ours, and tell. Without an answer it stays, and its lease runs out."""
        self.close()
        if self._lock is None or not self._lock.generation or self._gone:
            return
        try:
            self._lock.free()
        except WorkError as error:
            self._tell(ev.Unclaimed(self._lock.name, f"could not be given back, its lease runs out: {error}"))
        else:
            self._tell(ev.Unclaimed(self._lock.name, "given back"))

    # -- while it runs --------------------------------------------------------------------------------------

    def watch(self, tell: Callable[[ev.Body], None]) -> None:
        """Begin to watch, in two threads: what hangs in the home region must not hide what is said here."""
        self._tell = tell
        threading.Thread(target=self._watch_here, daemon=True, name="warden-here").start()
        threading.Thread(target=self._watch_home, daemon=True, name="warden-home").start()

    def close(self) -> None:
        """End watching."""
        self._stopped.set()

    def before(self, step: Step) -> None:
        """Let a change be made, unless all drills were stopped or the target was taken.

        The home region's last answer counts for ``FRESH_S``; an older one is waited for, ``ANSWER_S`` at most and
        once, and no answer lets the change be made.
        """
        self._see_here()
        self._await_look()
        if self._gone:
            raise Rejected(f"{step.id}: not begun, nothing was changed: {self._gone}")
        if self._flag is not None and self.plan.mode is not Mode.INCIDENT:
            raise Rejected(f"{step.id}: not begun, nothing was changed: {self._flag.told()}")

    def _await_look(self) -> None:
        with self._looked:
            at, count = self._looked_at, self._looks
            if (at is not None and self._clock.now().since(at) < FRESH_S) or not self._patient:
                return
            self._patient = self._looked.wait_for(lambda: self._looks > count, ANSWER_S)

    def _watch_here(self) -> None:
        while not self._stopped.wait(HERE_EVERY_S):
            self._see_here()

    def _see_here(self) -> None:
        self._heed(standing_here(self.plan.environment))

    def _heed(self, flag: halt.Halt | None) -> None:
        """Turn the drill back for a flag; an incident is told of it and goes on."""
        if flag is None or self._told:
            return
        self._told, self._flag = True, flag
        word = ev.Word.NOTE if self.plan.mode is Mode.INCIDENT else ev.Word.ABORT
        note = f"global stop: {flag.told()}" + ("; an incident goes on" if word is ev.Word.NOTE else "")
        self._tell(ev.Told(word, flag.by, 0, note=note))

    def _watch_home(self) -> None:
        renewed = self._clock.now()
        while not self._stopped.is_set():
            try:
                self._look_home()
                mine = self._lock
                if mine is not None and mine.generation and not self._gone:
                    now = self._clock.now()
                    if now.since(renewed) >= self._me.lease_s / RENEWALS:
                        self._renew(mine)
                        renewed = now
                self._silent = False
            except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has answered, and that is said
                self._say_silent(error)
            with self._looked:
                self._looks += 1
                self._looked_at, self._patient = self._clock.now(), True
                self._looked.notify_all()
            self._stopped.wait(min(HOME_EVERY_S, self._me.lease_s / RENEWALS))

    def _look_home(self) -> None:
        ssm = self._accounts.read(halt.home_of(self.plan)).client("ssm")
        mine = self._lock
        same = mine is not None and mine.generation > 0 and halt.home_of(self.plan) == lock.home_of(self.plan)
        names = (mine.next_name(),) if mine is not None and same else ()
        flag, there = halt.look(ssm, self.plan.environment, *names)
        self._heed(flag)
        if mine is not None and mine.generation and not self._gone:
            elsewhere = not same and mine.look().generation != mine.generation
            if there or elsewhere:
                self._lose(mine)

    def _renew(self, mine: lock.Lock) -> None:
        """Renew the lease; one that ran out while nobody answered is taken again, unless somebody else was faster."""
        if mine.renew():
            return
        seen = mine.look()
        if seen.generation != mine.generation or not mine.take(seen):
            self._lose(mine)

    def _lose(self, mine: lock.Lock) -> None:
        if not self._gone:
            self._gone = lock.tell(mine.look())
            self._tell(ev.Preempted(mine.name, self._gone))

    def _say_silent(self, error: Exception) -> None:
        if not self._silent and not self._stopped.is_set():
            self._silent = True
            note = f"the home region {self.plan.home} gives no answer ({error}); the drill goes on without asking it"
            self._tell(ev.Told(ev.Word.NOTE, "drills", 0, note=note))


def _hint(seen: lock.Seen, how: lock.Standing) -> str:
    if how is lock.Standing.STALE:
        return "; look what it left behind (`drills undo` there), then say --takeover"
    assert seen.holder is not None  # noqa: S101 - what nobody holds may be taken
    wait_s = seen.holder.lease_s + seen.holder.grace_s
    return f"; it ends by itself, by `drills abort` there, or is stale once it has not been written for {wait_s:.0f} s"


def _ended_here(holder: lock.Holder) -> bool:
    """Say whether the drill that holds a lock is one of this machine, and over with nothing left to a person."""
    from drills.engine.decide import Ending
    from drills.errors import JournalError
    from drills.runtime.journal import read_drill

    if holder.host != platform.node() or "/" in holder.drill:
        return False
    try:
        finished = read_drill(home() / holder.drill)[1].finished
    except JournalError:
        return False
    return finished is not None and finished.status != Ending.UNDO_INCOMPLETE.value
