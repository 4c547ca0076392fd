"""``drills stop``: no drill may run, here or anywhere, until somebody lifts it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from drills.errors import DrillsError, Invalid, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from drills.aws.place import Place
    from drills.aws.sessions import Accounts
    from drills.engine.halt import Halt
    from drills.runbook.load import LoadedEnvironment

INCOMPLETE: Final = 7
"""The flag is not everywhere where it should be (or still somewhere): a person is needed."""
EXAMPLE: Final = ".example"


@click.command()
@click.option("--all", "everything", is_flag=True, help="Stop them; said in full, so that nobody does it by mistake.")
@click.option("--clear", is_flag=True, help="Lift the stop.")
@click.option("--env", "environment", default="", metavar="NAME", help="Only the drills of this environment.")
@click.option("--why", default="", help="Why; every refused drill shows it.")
def stop(*, everything: bool, clear: bool, environment: str, why: str) -> None:
    """Stop all drills: no new one starts, and running ones turn back. An incident is told and goes on.

    The flag stands on this machine, where every drill sees it within a second, and in each account of the
    environments in environments/ (or of the one named), in its home region, where drills of other machines see it.
    """
    from drills.runtime import stops

    if everything == clear:
        raise Usage("say `drills stop --all` to stop all drills, or `drills stop --clear` to lift it")
    if clear:
        from drills.aws.sessions import Accounts

        accounts = Accounts()
        raised = stops.placed_here(environment)
        there = stops.clear_here(environment)
        click.echo(f"{_what(environment)}: {'lifted' if there else 'was not set'} on this machine")
        places = _distinct((*raised, *_places(environment)))
        _each(places, lambda place: _cleared(accounts, place, environment))
        return
    _stop(environment, why)
    click.echo(f"lift it with `drills stop --clear{f' --env {environment}' if environment else ''}`")


def _stop(environment: str, why: str) -> None:
    """Set the flag here, before anything is read or imported that could keep it waiting; then everywhere else."""
    from drills.cli import folders
    from drills.clock import SystemClock
    from drills.engine.halt import Halt
    from drills.runtime import stops
    from drills.runtime.inbox import person

    if environment:
        from drills.runbook.find import environment_path

        environment_path(environment)  # a name mistyped stops nothing, and must not look as if it did
    running = [folder for folder in folders.every() if folders.driven(folder)]  # once they see the flag they end
    halt = Halt(person(), SystemClock().now().iso(), why, environment)
    stops.raise_here(halt)
    click.echo(f"{_what(environment)}: set on this machine; drills that run here turn back now")
    from drills.aws.sessions import Accounts

    accounts = Accounts()
    places = _distinct((*_places(environment), *_running(environment, running)))
    stops.raise_here(Halt(halt.by, halt.at, why, environment, places))
    _each(places, lambda place: _raised(accounts, place, halt))


def _what(environment: str) -> str:
    return f"stop of {environment}" if environment else "stop of all drills"


def _raised(accounts: Accounts, place: Place, halt: Halt) -> str:
    from drills.engine.halt import raise_flag

    raise_flag(accounts.write(place).client("ssm"), halt)
    return "set"


def _cleared(accounts: Accounts, place: Place, environment: str) -> str:
    from drills.engine.halt import clear_flag

    return "lifted" if clear_flag(accounts.write(place).client("ssm"), environment) else "was not set"


def _each(places: Iterable[Place], do: Callable[[Place], str]) -> None:
    """Do it in each account, say how it went, and end with 7 when one did not answer with a yes."""
    failed = 0
    for place in places:
        where = f"account {place.account}, {place.region}" + (" (sandbox)" if place.endpoint_url else "")
        try:
            click.echo(f"  {where}: {do(place)}")
        except Exception as error:  # noqa: BLE001 - one account that does not answer must not hide the others
            told = str(error) if isinstance(error, DrillsError) else f"{type(error).__name__}: {error}"
            if place.endpoint_url:
                click.echo(f"  {where}: gone, and nothing runs in it")
                continue
            failed += 1
            click.echo(f"  {where}: FAILED: {told}", err=True)
    if failed:
        raise SystemExit(INCOMPLETE)


def _distinct(places: Iterable[Place]) -> tuple[Place, ...]:
    """Give one place for each account, home region and role."""
    return tuple({(one.account, one.region, one.role, one.endpoint_url): one for one in places}.values())


def _places(environment: str) -> list[Place]:
    """Give the home places of the environments that are real; a sandbox has its flag on this machine."""
    from drills.engine.bind import places_of

    found: list[Place] = []
    for loaded in _environments(environment):
        if loaded.model.kind.value != "sandbox":
            homes = places_of(loaded.model, None)
            found += [replace(place, region=loaded.model.home) for place in homes]
    return found


def _environments(environment: str) -> list[LoadedEnvironment]:
    from drills.runbook import find
    from drills.runbook.load import load_environment

    if environment:
        return [load_environment(find.environment_path(environment))]
    loaded: list[LoadedEnvironment] = []
    for path in find.files(find.ENVIRONMENTS):
        if path.stem.endswith(EXAMPLE):
            continue
        try:
            loaded.append(load_environment(path))
        except Invalid as error:
            click.echo(f"left out: {error}", err=True)
    return loaded


def _running(environment: str, driven: Iterable[Path]) -> list[Place]:
    """Give the home places of the drills that run here, sandboxes too: what they bind may stand in no file here."""
    from drills.cli import folders

    found: list[Place] = []
    for folder in driven:
        try:
            plan = folders.read(folder).state.plan
        except DrillsError:
            continue
        if environment in ("", plan.environment):
            found += [replace(place, region=plan.home) for place in plan.places]
    return found


COMMANDS = (stop,)
