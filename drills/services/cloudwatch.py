"""CloudWatch alarms: what must stay quiet while a drill runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from drills.aws.classify import mapped
from drills.services.spec import ProbeSpec
from drills.timeline.facts import Facts
from drills.work import Aws, Observation

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient


class AlarmQuiet(ProbeSpec):
    """Say whether an alarm is in state OK. ALARM is no; INSUFFICIENT_DATA, or no such alarm, is no answer.

    Metric and composite alarms alike. An alarm that is missing or has no data guards nothing, so it is never a yes.

    .. code-block:: yaml

        probe: cloudwatch.alarm_quiet
        with:
          alarm: others-errors
    """

    name: ClassVar[str] = "cloudwatch.alarm_quiet"
    permissions: ClassVar[tuple[str, ...]] = ("cloudwatch:DescribeAlarms",)

    alarm: str = Field(min_length=1, description="Name of the alarm.")

    def observe(self, aws: Aws) -> Observation:
        """Look at the alarm once."""
        cloudwatch: CloudWatchClient = aws.client("cloudwatch")
        with mapped(writes=False):
            answer = cloudwatch.describe_alarms(AlarmNames=[self.alarm], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        found = [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]
        if not found:
            return Observation(ok=None, detail=f"there is no alarm {self.alarm!r} in {aws.place.region}")
        state, reason = found[0].get("StateValue", ""), found[0].get("StateReason", "")
        ok = {"OK": True, "ALARM": False}.get(state)
        detail = f"{self.alarm} is {state}" + (f": {reason}" if ok is not True and reason else "")
        return Observation(ok=ok, detail=detail, value=Facts(state=state))
