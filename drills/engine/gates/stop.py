"""No global stop: nobody has said, here or on another machine, that no drill may run now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.engine import halt
from drills.engine.gates.question import no, yes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.timeline.events import Gated

NAME = "stop"
PERMISSIONS = ("ssm:GetParameters",)


def ask(question: Question) -> Iterator[Gated]:
    """Look at the flag of this machine, then at that of the surviving side's account in the home region."""
    plan, flag = question.plan, question.halted
    if flag is None:
        ssm = question.accounts.read(halt.home_of(plan)).client("ssm")
        flag, _ = halt.look(ssm, plan.environment)
    if flag is not None:
        yield no(NAME, f"{flag.told()}; `drills stop --clear` lifts it")
    else:
        yield yes(NAME, f"no global stop, neither here nor in {plan.home}")
