"""What a person writes about where drills may happen: sites, accounts, values, scope. Cannot be widened elsewhere."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from drills.runbook.availability import Availability
from drills.runbook.fields import Account, GroupName, Name, Region, Role, Scalar, SessionWord, Span, Text, Wait, Written
from drills.runbook.rules import Alarms, ChangeCalendar, CostClass, Freeze, Freshness, Waiver, Window


class EnvironmentKind(StrEnum):
    """How much may break there."""

    SANDBOX = "sandbox"
    STAGING = "staging"
    PRODUCTION = "production"


class Spot(Written):
    """One account and region that is no site, such as where DNS is kept."""

    account: Account
    region: Region
    role: Role | None = None
    external_id: SessionWord | None = None
    source_identity: SessionWord | None = None

    @field_validator("external_id")
    @classmethod
    def _readable(cls, text: str | None) -> str | None:
        """Refuse a reference that could be read only with the credentials it is for."""
        if text is not None and text.startswith(("ssm:", "secretsmanager:")):
            raise ValueError("is needed before there are credentials to read it with; write env:NAME, or the id itself")
        return text


class BreakGlass(Written):
    """Who acts in an incident when the ordinary identity cannot be had: a profile of whoever drives it."""

    profile: Text


class DeadMan(Written):
    """The role in which EventBridge Scheduler takes changes back when a drill's process dies, and the schedules' group.

    The role is of the account in which the changes are made, and trusts ``scheduler.amazonaws.com``.
    """

    role: Role
    group: GroupName = "default"


class Site(Spot):
    """One of the places between which a service moves, with the values that runbooks name as ``${from.x}``."""

    values: dict[Name, Scalar] = Field(default_factory=dict)


class Active(Written):
    """How a site is asked whether it is the active one; ``${site.x}`` is the value of the site asked."""

    probe: Text
    with_: dict[str, JsonValue] = Field(default_factory=dict, alias="with")
    timeout: Span = timedelta(seconds=10)


class Scope(Written):
    """What may be touched: by tag, and what cannot be tagged by its exact id; where, and at what cost at most."""

    tags: dict[str, Text] = Field(default_factory=dict)
    max_targets: int = Field(default=10, ge=1, le=10_000)
    allow: tuple[Text, ...] = ()
    regions: tuple[Region, ...] = ()
    cost: CostClass | None = None


class Outage(StrEnum):
    """How a site of a sandbox dies: its processes killed, or its packets swallowed."""

    KILL = "kill"
    BLACKHOLE = "blackhole"


class World(Written):
    """What the sandbox builds before a rehearsal."""

    primary: Name
    capacity: dict[Name, int] = Field(default_factory=dict)
    wan_delay: Wait = timedelta(milliseconds=20)
    record: Text
    ttl: Span = timedelta(seconds=1)
    outage: Outage = Outage.KILL


class Observe(Written):
    """What `drills observe` watches all the time: the observers of a runbook, or those named here.

    One request each ``every`` (at least 1s; an observer that says more keeps its own); ``keep`` is how much of the
    past stays on disk.
    """

    runbook: Name | None = None
    availability: tuple[Availability, ...] = ()
    every: Span = timedelta(seconds=1)
    keep: Span = timedelta(hours=72)

    @model_validator(mode="after")
    def _one(self) -> Observe:
        if (self.runbook is None) == (not self.availability):
            raise ValueError("write one of runbook and availability")
        if self.every < timedelta(seconds=1):
            raise ValueError("every is at least 1s here; what needs a closer look is a drill, or `drills measure`")
        if self.keep < timedelta(minutes=1):
            raise ValueError("keep is at least 1m")
        return self


class Environment(Written):
    """A whole environment."""

    environment: Name
    kind: EnvironmentKind
    home: Region
    sites: dict[Name, Site] = Field(min_length=1, max_length=20)
    places: dict[Name, Spot] = Field(default_factory=dict)
    values: dict[Name, Scalar] = Field(default_factory=dict)
    active: Active | None = None
    scope: Scope = Field(default_factory=Scope)
    people: dict[Name, tuple[Text, ...]] = Field(default_factory=dict)
    break_glass: BreakGlass | None = None
    dead_man: DeadMan | None = None
    windows: tuple[Window, ...] = Field(default=(), max_length=50)
    freezes: tuple[Freeze, ...] = Field(default=(), max_length=200)
    calendars: tuple[ChangeCalendar, ...] = Field(default=(), max_length=10)
    alarms: tuple[Alarms, ...] = Field(default=(), max_length=50)
    freshness: tuple[Freshness, ...] = Field(default=(), max_length=50)
    waivers: tuple[Waiver, ...] = Field(default=(), max_length=50)
    resolver: Text | None = None
    dns_ttl: Span | None = None
    world: World | None = None
    drills: Literal["allowed"] | None = None
    observe: Observe | None = None
