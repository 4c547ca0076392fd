"""A verification as JSON and for a terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from drills.report.blocks import Line, Part, Table, Tone, Words

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


def document(found: Verification) -> dict[str, Any]:
    """Give the JSON form."""
    return {"ok": found.exit_code == 0, "exit_code": found.exit_code, **asdict(found)}


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
    body = [Line(_MEANINGS[found.exit_code])]
    if found.head:
        head = f"head of the chain {found.head}: compare it with the one in a report you kept"
        body.append(Line(Words(head, Tone.FAINT)))
    return [*told, Part("", tuple(body))]


def _differences(one: Check) -> list[Line]:
    return [Line(Words(text, Tone.BAD), mark="!") for text in one.differences]
