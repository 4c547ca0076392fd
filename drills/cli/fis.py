"""``drills fis``: what is wrong with experiment templates, what the API gets, and which actions AWS FIS has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from drills.cli.check import told
from drills.cli.fitting import say
from drills.errors import Invalid, Problem, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from drills.fis.catalogue import FisAction, Parameter
    from drills.timeline.facts import Json
    from drills.yamldoc import Node

FOLDER: Final = Path("fis_templates")
MOST_FILES: Final = 2_000
_ENDINGS: Final = {".yaml", ".yml", ".json"}
_as_json = click.option("--output", type=click.Choice(["text", "json"]), default="text", help="How to print.")


@click.group(
    help="Templates of AWS Fault Injection Service, as files: find what is wrong, see what the API gets.\n\n"
    "\b\n"
    "drills fis lint fis_templates/*\n"
    "drills fis render fis_templates/stop-instances.yaml --set role=ARN ...\n"
    "drills fis actions aws:ec2:stop-instances"
)
def fis() -> None:
    """Templates of AWS Fault Injection Service."""


@fis.command(short_help="Find every error in experiment templates.")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--allow-placeholders", is_flag=True, help="Take <NAME>, !Ref NAME and {{ name }} as not known yet.")
@_as_json
@told
def lint(files: tuple[str, ...], allow_placeholders: bool, output: str) -> None:  # noqa: FBT001 - click gives a flag so
    """Check templates (YAML or JSON, as CreateExperimentTemplate takes them): each finding with file and line.

    Without FILE all of fis_templates/ are checked. Exit code 5 when one has an error; warnings alone are 0.
    """
    paths = [*_paths(files)]
    if not paths:
        raise Usage("nothing to check: there is no template in fis_templates/ here; name a FILE")
    reports = [_Report(path, allow_placeholders) for path in paths]
    if output == "json":
        every = [one.json() for one in reports]
        click.echo(json.dumps({"ok": not any(one.errors for one in reports), "files": every}, indent=2))
    else:
        for one in reports:
            one.say()
    if any(one.errors for one in reports):
        raise click.exceptions.Exit(Invalid.exit_code)


class _Report:
    """What looking at one file came to."""

    def __init__(self, path: Path, foreign: bool) -> None:  # noqa: FBT001 - as the flag on the command line
        from drills import yamldoc
        from drills.fis.finding import Severity
        from drills.services import fis_template

        self.file = str(path)
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.rules: dict[Problem, str] = {}
        self.wants: tuple[str, ...] = ()
        try:
            doc = yamldoc.load(path)
            data = fis_template.table(doc)
        except Invalid as error:
            self.errors = [*error.problems]
            return
        self.wants = fis_template.wants(data)
        for one in fis_template.check(data, foreign=foreign):
            problem = doc.problem(one.where, one.message)
            self.rules[problem] = one.rule
            (self.errors if one.severity is Severity.ERROR else self.warnings).append(problem)

    def say(self) -> None:
        if self.errors:
            say(str(Invalid(self.errors)))
        for one in sorted(set(self.warnings)):
            say(f"{one.file}:{one.line}: warning: {one.message}")
        if self.errors:
            say(f"{self.file}: {_count(len(set(self.errors)), 'error')}")
            return
        needs = f", needs {', '.join(self.wants)}" if self.wants else ""
        say(f"{self.file}: template is valid{needs}")

    def json(self) -> dict[str, Json]:
        def entry(one: Problem) -> Json:
            return {"line": one.line, "rule": self.rules.get(one, "file"), "message": one.message}

        return {
            "file": self.file,
            "ok": not self.errors,
            "errors": [entry(one) for one in self.errors],
            "warnings": [entry(one) for one in self.warnings],
            "needs": list(self.wants),
        }


def _paths(files: Sequence[str]) -> Iterable[Path]:
    for name in files or ([str(FOLDER)] if FOLDER.is_dir() else []):
        path = Path(name)
        if path.is_dir():
            found = sorted(one for one in path.rglob("*") if one.suffix in _ENDINGS)
            if len(found) > MOST_FILES:
                raise Usage(f"{name} holds {len(found)} templates; name at most {MOST_FILES}")
            yield from found
        else:
            yield path


@fis.command(short_help="Print what CreateExperimentTemplate gets.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="Value of a ${name}; lists as [a, b].")
@told
def render(file: Path, given: tuple[str, ...]) -> None:
    """Fill a template in and print the exact input of CreateExperimentTemplate, checked against botocore's model.

    \b
    drills fis render FILE --set ... > input.json
    aws fis create-experiment-template --cli-input-json file://input.json
    """  # noqa: D301 - the backslash is for click: it keeps the lines below it as they are
    from drills import yamldoc
    from drills.services import fis_template

    values = dict(_value(one) for one in given)
    click.echo(json.dumps(fis_template.render(yamldoc.load(file), values), indent=2))


def _value(text: str) -> tuple[str, Node]:
    from drills import yamldoc

    name, sign, value = text.partition("=")
    if not sign or not name:
        raise Usage(f"--set {text!r}: write NAME=VALUE")
    return name, yamldoc.parse(value, f"--set {name}").data if value.startswith("[") else value


@fis.command(short_help="List what FIS can do, or tell all about one action.")
@click.argument("name", required=False)
@_as_json
@told
def actions(name: str | None, output: str) -> None:
    """List the actions of FIS, or tell about NAME: target, parameters, who takes it back, what its role needs."""
    from drills.fis.catalogue import actions as every
    from drills.fis.finding import near

    known = every()
    if name is None:
        chosen = list(known.values())
    elif name in known:
        chosen = [known[name]]
    else:
        parts = [one for one in known.values() if name in one.id]
        if not parts:
            raise Usage(f"there is no FIS action {name!r}; {near(name, known)}")
        chosen = parts
    if output == "json":
        click.echo(json.dumps([_entry(one) for one in chosen], indent=2))
    elif len(chosen) == 1:
        say(_text(chosen[0]))
    else:
        width = max(len(one.id) for one in chosen)
        for one in chosen:
            say(f"{one.id:{width}}  {one.resource_type or '-'}", hang=4)


_WAY_BACK: Final = {
    "fis": "FIS takes it back when the action or the experiment ends",
    "itself": "what was hit comes back by itself, or is replaced by its scheduler",
    "lasts": "FIS takes it back only where the parameter is given that says for how long",
    "never": "nothing takes it back",
    "harmless": "changes nothing",
}


def _text(one: FisAction) -> str:
    lines = [f"{one.id}  ({_WAY_BACK[one.heals]})", ""]
    lines += [f"Replaced by {one.instead}.", ""] if one.instead else []
    lines += [f"{one.note[:1].upper()}{one.note[1:]}.", ""] if one.note else []
    lines.append(f"Target: {one.target_key}: {one.resource_type}" if one.target_key else "Target: none")
    lines += [f"  chosen by {one.by} only"] if one.by else []
    lines += ["Parameters:", *(f"  {_parameter(part)}" for part in one.parameters.values())] if one.parameters else []
    lines += ["The experiment's role needs:", *(f"  {part}" for part in one.needs)] if one.needs else []
    return "\n".join(lines)


def _parameter(one: Parameter) -> str:
    must = "" if one.required else f" (default {one.default})" if one.default else " (optional)"
    return f"{one.name}{must}" + (f"  {' | '.join(one.one_of)}" if one.one_of else "")


def _entry(one: FisAction) -> dict[str, Json]:
    return {
        "id": one.id,
        "target_key": one.target_key,
        "resource_type": one.resource_type,
        "chosen_by": one.by,
        "parameters": [
            {"name": part.name, "required": part.required, "default": part.default, "one_of": list(part.one_of)}
            for part in one.parameters.values()
        ],
        "duration": one.lasts,
        "heals": one.heals.value,
        "role_needs": list(one.needs),
        "note": one.note,
        "instead": one.instead,
    }


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


COMMANDS = (fis,)
