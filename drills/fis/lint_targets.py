"""What is wrong with the targets of a template: how they are named, how many are chosen, and who uses them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from drills.fis.catalogue import actions, resources
from drills.fis.finding import Finding, near, warning
from drills.fis.template import table, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.fis.catalogue import FisAction
    from drills.fis.finding import Template
    from drills.fis.template import Table
    from drills.yamldoc import Where

MOST_ARNS: Final = 5
"""ARNs of a target (AWS FIS User Guide, "Quotas")."""
_MODE: Final = re.compile(r"ALL|COUNT\((?P<count>\d+)\)|PERCENT\((?P<percent>\d+)\)")
_HUNDRED: Final = 100


def findings(template: Template) -> Iterator[Finding]:
    """Give all findings about the targets and about the actions' use of them."""
    used: set[str] = set()
    for name, one in template.actions.items():
        used |= {str(target) for target in table(one.get("targets")).values()}
        action = actions().get(str(one.get("actionId", "")))
        if action is not None:
            yield from _use(template, name, one, action)
    unknown = any(template.is_open(one) for one in used)
    for name, one in template.targets.items():
        yield from _target(template, name, one)
        if name not in used and not unknown:
            yield warning(("targets", name), "unused-target", f"no action uses {name}; remove it, or name it there")


def _use(template: Template, name: str, given: Table, action: FisAction) -> Iterator[Finding]:
    where: Where = ("actions", name, "targets")
    chosen = table(given.get("targets"))
    if not action.target_key:
        if chosen:
            yield Finding(where, "target-key", f"{action.id} takes no target; remove `targets`")
        return
    for key, target in chosen.items():
        if key != action.target_key:
            told = f"{action.id} has no target {key!r}; write '{action.target_key}: {target}'"
            yield Finding((*where, key), "target-key", told)
            continue
        known = template.targets.get(str(target))
        if known is None:
            if not template.is_open(target):
                told = f"there is no target {target!r}; {near(str(target), template.targets)}"
                yield Finding((*where, key), "unknown-target", told)
            continue
        kind = known.get("resourceType")
        if kind != action.resource_type and not template.is_open(kind):
            told = f"{action.id} acts on {action.resource_type}, and {target} is {kind}; name another target"
            yield Finding((*where, key), "target-type", told)
        yield from _only_way(action, str(target), known)
    if not chosen:
        told = f"{action.id} needs a target; write 'targets: {{{action.target_key}: NAME}}'"
        yield Finding(("actions", name), "missing-target", told)


def _only_way(action: FisAction, name: str, target: Table) -> Iterator[Finding]:
    if action.by == "arns" and "resourceTags" in target:
        told = f"{action.id} takes its targets by ARN only; write resourceArns"
        yield Finding(("targets", name, "resourceTags"), "target-choice", told)
    elif action.by == "tags" and "resourceArns" in target:
        told = f"{action.id} takes its targets by tags only; write resourceTags"
        yield Finding(("targets", name, "resourceArns"), "target-choice", told)


def _target(template: Template, name: str, given: Table) -> Iterator[Finding]:
    where: Where = ("targets", name)
    kind = given.get("resourceType")
    known = resources().get(str(kind))
    if known is None and not template.is_open(kind) and kind is not None:
        told = f"there is no resource type {kind!r}; {near(str(kind), resources())}"
        yield Finding((*where, "resourceType"), "resource-type", told)
    yield from _choice(where, given)
    yield from _mode(template, where, given)
    parameters = table(given.get("parameters"))
    for parameter, value in parameters.items():
        if known is not None and parameter not in known:
            hint = f"did you mean {next(iter(known))!r}?" if len(known) == 1 else near(parameter, known)
            told = f"{kind} has no parameter {parameter!r}; {hint if known else 'remove it'}"
            yield Finding((*where, "parameters", parameter), "target-parameter", told)
        elif known is not None and known[parameter].one_of and value not in known[parameter].one_of:
            told = f"{parameter} is {value!r}; write one of {', '.join(known[parameter].one_of)}"
            if not template.is_open(value):
                yield Finding((*where, "parameters", parameter), "target-parameter", told)
    for parameter in (known or {}).values():
        if parameter.required and parameter.name not in parameters:
            told = f"{kind} needs the parameter {parameter.name!r}; add it under `parameters`"
            yield Finding(where, "target-parameter", told)


def _choice(where: Where, given: Table) -> Iterator[Finding]:
    arns, tags = given.get("resourceArns"), table(given.get("resourceTags"))
    if arns is not None and tags:
        yield Finding((*where, "resourceTags"), "target-choice", "names ARNs and tags; FIS takes one of the two")
    if isinstance(arns, list) and not arns:
        yield Finding((*where, "resourceArns"), "target-choice", "names no ARN; write one, or choose by resourceTags")
    if len(texts(arns)) > MOST_ARNS:
        told = f"names {len(texts(arns))} ARNs; FIS takes {MOST_ARNS}: choose by resourceTags"
        yield Finding((*where, "resourceArns"), "target-choice", told)
    if arns is not None and given.get("filters"):
        told = "filters belong to targets by tags, and FIS refuses them beside ARNs; remove them"
        yield Finding((*where, "filters"), "target-choice", told)
    for key, value in tags.items():
        if value == "":
            told = f"the tag {key} has an empty value, which means empty and not any; write the value"
            yield warning((*where, "resourceTags", key), "empty-tag", told)


def _mode(template: Template, where: Where, given: Table) -> Iterator[Finding]:
    mode = given.get("selectionMode")
    if not isinstance(mode, str) or template.is_open(mode):
        return
    where = (*where, "selectionMode")
    found = _MODE.fullmatch(mode)
    if found is None:
        yield Finding(where, "selection-mode", f"selectionMode is {mode!r}; write ALL, COUNT(1) or PERCENT(50)")
    elif found["count"] == "0":
        yield Finding(where, "selection-mode", f"{mode} chooses nothing; write COUNT(1) or more")
    elif found["percent"] is not None and not 1 <= int(found["percent"]) <= _HUNDRED:
        yield Finding(where, "selection-mode", f"{mode}; write a percentage from 1 to 100")
    elif mode == "ALL" and not any(given.get(one) for one in ("resourceArns", "filters", "parameters")):
        told = "every one that has these tags" if given.get("resourceTags") else "every one in the region"
        tag = "" if given.get("resourceTags") else "a tag, "
        yield warning(where, "broad", f"ALL hits {told}; narrow it with {tag}COUNT(1), PERCENT(10) or filters")
