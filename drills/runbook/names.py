"""Every ``${...}`` of a runbook at load: written rightly, and naming something that can exist there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from drills.runbook.interpolate import plain, references
from drills.runbook.model import ParameterType
from drills.runbook.order import ancestors
from drills.runbook.problems import did_you_mean
from drills.runbook.works import secret_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from drills.runbook.interpolate import Reference
    from drills.runbook.model import Listed, Parameter, Runbook
    from drills.runbook.problems import Problems
    from drills.services.spec import Spec
    from drills.yamldoc import Node, Where

SITE_FACTS: Final = ("name", "account", "region")
"""What ``${from.x}`` and ``${to.x}`` know of every site, beside its values."""
_SECRET_PREFIXES: Final = ("env:", "secretsmanager:", "ssm:")
_OUTPUT: Final = "steps.ID.output.FIELD"


class Need(NamedTuple):
    """Something a runbook wants from its environment: ``url``, ``from.dsn``; and where it first says so."""

    name: str
    where: Where


class Spoken(NamedTuple):
    """One value of the runbook in which names may stand; ``secret`` says that it may be a secret.

    ``own``: heads of the names in it that the work itself fills in while it runs.
    """

    where: Where
    value: Node
    secret: bool = False
    step: str = ""
    own: frozenset[str] = frozenset()


class Ancestry(NamedTuple):
    """Which steps have ended when another begins; ``judges`` are those of ``after``, which follow all steps."""

    needs: Mapping[str, tuple[str, ...]]
    judges: frozenset[str]

    @property
    def ids(self) -> frozenset[str]:
        """All steps whose output may be named somewhere."""
        return frozenset(self.needs)

    def of(self, step: str) -> frozenset[str]:
        """Give every step that has ended when ``step`` begins."""
        if step in self.judges:
            return self.ids
        return frozenset(ancestors(self.needs, step))


def spoken(runbook: Runbook, works: Mapping[Where, type[Spec]]) -> Iterator[Spoken]:
    """Give every value in which names may stand."""
    for number, probe in enumerate(runbook.measure.availability):
        for inner, text, secret in probe.spoken():
            yield Spoken(("measure", "availability", number, *inner), text, secret=secret)
    for number, ledger in enumerate(runbook.measure.data):
        where = ("measure", "data", number)
        sides = ledger.sides()
        for side in dict.fromkeys((sides.write, sides.read, *(value for _, value in ledger.headers()))):
            yield Spoken((*where, *side.where), side.text, secret=side.secret)
    for listed in runbook.listed():
        yield from _of_step(listed, works.get(listed.where))
    for listed in runbook.points():
        for value in _of_step(listed, works.get(listed.where)):
            yield value._replace(step="")


def _of_step(listed: Listed, work: type[Spec] | None) -> Iterator[Spoken]:
    step, where, name = listed.step, listed.where, listed.step.id or ""
    secrets = frozenset[str]() if work is None else secret_fields(work)
    nothing = frozenset[str]()
    for field, value in () if plain(step.with_) else step.with_.items():
        own = nothing if work is None else work.own_names.get(field, nothing)
        yield Spoken((*where, "with", field), value, field in secrets, name, own)
    for field, text in (("say", step.say), ("by_hand", step.by_hand)):
        if text:
            yield Spoken((*where, field), text, step=name)


def check_names(
    values: Iterator[Spoken], parameters: Mapping[str, Parameter], before: Ancestry, problems: Problems
) -> tuple[Need, ...]:
    """Check all references; give what the environment must hold, each name once.

    ``before`` knows the ancestors of each step: only their outputs may be named.
    """
    needed: dict[str, Need] = {}
    for value in values:
        for reference in references(value.value, value.where):
            if reference.head in value.own:
                continue
            message = _wrong(reference, value, parameters, before)
            if message:
                problems.add(reference.where, message)
            elif reference.output is None and reference.name not in parameters:
                needed.setdefault(reference.name, Need(reference.name, reference.where))
    return tuple(needed.values())


def _wrong(reference: Reference, value: Spoken, parameters: Mapping[str, Parameter], before: Ancestry) -> str:
    shown = f"${{{reference.name}}}"
    if not reference.name:
        return "'${' names nothing or is not closed; write ${name}, or $${ for the text itself"
    if reference.head == "steps":
        return _wrong_output(reference, value, before)
    if reference.head == "site":
        return f"{shown}: 'site.' has a meaning only in an environment's 'active:'; write from. or to."
    if reference.head == "sandbox":
        return f"{shown}: 'sandbox.' has a meaning only in an environment; name the value there and use its name here"
    if reference.head in ("before", "receipt"):
        return f"{shown}: only an `aws.call` knows it, in its 'undo'; an earlier step's output is ${{{_OUTPUT}}}"
    if reference.head and reference.head not in ("from", "to"):
        return f"{shown}: {did_you_mean(reference.head, ('from', 'to', 'steps'))} (write from.x, to.x, or {_OUTPUT})"
    if not reference.well_formed:
        return f"{shown} is not a name; write ${{name}}, ${{from.x}}, ${{to.x}} or ${{{_OUTPUT}}}"
    parameter = parameters.get(reference.name)
    if parameter is not None and parameter.type is ParameterType.SECRET and not (reference.whole and value.secret):
        return f"{shown} is a secret; it may stand only as the whole value of a field that takes a secret"
    return ""


def _wrong_output(reference: Reference, value: Spoken, before: Ancestry) -> str:
    shown = f"${{{reference.name}}}"
    if reference.output is None:
        return f"{shown} is not an output; write ${{{_OUTPUT}}}"
    if value.where[0] == "measure":
        return f"{shown}: what is measured is set up before the first step, and knows no output; use a value's name"
    named = reference.output[0]
    if value.where[-1] in ("say", "by_hand") or not value.step:
        return f"{shown}: outputs are known only to the fields under 'with:'; move it there"
    if named not in before.ids:
        return f"{shown}: there is no step {named!r}; {did_you_mean(named, before.ids)}"
    if named not in before.of(value.step):
        return f"{shown}: step {named!r} need not have ended when {value.step!r} begins; add 'needs: [{named}]'"
    return ""


def check_parameters(parameters: Mapping[str, Parameter], problems: Problems) -> None:
    """Check that each default is of its declared type, and that no secret stands in the file."""
    for name, parameter in parameters.items():
        where = ("parameters", name, "default")
        if parameter.default is None or problems.is_broken(("parameters", name, "type")):
            continue
        try:
            typed(parameter.type, parameter.default)
        except ValueError as error:
            problems.add(where, f"{name}: {error}")


def typed(kind: ParameterType, value: str | float) -> str | int | float | bool:
    """Read ``value`` (from a file, or as text from the command line) as ``kind``; ``ValueError`` names the repair."""
    fits = {
        ParameterType.STRING: (str,),
        ParameterType.SECRET: (str,),
        ParameterType.INTEGER: (int,),
        ParameterType.NUMBER: (int, float),
        ParameterType.BOOLEAN: (bool,),
    }[kind]
    shown = "a secret" if kind is ParameterType.SECRET else repr(value)
    if type(value) not in fits:
        raise ValueError(f"{shown} is not of type {kind.value}; write {_EXAMPLES[kind]}")
    if kind is ParameterType.SECRET and not str(value).startswith(_SECRET_PREFIXES):
        raise ValueError(f"a secret is a reference, never the secret itself; write {_EXAMPLES[kind]}")
    return value


def read_text(kind: ParameterType, text: str) -> str | int | float | bool:
    """Read a parameter given on the command line; ``ValueError`` names the repair."""
    try:
        if kind is ParameterType.INTEGER:
            return typed(kind, int(text))
        if kind is ParameterType.NUMBER:
            return typed(kind, float(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is not of type {kind.value}; write {_EXAMPLES[kind]}") from error
    if kind is ParameterType.BOOLEAN:
        return typed(kind, {"true": True, "false": False}.get(text, text))
    return typed(kind, text)


_EXAMPLES: Final = {
    ParameterType.STRING: "text in quotes",
    ParameterType.INTEGER: "a whole number, as in 4",
    ParameterType.NUMBER: "a number, as in 0.5",
    ParameterType.BOOLEAN: "true or false",
    ParameterType.SECRET: "env:NAME, secretsmanager:ID or ssm:NAME",
}
