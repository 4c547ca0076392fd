"""``drills stop``: no drill may run, here or anywhere, until somebody lifts it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from drills.errors import DrillsError, Invalid, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from drills.aws.place import Place
    from drills.aws.sessions import Accounts
    from drills.engine.halt import Halt
    from drills.engine.plan import Plan
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

    The flag stands beside the drills of the present folder and beside EVERY drill that runs on this machine as far as
    you may look, whatever its folder (with DRILLS_HOME: there alone), where each sees it within a second; and in each
    account of the environments in environments/ (or of the one named), in its home region, where drills of other
    machines see it. It tells the id and the folder of each drill that it reaches; without --all or --clear `drills
    stop` tells which it would reach, and changes nothing.
    """
    from drills.runtime import stops

    if everything == clear:
        would = "".join(f"\n{line}" for line in _reach(environment, _driven(stops.homes())))
        raise Usage(
            "say `drills stop --all` to stop all drills, or `drills stop --clear` to lift it; nothing was changed. "
            f"On this machine --all would now reach:{would}"
        )
    if clear:
        from drills.aws.sessions import Accounts

        accounts = Accounts()
        name = environment if stops.is_set_here(environment) else _named(environment, ())
        raised, others = stops.placed_here(name)
        for folder in (None, *others):
            there = stops.clear_here(name, folder)
            where = f"in {folder}" if folder else "on this machine"
            click.echo(f"{_what(name)}: {'lifted' if there else 'was not set'} {where}")
        places = _distinct((*raised, *_places(environment)))
        _each(places, lambda place: _cleared(accounts, place, name))
        return
    stop_drills(environment, why, stops.homes())
    click.echo(f"lift it with `drills stop --clear{f' --env {environment}' if environment else ''}`")


def stop_drills(environment: str, why: str, homes: tuple[Path, ...]) -> None:
    """Set the flag in these folders of drills, before anything is imported that could keep it waiting; then in AWS.

    The first folder is the present one, and gets it whether or not a drill runs there. Empty ``environment``: all.
    """
    from drills.clock import SystemClock
    from drills.engine.halt import Halt
    from drills.runbook import find
    from drills.runtime import stops
    from drills.runtime.inbox import person

    running = _driven(homes)
    here, *others = homes
    driven = [folder for found in running.values() for folder in found]  # once they see the flag they end
    name = _named(environment, driven)
    halt = Halt(person(), SystemClock().now().iso(), why, name)
    whole = _raised_in(here, halt, f"{_what(name)}: set on this machine; drills that run here turn back now")
    reached = [one for one in others if running[one] and _raised_in(one, halt)]
    click.echo("on this machine it reaches:\n" + "\n".join(_reach(name, running)))
    if not find.ENVIRONMENTS.is_dir():
        where = f"there is no {find.ENVIRONMENTS}/ in {Path.cwd()}"
        click.echo(f"  {where}: of the accounts, those that drills running here use get the flag, and no others")
    from drills.aws.sessions import Accounts

    accounts = Accounts()
    places = _distinct((*_places(environment), *_running(name, driven)))
    for keeper in [here] if whole else reached[:1]:  # it knows where else the flag stands, for whoever lifts it
        stops.raise_here(Halt(halt.by, halt.at, why, name, places, tuple(map(str, reached))), keeper)
        if not whole:
            click.echo(f"lift it with `DRILLS_HOME={keeper} drills stop --clear`")
    _each(places, lambda place: _raised(accounts, place, halt))
    if not whole or len(reached) < sum(1 for one in others if running[one]):
        raise SystemExit(INCOMPLETE)


def _driven(homes: Iterable[Path]) -> dict[Path, list[Path]]:
    """Give the drills that run now, by the folder that keeps them."""
    from drills.cli import folders

    return {one: [folder for folder in _drills(one) if folders.driven(folder)] for one in homes}


def _reach(environment: str, running: Mapping[Path, Sequence[Path]]) -> Iterator[str]:
    """Tell each drill that a stop reaches by its id, its folder and what it is; where none runs, say so."""
    told = 0
    for home, driven in running.items():
        for folder in driven:
            plan = next(_plans((folder,)), None)
            if plan is not None and environment not in ("", plan.environment):
                continue
            goes_on = " (it is told, and goes on)" if plan is not None and plan.mode.value == "incident" else ""
            what = f"{plan.mode.value} in {plan.environment}{goes_on}" if plan is not None else "it cannot be read"
            yield f"  {folder.name} in {home}: {what}"
            told += 1
    if not told:
        yield "  no drill that runs now"
    if os.environ.get("DRILLS_HOME"):
        yield "  (DRILLS_HOME is set: drills that other folders of this machine keep are not looked for)"


def _drills(home: Path) -> list[Path]:
    """Give the drills of a folder; one that cannot be read keeps nothing else from being stopped."""
    from drills.cli import folders

    try:
        return folders.every(home)
    except DrillsError:
        return []


def _raised_in(home: Path, halt: Halt, told: str = "") -> bool:
    """Set the flag beside the drills that a folder of this machine keeps, and say so; what fails keeps nothing else."""
    from drills.runtime import stops

    try:
        stops.raise_here(halt, home)
    except DrillsError as error:
        click.echo(f"  {home}: FAILED: {error}", err=True)
        return False
    click.echo(told or f"  {home}: set; drills run there too")
    return True


def _named(environment: str, driven: Iterable[Path]) -> str:
    """Give the name by which drills know an environment. One that is mistyped stops nothing, and must not seem to."""
    from drills.runbook import find

    if not environment or any(plan.environment == environment for plan in _plans(driven)):
        return environment
    if not find.ENVIRONMENTS.is_dir() and not Path(environment).is_file():
        raise Usage(
            f"nothing was changed: no drill of {environment!r} runs here, and there is no {find.ENVIRONMENTS}/ in "
            f"{Path.cwd()} to look it up in; go to where that is, or give the path of the environment's file, "
            "or stop every drill with `drills stop --all`"
        )
    return find.environment_name(environment)


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
    """Read the environments that are meant; one that is wrong keeps none of the others from being stopped."""
    from drills.runbook import find
    from drills.runbook.load import load_environment

    loaded: list[LoadedEnvironment] = []
    paths = [path for path in find.files(find.ENVIRONMENTS) if not path.stem.endswith(EXAMPLE)]
    if environment:
        paths = []
        with suppress(Usage):  # a drill that runs here may know what no file does
            paths = [find.environment_path(environment)]
    for path in paths:
        try:
            loaded.append(load_environment(path))
        except Invalid as error:
            click.echo(f"drills: left out: {error}", err=True)
    return loaded


def _running(environment: str, driven: Iterable[Path]) -> list[Place]:
    """Give the home places of the drills that run here, sandboxes too: what they bind may stand in no file here."""
    plans = [plan for plan in _plans(driven) if environment in ("", plan.environment)]
    return [replace(place, region=plan.home) for plan in plans for place in plan.places]


def _plans(driven: Iterable[Path]) -> Iterator[Plan]:
    from drills.cli import folders

    for folder in driven:
        with suppress(DrillsError):
            yield folders.read(folder).state.plan


COMMANDS = (stop,)
