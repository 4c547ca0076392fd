"""The commands of drills: a table of names, so that a command's module is imported only when that command runs."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

import click

from drills import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: where it is (``module:attribute``, a tuple of commands) and its line in ``--help``."""

    where: str
    help: str


_DRILL = "drills.cli.drill:COMMANDS"
_AGAIN = "drills.cli.again:COMMANDS"
_SHOW = "drills.cli.show:COMMANDS"
_TALK = "drills.cli.talk:COMMANDS"
_CHECK = "drills.cli.check:COMMANDS"
_SANDBOX = "drills.cli.sandbox:COMMANDS"
_CALIBRATE = "drills.cli.calibrate:COMMANDS"
_NUMBERS = "drills.cli.numbers:COMMANDS"
_STOP = "drills.cli.stop:COMMANDS"
_MEASURE = "drills.cli.measure:COMMANDS"
_FIS = "drills.cli.fis:COMMANDS"
_OBSERVE = "drills.cli.observe:COMMANDS"

GROUPS: dict[str, dict[str, Entry]] = {
    "Run a drill": {
        "rehearse": Entry(_DRILL, "Run a runbook in a sandbox on this machine."),
        "plan": Entry(_DRILL, "Show what a drill would do. Reads only."),
        "run": Entry(_DRILL, "Run a runbook in an AWS environment."),
        "incident": Entry(_DRILL, "Run a runbook for the real event."),
        "resume": Entry(_AGAIN, "Go on with a drill that was parked, held or killed."),
        "undo": Entry(_AGAIN, "Take back what a drill left in place."),
        "export": Entry(_AGAIN, "A drill in one file, to be undone from another machine."),
    },
    "See": {
        "status": Entry(_SHOW, "Where the running drills stand, one line each."),
        "watch": Entry(_SHOW, "Follow a drill until its end."),
        "list": Entry(_SHOW, "All drills here, newest first."),
        "show": Entry(_SHOW, "The result of a drill."),
        "report": Entry(_SHOW, "The whole report: text, Markdown or JSON."),
        "verify": Entry(_NUMBERS, "Recompute every number of a drill from its evidence."),
        "history": Entry(_NUMBERS, "What all drills here show together."),
        "compare": Entry(_NUMBERS, "Two drills, or a drill with those before it."),
        "measure": Entry(_MEASURE, "Watch endpoints and print their outages. No runbook, no AWS."),
        "observe": Entry(_OBSERVE, "Keep observers running, so that an incident can be judged."),
        "calibrate": Entry(_CALIBRATE, "Prove on this machine that what is measured is true."),
    },
    "Talk to a running drill": {
        "approve": Entry(_TALK, "Answer a step that asks: yes."),
        "reject": Entry(_TALK, "Answer a step that asks: no."),
        "abort": Entry(_TALK, "Stop a drill and undo what can be undone."),
        "stop": Entry(_STOP, "Stop all drills, here and everywhere; or lift that."),
        "pause": Entry(_TALK, "Let nothing new start."),
        "continue": Entry(_TALK, "Go on after a pause."),
        "skip": Entry(_TALK, "Go on without a step."),
        "retry": Entry(_TALK, "Try a failed step again."),
        "resolve": Entry(_TALK, "Say how a step in doubt really ended."),
        "note": Entry(_TALK, "Write a note on the timeline."),
    },
    "Write runbooks": {
        "check": Entry(_CHECK, "Find every error in runbooks and environments."),
        "print": Entry(_CHECK, "A runbook on paper: for the day drills itself is down."),
        "find": Entry(_CHECK, "Find runbooks by service, severity or words."),
        "catalog": Entry(_CHECK, "What a step can use: actions, faults, probes."),
        "schema": Entry(_CHECK, "JSON Schema for editors."),
        "fis": Entry(_FIS, "Experiment templates of AWS FIS: lint, render, actions."),
        "sandbox": Entry(_SANDBOX, "Keep a sandbox running: up, down, env."),
    },
}
TABLE = {name: entry for group in GROUPS.values() for name, entry in group.items()}


class Lazy(click.Group):
    """A group that knows its commands by name and loads one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give all names; loads nothing."""
        _ = ctx
        return list(TABLE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the one module that holds the command."""
        _ = ctx
        entry = TABLE.get(cmd_name)
        return None if entry is None else load(cmd_name, entry)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        if args and not args[0].startswith("-") and args[0] not in TABLE:
            near = get_close_matches(args[0], TABLE, n=1)
            hint = f"did you mean `drills {near[0]}`?" if near else "`drills --help` lists them"
            raise click.UsageError(f"there is no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table; loads nothing."""
        _ = ctx
        for title, group in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(8), entry.help) for name, entry in group.items()])


def load(name: str, entry: Entry) -> click.Command:
    """Import the command called ``name``."""
    module, _, attribute = entry.where.partition(":")
    commands: Sequence[click.Command] = getattr(import_module(module), attribute)
    for command in commands:
        if command.name == name:
            return command
    raise click.ClickException(f"{entry.where} has no command {name!r}; this installation is broken")


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`drills COMMAND --help` says more. A DRILL may be left out (the newest), shortened, or a folder.",
)
@click.version_option(__version__, "-V", "--version", message="drills %(version)s")
def cli() -> None:
    """Rehearse disaster recovery on AWS, and prove the RTO and the RPO."""
