"""EventBridge Scheduler's one-time schedules, fired for real: their call goes through the gateway as any other.

Only universal targets (``arn:aws:scheduler:::aws-sdk:SERVICE:operation``) are simulated. A call that fails is made
again after half a second, ``MOST_ATTEMPTS`` in all, as Scheduler's retry policy would over hours. The role of the
target is not checked: the call is made as the schedule's account.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from drills.clock import NS
from drills.sandbox.inside import client
from drills.services.aws_model import method_name, service_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drills.sandbox.cloud import Cloud
    from drills.sandbox.lanes import Lanes
    from drills.sandbox.state import World

MOST_ATTEMPTS: Final = 60
_SDK: Final = ":scheduler:::aws-sdk:"


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """One enabled one-time schedule of EventBridge Scheduler: when it is due (UTC) and the call it makes."""

    account: str
    region: str
    group: str
    name: str
    at: datetime
    target: str
    input: str
    keeps: bool


def standing(accounts: Iterable[str]) -> tuple[ScheduleView, ...]:
    """Give every enabled one-time schedule of these accounts; nothing is loaded while nobody made one. Lock held."""
    if "moto.scheduler.models" not in sys.modules:
        return ()
    from moto.backends import get_backend

    backends = cast("Any", get_backend("scheduler"))
    return tuple(
        ScheduleView(
            account,
            str(region),
            str(group.name),
            str(one.name),
            datetime.strptime(str(one.schedule_expression), "at(%Y-%m-%dT%H:%M:%S)").replace(tzinfo=UTC),
            str(one.target["Arn"]),
            str(one.target.get("Input") or "{}"),
            one.action_after_completion != "DELETE",
        )
        for account in accounts
        for region, backend in list(backends[account].items())
        for group in backend.schedule_groups.values()
        for one in group.schedules.values()
        if one.state == "ENABLED" and one.schedule_expression.startswith("at(")
    )


def end(cloud: Cloud, one: ScheduleView) -> None:
    """Take a schedule away that has fired, or disable it where it is to be kept. Lock held."""
    schedules = cloud.backend("scheduler", one.account, one.region).schedule_groups[one.group].schedules
    if one.keeps and one.name in schedules:
        schedules[one.name].state = "DISABLED"
    else:
        schedules.pop(one.name, None)


class Schedules:
    """Fires what is due, each schedule in a lane of its own."""

    def __init__(self, world: World, lanes: Lanes) -> None:
        self._world = world
        self._lanes = lanes
        self._attempts: dict[str, int] = {}

    def fire_due(self) -> None:
        """Begin to fire every schedule that is due."""
        with self._world.cloud.lock:
            due = self._due()
        for one in due:
            self._lanes.run(f"schedule:{one.account}:{one.region}:{one.name}", lambda one=one: self._fire(one))

    def _due(self) -> list[ScheduleView]:
        now = datetime.fromtimestamp(self._world.clock.now().utc_ns / NS, UTC)
        return [one for one in standing(self._world.accounts) if one.at <= now]

    def _fire(self, one: ScheduleView) -> None:
        with self._world.cloud.lock:
            if one not in self._due():
                return  # renewed or deleted since
        key = f"{one.account}:{one.region}:{one.group}:{one.name}"
        self._attempts[key] = self._attempts.get(key, 0) + 1
        try:
            self._call(one)
        except Exception as error:
            if self._attempts[key] < MOST_ATTEMPTS:
                raise
            self._end(one, key, "schedule given up", f"{one.name}: {error}")
        else:
            self._end(one, key, "schedule fired", f"{one.name}: {one.target.partition(_SDK)[2]} {one.input}")

    def _end(self, one: ScheduleView, key: str, what: str, detail: str) -> None:
        del self._attempts[key]
        with self._world.cloud.lock:
            end(self._world.cloud, one)
        self._world.effects.add("", what, detail)

    def _call(self, one: ScheduleView) -> None:
        service, _, operation = one.target.partition(_SDK)[2].partition(":")
        names = {str(name).lower(): str(name) for name in service_model(service).operation_names}
        made = client(self._world, service, one.account, one.region)
        getattr(made, method_name(names[operation.lower()]))(**json.loads(one.input))
