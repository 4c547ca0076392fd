"""No other drill on the target: its lock in the home region is free, or may be taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.clock import SystemClock
from drills.engine import lock
from drills.engine.gates.question import no, yes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.timeline.events import Gated

NAME = "other-drill"
PERMISSIONS = ("ssm:GetParametersByPath",)


def ask(question: Question) -> Iterator[Gated]:
    """Look who holds the lock; the drill itself takes it once it is on disk."""
    plan = question.plan
    me = lock.Holder("", "", "", plan.mode)
    ssm = question.accounts.read(lock.home_of(plan)).client("ssm")
    seen = lock.Lock(ssm, lock.name_of(plan), me, SystemClock()).look()
    how = lock.standing(seen, me, takeover=question.takeover, ended=False)
    if lock.may_take(how):
        over = "" if how is lock.Standing.FREE else "; it will be taken over"
        yield yes(NAME, f"{lock.tell(seen)}{over}")
    else:
        hint = "; look what it left behind, then say --takeover" if how is lock.Standing.STALE else ""
        yield no(NAME, f"{lock.tell(seen)}{hint}")
