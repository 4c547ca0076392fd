"""The reading doors: status, list, show, watch, report. They read journals and change nothing."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drills.cli import folders, glance
from drills.clock import SystemClock
from drills.engine import decide
from drills.engine.progress import Phase
from drills.errors import Unreadable, Usage
from drills.report import figures, paint, standing
from drills.runtime import journal
from drills.runtime.folder import home
from drills.timeline import codec
from drills.timeline.events import Finished

if TYPE_CHECKING:
    from drills.engine.state import State
    from drills.report.live import Listener
    from drills.report.result import DrillResult

LOOK_EVERY_S = 0.2
FIRST_EVENT_WITHIN_S = 10.0

output = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one object on stdout.",
)


def _json(value: object) -> None:
    from drills.report import json

    paint.put(sys.stdout, json.dumps(value))


def result_of(drill: folders.Drill) -> DrillResult:
    """Compute what a report tells of a drill that was read; what was claimed of evidence that is gone is unproven."""
    from drills.report.evidence import broken_evidence
    from drills.report.result import Source, summarize, unproven

    source = Source(str(drill.folder), drill.head, drill.driven)
    why = broken_evidence(drill.folder, drill.events) if drill.state.finished is not None else ""
    if why:
        result = unproven(drill.events, drill.state, source, why)
    else:
        result = summarize(drill.events, drill.state, source=source)
    return (
        replace(result, remains=(), remains_note=standing.WORLD_GONE)
        if result.remains and _world_ended(drill)
        else result
    )


def _world_ended(drill: folders.Drill) -> bool:
    """Say whether a sandbox that was to outlive its drill has ended since."""
    plan = drill.state.plan
    if not plan.world or plan.world_private:
        return False
    from drills.cli.again import world_alive

    return not world_alive(plan)


# -- status ------------------------------------------------------------------------------------------------


@click.command("status")
@output
def status(output: str) -> None:
    """Say where the running drills stand, one line each; when none runs, the newest."""
    if output == "json":
        _json({"drills": glance.newest()})
    else:
        glance.tell()


# -- list --------------------------------------------------------------------------------------------------


@click.command("list")
@output
def list_(output: str) -> None:
    """List all drills here, newest first."""
    facts = [_listed(folder) for folder in folders.every()]
    if output == "json":
        _json({"drills": facts})
        return
    if not facts:
        paint.put(sys.stdout, f"there are no drills in {home()}; `drills rehearse RUNBOOK` makes one\n")
        return
    from drills.report.blocks import Part, Table, toned

    rows = tuple(
        (
            fact["drill"],
            toned(fact["status"]),
            figures.MISSING if fact["exit_code"] is None else str(fact["exit_code"]),
            figures.measured(fact["elapsed_s"]),
            fact["error"] or f"{fact['runbook']} ({fact['mode']})",
        )
        for fact in facts
    )
    paint.show(
        sys.stdout, [Part("", (Table(("drill", "status", "exit", "took", "runbook"), rows, frozenset({2, 3})),))]
    )


def _listed(folder: Path) -> dict[str, Any]:
    """Tell one drill from the ends of its journal where it is over, else from the whole."""
    fact: dict[str, Any] = {
        "drill": folder.name,
        "runbook": "",
        "title": "",
        "mode": "",
        "status": "damaged",
        "exit_code": None,
        "started": None,
        "elapsed_s": None,
        "error": "",
    }
    try:
        ends = folders.ends(folder)
        if ends is None:
            why = "nothing was written yet" if folders.driven(folder) else journal.UNBEGUN
            return {**fact, "status": "empty", "error": why}
        first, last = codec.load_event(ends.first), codec.load_event(ends.last)
        plan = journal.pinned_plan([first])
        fact |= {"runbook": plan.runbook, "title": plan.title, "mode": plan.mode.value, "started": first.at.iso()}
        if isinstance(last.body, Finished):
            word, code, last_at = last.body.status, last.body.exit_code, last.at
        else:
            drill = folders.read(folder)
            word = standing.status(drill.state, driven=drill.driven)
            code = None if drill.driven else standing.exit_code(drill.state)
            last_at = SystemClock().now() if drill.driven else last.at
        fact |= {"status": word, "exit_code": code, "elapsed_s": last_at.since(first.at)}
    except folders.UNFIT as error:
        fact["error"] = str(folders.damaged(folder / journal.FILE, error))
        fact["status"] = "unreadable" if isinstance(error, Unreadable) else "damaged"
    return fact


# -- show and report ---------------------------------------------------------------------------------------


@click.command("show")
@click.argument("drill", required=False)
@output
@click.option("--exit-code", is_flag=True, help="Exit with the drill's exit code in place of 0.")
@click.pass_context
def show(ctx: click.Context, drill: str | None, output: str, *, exit_code: bool) -> None:
    """Show the result of DRILL: objectives with bounds, phases, rows, steps, what is left in place."""
    found = folders.read(folders.find(drill))
    result = result_of(found)
    if output == "json":
        from drills.report import json

        paint.put(sys.stdout, json.render(result))
    else:
        from drills.report import text

        text.show(sys.stdout, result)
    if exit_code:
        ctx.exit(result.exit_code)


@click.command("report")
@click.argument("drill", required=False)
@click.option("--format", "form", type=click.Choice(["text", "md", "json"]), default="text", show_default=True)
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file, not to stdout.")
@output
def report(drill: str | None, form: str, to: Path | None, output: str) -> None:
    """Tell everything about DRILL: also what was said, each observer, and the evidence."""
    result = result_of(folders.read(folders.find(drill)))
    form = "json" if output == "json" else form
    if to is None and form == "text":
        from drills.report import text

        text.show(sys.stdout, result, full=True)
        return
    written = _written(result, form)
    if to is None:
        paint.put(sys.stdout, written)
        return
    try:
        to.write_text(written, encoding="utf-8")
    except OSError as error:
        raise Usage(f"{to} cannot be written: {error.strerror}") from error
    paint.put(sys.stderr, f"written to {to}\n")


def _written(result: DrillResult, form: str) -> str:
    if form == "json":
        from drills.report import json

        return json.render(result)
    if form == "md":
        from drills.report import markdown

        return markdown.render(result)
    from drills.report import text

    return text.render(result)


# -- watch -------------------------------------------------------------------------------------------------


@click.command("watch")
@click.argument("drill", required=False)
@output
def watch(drill: str | None, output: str) -> None:
    """Follow DRILL until it is over, held or left alone, then show its result. Ctrl-C ends the watching only."""
    folder = folders.find(drill)
    clock = SystemClock()
    begun = clock.now()
    # A journal is made by a process that drives it: where none does, no first event will come.
    while folders.ends(folder) is None and folders.driven(folder) and clock.now().since(begun) < FIRST_EVENT_WITHIN_S:
        clock.sleep(LOOK_EVERY_S)
    found = folders.read(folder)
    if found.driven:
        from drills.report.live import Listener

        try:
            with Listener(sys.stdout, quiet=output == "json") as listener:
                listener(found.events, found.state)
                _follow(folder, found.state, listener)
        except KeyboardInterrupt:
            again = f"`drills watch {found.name}` shows it again, `drills abort {found.name}` takes it back"
            paint.put(sys.stderr, f"the drill goes on; {again}\n")
            raise
        found = folders.read(folder)
    if output == "json":
        from drills.report import json

        paint.put(sys.stdout, json.render(result_of(found)))
        return
    from drills.report import text

    text.show(sys.stdout, result_of(found))


def _follow(folder: Path, state: State, listener: Listener) -> None:
    """Pass new events on until the drill is over or held, or nobody drives it (which its lock shows)."""
    clock = SystemClock()
    try:
        with journal.Journal.open(folder) as reading:
            while state.finished is None and decide.phase(state) is not Phase.HELD and not listener.gone:
                alone = not folders.driven(folder)
                events = reading.read(state.count)
                for event in events:
                    state.apply(event)
                if events:
                    listener(events, state)
                elif alone:
                    return
                clock.sleep(LOOK_EVERY_S)
    except folders.UNFIT as error:
        raise folders.damaged(folder / journal.FILE, error) from error


COMMANDS = (status, list_, show, watch, report)
