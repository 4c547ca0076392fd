"""Doors that start a drill: rehearse, plan, run, incident."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drills.cli.asking import Meant, asked, before_direction, begins_as_made, confirmed, meant_here, not_stopped
from drills.cli.background import detach_here
from drills.cli.binding import Bound, Wish, declared_direction, declared_world, direction
from drills.engine.by_people import by_people
from drills.engine.plan import Mode
from drills.errors import Refused, Usage
from drills.timeline import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from drills.engine.partial import Part
    from drills.engine.plan import Plan
    from drills.runbook.load import LoadedEnvironment
    from drills.runbook.world import SandboxValues


_output = click.option("--output", type=click.Choice(["text", "json"]), default="text", help="How the result is told.")
_set = click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Give a parameter its value.")
_to = click.option("--to", "to_site", default="", metavar="SITE", help="The site that takes over.")
_detach = click.option("--detach", is_flag=True, help="Go on in the background; `drills watch` shows it.")
_takeover = click.option(
    "--takeover", is_flag=True, help="Take the target's lock from a drill whose lease has run out."
)
_observe_only = click.option(
    "--observe-only", is_flag=True, help="People act, the tool watches and judges: no step changes anything."
)
_confirm = click.option(
    "--confirm", default="", metavar="NAME", help="The environment's name, to say that you mean it."
)


def _parts(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command be of a part of its runbook: ``--from``, ``--only``, ``--assume``, given to it as ``part``."""
    from drills.engine.partial import Part

    @wraps(command)
    def chosen(*, begins: str, only: tuple[str, ...], assumed: tuple[str, ...], **others: object) -> None:
        command(**others, part=Part(begins, only, assumed))

    options = (
        click.option(
            "--assume", "assumed", multiple=True, metavar="STEP", help="Take a step that is left out as done, unseen."
        ),
        click.option("--only", multiple=True, metavar="STEP", help="Leave out every step but this one (repeatable)."),
        click.option("--from", "begins", default="", metavar="STEP", help="Leave out what this step waits for."),
    )
    for option in options:
        chosen = option(chosen)
    return chosen


def _meant(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that acts in AWS what all of them take, read together as ``wish`` and ``meant``."""

    @wraps(command)
    def chosen(  # noqa: PLR0913 - what the command line says
        *,
        runbook: str,
        environment: str,
        to_site: str,
        settings: tuple[str, ...],
        part: Part,
        confirm: str,
        takeover: bool,
        **others: object,
    ) -> None:
        wish = Wish(runbook, environment, to_site, settings, part)
        command(wish, Meant(confirm, takeover=takeover), **others)

    taken: Callable[..., None] = _parts(_to(_set(_detach(_output(chosen)))))
    return _confirm(_takeover(taken))


@click.command()
@click.argument("runbook")
@click.option("--env", "environment", default="sandbox", show_default=True, help="The sandbox environment.")
@click.option(
    "--in", "standing", default="", metavar="NAME", help="Use a sandbox that `drills sandbox up` keeps running."
)
@click.option("--as", "as_", type=click.Choice(["rehearsal", "incident"]), default="rehearsal", help="What is played.")
@click.option("--outage", type=click.Choice(["kill", "blackhole"]), default=None, help="How a lost site is lost.")
@_observe_only
@click.option("--ask", is_flag=True, help="Ask people for real; without it the sandbox answers after a second.")
@_takeover
@_parts
@_to
@_set
@_detach
@_output
def rehearse(  # noqa: PLR0913 - what the command line says
    runbook: str,
    environment: str,
    to_site: str,
    settings: tuple[str, ...],
    *,
    standing: str,
    as_: str,
    outage: str | None,
    ask: bool,
    observe_only: bool,
    takeover: bool,
    part: Part,
    detach: bool,
    output: str,
) -> None:
    """Play a runbook in a sandbox on this machine, and measure it. No AWS account is touched."""
    from drills.aws.sessions import Accounts
    from drills.runtime.folder import home

    wish = Wish(runbook, environment, to_site, settings, part)
    book, place = wish.files()
    if place.model.kind.value != "sandbox":
        raise Refused(f"not started: {environment} is {place.model.kind.value}, not a sandbox; nothing was changed")
    mode = Mode.INCIDENT if as_ == "incident" else Mode.REHEARSE
    not_stopped(place.model.environment, mode)
    if not standing:  # what is wrong with the wish is said before a sandbox is booted for it
        Bound(book, place, *declared_direction(place, to_site), declared_world(place)).plan(wish, mode, ask=ask)
    folder = _new_folder(book.model.runbook, home())
    if detach:
        detach_here(folder)
    with _world(place, standing, folder, outage) as (world, impose):
        sites = direction(place, world, to_site, mode, Accounts())
        if standing and not to_site:
            begins_as_made(place, sites, standing)
        compiled = Bound(book, place, *sites, world).plan(wish, mode, ask=ask)
        compiled = by_people(compiled) if observe_only else compiled
        outside = (lambda: impose(compiled.from_site)) if mode is Mode.INCIDENT else None
        _drive(folder, compiled, output, outside, takeover=takeover)


@contextmanager
def _world(
    place: LoadedEnvironment, standing: str, folder: Path, outage: str | None
) -> Generator[tuple[SandboxValues, Callable[[str], None]]]:
    """Boot a private sandbox, or find a standing one; end the private one afterwards."""
    from drills.sandbox import lifecycle

    if standing:
        if outage is not None:
            raise Usage("--outage is chosen when a sandbox is brought up; leave it out with --in")
        facts = lifecycle.find(lifecycle.standing_folder(standing))
        yield facts.values(), lambda site: lifecycle.impose(facts, site)
        return
    click.echo("bringing up a sandbox of two regions on this machine ...", err=True)
    worlds = folder.parent / "worlds" / folder.name
    booted = lifecycle.boot(lifecycle.world_spec(place.model), worlds, private=True, outage=outage)
    try:
        click.echo(f"ready after {booted.facts.ready_s:.1f}s", err=True)
        yield booted.facts.values(), lambda site: lifecycle.impose(booted.facts, site)
    finally:
        booted.stop()


@click.command()
@click.argument("runbook")
@click.option("--env", "environment", required=True, help="The environment to bind to.")
@_parts
@_to
@_set
@click.option("--iam", is_flag=True, help="Print the IAM policies that it needs, and nothing more; asks nobody.")
@_output
def plan(  # noqa: PLR0913 - what the command line says
    runbook: str,
    environment: str,
    to_site: str,
    settings: tuple[str, ...],
    *,
    part: Part,
    iam: bool,
    output: str,
) -> None:
    """Show what `run` would do, where, with which permissions, and what would refuse. Makes no write."""
    from drills.report import plan_view

    wish = Wish(runbook, environment, to_site, settings, part)
    book, place = wish.files()
    if iam:
        from drills.cli.iam import show_policies

        click.echo(show_policies(book, place, wish, output=output))
        return
    if place.model.kind.value == "sandbox":
        sites = declared_direction(place, to_site)
        compiled = Bound(book, place, *sites, declared_world(place)).plan(wish, Mode.REHEARSE, ask=False)
        click.echo(plan_view.show_plan(compiled, output=output))
        return
    sites = direction(place, None, to_site, Mode.RUN, before_direction(place, to_site, Mode.RUN))
    compiled = Bound(book, place, *sites).plan(wish, Mode.RUN, ask=False)
    answers = asked(compiled)
    click.echo(plan_view.show_plan(compiled, answers, output=output))
    if any(answer.ok is not True and not answer.advises for answer in answers):
        raise SystemExit(Refused.exit_code)


@click.command()
@click.argument("runbook")
@click.option("--env", "environment", required=True, help="The staging environment.")
@_observe_only
@_meant
def run(wish: Wish, meant: Meant, *, observe_only: bool, detach: bool, output: str) -> None:
    """Run a drill in a staging account. Asks every gate first, and for the environment's name.

    With --observe-only people act: each change is a task that ends when it is seen done, or by `drills approve`.
    Nothing is changed, so no scope, no lock and no --confirm is needed.
    """
    _for_real(wish, Mode.RUN, replace(meant, observe_only=observe_only), detach=detach, output=output)


@click.command()
@click.argument("runbook")
@click.option("--env", "environment", required=True, help="The environment that is hit.")
@_meant
@click.option(
    "--began", default="", metavar="WHEN", help="When it began, as you know it: 02:41Z..02:44Z, or with a day and zone."
)
def incident(wish: Wish, meant: Meant, *, began: str, detach: bool, output: str) -> None:
    """Fail over for real: the same runbook without its faults. Nothing is undone by itself.

    When it began is taken from the rings of `drills observe`, from --began, or from both.
    """
    _for_real(wish, Mode.INCIDENT, replace(meant, began=_began(began)), detach=detach, output=output)


def _for_real(wish: Wish, mode: Mode, meant: Meant, *, detach: bool, output: str) -> None:
    from drills.cli.compose import at_a_terminal
    from drills.engine.compile import allow
    from drills.engine.gates.table import refuse
    from drills.report.gate_answers import told
    from drills.report.printable import harmless
    from drills.runtime.folder import home

    book, place = wish.files()
    if place.model.kind.value == "sandbox":
        raise Usage(f"{wish.environment} is a sandbox: use `drills rehearse {wish.runbook}`")
    allow(mode, place)  # what needs no credentials is said before they are asked for
    meant_here(place.model.environment, meant.confirm)
    sites = direction(place, None, wish.to_site, mode, before_direction(place, wish.to_site, mode))
    compiled = Bound(book, place, *sites).plan(wish, mode, ask=True)
    compiled = by_people(compiled) if meant.observe_only else compiled
    answers = asked(compiled, takeover=meant.takeover)
    for line in told(answers):
        click.echo(harmless(line), err=True)
    refuse(answers, mode)
    if not meant.observe_only:
        confirmed(place.model.environment, meant.confirm, compiled, asks=at_a_terminal())
    folder = _new_folder(book.model.runbook, home())
    if detach:
        detach_here(folder)
    _drive(folder, compiled, output, None, (*answers, *meant.began), takeover=meant.takeover)


def _began(text: str) -> tuple[ev.Began, ...]:
    """Read what a person says of the beginning; nothing if nothing was said."""
    if not text:
        return ()
    from drills.cli.began import read_began
    from drills.clock import SystemClock
    from drills.runtime.inbox import person

    return (ev.Began(*read_began(text, SystemClock().now().utc_ns), person()),)


def _new_folder(runbook: str, home_: Path) -> Path:
    from drills.clock import SystemClock
    from drills.runtime.folder import new_drill_id

    return home_ / new_drill_id(runbook, SystemClock().now())


def _drive(
    folder: Path,
    compiled: Plan,
    output: str,
    outside: Callable[[], None] | None,
    gates: tuple[ev.Gated | ev.Began, ...] = (),
    *,
    takeover: bool,
) -> None:
    from drills.cli.compose import open_drill, recorded_accounts, shown, tell
    from drills.cli.target import target_lock
    from drills.clock import SystemClock
    from drills.runtime.warden import Warden

    with target_lock(folder.parent, compiled):
        accounts = recorded_accounts(folder, compiled)
        warden = None
        if not compiled.observe_only:  # what changes nothing takes no lock
            warden = Warden(folder.name, compiled, accounts, SystemClock(), takeover=takeover)
        state = open_drill(folder, compiled, accounts, shown(output), outside=outside, gates=gates, warden=warden)
    tell(folder, state, output)


COMMANDS = (rehearse, plan, run, incident)
