"""The caller belongs to the account that the environment names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.engine.gates.question import no, unknown, why, yes
from drills.engine.plan import Mode
from drills.timeline.events import Gated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.work import Place

NAME = "account"
PERMISSIONS = ("sts:GetCallerIdentity",)


def ask(question: Question) -> Iterator[Gated]:
    """Ask STS once for each account and role, at a place that the lost site is not part of where there is one."""
    asked: dict[tuple[str, str | None], Place] = {}
    for place in question.lasting():
        asked.setdefault((place.account, place.role), place)
    for place in sorted(asked.values(), key=question.plan.places.index):
        yield _account(question, place)


def _account(question: Question, place: Place) -> Gated:
    name = f"{NAME}:{place.account}"
    try:
        caller = str(question.accounts.read(place).client("sts").get_caller_identity()["Account"])
    except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said yes
        plan = question.plan
        detail = f"who the caller is could not be learned ({why(error)})"
        if plan.mode is Mode.INCIDENT and place.name == plan.from_site:  # its silence may be the incident itself
            return Gated(name, ok=None, detail=detail, advises=True)
        return unknown(name, detail)
    if caller != place.account:
        return no(name, f"account {caller} is not the one of {place.name} ({place.account})")
    return yes(name, f"the caller belongs to {caller}, as {place.name} says")
