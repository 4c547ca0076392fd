"""Read a runbook or an environment whole: every error at once, each with file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from drills import yamldoc
from drills.errors import Invalid, Problem, Usage
from drills.runbook import find
from drills.runbook.check import Checked, check_runbook
from drills.runbook.lint import lint
from drills.runbook.model import Runbook
from drills.runbook.problems import Problems, did_you_mean, read
from drills.runbook.works import Works

if TYPE_CHECKING:
    from pathlib import Path

    from drills.runbook.environment import Environment
    from drills.yamldoc import Doc, Node

_RUNBOOK: dict[str, Node] = {"runbook": "unnamed", "title": "untitled", "steps": []}
_ENVIRONMENT: dict[str, Node] = {
    "environment": "unnamed",
    "kind": "staging",
    "home": "us-east-1",
    "sites": {"unnamed": {"account": "000000000000", "region": "us-east-1"}},
}


class LoadedRunbook(NamedTuple):
    """A runbook that holds: its model, where each line stands, what the checks found out, and the warnings."""

    model: Runbook
    doc: Doc
    path: Path
    checked: Checked
    warnings: tuple[Problem, ...]


class LoadedEnvironment(NamedTuple):
    """An environment that holds: its model and where each line stands."""

    model: Environment
    doc: Doc
    path: Path


def load_runbook(path: Path) -> LoadedRunbook:
    """Read and check the runbook at ``path``; ``Invalid`` carries everything wrong with it."""
    return read_runbook(yamldoc.load(path), path)


def read_runbook(doc: Doc, path: Path) -> LoadedRunbook:
    """Check a runbook that has been parsed; ``path`` says beside which others it stands."""
    _refuse_other(doc, ("runbook", "a runbook"), ("environment", "an environment"))
    problems = Problems(doc)
    works = Works()
    runbook = read(Runbook, problems, _RUNBOOK)
    checked = None
    if runbook is not None:
        _whole(runbook, path, works, problems)
        checked = check_runbook(runbook, works, problems)
        lint(runbook, checked, problems)
        _failback(runbook, path, problems)
    if problems.found or runbook is None or checked is None:
        raise Invalid(problems.found)
    return LoadedRunbook(runbook, doc, path, checked, tuple(sorted(set(problems.warnings))))


def load_environment(path: Path) -> LoadedEnvironment:
    """Read and check the environment at ``path``; ``Invalid`` carries everything wrong with it."""
    return read_environment(yamldoc.load(path), path)


def read_environment(doc: Doc, path: Path) -> LoadedEnvironment:
    """Check an environment that has been parsed. Whoever reads a runbook alone need not make its models."""
    from drills.runbook.check_environment import check_environment
    from drills.runbook.environment import Environment

    _refuse_other(doc, ("environment", "an environment"), ("runbook", "a runbook"))
    problems = Problems(doc)
    environment = read(Environment, problems, _ENVIRONMENT)
    if environment is not None:
        check_environment(environment, Works(), problems)
    if problems.found or environment is None:
        raise Invalid(problems.found)
    return LoadedEnvironment(environment, doc, path)


def _refuse_other(doc: Doc, wanted: tuple[str, str], other: tuple[str, str]) -> None:
    """Say in one sentence that a file is of the other kind, by the field that names it, and not field by field."""
    if isinstance(doc.data, dict) and other[0] in doc.data and wanted[0] not in doc.data:
        swapped = "a runbook is named alone, an environment goes with `--env`"
        raise Invalid([doc.problem((other[0],), f"this is {other[1]}, and {wanted[1]} is needed here; {swapped}")])


def _whole(runbook: Runbook, path: Path, works: Works, problems: Problems) -> None:
    """Put what stands in files of their own into the steps that name them: from here on no other file is needed."""
    for one in runbook.listed():
        found = works.find(one.step.kinds[0], one.step.uses) if len(one.step.kinds) == 1 else ""
        if isinstance(found, str):
            continue
        try:
            given = found.work.whole(one.step.with_, lambda name: yamldoc.load(find.beside(name, path)))
        except Usage as error:
            named = [field for field, value in one.step.with_.items() if isinstance(value, str) and value in str(error)]
            problems.add((*one.where, "with", *named[:1]), str(error))
            problems.broken.add((*one.where, "with"))
        except Invalid as error:
            problems.found += error.problems
            problems.broken.add((*one.where, "with"))
        else:
            one.step.with_.update(given)


def _failback(runbook: Runbook, path: Path, problems: Problems) -> None:
    name = runbook.finally_.failback
    if name is None:
        return
    beside = {one.name: one for one in find.headers(path.parent)}
    if name not in beside:
        hint = did_you_mean(name, set(beside) - {runbook.runbook})
        problems.add(("finally",), f"finally: there is no runbook {name!r} beside this one; {hint}")
    elif name == runbook.runbook:
        problems.add(("finally",), f"finally: {name!r} is this runbook itself; name the one that leads back")
