"""Commands that read what people wrote: ``check``, ``schema``, ``catalog``, ``print``, ``find``. They touch no AWS."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, ParamSpec

import click

from drills.cli.fitting import say
from drills.errors import DrillsError, Invalid, Problem, Usage
from drills.report.printable import harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drills.runbook.load import LoadedEnvironment, LoadedRunbook
    from drills.timeline.facts import Json

P = ParamSpec("P")


class Report(NamedTuple):
    """What checking one file came to."""

    file: str
    what: str
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    steps: int = 0
    needs: tuple[str, ...] = ()

    def json(self) -> dict[str, Json]:
        """Give the report as JSON."""
        return {
            "file": self.file,
            "what": self.what,
            "ok": not self.problems,
            "problems": [_problem(one) for one in self.problems],
            "warnings": [_problem(one) for one in self.warnings],
            "steps": self.steps,
            "needs": list(self.needs),
        }


def _problem(one: Problem) -> Json:
    return {"file": one.file, "line": one.line, "message": one.message}


def told(command: Callable[P, None]) -> Callable[P, None]:
    """Say a ``DrillsError`` in its sentence and leave with its exit code; never with a traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except DrillsError as error:
            click.echo(f"drills: {harmless(str(error))}", err=True)
            raise click.exceptions.Exit(error.exit_code) from error

    return wrapped


_as_json = click.option("--output", type=click.Choice(["text", "json"]), default="text", help="How to print.")


@click.command()
@click.argument("runbooks", nargs=-1, metavar="[RUNBOOK]...")
@click.option("--env", "environment", metavar="NAME", help="Bind to this environment too: a missing name is an error.")
@_as_json
@told
def check(runbooks: tuple[str, ...], environment: str | None, output: str) -> None:
    """Check runbooks and environments: every problem, with file and line.

    A RUNBOOK may be a folder too. Without it all of runbooks/ and environments/ are checked. Exit code 5 when something
    is wrong. With --env also warned of: steps behind the disaster that need the control plane of the region that is
    lost.
    """
    reports = _reports(runbooks, environment)
    _say(reports, output)
    if any(report.problems for report in reports):
        raise click.exceptions.Exit(Invalid.exit_code)


def _reports(runbooks: tuple[str, ...], environment: str | None) -> list[Report]:
    from drills.runbook import find

    paths = [path for name in runbooks for path in _files(name)] or [
        *find.files(find.RUNBOOKS),
        *find.files(find.ENVIRONMENTS),
    ]
    world, reports = None, list[Report]()
    if environment is not None:
        reports.append(_environment(path := find.environment_path(environment)))
        if not reports[0].problems:
            from drills.runbook.load import load_environment

            world = load_environment(path)
    if not paths and not reports:  # a pipeline in the wrong folder must not be told that all is well
        raise Usage(
            f"nothing to check: there is no runbook in {find.RUNBOOKS}/ and no environment in {find.ENVIRONMENTS}/ of "
            f"{Path.cwd()}; go to where they are, or name a file or a folder"
        )
    done = {report.file for report in reports}
    reports.extend(_check(path, world) for path in paths if str(path) not in done)
    return reports


def _files(name: str) -> list[Path]:
    """Find what is to be checked by a name: one file, or all that a folder holds."""
    from drills.runbook import find

    if not (folder := Path(name)).is_dir() or not name:
        return [_file(name)]
    if found := find.files(folder):
        return found
    raise Usage(f"{folder}/ holds no file that ends in .yaml or .yml; check the path")


def _file(name: str) -> Path:
    """Find the file of a runbook; one that names a file is taken as it is, be it a runbook or an environment."""
    from drills.runbook import find

    return given if (given := Path(name)).is_file() else find.runbook_path(name)


def _check(path: Path, world: LoadedEnvironment | None) -> Report:
    from drills import yamldoc

    try:
        doc = yamldoc.load(path)
    except Invalid as error:
        return Report(str(path), "file", error.problems)
    if isinstance(doc.data, dict) and "environment" in doc.data and "runbook" not in doc.data:
        return _environment(path)
    from drills.runbook.load import read_runbook

    try:
        loaded = read_runbook(doc, path)
        warnings = loaded.warnings
        if world is not None:
            from drills.engine.compile import check_bound

            warnings = (*warnings, *check_bound(loaded, world))
    except Invalid as error:
        return Report(str(path), "runbook", error.problems)
    needs = () if world is not None else loaded.checked.from_environment
    return Report(str(path), "runbook", (), warnings, _steps(loaded), needs)


def _steps(loaded: LoadedRunbook) -> int:
    return sum(1 for _ in loaded.model.listed())


def _environment(path: Path) -> Report:
    from drills.runbook.load import load_environment

    try:
        load_environment(path)
    except Invalid as error:
        return Report(str(path), "environment", error.problems)
    return Report(str(path), "environment")


def _say(reports: Sequence[Report], output: str) -> None:
    if output == "json":
        ok = not any(report.problems for report in reports)
        click.echo(json.dumps({"ok": ok, "files": [report.json() for report in reports]}, indent=2))
        return
    for report in reports:
        for one in report.problems:
            say(str(one))
        for one in report.warnings:
            say(f"{one.file}:{one.line}: warning: {one.message}")
        if report.problems:
            say(f"{report.file}: {_count(len(report.problems), 'problem')}")
            continue
        steps = f", {_count(report.steps, 'step')}" if report.steps else ""
        say(f"{report.file}: {report.what} is valid{steps}")
        if report.needs:
            say(f"  needs from an environment: {', '.join(report.needs)}")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


@click.command()
@click.argument("what", type=click.Choice(["runbook", "environment"]), default="runbook")
@told
def schema(what: str) -> None:
    """Print the JSON Schema of runbooks or environments, for editors."""
    from drills.runbook.schema import environment_schema, runbook_schema

    click.echo(json.dumps(runbook_schema() if what == "runbook" else environment_schema(), indent=2))


@click.command()
@click.argument("name", required=False)
@_as_json
@told
def catalog(name: str | None, output: str) -> None:
    """List every action, fault and probe, or tell all about NAME."""
    from drills.cli.catalog import entries, entry

    if name is None:
        found = entries()
        if output == "json":
            click.echo(json.dumps([one.json() for one in found], indent=2))
            return
        width = max(len(one.name) for one in found)
        for one in found:
            say(f"{one.kind:8}  {one.name:{width}}  {one.intent}", hang=width + 12)
        return
    one = entry(name)
    if output == "json":
        click.echo(json.dumps(one.json(), indent=2))
    else:
        say(one.text(), prose=True)


@click.command("print")
@click.argument("runbook")
@click.option("--env", "environment", metavar="NAME", help="Fill in the names of this environment.")
@click.option("--from", "from_site", metavar="SITE", help="The site that is lost (with --env).")
@click.option("--to", "to_site", metavar="SITE", help="The site that takes over (with --env).")
@told
def print_(runbook: str, environment: str | None, from_site: str | None, to_site: str | None) -> None:
    """Print RUNBOOK on paper: numbered steps, and what to do by hand when the tool is what is down."""
    from drills.cli.paper import bound, paper
    from drills.runbook import find
    from drills.runbook.load import load_environment, load_runbook

    loaded = load_runbook(_file(runbook))
    plan = None
    if environment is not None:
        plan = bound(
            loaded, load_environment(find.environment_path(environment, book=_file(runbook))), from_site, to_site
        )
    elif from_site or to_site:
        raise Usage("--from and --to name sites of an environment; add --env NAME")
    say(paper(loaded, plan), hang=3)


@click.command()
@click.argument("words", nargs=-1)
@click.option("--severity", help="Such as sev1.")
@click.option("--service", help="Such as orders.")
@_as_json
@told
def find(words: tuple[str, ...], severity: str | None, service: str | None, output: str) -> None:
    """Find the runbook for what has just happened, by severity, service and WORDS of its title."""
    from drills.runbook.find import RUNBOOKS, headers, here_or_shipped

    every, folder = list(headers()), here_or_shipped(RUNBOOKS)
    if folder != RUNBOOKS:
        click.echo(f"drills: there is no {RUNBOOKS}/ here; asked are the runbooks that came with drills", err=True)
    for one in every:
        if one.broken:
            click.echo(f"drills: cannot be read: {one.broken}", err=True)
    found = [
        one
        for one in every
        if not one.broken
        and severity in (None, one.severity)
        and service in (None, one.service)
        and all(word.lower() in f"{one.name} {one.title} {one.strategy}".lower() for word in words)
    ]
    if output == "json":
        click.echo(json.dumps([one.json() for one in found], indent=2))
        return
    for one in found:
        say(f"{one.severity or '-':6}  {one.service or '-':12}  {one.path}  {one.title}", hang=22)
    if not found:
        click.echo(f"drills: no runbook fits; {folder}/ holds {_count(len(every), 'runbook')}", err=True)


COMMANDS = (check, schema, catalog, print_, find)
