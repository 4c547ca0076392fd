"""Undo calls as commands of the AWS CLI: the same calls that a person makes by hand and that a schedule makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.aws.arns import GLOBAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from drills.timeline.facts import Before, Json
    from drills.work import UndoCall


def commands(calls: Iterable[UndoCall], before: Before) -> tuple[str, ...]:
    """Write calls as a person types them; the region is the one in ``before``, else the word REGION."""
    return tuple(_command(one, str(before.get("region", "REGION"))) for one in calls)


def _command(call: UndoCall, region: str) -> str:
    from botocore import xform_name

    words = ["aws", call.service, str(xform_name(call.operation, "-"))]
    words += [] if call.service in GLOBAL else ["--region", region]
    for name, value in call.parameters.items():
        words += _option(f"--{xform_name(name, '-')}", value)
    return " ".join(words)


def _option(name: str, value: Json) -> Iterator[str]:
    import json
    import shlex

    if isinstance(value, bool):
        yield name if value else f"--no-{name.removeprefix('--')}"
        return
    yield name
    if isinstance(value, dict):
        yield shlex.quote(json.dumps(value, separators=(",", ":")))
    elif isinstance(value, list):
        yield from (shlex.quote(str(one)) for one in value)
    else:
        yield shlex.quote(str(value))
