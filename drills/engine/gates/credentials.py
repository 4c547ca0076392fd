"""The credentials last longer than the drill and its undo may: what ends in mid-drill leaves things half done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills import durations
from drills.clock import NS, Stamp
from drills.engine.gates.question import no, unknown, why, yes
from drills.engine.permissions import needed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.aws.holder import Standing
    from drills.engine.gates.question import Question
    from drills.engine.plan import Plan
    from drills.timeline.events import Gated
    from drills.work import Place

NAME = "credentials"
PERMISSIONS = ("sts:AssumeRole", "sts:GetCallerIdentity")


def ask(question: Question) -> Iterator[Gated]:
    """Take the credentials of each place as the drill will, and say who that is and how long it lasts."""
    actions = needed(question.plan)
    for place in question.lasting():
        try:
            found = question.accounts.standing(place, actions.get(place.name))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said yes
            yield unknown(f"{NAME}:{place.name}", f"they cannot be had ({why(error)})")
            continue
        yield _lasts(question, place, found)


def budget_s(plan: Plan) -> float:
    """Give the seconds for which credentials are needed: the drill's, and those of taking everything back."""
    return plan.deadline_s + sum(step.timeout_s for step in plan.steps if step.reversible)


def _lasts(question: Question, place: Place, found: Standing) -> Gated:
    name = f"{NAME}:{place.name}"
    wanted_s = budget_s(question.plan)
    begun_ns = int(question.now.timestamp() * NS)
    ends_ns = begun_ns + int(wanted_s * NS)
    chained = "; the caller is a role itself, so each session lasts 1h and is renewed" if found.chained else ""
    session = "" if found.until_ns is None else f", this session until {_utc(found.until_ns)}"
    who = f"{found.arn} by {found.lasting.source}{session}; {found.narrowed}{chained}"
    need = f"{durations.show(wanted_s)} are needed for the drill and its undo"
    if found.lasting.past(ends_ns):
        until = found.lasting.until_ns
        told = "can be renewed" if until is None else f"can be had until {_utc(until)}"
        return yes(name, f"{who}; {told}, {need}")
    if not found.lasting.known:
        return unknown(name, f"{who}; when they end is not known, {need}: {found.lasting.renew}, or use a role")
    left_s = max(0.0, ((found.lasting.until_ns or 0) - begun_ns) / NS)
    return no(name, f"{who}; they end in {durations.show(round(left_s))}, {need}: {found.lasting.renew}")


def _utc(utc_ns: int) -> str:
    return f"{Stamp(utc_ns, 0, '').iso()[:16]}Z"
