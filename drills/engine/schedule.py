"""One-time schedules of EventBridge Scheduler that make an undo call: named, made, moved on, deleted."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from drills import digest
from drills.aws.classify import error_code, mapped
from drills.clock import NS
from drills.errors import Rejected, WorkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.engine.plan import DeadMan
    from drills.work import UndoCall

LONGEST_NAME: Final = 64
DELETIONS: Final = 3
NOT_FOUND: Final = "ResourceNotFoundException"
_THERE: Final = "ConflictException"
_STRANGE: Final = re.compile(r"[^0-9a-zA-Z-_.]")


def name_of(drill: str, step: str) -> str:
    """Name a step's schedule: the same from every process and version, and no other's."""
    own = digest.of(f"{drill}/{step}/1")[:12]
    told = _STRANGE.sub("-", f"drills-{step}-{drill}")
    return f"{told[: LONGEST_NAME - len(own) - 1]}-{own}"


def request(name: str, call: UndoCall, man: DeadMan, why: str) -> dict[str, Any]:
    """Give the request of a schedule that makes ``call``, but for its moment; ``why`` is what a person reads in AWS."""
    return {
        "Name": name,
        "GroupName": man.group,
        "Description": why,
        "State": "ENABLED",
        "ScheduleExpressionTimezone": "UTC",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": f"arn:{_partition(man.role)}:scheduler:::aws-sdk:{_target(call)}",
            "RoleArn": man.role,
            "Input": json.dumps(dict(call.parameters), separators=(",", ":")),
        },
    }


def make(client: Any, asked: dict[str, Any], at_ns: int) -> None:
    """Make a schedule for a moment (UTC), or move the one that stands under its name."""
    with mapped(writes=True):
        try:
            client.create_schedule(
                **asked, ScheduleExpression=_at(at_ns), ClientToken=_token(str(asked["Name"]), at_ns)
            )
        except client.exceptions.ClientError as error:
            if error_code(error) != _THERE:
                raise
            client.update_schedule(**asked, ScheduleExpression=_at(at_ns))


def move(client: Any, asked: dict[str, Any], at_ns: int) -> None:
    """Move a schedule to another moment; ``Rejected`` with ``NOT_FOUND`` when it is gone."""
    with mapped(writes=True):
        client.update_schedule(**asked, ScheduleExpression=_at(at_ns))


def delete(client: Any, name: str, group: str, wait: Callable[[float], object]) -> bool:
    """Delete a schedule, asking again a few times; say whether it was there."""
    for attempt in range(1, DELETIONS + 1):
        try:
            with mapped(writes=True):
                client.delete_schedule(Name=name, GroupName=group)
        except Rejected as error:
            if NOT_FOUND not in str(error):
                raise
            return attempt > 1  # an earlier attempt may have deleted it, and nobody told
        except WorkError:
            if attempt == DELETIONS:
                raise
            wait(0.2 * attempt)
        else:
            return True
    return False


def _at(at_ns: int) -> str:
    """Write a one-time expression, rounded up to the second: never earlier than meant."""
    return f"at({datetime.fromtimestamp(-(-at_ns // NS), UTC):%Y-%m-%dT%H:%M:%S})"


def _token(name: str, at_ns: int) -> str:
    return digest.of(f"{name}/{at_ns}")


def _partition(arn: str) -> str:
    return arn.split(":")[1]


def _target(call: UndoCall) -> str:
    return f"{call.service.replace('-', '')}:{call.operation[0].lower()}{call.operation[1:]}"
