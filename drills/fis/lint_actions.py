"""What is wrong with the actions of a template: their names, parameters, order and length."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final, cast

from drills.durations import show
from drills.fis.catalogue import Heals, actions
from drills.fis.finding import Finding, near, warning
from drills.fis.template import LONGEST, SHORTEST, duration, table, texts
from drills.fis.timing import cycle, on_host, takes_back, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.fis.catalogue import FisAction, Parameter
    from drills.fis.finding import Template
    from drills.fis.template import Table
    from drills.yamldoc import Node, Where

MOST: Final = 20
"""Actions of a template (AWS FIS User Guide, "Quotas")."""
BEFORE_INTERRUPTION: Final = (timedelta(minutes=2), timedelta(minutes=15))
_PERCENT: Final = re.compile(r"percent", re.IGNORECASE)
_WHOLE_NUMBER: Final = re.compile(r"-?\d+")
_HUNDRED: Final = 100
_NETWORK: Final = re.compile(r"AWSFIS-Run-Network-")


def findings(template: Template) -> Iterator[Finding]:
    """Give all findings about the actions."""
    given = template.actions
    if template.data.get("actions") == {}:
        yield Finding(("actions",), "no-action", "holds no action, so the experiment would do nothing; add one")
    if len(given) > MOST:
        yield Finding(("actions",), "too-many-actions", f"holds {len(given)} actions; FIS takes {MOST}: split it")
    for name, one in given.items():
        yield from _action(template, name, one)
    yield from _order(template)
    if whole(template.data) > LONGEST:
        told = f"lasts {show(whole(template.data).total_seconds())} in all; FIS ends an experiment after 12h"
        yield Finding(("actions",), "too-long", f"{told}: shorten its actions")


def _action(template: Template, name: str, given: Table) -> Iterator[Finding]:
    where: Where = ("actions", name)
    identity = given.get("actionId")
    if not isinstance(identity, str) or template.is_open(identity):
        return
    action = actions().get(identity)
    if action is None:
        told = f"there is no FIS action {identity!r}; {near(identity, actions())}"
        yield Finding((*where, "actionId"), "unknown-action", told)
        return
    if action.instead:
        yield warning((*where, "actionId"), "deprecated", f"{identity} is replaced; write {action.instead}")
    yield from _parameters(template, where, action, table(given.get("parameters")))
    if action.heals in (Heals.NEVER, Heals.LASTS) and not takes_back(action, given):
        mend = f"add {action.lasts}: PT10M" if action.heals is Heals.LASTS else "be sure that something replaces it"
        told = f"{identity} is not taken back by FIS, not even when the experiment is stopped; {mend}"
        yield warning((*where, "actionId"), "not-taken-back", told)
    if identity == "aws:ssm:send-command":
        yield from _command(template, where, table(given.get("parameters")))
    if "documentArn" in action.parameters:
        yield from _document(template, where, table(given.get("parameters")))


def _parameters(template: Template, where: Where, action: FisAction, given: Table) -> Iterator[Finding]:
    where = (*where, "parameters")
    for name, value in given.items():
        known = action.parameters.get(name)
        if known is None:
            unused = [one for one in action.parameters if one not in given]
            told = (
                f"{action.id} has no parameter {name!r}; {near(name, unused)}"
                if unused
                else (f"{action.id} has no parameter {name!r}; remove it")
            )
            yield warning((*where, name), "unknown-parameter", told)
        elif isinstance(value, str) and not template.is_open(value):
            yield from _value(where, action, known, value)
    for known in action.parameters.values():
        if known.required and known.name not in given:
            yield Finding(where, "missing-parameter", f"{action.id} needs the parameter {known.name!r}; add it")
    if action.id == "aws:network:disrupt-connectivity":
        scope = given.get("scope") == "prefix-list"
        if scope != ("prefixListIdentifier" in given) and not template.is_open(given.get("scope")):
            told = "prefixListIdentifier belongs to scope: prefix-list; give both or neither"
            yield Finding(where, "parameter-value", told)


def _value(where: Where, action: FisAction, known: Parameter, value: str) -> Iterator[Finding]:
    where = (*where, known.name)
    if known.name == action.lasts:
        yield from _duration(where, action, known.name, value)
    elif known.one_of and value not in known.one_of:
        told = f"{known.name} is {value!r}; write one of {', '.join(known.one_of)}"
        yield Finding(where, "parameter-value", told)
    elif _PERCENT.search(known.name) and _WHOLE_NUMBER.fullmatch(value) and not 0 <= int(value) <= _HUNDRED:
        yield Finding(where, "parameter-value", f"{known.name} is {value!r}; write a number from 0 to 100")
    elif _PERCENT.search(known.name) and not _WHOLE_NUMBER.fullmatch(value):
        yield Finding(where, "parameter-value", f"{known.name} is {value!r}; write a whole number from 0 to 100")


def _duration(where: Where, action: FisAction, name: str, value: str) -> Iterator[Finding]:
    span = duration(value)
    low, high = BEFORE_INTERRUPTION if name == "durationBeforeInterruption" else (SHORTEST, LONGEST)
    if span is None:
        told = f"{name} is {value!r}, which is no duration; write it as in PT10M, PT90S or PT1H"
        yield Finding(where, "duration", told)
    elif not low <= span <= high:
        bounds = f"at least {show(low.total_seconds())} and at most {show(high.total_seconds())}"
        yield Finding(where, "duration", f"{name} is {value}; {action.id} takes {bounds}")


def _order(template: Template) -> Iterator[Finding]:
    given = template.actions
    for name, one in given.items():
        for number, other in enumerate(texts(one.get("startAfter"))):
            if other not in given and not template.is_open(other):
                told = f"{name} starts after {other!r}, which is not an action here; {near(other, given)}"
                yield Finding(("actions", name, "startAfter", number), "start-after", told)
    ring = cycle(template.data)
    if ring:
        told = f"{', '.join(ring)} wait for each other, so none of them ever begins; take one startAfter away"
        yield Finding(("actions", ring[0], "startAfter"), "start-after", told)


def _command(template: Template, where: Where, given: Table) -> Iterator[Finding]:
    """Check that the fault on the host does not outlive the action that FIS watches over."""
    where = (*where, "parameters")
    action_lasts, held = duration(given.get("duration")), _held(template, given)
    if held is None:
        return
    if isinstance(held, str):
        yield Finding((*where, "documentParameters"), "document-parameters", held)
        return
    on_the_host = on_host(given)
    if action_lasts is None or on_the_host is None:
        return
    seconds = f"{on_the_host.total_seconds():.0f}"
    told = f"the command lasts {seconds} s on the host and the action {action_lasts.total_seconds():.0f} s"
    if on_the_host > action_lasts:
        mend = "FIS would cut it short and call it completed; make duration longer than DurationSeconds"
        yield Finding((*where, "duration"), "command-duration", f"{told}: {mend}")
    elif on_the_host == action_lasts:
        told = f"{told}, the same: a command that begins late is cut short; make duration a minute longer"
        yield warning((*where, "duration"), "command-duration", told)


def _held(template: Template, given: Table) -> dict[str, Node] | str | None:
    """Read the JSON in ``documentParameters``: its mapping, a sentence about what is wrong, or None when not known."""
    text = given.get("documentParameters")
    if not isinstance(text, str) or template.is_open(text):
        return None
    try:
        held: object = json.loads(text)
    except ValueError as error:
        return f'documentParameters is not JSON ({error}); write it as in \'{{"DurationSeconds": "60"}}\''
    if not isinstance(held, dict):
        return 'documentParameters is not a JSON object; write it as in \'{"DurationSeconds": "60"}\''
    return cast("dict[str, Node]", held)


def _document(template: Template, where: Where, given: Table) -> Iterator[Finding]:
    where, arn = (*where, "parameters", "documentArn"), given.get("documentArn")
    if not isinstance(arn, str):
        return
    if "{{" in arn:
        yield warning(where, "document-arn", f"{arn!r}: FIS fills in no {{{{ }}}}; write the region and account out")
    elif not template.is_open(arn) and not arn.startswith("arn:"):
        told = f"{arn!r} is not the ARN of a document; write arn:aws:ssm:REGION::document/NAME"
        yield Finding(where, "document-arn", told)
