"""Doors that go on with a drill another process began: resume, undo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from drills.errors import Refused, Usage

if TYPE_CHECKING:
    from drills.engine.plan import Plan
    from drills.engine.progress import Progress

_takeover = click.option(
    "--takeover", is_flag=True, help="Take the target's lock from a drill whose lease has run out."
)
_output = click.option("--output", type=click.Choice(["text", "json"]), default="text", help="How the result is told.")


@click.command()
@click.argument("drill", required=False)
@_takeover
@_output
def resume(drill: str | None, *, takeover: bool, output: str) -> None:
    """Go on with a drill that was parked, held, or whose process died."""
    from drills.cli.folders import find
    from drills.runtime.journal import read_drill

    folder = find(drill)
    _, state = read_drill(folder)
    if state.finished is not None:
        raise Refused(
            f"drill {folder.name} is over ({state.finished.status}); `drills show {folder.name}` tells how it went"
        )
    _take_over(folder, output, takeover=takeover)


@click.command()
@click.argument("drill", required=False)
@click.argument("step", required=False)
@click.option("--accept-data-loss", is_flag=True, help="Heal what holds authority past the point of no return.")
@click.option("--force", is_flag=True, help="Restore even what somebody else changed since; shows it first.")
@_takeover
@_output
def undo(
    drill: str | None, step: str | None, *, accept_data_loss: bool, force: bool, takeover: bool, output: str
) -> None:
    """Take back what a drill left behind: all of it, or one step. A drill that nobody drives ends with it.

    Needs the drill's folder, or the zip that `drills export` wrote, and credentials only: on any machine.
    """
    from drills.cli.folders import driven, find
    from drills.runtime.export import bring_in
    from drills.runtime.inbox import person, say
    from drills.runtime.journal import read_drill
    from drills.timeline.events import Told, Word

    folder = bring_in(Path(drill)) if drill is not None and drill.endswith(".zip") else find(drill)
    _, state = read_drill(folder)
    if step and step not in state.progress:
        raise Usage(f"drill {folder.name} has no step {step!r}; it has {', '.join(state.progress)}")
    if state.plan.world and not world_alive(state.plan):
        _said("nothing is owed: the sandbox of this drill has ended, and all that was in it", folder, output)
        return
    wanted = [one for one in state.progress.values() if not step or one.step.id == step]
    left = [one for one in wanted if one.left_alone]
    begun = state.finished is None and not state.past_return and not step and not driven(folder)
    if not state.owed() and not state.schedules.armed and not (force and left) and not begun:
        if left:
            click.echo(f"left alone: {', '.join(one.step.id for one in left)}; --force restores it", err=True)
        _said("nothing is owed: there is nothing to take back", folder, output)
        return
    taken = [one for one in wanted if one.owed or (force and one.left_alone)]
    held = [one.step.id for one in taken if one.step.holds_authority]
    if held and state.past_return and not accept_data_loss:
        raise Refused(
            f"not undone: {', '.join(held)} keeps the old side from answering, and {state.plan.to_site} has taken "
            "over; healing it makes two sites that both accept writes. A failback leads back; "
            "--accept-data-loss heals it all the same; nothing was changed"
        )
    for one in taken if force else ():
        click.echo(f"{one.step.id}: {_past(one)}; what is there now is shown before it is restored", err=True)
    say(folder, Told(Word.UNDO, person(), 0, step or "", accept_data_loss=accept_data_loss, force=force))
    if driven(folder):
        told = f"drill {folder.name} is being driven and takes it back; `drills watch {folder.name}` shows it"
        _said(told, folder, output)
        return
    _take_over(folder, output, takeover=takeover)


def _said(told: str, folder: Path, output: str) -> None:
    """Say why nothing is done here; as JSON, the drill as it stands is the one object on stdout."""
    click.echo(told, err=True)
    if output == "json":
        from drills.cli.folders import read
        from drills.cli.show import result_of
        from drills.report import json

        click.echo(json.render(result_of(read(folder))), nl=False)


def _past(one: Progress) -> str:
    from drills.engine.changing import brief

    told = [f"before: {brief(one.before)}"] if one.before is not None else []
    return "; ".join([*told, *([f"ours: {brief(one.receipt)}"] if one.receipt is not None else [])])


def _take_over(folder: Path, output: str, *, takeover: bool) -> None:
    from drills.cli.compose import recorded_accounts, shown, take_over, tell
    from drills.cli.target import target_lock
    from drills.clock import SystemClock
    from drills.runtime.journal import Journal, read_drill
    from drills.runtime.warden import Warden
    from drills.sandbox import lifecycle

    Journal.take(folder).close()  # whoever drives this very drill also holds its target, and is the one to be named

    def outside(compiled: Plan) -> None:
        lifecycle.impose(lifecycle.find(Path(compiled.world)), compiled.from_site)

    _, state = read_drill(folder)
    with target_lock(folder.parent, state.plan):
        accounts = recorded_accounts(folder, state.plan)

        def warden(pinned: Plan) -> Warden | None:
            if pinned.observe_only:
                return None
            return Warden(folder.resolve().name, pinned, accounts, SystemClock(), takeover=takeover)

        show = shown(output)
        state = take_over(folder, accounts, show, world_alive=world_alive, outside=outside, warden=warden)
    tell(folder, state, output)


def world_alive(compiled: Plan) -> bool:
    """Say whether the sandbox is still the one that the plan was bound to, and not another of its name."""
    from drills.sandbox import lifecycle

    try:
        facts = lifecycle.find(Path(compiled.world))
    except Refused:
        return False
    return any(place.endpoint_url == facts.endpoint_url for place in compiled.places)


@click.command()
@click.argument("drill", required=False)
@click.option("-o", "--to", "target", default="", metavar="FILE.zip|FOLDER", help="Where to; DRILL.zip if left out.")
def export(drill: str | None, target: str) -> None:
    """Write DRILL into one file, with which `drills undo FILE.zip` takes it back from another machine."""
    from drills.cli.folders import find
    from drills.runtime.export import export as write

    folder = find(drill)
    path = Path(target or f"{folder.resolve().name}.zip")
    count = write(folder, path)
    click.echo(f"{path}: {folder.resolve().name}, {count} events, no secrets; `drills undo {path}` takes it back")


COMMANDS = (resume, undo, export)
