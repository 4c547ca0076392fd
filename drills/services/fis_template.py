"""Templates of AWS FIS in files and in runbooks: read, checked whole, and made into what the API takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from drills.errors import Invalid, Problem
from drills.fis.finding import Finding, Severity, near
from drills.fis.lint import findings
from drills.fis.template import fill, is_open, placeholders
from drills.services import aws_model
from drills.services.aws_check import check_call
from drills.yamldoc import at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from drills.fis.template import Table
    from drills.timeline.facts import Json
    from drills.yamldoc import Doc, Node

ENDINGS: Final = (".yaml", ".yml", ".json")
_TOKEN: Final = {"clientToken": "told-when-it-is-created"}


def is_file(template: object) -> bool:
    """Say whether a template is named by its file, and not by its id in AWS."""
    return isinstance(template, str) and (template.endswith(ENDINGS) or "/" in template)


def check(data: Table, *, foreign: bool = False) -> tuple[Finding, ...]:
    """Give all that is wrong with a template: its form by botocore's model, then what FIS and drills ask of it."""
    model = aws_model.operation_model("fis", "CreateExperimentTemplate")
    given = cast("Mapping[str, Json]", {**_TOKEN, **data})
    form = [
        Finding(one.where, "form", _sentence(one.message))
        for one in check_call(model, given, ())
        if not is_open(at(dict(data), one.where), foreign=foreign)
    ]
    return (*form, *findings(data, foreign=foreign))


def _sentence(message: str) -> str:
    """Speak of the template, and not of the call that it becomes."""
    told = message.removeprefix("CreateExperimentTemplate")
    return told.removeprefix(".") if told.startswith(".") else f"the template{told}"


def errors(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Give those for which a template is not started."""
    return tuple(one for one in found if one.severity is Severity.ERROR)


def table(doc: Doc) -> dict[str, Node]:
    """Give the template in a file; ``Invalid`` when the file holds something else."""
    if not isinstance(doc.data, dict):
        raise Invalid([doc.problem((), "holds no template; write description, actions, targets, stopConditions")])
    return doc.data


def read(doc: Doc) -> dict[str, Node]:
    """Give the template in a file; ``Invalid`` with every error in it."""
    data = table(doc)
    wrong = errors(check(data))
    if wrong:
        raise Invalid([doc.problem(one.where, one.message) for one in wrong])
    return data


def wants(data: Table) -> tuple[str, ...]:
    """Give the names that are to be filled in, sorted."""
    return tuple(sorted({one.name for one in placeholders(dict(data))}))


def wrong_parameters(data: Table, given: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Give what does not fit between a template's placeholders and what is given: the name, and a sentence."""
    wanted, given = set(wants(data)), set(given)
    missing = tuple((name, f"the template needs {name!r}; add it") for name in sorted(wanted - given))
    extra = tuple((name, f"the template has no ${{{name}}}; {near(name, wanted)}") for name in sorted(given - wanted))
    return (
        *missing,
        *(extra if wanted else tuple((name, f"{told.partition(';')[0]}; remove it") for name, told in extra)),
    )


def render(doc: Doc, given: Mapping[str, Node]) -> dict[str, Node]:
    """Give the input of CreateExperimentTemplate, checked against botocore's model and filled in.

    ``Invalid`` with every name that is missing or not used, and with all that is wrong once it is filled in.
    """
    data = table(doc)
    lacking = [Problem(doc.name, doc.line(()), told) for _, told in wrong_parameters(data, given)]
    filled = cast("dict[str, Node]", fill(data, given))
    wrong = [doc.problem(one.where, one.message) for one in errors(check(filled))]
    if lacking or wrong:
        raise Invalid([*lacking, *wrong])
    return filled
