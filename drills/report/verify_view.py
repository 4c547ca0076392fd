"""A verification as JSON and for a terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from drills.report.blocks import Line, Part, Table, Tone, Words
from drills.report.verify import EVIDENCE

if TYPE_CHECKING:
    from drills.report.verify import Check, Verification

_WORDS = {
    True: Words("equal", Tone.GOOD),
    False: Words("DIFFERS", Tone.BAD),
    None: Words("not compared", Tone.DOUBT),
}
_MEANINGS = {
    0: Words("VERIFIED: every number follows from the stored evidence", Tone.GOOD),
    1: Words("NOT VERIFIED: what is stored does not say what was claimed", Tone.BAD),
    3: Words("NOT VERIFIED: not everything could be compared", Tone.DOUBT),
}

_OTHERWISE = Words("NOT VERIFIED: other rules judged this drill, and those of today come to other figures", Tone.DOUBT)


def document(found: Verification) -> dict[str, Any]:
    """Give the JSON form."""
    facts = {"intact": found.intact, "other_rules": found.other_rules}
    return {"ok": found.exit_code == 0, "exit_code": found.exit_code, **facts, **asdict(found)}


def parts(found: Verification) -> list[Part]:
    """Tell what was checked, every difference, and what it comes to."""
    rows = tuple((one.name, _WORDS[one.ok], one.detail) for one in found.checks)
    told = [Part("", (Line(found.drill),)), Part("Checked", (Table((), rows),))]
    apart = [line for one in found.checks for line in _differences(one)]
    if apart:
        told.append(Part("Differences", tuple(apart)))
    worded = [Line(Words(text, Tone.FAINT), mark="-") for one in found.checks for text in one.reworded]
    if worded:
        told.append(Part("Worded otherwise today (no difference)", tuple(worded)))
    other = found.exit_code == 1 and found.intact and found.other_rules
    body = [Line(_OTHERWISE if other else _MEANINGS[found.exit_code]), *_whose_doing(found)]
    if found.head:
        head = f"head of the chain {found.head}: compare it with the one in a report you kept"
        body.append(Line(Words(head, Tone.FAINT)))
    return [*told, Part("", tuple(body))]


def _whose_doing(found: Verification) -> list[Line]:
    """Say of figures that differ whether what is stored was altered, or only judged by other rules."""
    if found.exit_code != 1 or not found.events:
        return []
    if not found.intact:
        broken = ", ".join(one.name for one in found.checks if one.ok is False and one.name.startswith(EVIDENCE))
        return [Line(Words(f"what was stored is no longer what was sealed: {broken}", Tone.BAD))]
    whole = "the timeline and all evidence are as they were written"
    if found.other_rules:
        told = (
            f"{whole}: other rules judged the drill then (drills {found.judged_by}) than do now (drills {found.rules})"
        )
        more = "a difference of rules is no sign that anything was altered; today's figures are the recomputed ones"
        return [Line(Words(told, Tone.DOUBT)), Line(Words(more, Tone.DOUBT))]
    told = f"{whole}, and the same rules (drills {found.rules}) give other figures:"
    return [Line(Words(f"{told} the claims may have been altered, and the chain made anew over them", Tone.BAD))]


def _differences(one: Check) -> list[Line]:
    return [Line(Words(text, Tone.BAD), mark="!") for text in one.differences]
