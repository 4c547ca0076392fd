"""The doors of the numbers: verify what a drill claimed, and say what several drills show together."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from drills.cli import folders
from drills.errors import JournalError, Unbegun, Unreadable, Usage
from drills.report import paint
from drills.runtime.folder import home
from drills.runtime.journal import UNBEGUN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from drills.report.comparing import Comparison, Side
    from drills.report.past import Kind, LeftOut, Past

_NS = 1_000_000_000
DAMAGED = 3
"""The exit code when a drill was left out because its record or its evidence is damaged: what is shown is not all."""

_OUTPUT = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one object on stdout.",
)


def _json(value: object) -> None:
    from drills.report import json

    paint.put(sys.stdout, json.dumps(value))


# -- verify ------------------------------------------------------------------------------------------------


@click.command("verify")
@click.argument("drill", required=False)
@_OUTPUT
def verify(drill: str | None, output: str) -> int:
    """Recompute every number of DRILL from its stored events and its observers' files.

    Exit 0: all equal. Exit 1: something differs or is damaged; each difference is named, and whether the stored
    evidence was altered or only judged by the rules of another version. Exit 3: something could not be compared, as in
    a drill that never finished.
    """
    from drills.report import verify as verifying
    from drills.report import verify_view

    folder = folders.find(drill)
    try:
        read = folders.read(folder)
    except Unbegun as error:
        found = verifying.unread(folder.resolve().name, str(error), ok=None)
    except JournalError as error:
        ok = None if isinstance(error, Unreadable) else False
        found = verifying.unread(folder.resolve().name, str(error), ok=ok)
    else:
        found = verifying.verify(folder, read.events, read.state, read.head)
    if output == "json":
        _json(verify_view.document(found))
    else:
        paint.show(sys.stdout, verify_view.parts(found))
    return found.exit_code


# -- history -----------------------------------------------------------------------------------------------


@click.command("history")
@click.option("--runbook", metavar="NAME", help="Only drills of this runbook.")
@click.option("--since", metavar="DATE", help="Only drills from then on: 2026-01-10 or 2026-01-10T12:00 (UTC).")
@_OUTPUT
def history(runbook: str | None, since: str | None, output: str) -> int:
    """Say what all drills here show together: per objective, phase and step.

    Points below six drills; from six on the median with its 95 % interval. Misses with how often a drill may miss.
    Rehearsals, runs, environments and directions are counted apart. A drill that did not recover by its runbook
    (unfinished, refused, aborted, or failed and turned back) is left out by name. So is one whose record or evidence
    is not what was sealed, and then the exit code is 3.
    """
    from drills.report import history as told

    drills, named = _past([runbook] if runbook else [])
    begin = _moment(since) if since else 0
    left_out = [one for one in named if one.is_of(begin)]
    found = told.history([one for one in drills if one.opened.utc_ns >= begin], left_out)
    code = DAMAGED if any(one.damaged for one in left_out) else 0
    if output == "json":
        _json(told.document(found))
        return code
    parts = told.parts(found)
    if parts:
        paint.show(sys.stdout, parts)
    if not found.kinds:
        apart = "\n" if parts else ""
        paint.put(sys.stdout, f"{apart}{_none_fits(runbook, since, drills)}\n")
    return code


def _none_fits(runbook: str | None, since: str | None, drills: Sequence[Past]) -> str:
    """Say that no drill fits what was asked for, and what to do about it."""
    of = f" of {runbook}" if runbook else ""
    if drills:
        newest = max(drills, key=lambda one: one.opened.utc_ns).opened.iso()[:10]
        return f"no drill{of} in {home()} counts since {since}, the newest is of {newest}: say an earlier --since"
    others = sorted({one.kind.runbook for one in _past([])[0]}) if runbook else []
    if others:
        return f"no drill{of} in {home()} counts, but some of {', '.join(others)}: say one of these with --runbook"
    return f"no drill{of} in {home()} counts: `drills rehearse RUNBOOK` makes one that does, `drills list` shows all"


# -- compare -----------------------------------------------------------------------------------------------


@click.command("compare")
@click.argument("drill", nargs=-1)
@click.option("--runbook", metavar="NAME", multiple=True, help="One: only its drills. Two: the first with the second.")
@click.option("--since", metavar="DATE", help="Drills before that moment with those from then on (UTC).")
@click.option("--exit-code", is_flag=True, help="Exit 1 when an objective is claimed to have become slower.")
@_OUTPUT
def compare(
    drill: tuple[str, ...], runbook: tuple[str, ...], since: str | None, output: str, *, exit_code: bool
) -> int:
    """Compare drills by objective, phase and step.

    \b
    drills compare A B                 two drills, the earlier one first
    drills compare A,B,C D,E,F         two groups of drills, one with the other
    drills compare A                   one drill with all before it of its kind
    drills compare                     the same for the newest
    drills compare --since 2026-01-10  before that day with since, of each kind
    drills compare --runbook OLD --runbook NEW

    A drill is said to stand out, or a group to be slower, only at 5 % and only if the lower and the upper ends of
    the bounds agree; where there are too few drills for that, it says how many it would take. A drill that did not
    recover by its runbook is not counted, and named. So is one whose record or evidence is not what was sealed, and
    then the exit code is 3.
    """  # noqa: D301 - the backslash is for click: it keeps the lines below it as they are
    if len(drill) > 2 or len(runbook) > 2 or (drill and (since or runbook)) or (since and len(runbook) > 1):  # noqa: PLR2004 - two sides
        raise Usage("compare takes one or two drills, or --since, or two --runbook; `drills compare --help` shows how")
    left_out: dict[str, LeftOut] = {}
    try:
        if since:
            found = _by_moment(since, runbook, left_out)
        elif len(runbook) == 2:  # noqa: PLR2004 - two sides
            found = _by_runbook(runbook, left_out)
        else:
            found = [_one_or_two(drill, runbook, left_out)]
    finally:
        for one in left_out.values():
            click.echo(f"drills: not counted: {one.drill}: {one.why}", err=True)
    _tell(found, output)
    if exit_code and any(one.regressed for one in found):
        return 1
    return DAMAGED if any(one.damaged for one in left_out.values()) else 0


def _tell(found: Sequence[Comparison], output: str) -> None:
    from drills.report import comparing

    if output == "json":
        _json({"comparisons": [comparing.document(one) for one in found]})
        return
    for place, one in enumerate(found):
        paint.put(sys.stdout, "\n" if place else "")
        paint.show(sys.stdout, comparing.parts(one))


def _one_or_two(names: tuple[str, ...], runbook: tuple[str, ...], left_out: dict[str, LeftOut]) -> Comparison:
    from drills.report.comparing import Side, groups, two_drills

    if len(names) == 2:  # noqa: PLR2004 - two sides
        sides = [_listed(name) for name in names]
        if any(len(side.drills) > 1 for side in sides):
            return groups(*_apart(*sides))
        return two_drills(*sorted(sides, key=lambda side: side.drills[0].opened.utc_ns))
    drills = _sound(runbook, left_out)
    if not names and not drills:
        raise Usage(f"there is no finished drill{f' of {runbook[0]}' if runbook else ''} in {home()}")
    one = _counted(folders.find(names[0])) if names else max(drills, key=lambda each: each.opened.utc_ns)
    kind, at = one.kind, one.opened.utc_ns
    for other in [each for each in left_out.values() if each.kind not in (None, kind)]:
        del left_out[other.drill]
    before = [each for each in drills if each.kind == kind and each.opened.utc_ns < at and each.drill != one.drill]
    if not before:
        raise Usage(f"no finished drill of {kind} was opened before {one.drill}: there is nothing to compare it with")
    before.sort(key=lambda each: each.opened.utc_ns)
    return groups(Side("all before it", tuple(before)), Side(one.drill, (one,)))


def _listed(names: str) -> Side:
    """Read one side of a comparison: a drill, or several with commas between them."""
    from drills.report.comparing import Side

    found = {one.drill: one for one in (_counted(folders.find(name)) for name in names.split(",") if name)}
    if not found:
        raise Usage(f"{names!r} names no drill; write one, or several as in A,B,C")
    drills = tuple(sorted(found.values(), key=lambda one: one.opened.utc_ns))
    return Side(drills[0].drill if len(drills) == 1 else names, drills)


def _apart(before: Side, after: Side) -> tuple[Side, Side]:
    """Refuse a drill that stands on both sides: it would speak for and against itself."""
    both = {one.drill for one in before.drills} & {one.drill for one in after.drills}
    if both:
        raise Usage(f"{', '.join(sorted(both))} stands on both sides; leave it on one")
    return before, after


def _by_moment(since: str, runbook: tuple[str, ...], left_out: dict[str, LeftOut]) -> list[Comparison]:
    from drills.report.comparing import Side, groups
    from drills.report.past import by_kind

    moment = _moment(since)
    drills = _sound(runbook, left_out)
    found: list[Comparison] = []
    for kind, group in by_kind(drills):
        before = tuple(one for one in group if one.opened.utc_ns < moment)
        after = tuple(one for one in group if one.opened.utc_ns >= moment)
        if before and after:
            found.append(groups(Side(f"{kind}, before {since}", before), Side(f"{kind}, since {since}", after)))
    if not found:
        raise Usage(f"no kind of drill in {home()} has finished drills both before and since {since}")
    return found


def _by_runbook(runbook: tuple[str, ...], left_out: dict[str, LeftOut]) -> list[Comparison]:
    from drills.report.comparing import Side, groups
    from drills.report.past import by_kind

    sides = [by_kind(_sound([name], left_out)) for name in runbook]
    found: list[Comparison] = []
    for kind, before in sides[0]:
        for other, after in sides[1]:
            if _place(kind) == _place(other):
                found.append(groups(Side(str(kind), tuple(before)), Side(str(other), tuple(after))))
    if not found:
        why = "of the same mode, environment and direction"
        raise Usage(f"{runbook[0]} and {runbook[1]} have no finished drills {why} in {home()}")
    return found


def _place(kind: Kind) -> tuple[str, str, str]:
    return kind.mode, kind.environment, kind.way


# -- reading drills ----------------------------------------------------------------------------------------


def _past(runbooks: Sequence[str]) -> tuple[list[Past], list[LeftOut]]:
    """Read all drills here (of some runbooks), oldest first, and those that cannot be counted."""
    from drills.report.past import LeftOut

    drills: list[Past] = []
    left_out: list[LeftOut] = []
    for folder in reversed(folders.every()):
        try:
            drill = folders.read(folder)
        except JournalError as error:
            left_out.append(_unread(folder, error))
            continue
        if runbooks and drill.state.plan.runbook not in runbooks:
            continue
        one = _one(drill)
        if isinstance(one, LeftOut):
            left_out.append(one)
        else:
            drills.append(one)
    return drills, left_out


def _unread(folder: Path, error: JournalError) -> LeftOut:
    from drills.report.past import LeftOut

    if not isinstance(error, Unbegun):
        return LeftOut(folder.name, str(error), damaged=True)
    return LeftOut(folder.name, "it has only just begun" if folders.driven(folder) else UNBEGUN)


def _one(drill: folders.Drill) -> Past | LeftOut:
    """Read one drill's figures, unless what it was judged by is not what was sealed."""
    from drills.report.evidence import broken_evidence
    from drills.report.past import past

    broken = broken_evidence(drill.folder, drill.events) if drill.state.finished is not None else ""
    return past(drill.name, drill.state, broken)


def _sound(runbooks: Sequence[str], left_out: dict[str, LeftOut]) -> list[Past]:
    """Give the drills that can be counted; the others are put down in ``left_out`` by their names."""
    drills, others = _past(runbooks)
    left_out |= {one.drill: one for one in others}
    return drills


def _counted(folder: Path) -> Past:
    from drills.report.past import LeftOut

    one = _one(folders.read(folder))
    if isinstance(one, LeftOut):
        told = f"{one.drill} cannot be compared: {one.why}"
        raise JournalError(told) if one.damaged else Usage(told)
    return one


def _moment(text: str) -> int:
    """Read a day or a moment, UTC where it does not say."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Usage(f"{text!r} is no day and no moment; write 2026-01-10 or 2026-01-10T12:00") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * _NS)


COMMANDS: tuple[Any, ...] = (verify, history, compare)
