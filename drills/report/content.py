"""What a drill's report says, part by part, before it has a form."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from drills.report import figures, measured
from drills.report.blocks import Command, Line, Part, Table, Tone, Words, toned

if TYPE_CHECKING:
    from drills.report.blocks import Body, Cell
    from drills.report.claims import Claims
    from drills.report.result import DrillResult, StepResult

MOST_KEPT = 20
MOST_COMMANDS = 6
MOST_STEPS = 60
"""More steps than this are not listed one by one: those that say something, and a count of the others."""


def parts(result: DrillResult, *, full: bool = True) -> tuple[Part, ...]:
    """Give the report: head, objectives, numbers, steps, what is left, what is real. ``full``: with all details."""
    claims = result.claims
    found = [_head(result), measured.objectives(result), measured.phases(claims), measured.availability(claims)]
    found += [measured.exposure(claims)]
    found += [measured.rows(claims), measured.stores(claims, full=full), measured.points(claims, full=full)]
    found += [_steps(result, full=full), _undone(result), _remains(result)]
    if full:
        found += [_said(result), measured.observers(claims), _evidence(result)]
    found += [_reality(claims, full=full), _caveats(claims, full=full), _stored(result, full=full)]
    return tuple(part for part in found if part is not None and part.body)


def _head(result: DrillResult) -> Part:
    way = f"{result.from_site} -> {result.to_site}"
    where = result.mode if result.mode == "rehearse" else f"{result.mode} in {result.environment}"
    body: list[Body] = [
        Line(f"{result.drill}  {result.title or result.runbook}"),
        Line(Words(f"{result.runbook}, {where}, {way}, {figures.measured(result.elapsed_s)}", Tone.FAINT)),
        Line(toned(result.status, f"{result.status.upper()}: {result.meaning} (exit {result.exit_code})")),
    ]
    if result.why and result.status not in ("met", "restored"):
        body.append(Line(f"because {result.why}"))
    body += [
        Line(Words(f"{word.by}: {word.text}", Tone.DOUBT)) for word in result.refusals if word.text not in result.why
    ]
    if result.claims.error:
        body.append(Line(Words(f"the judging itself failed, so nothing is proven: {result.claims.error}", Tone.BAD)))
    return Part("", tuple(body))


def _steps(result: DrillResult, *, full: bool) -> Part | None:
    steps = result.steps
    if not steps:
        return None
    quiet = () if full else tuple(one for one in steps if one.section != "steps" and not _speaks(one))
    steps = tuple(one for one in steps if one not in quiet)
    told = steps if len(steps) <= MOST_STEPS else tuple(one for one in steps if _speaks(one))[:MOST_STEPS]
    head = ("", "", "UTC", "took", "")
    rows = tuple(_step(one, over=result.finished) for one in told)
    body: list[Body] = [Table(head, rows, frozenset({3}), brief=not full)] if told else []
    if quiet:
        body.append(Line(Words(f"and {_counted(quiet, over=result.finished)}", Tone.FAINT)))
    if len(told) < len(steps):
        counts = Counter(one.status for one in steps)
        every = ", ".join(f"{count:,} {word}" for word, count in counts.most_common())
        body.append(Line(Words(f"of {len(steps):,} steps in all: {every}", Tone.FAINT)))
    return Part("Steps", tuple(body))


def _counted(quiet: tuple[StepResult, ...], *, over: bool) -> str:
    """Count the probes around the steps that had nothing to object to: ``before: 4 done, guard: 1 watched``."""

    def word(one: StepResult) -> str:
        if one.status != "waiting":
            return one.status
        return "watched" if one.section == "guard" else "not run" if over else one.status

    counts = Counter((one.section, word(one)) for one in quiet)
    return ", ".join(f"{section}: {count} {what}" for (section, what), count in counts.items())


def _speaks(one: StepResult) -> bool:
    return one.status not in ("done", "waiting") or bool(one.mark) or one.attempts > 1


def _step(one: StepResult, *, over: bool) -> tuple[Cell, ...]:
    section = "" if one.section == "steps" else f"{one.section}: "
    if one.section == "guard" and one.status == "waiting":
        shown = Words("watched")
    elif one.status == "waiting" and over:
        shown = Words("not run", Tone.FAINT)
    else:
        shown = toned(one.status, "found done" if one.adopted else one.status)
    again = f"(attempt {one.attempts}) " if one.attempts > 1 else ""
    detail = again + (one.detail or f"{one.uses} at {one.place}")
    return (
        f"{section}{one.id}",
        shown,
        figures.clock(one.started) if one.started else "",
        figures.measured(one.took_s) if one.took_s is not None else "",
        Words(detail, Tone.BAD) if one.status in ("failed", "unknown") else detail,
    )


def _undone(result: DrillResult) -> Part | None:
    if not result.undone:
        return None
    rows = tuple((one.step, _undo(one.detail, one.left_alone)) for one in result.undone)
    return Part("Undone", (Table((), rows),))


def _undo(detail: str, left_alone: str) -> Cell:
    return Words(f"left alone: {left_alone}", Tone.DOUBT) if left_alone else detail


def _remains(result: DrillResult) -> Part | None:
    """Tell first what needs a person, with commands to copy, then what was kept on purpose."""
    body: list[Body] = [Line(result.remains_note)] if result.remains_note else []
    gone = result.remains_note.endswith("nothing is owed")
    for one in result.remains:
        if one.trouble:
            body.append(Line(Words(f"{one.step} ({one.what}): {one.why}", Tone.BAD), mark="!"))
            body += [Command(one.by_hand)] if one.by_hand and not gone else []
    kept = [one for one in result.remains if not one.trouble]
    if kept and not gone:
        rows = ((one.step, one.what, f"one way: {one.why}" if one.one_way else one.why) for one in kept[:MOST_KEPT])
        body.append(Table((), tuple(rows)))
    if len(kept) > MOST_KEPT and not gone:
        body.append(Line(Words(f"and {len(kept) - MOST_KEPT:,} more", Tone.FAINT)))
    commands = tuple(line for one in kept if not one.one_way for line in one.by_hand)
    if commands and not gone and (result.finished or result.status == "held"):
        whole = (f"drills undo {result.drill}",)
        body += [Line("to take it back:"), Command(commands if len(commands) <= MOST_COMMANDS else whole)]
    return Part("Still in place", tuple(body)) if body else None


def _said(result: DrillResult) -> Part | None:
    rows = tuple((figures.clock(word.at), word.by, word.text) for word in result.words)
    return Part("Said", (Table((), rows),)) if rows else None


def _evidence(result: DrillResult) -> Part | None:
    rows = tuple(
        (one.observer, f"{one.rows:,} rows", f"{_inside(one.file, result.drill)}  sha256 {one.sha256[:16]}")
        for one in result.evidence
    )
    body: tuple[Body, ...] = (Table((), rows, frozenset({1})),) if rows else ()
    if result.source.head:
        chain = f"timeline: {result.events} events, chained; head {result.source.head[:16]}"
        body = (*body, Line(Words(chain, Tone.FAINT)))
    return Part("Evidence", body)


def _inside(file: str, drill: str) -> str:
    """Write a file of the drill's folder without the way to that folder, which another machine does not have."""
    return file.rpartition(f"/{drill}/")[2]


def _reality(claims: Claims, *, full: bool) -> Part | None:
    """Say what is real and what is simulated; in short: what stands before each colon."""
    rows = tuple(
        (
            name,
            " ".join(one if one.endswith(".") else f"{one};" for one in things).rstrip(";")
            if full
            else _subjects(things),
        )
        for name, things in (("real", claims.real), ("simulated", claims.simulated))
        if things
    )
    return Part("In this sandbox", (Table((), rows),)) if rows else None


def _subjects(things: tuple[str, ...]) -> str:
    """Write the subjects as one enumeration: names such as PostgreSQL and AWS keep their capitals."""
    subjects = [one.partition(":")[0].rstrip(".") for one in things]
    return ", ".join(
        one if place == 0 or one[1:2].isupper() else one[:1].lower() + one[1:] for place, one in enumerate(subjects)
    )


def _caveats(claims: Claims, *, full: bool) -> Part | None:
    body = [*(Line(Words(one, Tone.DOUBT), mark="!") for one in claims.warnings)]
    if full:
        body += [Line(Words(one, Tone.FAINT), mark="-") for one in claims.assumptions]
    elif claims.assumptions:
        count = len(claims.assumptions)
        body.append(Line(Words(f"{count} assumption{'s' if count > 1 else ''}, listed in the report", Tone.FAINT)))
    return Part("Mind", tuple(body)) if body else None


def _stored(result: DrillResult, *, full: bool) -> Part:
    rows = [("stored in", result.source.folder or f".drills/{result.drill}")]
    if not full:
        rows.append(("tells all", f"drills report {result.drill}"))
    if result.status in ("held", "parked", "incomplete"):
        word = "judge it" if result.sandbox_ended else "goes on"
        rows.append((word, f"drills resume {result.drill}"))
    return Part("", (Table((), tuple((Words(name, Tone.FAINT), text) for name, text in rows)),))
