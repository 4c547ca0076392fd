"""What is wrong with an experiment template, beside its form: the form is checked against botocore's model elsewhere.

Each finding says where, what and how it is mended. An error is what FIS refuses, or what drills does not start; a
warning is what FIS takes and what is likely to hurt. ``foreign`` also takes other people's placeholders
(``<ACCOUNT>``, ``!Ref Name``) for values that are not known yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.fis import lint_actions, lint_targets
from drills.fis.finding import Finding, Severity, Template, warning
from drills.fis.template import ALARM, alarm_name, placeholders, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.fis.template import Table
    from drills.yamldoc import Where


def findings(data: Table, *, foreign: bool = False) -> tuple[Finding, ...]:
    """Give all findings about a template, errors first, in the order of the file."""
    template = Template(data, foreign)
    found = [
        *_stop_conditions(template),
        *lint_actions.findings(template),
        *lint_targets.findings(template),
        *_role(template),
        *_options(template),
        *_outputs(template),
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda one: one.severity is Severity.WARNING))


def _stop_conditions(template: Template) -> Iterator[Finding]:
    given = template.data.get("stopConditions")
    conditions = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    where: Where = ("stopConditions",)
    if not any(one.get("source") == ALARM for one in conditions) and not any(
        template.is_open(one.get("source")) for one in conditions
    ):
        told = (
            "nothing stops this experiment when it goes too far; name an alarm: "
            f"stopConditions: [{{source: {ALARM}, value: ARN of the alarm}}]"
        )
        yield Finding(where, "no-stop-condition", told)
        return
    for number, one in enumerate(conditions):
        source, value = one.get("source"), one.get("value")
        if source == "none":
            told = "'none' beside an alarm stops nothing; remove it"
            yield Finding((*where, number), "stop-condition-none", told)
        elif source == ALARM and not template.is_open(value) and not alarm_name(str(value or "")):
            told = f"{value!r} is not the ARN of an alarm; write arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME"
            yield Finding((*where, number, "value"), "stop-condition-value", told if value else f"value: {told[3:]}")


def _role(template: Template) -> Iterator[Finding]:
    role = template.data.get("roleArn")
    if isinstance(role, str) and not template.is_open(role) and ":role/" not in role:
        told = f"{role!r} is not the ARN of a role; write arn:aws:iam::ACCOUNT:role/NAME, one that FIS may assume"
        yield Finding(("roleArn",), "role", told)


def _options(template: Template) -> Iterator[Finding]:
    options = table(template.data.get("experimentOptions"))
    if options.get("emptyTargetResolutionMode") == "skip":
        told = "without a target its actions are skipped and it is called completed, although nothing was broken"
        yield warning(("experimentOptions", "emptyTargetResolutionMode"), "empty-target-skip", f"{told}; write 'fail'")


def _outputs(template: Template) -> Iterator[Finding]:
    for one in placeholders(dict(template.data)):
        if not one.name or one.name.startswith("steps."):
            told = f"${{{one.name}}} is not a name of a parameter; write ${{name}}, and give it under `parameters`"
            yield Finding(one.where, "placeholder", told)
