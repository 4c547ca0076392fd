"""The gates' answers as people read them: one line each, and one line for all that only lack credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.aws.classify import is_of_credentials
from drills.engine.gates.table import permissions
from drills.engine.plan import Mode
from drills.report.blocks import Line, Table, Tone, Words
from drills.timeline.events import Gated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from drills.engine.plan import Plan
    from drills.report.blocks import Body


def bodies(plan: Plan, gates: Sequence[Gated]) -> tuple[Body, ...]:
    """Give the answers of all gates as a table, and what the gates themselves read by."""
    if not gates:
        return (Line("not asked: a sandbox is made new for the drill"),)
    rows = tuple((one.gate, Words(word(one), _tone(one)), one.detail) for one in folded(gates))
    return (Table((), rows), Line(Words(f"the gates read by: {', '.join(permissions(plan))}", Tone.FAINT)))


def told(gates: Sequence[Gated]) -> Iterator[str]:
    """Give the answers line by line."""
    return (f"{one.gate}: {word(one)}: {one.detail}" for one in folded(gates))


def folded(gates: Sequence[Gated]) -> tuple[Gated, ...]:
    """Give the answers, with the one reason that credentials are missing told once, at the first gate that says it."""
    without = [one for one in gates if one.ok is None and is_of_credentials(one.detail)]
    if len(without) <= 1:
        return tuple(gates)
    first = next((one for one in without if not one.advises), without[0])
    others = [one for one in without if one is not first]
    names = ", ".join(dict.fromkeys(one.gate.partition(":")[0] for one in others))
    rest = Gated(
        "credentials",
        None,
        f"for want of them {len(others)} more answers are not known: {names}",
        advises=all(one.advises for one in others),
    )
    kept = [one for one in gates if one not in others]
    place = kept.index(first) + 1
    return (*kept[:place], rest, *kept[place:])


def word(one: Gated) -> str:
    """Say a gate's answer in a word or two: in capitals what refuses, in small letters what only advises."""
    if one.ok is True:
        return "yes"
    told = "NO" if one.ok is False else "NO ANSWER"
    return ("warning" if one.ok is False else told.lower()) if one.advises else told


def refused(plan: Plan, gates: Sequence[Gated]) -> bool:
    """Say whether these answers would refuse a run of the plan."""
    return plan.mode is not Mode.INCIDENT and any(one.ok is not True and not one.advises for one in gates)


def _tone(one: Gated) -> Tone:
    if one.ok is True:
        return Tone.GOOD
    return Tone.DOUBT if one.advises else Tone.BAD
