"""No alarm is open that the environment names: what is unwell already is not drilled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from drills.engine.gates.question import no, unknown, why, yes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.engine.rules import Alarms
    from drills.timeline.events import Gated
    from drills.work import Aws

NAME: Final = "alarms"
PERMISSIONS: Final = ("cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource")
MOST: Final = 500
"""Alarms of one entry that are looked at; more is no answer, for the rest was not seen."""
PAGE: Final = 100


def ask(question: Question) -> Iterator[Gated]:
    """Look at the alarms of each entry of ``alarms``."""
    for one in question.plan.rules.alarms:
        yield _entry(question, one)


def _entry(question: Question, one: Alarms) -> Gated:
    name, asked = f"{NAME}:{one.at}", _told(one)
    try:
        found = _find(question.aws(one.at), one)
    except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said yes
        return unknown(name, f"{asked} could not be looked at ({why(error)})")
    missing = sorted(set(one.names) - found.keys())
    if missing:
        return no(name, f"there is no alarm called {', '.join(missing)} at {one.at}: what is not there guards nothing")
    if not found:
        return no(name, f"no alarm fits {asked} at {one.at}: what is not there guards nothing")
    wrong = sorted(f"{alarm} is {state}" for alarm, state in found.items() if not _quiet(state, one))
    if wrong:
        return no(name, f"{', '.join(wrong)}; mend that first")
    return yes(name, f"{len(found)} alarms are quiet: {', '.join(sorted(found))}")


def _quiet(state: str, one: Alarms) -> bool:
    return state == "OK" or (one.insufficient and state == "INSUFFICIENT_DATA")


def _told(one: Alarms) -> str:
    parts = [", ".join(one.names)] if one.names else []
    parts += [f"the prefix {one.prefix}"] if one.prefix else []
    parts += [", ".join(f"the tag {key}={value}" for key, value in one.tags.items())] if one.tags else []
    return " and ".join(parts)


def _find(aws: Aws, one: Alarms) -> dict[str, str]:
    """Give the state of every alarm by its name: all that are named, fit the prefix, or carry the tags."""
    found: dict[str, str] = {}
    if one.names:
        found |= {alarm["AlarmName"]: alarm["StateValue"] for alarm in _described(aws, AlarmNames=list(one.names))}
    if one.prefix:
        found |= {alarm["AlarmName"]: alarm["StateValue"] for alarm in _described(aws, AlarmNamePrefix=one.prefix)}
    if one.tags:
        cloudwatch = aws.client("cloudwatch")
        for alarm in _described(aws):
            tags = cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
            carried = {tag["Key"]: tag["Value"] for tag in tags}
            if all(carried.get(key) == value for key, value in one.tags.items()):
                found[alarm["AlarmName"]] = alarm["StateValue"]
    return found


def _described(aws: Aws, **named: Any) -> Iterator[dict[str, Any]]:
    pages = (
        aws.client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmTypes=["MetricAlarm", "CompositeAlarm"], PaginationConfig={"PageSize": PAGE}, **named)
    )
    count = 0
    for page in pages:
        for alarm in (*page.get("MetricAlarms", []), *page.get("CompositeAlarms", [])):
            count += 1
            if count > MOST:
                raise OverflowError(f"more than {MOST} alarms; name fewer")
            yield alarm
